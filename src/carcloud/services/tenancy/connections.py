"""The connection of a person's account to an identity at a provider: told, made, ended.

It is made in two steps. Who comes back from a provider gets a sealed proposal, which names the
session that began; only that session turns it into a connection. So no answer of a provider that
was slipped into somebody's browser joins their identity to the account of another person.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection as Db
from sqlalchemy import delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.ports.errors import Conflict
from carcloud.services.tenancy.desk import Desk, hashed, note
from carcloud.services.tenancy.errors import Exists, Invalid, SignInRefused, Unknown
from carcloud.services.tenancy.proof import note_refused, only_person
from carcloud.services.tenancy.providers import Providers
from carcloud.services.tenancy.sessions import Client, Sessions
from carcloud.services.tenancy.store import sessions, spent_sign_ins, users
from carcloud.services.tenancy.text import printable
from carcloud.services.tenancy.types import (
    INSTALLATION,
    Connection,
    Identity,
    LoginProvider,
    Proposal,
)

PROPOSAL_S = 300  # for looking at it
_SEAL = "openid-proposal"
_CONNECT = "user.connect"


class Connections:
    """Tells of the connection of one's own account, makes it and ends it."""

    def __init__(self, desk: Desk, providers: Providers, opening: Sessions) -> None:
        self._desk = desk
        self._providers = providers
        self._sessions = opening

    def state(self, who: Identity, proposal: str | None = None) -> Connection:
        """How `who` may sign in, at which providers they could, and what waits for their yes."""
        with self._desk.records.reading() as db:
            row = db.execute(select(users).where(users.c.name == who.user)).one()
        offered = self._providers.all(Tenant(row.tenant))
        issuer, _, subject = (row.external or "").partition(" ")
        at = next((one for one in offered if one.issuer == issuer), None)
        waits = None if row.external is not None else self._waiting(who, proposal)
        return Connection(
            connected=row.external is not None, provider=at, subject=subject,
            password=row.password is not None, second_factor=row.totp is not None,
            offered=tuple(offered), proposal=None if waits is None else _told(waits),
        )  # fmt: skip

    def propose(
        self, db: Db, chosen: LoginProvider, external: str, claims: Mapping[str, Any],
        begun: Mapping[str, Any],
    ) -> str:  # fmt: skip
        """The sealed proposal to connect the account whose session has `begun` this and goes on;
        raises `SignInRefused` where it could not be made."""
        row = _still(db, begun)
        if row is None:
            raise SignInRefused("too-late", "your session has ended meanwhile")
        if chosen.tenant not in (row.tenant, INSTALLATION):
            raise SignInRefused("kept-out", "the provider belongs to another tenant")
        if row.external is not None:
            raise SignInRefused("not-possible", "this account was connected meanwhile")
        other = select(users.c.name).where(users.c.external == external)
        if db.execute(other).first() is not None:
            raise SignInRefused("identity-taken", "this identity is connected to another user")
        proposal = {
            "key": secrets.token_urlsafe(16), "user": row.name, "session": begun["session"],
            "provider": chosen.id, "name": chosen.name, "external": external,
            "shown": _shown(claims), "expires": self._desk.now() + PROPOSAL_S * SECOND,
        }  # fmt: skip
        sealed = self._desk.seal.close(_SEAL, json.dumps(proposal).encode())
        return base64.urlsafe_b64encode(sealed).decode()

    def confirm(self, who: Identity, proposal: str | None) -> None:
        """Connect as proposed; raises `Denied` for keys and tokens, `Unknown` where nothing waits
        for this session, `Exists`."""
        only_person(who)
        kept = self._waiting(who, proposal)
        if kept is None:
            note_refused(self._desk, who, _CONNECT)
            raise Unknown("nothing waits for your yes in this session: begin anew")
        try:
            with self._desk.records.transaction() as db:
                spend(db, kept["key"], kept["expires"], self._desk.now())
                self._connect(db, kept)
        except Conflict as error:
            raise Exists("this was used already, or the identity is another user's") from error

    def end(self, who: Identity, password: str, code: str | None, *, client: Client) -> None:
        """Sign in with the password only again, which ends one's other sessions.

        Raises `Invalid` where there is no password, since nobody may lock themselves out, and as
        `Sessions.prove`. Nothing happens if there is no connection.
        """
        only_person(who)
        with self._desk.records.reading() as db:
            row = db.execute(select(users).where(users.c.name == who.user)).one()
        if row.password is None:
            raise Invalid("password", "you have no password: ask an owner to set one")
        self._sessions.prove(who, password, code, client=client, action="user.disconnect")
        mine = (users.c.name == who.user) & users.c.external.is_not(None)
        with self._desk.records.transaction() as db:
            apart = update(users).where(mine & users.c.password.is_not(None))
            if db.execute(apart.values(external=None)).rowcount == 0:
                return
            others = (sessions.c.user == who.user) & (sessions.c.id != who.session)
            db.execute(delete(sessions).where(others))
            note(db, who.tenant, who.user, "user.disconnect", who.user)

    def _connect(self, db: Db, kept: Mapping[str, Any]) -> None:
        chosen, _ = self._providers.get(db, kept["provider"])
        row = _still(db, kept)
        fits = kept["external"].startswith(f"{chosen.issuer} ")  # not set anew meanwhile
        if row is None or not fits or chosen.tenant not in (row.tenant, INSTALLATION):
            raise Unknown("nothing waits for your yes in this session: begin anew")
        free = (users.c.name == row.name) & users.c.external.is_(None)
        if db.execute(update(users).where(free).values(external=kept["external"])).rowcount == 0:
            raise Exists("this account was connected meanwhile")
        told = {"provider": chosen.id, "identity": kept["shown"]}
        note(db, Tenant(row.tenant), row.name, _CONNECT, row.name, None, told)

    def _waiting(self, who: Identity, proposal: str | None) -> Mapping[str, Any] | None:
        try:
            sealed = base64.urlsafe_b64decode((proposal or "").encode())
        except (ValueError, UnicodeError):
            return None
        plain = self._desk.seal.open(_SEAL, sealed) if len(sealed) > 28 else None
        if plain is None:
            return None
        kept: Mapping[str, Any] = json.loads(plain)
        mine = (kept["user"], kept["session"]) == (who.user, who.session)
        return kept if mine and kept["expires"] > self._desk.now() else None


def spend(db: Db, key: str, expires: int, now: int) -> None:
    """Note that a ticket or proposal was used; raises `Conflict` if it had been."""
    db.execute(delete(spent_sign_ins).where(spent_sign_ins.c.expires <= now))
    db.execute(insert(spent_sign_ins).values(hash=hashed(key), expires=expires))


def _still(db: Db, begun: Mapping[str, Any]) -> Any:
    """The user whose session began this, while it goes on."""
    query = select(users).join(sessions, sessions.c.user == users.c.name)
    mine = (sessions.c.id == begun["session"]) & (users.c.name == begun["user"])
    return db.execute(query.where(mine, users.c.disabled.is_(False))).first()


def _told(kept: Mapping[str, Any]) -> Proposal:
    return Proposal(kept["provider"], kept["name"], kept["shown"])


def _shown(claims: Mapping[str, Any]) -> str:
    """What a person knows their identity by."""
    for claim in ("email", "preferred_username", "name", "sub"):
        text = claims.get(claim)
        if isinstance(text, str) and text.strip():
            return printable(text[:200])
    return ""
