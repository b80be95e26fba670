"""OpenID Connect providers: of a tenant, or of the installation for people of all tenants."""

import json
import re
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.services.tenancy.desk import SLUG, Desk, note
from carcloud.services.tenancy.errors import Denied, Exists, Invalid, Unknown
from carcloud.services.tenancy.grants import Grants
from carcloud.services.tenancy.store import login_providers
from carcloud.services.tenancy.types import (
    EVERYTHING,
    INSTALLATION,
    Identity,
    LoginProvider,
    ProviderRules,
)

_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_MOST = 20  # of one tenant
_INSTALLATION_NEEDS = "tenants:write"


class Providers:
    """Sets, lists and removes providers."""

    def __init__(self, desk: Desk, grants: Grants) -> None:
        self._desk = desk
        self._grants = grants

    def all(self, tenant: Tenant) -> list[LoginProvider]:
        """Those of a tenant, and those of the installation, in order of id."""
        mine = login_providers.c.tenant.in_([tenant, INSTALLATION])
        query = select(login_providers).where(mine).order_by(login_providers.c.id)
        with self._desk.records.reading() as db:
            return [_provider(row) for row in db.execute(query)]

    def shown(self, wanted: str | None = None) -> list[LoginProvider]:
        """Those of the installation, which the sign-in page offers to everybody, and the one whose
        id somebody knows."""
        mine = login_providers.c.tenant == INSTALLATION
        if wanted is not None and SLUG.fullmatch(wanted):
            mine |= login_providers.c.id == wanted
        query = select(login_providers).where(mine).order_by(login_providers.c.id)
        with self._desk.records.reading() as db:
            return [_provider(row) for row in db.execute(query)]

    def get(self, db: Connection, provider: str) -> tuple[LoginProvider, str | None]:
        """One, with the secret of its client; raises `Unknown`."""
        row = None
        if SLUG.fullmatch(provider):
            query = select(login_providers).where(login_providers.c.id == provider)
            row = db.execute(query).first()
        if row is None:
            raise Unknown(f"there is no sign-in provider {provider!r}")
        secret = self._desk.seal.open(_owner(provider), row.secret)
        return _provider(row), None if secret is None else secret.decode()

    def set(
        self, tenant: Tenant, provider: str, *, name: str, issuer: str, client: str,
        secret: str | None, rules: ProviderRules, by: Identity,
    ) -> LoginProvider:  # fmt: skip
        """Add a provider, or change one; `secret` None keeps the one that there is, empty = none.

        A secret is kept for the issuer and client that it was given for. `tenant` `*` is for
        administrators. Raises `Invalid`, `Denied`, `Exists` (the id is taken by another tenant),
        `NoSecret`.
        """
        _check(provider, name, issuer, client, rules, tenant)
        _check_may(tenant, by)
        values: dict[str, Any] = {"name": name, "issuer": issuer, "client": client}
        values |= {"rules": json.dumps(asdict(rules)), "by": by.user}
        if secret is not None:
            sealed = self._desk.seal.close(_owner(provider), secret.encode()) if secret else None
            values["secret"] = sealed
        this = login_providers.c.id == provider
        with self._desk.records.transaction() as db:
            given = {rules.role, *rules.roles.values()} - {None}
            for role in sorted(str(one) for one in given):
                self._grants.check(db, tenant, role, EVERYTHING, by=by)
            old = db.execute(select(login_providers).where(this)).first()
            if old is not None and old.tenant != tenant:
                raise Exists(f"the id {provider!r} is taken")
            if secret is None and old is not None:
                _check_secret_fits(old, issuer, client)
            if old is None:
                self._make_room(db, tenant)
                fresh = {"id": provider, "tenant": tenant, "created": self._desk.now()}
                db.execute(insert(login_providers).values(**fresh, **values))
            else:
                db.execute(update(login_providers).where(this).values(values))
            made, _ = self.get(db, provider)
            before = None if old is None else _told(_provider(old))
            told = _told(made) | {"secret_changed": secret is not None}
            note(db, tenant, by.user, "login-provider.set", provider, before, told)
        return made

    def remove(self, tenant: Tenant, provider: str, *, by: Identity) -> None:
        """Nobody signs in there any more; raises `Unknown`, `Denied`."""
        _check_may(tenant, by)
        with self._desk.records.transaction() as db:
            old, _ = self.get(db, provider)
            if old.tenant != tenant:
                raise Unknown(f"there is no sign-in provider {provider!r}")
            db.execute(delete(login_providers).where(login_providers.c.id == provider))
            note(db, tenant, by.user, "login-provider.remove", provider, _told(old))

    def _make_room(self, db: Connection, tenant: Tenant) -> None:
        mine = select(func.count()).where(login_providers.c.tenant == tenant)
        if db.execute(mine).scalar_one() >= _MOST:
            raise Invalid("id", f"there are {_MOST} providers: remove one first")


def _check_may(tenant: Tenant, by: Identity) -> None:
    if tenant == INSTALLATION and not by.may(_INSTALLATION_NEEDS):
        raise Denied(_INSTALLATION_NEEDS, "only administrators set providers of the installation")


def _check_secret_fits(old: Any, issuer: str, client: str) -> None:
    """No other provider may be sent a secret that was not given for it."""
    if old.secret is not None and (old.issuer, old.client) != (issuer, client):
        raise Invalid("client_secret", "another issuer or client needs its own")


def _check(
    provider: str, name: str, issuer: str, client: str, rules: ProviderRules, tenant: Tenant
) -> None:
    if not SLUG.fullmatch(provider):
        raise Invalid("id", "lower-case letters, digits and hyphens, 1 to 40")
    for field, text, most in (("name", name, 100), ("client_id", client, 200)):
        if not 1 <= len(text) <= most or not text.isprintable():
            raise Invalid(field, f"1 to {most} printable characters")
    parts = urlsplit(issuer)
    if (
        parts.scheme not in ("https", "http") or not parts.hostname or parts.query
        or parts.fragment or parts.username or len(issuer) > 200 or not issuer.isascii()
    ):  # fmt: skip
        raise Invalid("issuer", "an address such as https://login.example.com")
    for domain in rules.domains:
        if not _DOMAIN.fullmatch(domain) or len(domain) > 253:
            raise Invalid("domains", "domains in lower case, such as example.com")
    if rules.roles and rules.claim is None:
        raise Invalid("claim", "roles are given by the values of a claim: which?")
    if rules.creates and tenant == INSTALLATION:
        raise Invalid("creates", "only the provider of a tenant makes users, in that tenant")
    if tenant == INSTALLATION and (rules.role or rules.roles):
        raise Invalid("role", "only the provider of a tenant gives roles")
    if rules.creates and rules.role is None and not rules.roles:
        raise Invalid("role", "which role does a new user get?")


def _told(one: LoginProvider) -> dict[str, object]:
    return {
        "name": one.name,
        "issuer": one.issuer,
        "client_id": one.client,
        "rules": asdict(one.rules),
    }


def _provider(row: Any) -> LoginProvider:
    rules = json.loads(row.rules)
    return LoginProvider(
        row.id,
        Tenant(row.tenant),
        row.name,
        row.issuer,
        row.client,
        row.secret is not None,
        ProviderRules(**{**rules, "domains": tuple(rules["domains"])}),
        row.by,
        row.created,
    )


def _owner(provider: str) -> str:
    return f"login-provider/{provider}"
