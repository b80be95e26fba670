"""Tenants, their people and tokens, and the record of what was changed. Calls block briefly."""

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from carcloud.model import ids
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import SECOND, now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.tenancy import audit, throttle
from carcloud.services.tenancy.audit import append as record_changes
from carcloud.services.tenancy.errors import Exists, Invalid, NotSignedIn, Throttled, Unknown
from carcloud.services.tenancy.limits import KnownLimits, Quota, TenantLimits
from carcloud.services.tenancy.passwords import Passwords
from carcloud.services.tenancy.shares import Shares
from carcloud.services.tenancy.store import metadata, sessions, tenants, tokens, users
from carcloud.services.tenancy.types import (
    ApiToken,
    AuditEntry,
    AuditPage,
    Identity,
    Role,
    Session,
    User,
)

__all__ = [
    "ApiToken", "AuditEntry", "AuditPage", "Exists", "Identity", "Invalid", "KnownLimits",
    "NotSignedIn", "Quota", "Role", "Session", "Shares", "Tenancy", "TenantLimits",
    "Throttled", "Unknown", "User", "record_changes",
]  # fmt: skip

_USER = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_TOKEN_ID = re.compile(r"[0-9a-f]{16}")
_HOUR = 3_600 * SECOND
_SESSION, _TOKEN = "ccs_", "cct_"  # how a secret begins, so that leaks can be searched for


class Tenancy:
    """The service. `now` is a clock in us since 1970."""

    def __init__(self, records: Records, now: Callable[[], int] = now_us) -> None:
        self._records = records
        self._now = now
        self._passwords = Passwords()
        self.limits = TenantLimits(records, now)
        records.create(metadata)

    def bootstrap(self) -> tuple[str, str] | None:
        """On the very first start, make the default tenant and its admin.

        Returns the admin's name and generated password, once ever; None after that.
        """
        password = secrets.token_urlsafe(18)
        hashed = self._passwords.hash(password)
        try:
            with self._records.transaction() as db:
                if db.execute(select(func.count()).select_from(users)).scalar_one() > 0:
                    return None
                self._ensure_tenant(db, DEFAULT_TENANT, "Default")
                admin = User("admin", DEFAULT_TENANT, Role.ADMIN, self._now())
                self._add_user(db, admin, hashed, "carcloud")
        except Conflict:  # another process was first
            return None
        return "admin", password

    def ensure_tenant(self, tenant: str, name: str = "") -> Tenant:
        """Make the tenant if it does not exist; raises `ids.InvalidId`."""
        slug = ids.tenant(tenant)
        with self._records.transaction() as db:
            self._ensure_tenant(db, slug, name or slug)
        return slug

    def tenants(self) -> list[Tenant]:
        """All tenants, in order of name."""
        with self._records.reading() as db:
            rows = db.execute(select(tenants.c.id).order_by(tenants.c.id)).scalars()
            return [Tenant(row) for row in rows]

    def limit(self, tenant: Tenant, name: str) -> int:
        """How much of a thing a tenant may have, see `model/limits.py`; raises `Unknown`."""
        return self.limits.limit(tenant, name)

    def create_user(
        self, tenant: Tenant, name: str, password: str, role: Role, *, actor: str
    ) -> User:
        """A new person; raises `Invalid`, `Exists` (names are unique over all tenants)."""
        if not _USER.fullmatch(name):
            raise Invalid("user", "lower-case letters, digits and . _ @ -, 1 to 64 characters")
        hashed = self._passwords.hash(password)
        try:
            with self._records.transaction() as db:
                made = User(name, tenant, role, self._now())
                return self._add_user(db, made, hashed, actor)
        except Conflict as error:
            raise Exists(f"user {name!r} exists, or tenant {tenant!r} does not") from error

    def users(self, tenant: Tenant) -> list[User]:
        """The people of a tenant, in order of name."""
        with self._records.reading() as db:
            query = select(users).where(users.c.tenant == tenant).order_by(users.c.name)
            return [_user(row) for row in db.execute(query).mappings()]

    def set_password(self, tenant: Tenant, name: str, password: str, *, actor: str) -> None:
        """Replace a password and end the user's sessions; raises `Unknown`, `Invalid`."""
        hashed = self._passwords.hash(password)
        with self._records.transaction() as db:
            self._known_user(db, tenant, name)
            db.execute(update(users).where(users.c.name == name).values(password=hashed))
            db.execute(delete(sessions).where(sessions.c.user == name))
            record_changes(db, [AuditEntry(tenant, actor, "user.password", name)])

    def set_role(self, tenant: Tenant, name: str, role: Role, *, actor: str) -> None:
        """Change what a user may do, from the next request on; raises `Unknown`."""
        with self._records.transaction() as db:
            old = self._known_user(db, tenant, name)
            db.execute(update(users).where(users.c.name == name).values(role=role.value))
            before, after = {"role": old.role}, {"role": role}
            record_changes(db, [AuditEntry(tenant, actor, "user.role", name, before, after)])

    def remove_user(self, tenant: Tenant, name: str, *, actor: str) -> None:
        """Remove a person and the person's sessions; raises `Unknown`."""
        with self._records.transaction() as db:
            old = self._known_user(db, tenant, name)
            db.execute(delete(users).where(users.c.name == name))
            record_changes(db, [AuditEntry(tenant, actor, "user.remove", name, _told(old))])

    def sign_in(self, user: str, password: str, *, hours: float, address: str = "") -> Session:
        """A session of `hours`; raises `NotSignedIn`, `Throttled`.

        Takes as long for a user who does not exist. `address` is where the person comes from.
        """
        now = self._now()
        with self._records.transaction() as db:
            throttle.count_attempt(db, user, address, now)
            name = user if _USER.fullmatch(user) else ""  # databases refuse some characters
            row = db.execute(select(users).where(users.c.name == name)).mappings().first()
        if not self._passwords.matches(row["password"] if row else None, password) or not row:
            raise NotSignedIn("wrong user or password")
        token = _SESSION + secrets.token_urlsafe(32)
        expires = now + int(hours * _HOUR)
        known = _user(row)
        with self._records.transaction() as db:
            throttle.forgive(db, user, address)
            db.execute(delete(sessions).where(sessions.c.expires <= now))
            values = {"hash": _hash(token), "user": user, "created": now, "expires": expires}
            db.execute(insert(sessions).values(values))
            record_changes(db, [AuditEntry(known.tenant, user, "session.begin", address)])
        return Session(token, Identity(user, known.tenant, known.role, expires), expires)

    def session(self, token: str) -> Identity:
        """Who holds this session or API token; raises `NotSignedIn`."""
        query = _token_query(token) if token.startswith(_TOKEN) else _session_query(token)
        with self._records.reading() as db:
            row = db.execute(query).first()
        if row is None or (row.expires is not None and row.expires <= self._now()):
            raise NotSignedIn("the session has ended")
        return Identity(row.user, Tenant(row.tenant), Role(row.role), row.expires)

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens if it has ended."""
        with self._records.transaction() as db:
            db.execute(delete(sessions).where(sessions.c.hash == _hash(token)))

    def create_token(
        self, tenant: Tenant, name: str, role: Role, *, actor: str, days: float | None = None
    ) -> tuple[ApiToken, str]:
        """A machine's token and its secret, which is told once; raises `Invalid`."""
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise Invalid("name", "1 to 100 printable characters")
        secret = _TOKEN + secrets.token_urlsafe(32)
        now = self._now()
        expires = None if days is None else now + int(days * 24 * _HOUR)
        made = ApiToken(secrets.token_hex(8), name, tenant, role, actor, now, expires)
        told = {"name": made.name, "role": made.role.value, "expires": made.expires}
        row = {**told, "id": made.id, "hash": _hash(secret), "tenant": tenant}
        try:
            with self._records.transaction() as db:
                db.execute(insert(tokens).values(**row, user=actor, created=now))
                entry = AuditEntry(tenant, actor, "token.create", made.id, None, told)
                record_changes(db, [entry])
        except Conflict as error:
            raise Unknown(f"there is no tenant {tenant!r}") from error
        return made, secret

    def tokens(self, tenant: Tenant) -> list[ApiToken]:
        """The tokens of a tenant, newest first."""
        query = select(tokens).where(tokens.c.tenant == tenant).order_by(tokens.c.created.desc())
        with self._records.reading() as db:
            return [_api_token(row) for row in db.execute(query).mappings()]

    def revoke_token(self, tenant: Tenant, token_id: str, *, actor: str) -> None:
        """Take a token back, at once; raises `Unknown`."""
        if not _TOKEN_ID.fullmatch(token_id):
            raise Unknown(f"there is no token {token_id!r}")
        mine = (tokens.c.tenant == tenant) & (tokens.c.id == token_id)
        with self._records.transaction() as db:
            if db.execute(delete(tokens).where(mine)).rowcount == 0:
                raise Unknown(f"there is no token {token_id!r}")
            record_changes(db, [AuditEntry(tenant, actor, "token.revoke", token_id)])

    def changes(
        self,
        tenant: Tenant,
        *,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> AuditPage:
        """The tenant's audit entries, newest first, with ids below `before`."""
        with self._records.reading() as db:
            return audit.page(db, tenant, subject=subject, before=before, limit=limit)

    def _ensure_tenant(self, db: Connection, slug: Tenant, name: str) -> None:
        if db.execute(select(tenants.c.id).where(tenants.c.id == slug)).first() is None:
            db.execute(insert(tenants).values(id=slug, name=name, created=self._now()))

    def _add_user(self, db: Connection, made: User, hashed: str, actor: str) -> User:
        values = {"tenant": made.tenant, "role": made.role.value, "created": made.created}
        db.execute(insert(users).values(name=made.name, password=hashed, **values))
        entry = AuditEntry(made.tenant, actor, "user.create", made.name, None, _told(made))
        record_changes(db, [entry])
        return made

    def _known_user(self, db: Connection, tenant: Tenant, name: str) -> User:
        if not _USER.fullmatch(name):
            raise Unknown(f"there is no user {name!r}")
        mine = (users.c.tenant == tenant) & (users.c.name == name)
        row = db.execute(select(users).where(mine)).mappings().first()
        if row is None:
            raise Unknown(f"there is no user {name!r}")
        return _user(row)


def _session_query(token: str) -> Any:
    columns = (users.c.name.label("user"), users.c.tenant, users.c.role, sessions.c.expires)
    joined = select(*columns).join(sessions, sessions.c.user == users.c.name)
    return joined.where(sessions.c.hash == _hash(token))


def _token_query(token: str) -> Any:
    columns = (tokens.c.name.label("user"), tokens.c.tenant, tokens.c.role, tokens.c.expires)
    return select(*columns).where(tokens.c.hash == _hash(token))


def _hash(token: str) -> str:
    """Tokens are 256 random bits: a plain hash hides them as well as a slow one."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _user(row: Any) -> User:
    return User(row["name"], Tenant(row["tenant"]), Role(row["role"]), row["created"])


def _api_token(row: Any) -> ApiToken:
    return ApiToken(
        id=row["id"],
        name=row["name"],
        tenant=Tenant(row["tenant"]),
        role=Role(row["role"]),
        user=row["user"],
        created=row["created"],
        expires=row["expires"],
    )


def _told(user: User) -> dict[str, object]:
    return {"name": user.name, "role": user.role}
