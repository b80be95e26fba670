"""Signing in at an OpenID Connect provider: authorization code with PKCE, state and nonce.

Between leaving and coming back a browser holds a sealed ticket in a cookie; it works once. Nobody
is taken for a user because of an e-mail address: an account is connected by its own user, by an
invitation, or made new.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from sqlalchemy import Connection, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.ports.errors import Conflict
from carcloud.ports.openid import ProviderFailed, ProviderRefused, ProviderWeb
from carcloud.services.tenancy import audit, id_tokens, throttle
from carcloud.services.tenancy.connections import Connections, spend
from carcloud.services.tenancy.desk import USER, Desk
from carcloud.services.tenancy.errors import (
    Denied,
    Exists,
    Invalid,
    NotSignedIn,
    SignInRefused,
    Unknown,
)
from carcloud.services.tenancy.grants import Grants
from carcloud.services.tenancy.invitations import Invitations
from carcloud.services.tenancy.people import People, check_person
from carcloud.services.tenancy.provider_facts import METHODS, ProviderFacts
from carcloud.services.tenancy.providers import Providers
from carcloud.services.tenancy.sessions import Client, Sessions
from carcloud.services.tenancy.store import users
from carcloud.services.tenancy.text import printable
from carcloud.services.tenancy.types import (
    EVERYTHING,
    INSTALLATION,
    AuditEntry,
    Identity,
    LoginProvider,
    Session,
    SignInBegun,
    SignInDone,
    User,
)

TICKET_S = 600  # for signing in at the provider
_MOST_EXTERNAL = 300  # characters of issuer and subject
_SEAL = "openid-ticket"
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,499}")


class OpenId:
    """Begins and ends sign-ins at providers, and connects accounts to them."""

    def __init__(
        self, desk: Desk, web: ProviderWeb | None, providers: Providers, people: People,
        grants: Grants, invitations: Invitations, opening: Sessions, connections: Connections,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._facts = ProviderFacts(web)
        self._providers = providers
        self._people = people
        self._grants = grants
        self._invitations = invitations
        self._sessions = opening
        self._connections = connections

    def begin(
        self, provider: str, callback: str, *, back: str = "/", invitation: str | None = None,
        name: str | None = None, client: Client,
    ) -> SignInBegun:  # fmt: skip
        """Where to send the browser. With `invitation` and `name` a new user comes of it. Raises
        `Unknown`, `Invalid`, `SignInRefused`, `Throttled`.
        """
        if not _PATH.fullmatch(back):
            raise Invalid("back", "a path of the console, such as /vehicles")
        self._count(client)
        if name is not None:
            _check_name(name)
        if invitation is not None:
            self._invitations.offer(invitation)
        return self._leave(provider, callback, back, invitation=invitation, name=name)

    def connect(
        self, who: Identity, provider: str, callback: str, *, back: str, password: str,
        code: str | None, client: Client,
    ) -> SignInBegun:  # fmt: skip
        """As `begin`, for somebody whose account shall be connected: `finish` tells a proposal,
        which `Connections.confirm` takes.

        Takes what signing in takes. Raises `Exists` for an account that is connected already,
        `Denied` for keys and tokens, and as `begin`.
        """
        self._count(client)
        with self._desk.records.reading() as db:
            row = db.execute(select(users.c.external).where(users.c.name == who.user)).one()
        if row.external is not None:
            raise Exists("this account is connected already: disconnect it first")
        self._sessions.prove(who, password, code, client=client, action="user.connect")
        return self._leave(provider, callback, back, who=who)

    def _count(self, client: Client) -> None:
        with self._desk.records.transaction() as db:
            throttle.count_provider(db, client.address, self._desk.now())

    def _leave(
        self, provider: str, callback: str, back: str, *, invitation: str | None = None,
        name: str | None = None, who: Identity | None = None,
    ) -> SignInBegun:  # fmt: skip
        with self._desk.records.reading() as db:
            chosen, _ = self._providers.get(db, provider)
        facts = self._told_facts(chosen)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        ticket = {
            "provider": provider, "state": state, "nonce": nonce, "verifier": verifier,
            "callback": callback, "back": back, "invitation": invitation, "name": name,
            "user": who and who.user, "session": who and who.session,
            "expires": self._desk.now() + TICKET_S * SECOND,
        }  # fmt: skip
        query = {
            "response_type": "code", "client_id": chosen.client, "redirect_uri": callback,
            "scope": "openid email profile", "state": state, "nonce": nonce,
            "code_challenge": _challenge(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        endpoint = facts["authorization_endpoint"]
        url = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"
        sealed = self._desk.seal.close(_SEAL, json.dumps(ticket).encode())
        return SignInBegun(url, base64.urlsafe_b64encode(sealed).decode())

    def finish(
        self, ticket: str | None, query: Mapping[str, str], *, hours: float, client: Client
    ) -> SignInDone:
        """What comes of a browser that came back with `query`; raises `Throttled`, and
        `SignInRefused`, which is in the audit of whom the provider belongs to."""
        self._count(client)
        kept = self._opened(ticket)
        tenant = INSTALLATION
        try:
            with self._desk.records.reading() as db:
                chosen, secret = self._providers.get(db, kept["provider"])
            tenant = chosen.tenant
            self._spend(kept)  # whatever the answer is: a ticket is for one
            self._check_return(chosen, kept, query)
            claims = self._claims(chosen, secret, kept, query.get("code", ""))
            _check_domain(chosen, claims)
            return self._let_in(chosen, claims, kept, hours, client)
        except SignInRefused as error:
            error.back = _back(kept)
            self._note_refusal(tenant, kept, error)
            raise
        except (Unknown, Invalid, Denied, Exists, NotSignedIn) as error:
            refused = SignInRefused("not-possible", str(error))
            refused.back = _back(kept)
            self._note_refusal(tenant, kept, refused)
            raise refused from error

    def _opened(self, ticket: str | None) -> dict[str, Any]:
        try:
            sealed = base64.urlsafe_b64decode((ticket or "").encode())
        except (ValueError, UnicodeError):
            sealed = b""
        plain = self._desk.seal.open(_SEAL, sealed) if len(sealed) > 28 else None
        if plain is None:
            raise SignInRefused("no-ticket", "this browser did not begin a sign-in")
        kept: dict[str, Any] = json.loads(plain)
        if kept["expires"] <= self._desk.now():
            raise SignInRefused("too-late", "the sign-in took too long")
        return kept

    def _check_return(
        self, chosen: LoginProvider, kept: Mapping[str, Any], query: Mapping[str, str]
    ) -> None:
        state = query.get("state", "")
        if not hmac.compare_digest(state.encode(), str(kept["state"]).encode()):
            raise SignInRefused("wrong-state", "the answer belongs to another sign-in")
        if query.get("iss", chosen.issuer) != chosen.issuer:  # RFC 9207
            raise SignInRefused("bad-token", "the answer comes from another provider")
        if "error" in query:
            raise SignInRefused("provider-refused", f"the provider said {query['error'][:60]!r}")

    def _spend(self, kept: Mapping[str, Any]) -> None:
        try:
            with self._desk.records.transaction() as db:
                spend(db, kept["state"], kept["expires"], self._desk.now())
        except Conflict as error:
            raise SignInRefused("used", "this sign-in was used already") from error

    def _told_facts(self, chosen: LoginProvider) -> Mapping[str, Any]:
        try:
            return self._facts.of(chosen.issuer)
        except ProviderFailed as error:
            raise SignInRefused("provider-down", str(error)) from error

    def _claims(
        self, chosen: LoginProvider, secret: str | None, kept: Mapping[str, Any], code: str
    ) -> Mapping[str, Any]:
        facts = self._told_facts(chosen)
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": kept["callback"],
            "code_verifier": kept["verifier"],
        }  # fmt: skip
        user = None
        methods = facts.get(METHODS, ["client_secret_basic"])
        if secret is None or "client_secret_basic" not in methods:
            form["client_id"] = chosen.client
            form |= {} if secret is None else {"client_secret": secret}
        else:
            user = (chosen.client, secret)
        given = {"issuer": chosen.issuer, "client": chosen.client, "nonce": kept["nonce"]}
        try:
            told = self._facts.web.post(facts["token_endpoint"], form, user)
            token = told.get("id_token")
            if not isinstance(token, str):
                raise SignInRefused("bad-token", "the provider sent no ID token")
            try:
                return id_tokens.checked(token, self._facts.keys(chosen.issuer), **given)
            except id_tokens.UnknownKey:
                return id_tokens.checked(token, self._facts.keys(chosen.issuer, anew=True), **given)
        except id_tokens.UnknownKey as error:
            raise SignInRefused("bad-token", "the ID token is signed by another key") from error
        except ProviderRefused as error:
            raise SignInRefused("provider-refused", f"the provider said {error}") from error
        except ProviderFailed as error:
            raise SignInRefused("provider-down", str(error)) from error

    def _let_in(
        self, chosen: LoginProvider, claims: Mapping[str, Any], kept: Mapping[str, Any],
        hours: float, client: Client,
    ) -> SignInDone:  # fmt: skip
        external = f"{chosen.issuer} {claims['sub']}"
        if len(external) > _MOST_EXTERNAL:
            raise SignInRefused("bad-token", "the identity is too long")
        back = str(kept["back"])
        try:
            with self._desk.records.transaction() as db:
                if kept["user"] is not None:
                    made = self._connections.propose(db, chosen, external, claims, kept)
                    return SignInDone(None, back, made)
                session = self._session(db, chosen, claims, external, kept, hours, client)
                return SignInDone(session, back)
        except Conflict as error:
            raise SignInRefused("name-taken", "there is a user of that name") from error

    def _session(
        self, db: Connection, chosen: LoginProvider, claims: Mapping[str, Any], external: str,
        kept: Mapping[str, Any], hours: float, client: Client,
    ) -> Session:  # fmt: skip
        row = db.execute(select(users).where(users.c.external == external)).first()
        if row is not None:
            home = chosen.tenant in (row.tenant, INSTALLATION)
            if row.disabled or row.service or not home:
                raise SignInRefused("kept-out", "this user may not sign in here")
            name = row.name
        else:
            name = self._made(db, chosen, claims, kept)
            db.execute(update(users).where(users.c.name == name).values(external=external))
        return self._sessions.open(db, name, hours=hours, client=client)

    def _made(
        self, db: Connection, chosen: LoginProvider, claims: Mapping[str, Any],
        kept: Mapping[str, Any],
    ) -> str:  # fmt: skip
        """The name of a new user, by an invitation or because the provider may make users."""
        if kept["invitation"] is not None and kept["name"] is not None:
            made = self._invitations.accept_in(db, kept["invitation"], kept["name"], None)
            if chosen.tenant not in (made.tenant, INSTALLATION):
                raise SignInRefused("kept-out", "the provider belongs to another tenant")
            return made.name
        if not chosen.rules.creates or chosen.tenant == INSTALLATION:
            raise SignInRefused("not-known", "nobody here is connected to this identity")
        roles = _roles(chosen, claims)
        name = _name(claims)
        mail = str(claims.get("email", ""))
        shown = mail[:200] if mail.isprintable() else ""
        self._people.add(
            db, User(name, chosen.tenant, self._desk.now(), note=shown), None, actor=name
        )
        by = Identity(chosen.by, chosen.tenant, self._grants.everything)
        for role in roles:
            self._grants.grant_in(db, chosen.tenant, name, role, EVERYTHING, by=by)
        return name

    def _note_refusal(self, tenant: Tenant, kept: Mapping[str, Any], error: SignInRefused) -> None:
        actor = kept["user"] or kept["name"] or "-"
        told = {"why": error.why, "detail": printable(str(error)[:200])}
        entry = AuditEntry(
            tenant, actor, "session.begin", f"login-provider {kept['provider']}", after=told,
            denied=True,
        )  # fmt: skip
        with self._desk.records.transaction() as db:
            audit.append(db, [entry])


def _back(kept: Mapping[str, Any]) -> str:
    """Who wanted to connect is signed in, and learns on the page where it began why not."""
    return "/" if kept["user"] is None else str(kept["back"])


def _challenge(verifier: str) -> str:
    """RFC 7636 §4.2, S256."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _check_domain(chosen: LoginProvider, claims: Mapping[str, Any]) -> None:
    if not chosen.rules.domains:
        return
    mail = claims.get("email")
    good = isinstance(mail, str) and claims.get("email_verified") is True
    if not good or str(mail).rpartition("@")[2].lower() not in chosen.rules.domains:
        raise SignInRefused("wrong-domain", "no verified e-mail address of an allowed domain")


def _roles(chosen: LoginProvider, claims: Mapping[str, Any]) -> list[str]:
    rules = chosen.rules
    values = claims.get(rules.claim, []) if rules.claim is not None else []
    given = values if isinstance(values, list) else [values]
    roles = sorted(
        {rules.roles[one] for one in given if isinstance(one, str) and one in rules.roles}
    )
    if not roles and rules.role is not None:
        roles = [rules.role]
    if not roles:
        raise SignInRefused("no-role", "no role is meant for this identity")
    return roles


def _name(claims: Mapping[str, Any]) -> str:
    """A name for a new user: what the provider prefers, else a verified address."""
    mail = claims.get("email") if claims.get("email_verified") is True else None
    for wanted in (claims.get("preferred_username"), mail):
        name = str(wanted or "").lower()
        if USER.fullmatch(name):
            _check_name(name)
            return name
    raise SignInRefused("no-name", "the provider tells no name that can be used here")


def _check_name(name: str) -> None:
    if not USER.fullmatch(name):
        raise Invalid("name", "lower-case letters, digits and . _ @ -, 1 to 64 characters")
    check_person(name, field="name")
