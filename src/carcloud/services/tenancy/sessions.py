"""Signing in, and who holds a session, a short-lived token or a key."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from carcloud.model.ids import Tenant
from carcloud.services.tenancy import audit, throttle
from carcloud.services.tenancy.desk import (
    HOUR,
    ID,
    USER,
    Desk,
    hashed,
    listed,
    new_id,
    note,
    unlisted,
)
from carcloud.services.tenancy.errors import (
    Denied,
    Invalid,
    NotSignedIn,
    SecondFactorNeeded,
    Unknown,
)
from carcloud.services.tenancy.grants import check_known
from carcloud.services.tenancy.identity import identity, narrowed
from carcloud.services.tenancy.keys import PREFIX, Keys
from carcloud.services.tenancy.proof import check_password, note_refused
from carcloud.services.tenancy.second_factor import SecondFactor, lacks_second_factor
from carcloud.services.tenancy.store import grants, sessions, tenants, users
from carcloud.services.tenancy.text import printable
from carcloud.services.tenancy.types import (
    INSTALLATION,
    AuditEntry,
    Identity,
    Session,
    SessionInfo,
    TenantInfo,
    TenantState,
)

_SESSION = "ccs_"  # how a session's token begins, so that leaks can be searched for
_MOST_MINUTES = 24 * 60
MOST_TOKENS = 200  # short-lived ones of one user
_WRONG = "wrong user or password"


@dataclass(frozen=True, slots=True)
class Client:
    """From where and with what somebody signs in."""

    address: str = ""
    agent: str = ""


class Sessions:
    """Opens, checks and ends sessions."""

    def __init__(self, desk: Desk, keys: Keys, second_factor: SecondFactor) -> None:
        self._desk = desk
        self._keys = keys
        self._second_factor = second_factor

    def sign_in(
        self, user: str, password: str, *, hours: float, client: Client = Client(),
        code: str | None = None,
    ) -> Session:  # fmt: skip
        """A session of `hours`; raises `NotSignedIn`, `Throttled`, and `SecondFactorNeeded` where
        `code`, of the app or a recovery code, is wanted and was not given.

        Takes as long for a user who does not exist.
        """
        now = self._desk.now()
        with self._desk.records.transaction() as db:
            throttle.count_attempt(db, user, client.address, now)
            name = user if USER.fullmatch(user) else ""  # databases refuse some characters
            query = select(users).where(users.c.name == name, users.c.service.is_(False))
            row = db.execute(query).mappings().first()
        kept = None if row is None else row["password"]
        if not self._desk.passwords.matches(kept, password) or row is None or row["disabled"]:
            self._note_failure(row, user)
            raise NotSignedIn(_WRONG)
        if row["totp"] is not None:
            self._check_code(row, user, code, client)
        with self._desk.records.transaction() as db:
            throttle.forgive(db, user, client.address)
            return self.open(db, row["name"], hours=hours, client=client)

    def open_new(self, user: str, *, hours: float, client: Client = Client()) -> Session:
        """The first session of a user who was made just now, with no guess to be counted."""
        with self._desk.records.transaction() as db:
            return self.open(db, user, hours=hours, client=client)

    def open(self, db: Connection, user: str, *, hours: float, client: Client) -> Session:
        """A session of somebody who has proved who they are; raises `NotSignedIn` where no tenant
        lets them in."""
        now = self._desk.now()
        where = _tenants_of(db, user)
        active = [tenant for tenant in where if tenant.state is TenantState.ACTIVE]
        if not active:
            raise NotSignedIn("no tenant lets you in")
        who = Identity(user, active[0].id)
        told = self._insert(db, who, now + int(hours * HOUR), client, None)
        note(db, active[0].id, user, "session.begin", told.identity.session or "")
        return told

    def identify(self, token: str) -> Identity:
        """Who holds this session, short-lived token or API key; raises `NotSignedIn`."""
        if token.startswith(PREFIX):
            return self._keys.identify(token)
        query = _holders().where(sessions.c.hash == hashed(token), users.c.disabled.is_(False))
        with self._desk.records.reading() as db:
            row = db.execute(query.where(tenants.c.state == "active")).mappings().first()
            if row is None or row["expires"] <= self._desk.now():
                raise NotSignedIn("the session has ended")
            who = _at_work(db, row)
        who = narrowed(who, unlisted(row["actions"]), row["project"])
        short = row["actions"] is not None
        return replace(who, expires=row["expires"], session=row["id"], short_lived=short)

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens if it has ended."""
        with self._desk.records.transaction() as db:
            db.execute(delete(sessions).where(sessions.c.hash == hashed(token)))

    def tenants(self, user: str) -> list[TenantInfo]:
        """Where a user may work: the tenant they belong to first, then others by id."""
        with self._desk.records.reading() as db:
            return _tenants_of(db, user)

    def switch(self, who: Identity, tenant: str) -> Session:
        """Work in another tenant from now on, under a new token of the same session; raises
        `Unknown`, `Denied`. The old token ends, so that nothing goes on in the old tenant.
        """
        if who.session is None or who.short_lived:
            raise Denied("anyone", "a key or a short-lived token works in one tenant only")
        token = _SESSION + secrets.token_urlsafe(32)
        with self._desk.records.transaction() as db:
            mine = {one.id: one for one in _tenants_of(db, who.user)}
            wanted = mine.get(Tenant(tenant))
            if wanted is None or wanted.state is not TenantState.ACTIVE:
                raise Unknown(f"there is no tenant {tenant!r} that lets you in")
            here = update(sessions).where(sessions.c.id == who.session)
            db.execute(here.values(tenant=wanted.id, hash=hashed(token)))
            db.execute(delete(sessions).where(sessions.c.parent == who.session))
            note(db, wanted.id, who.user, "session.switch", who.session)
            told = _held(db, who.session)
        told = replace(told, expires=who.expires, session=who.session)
        return Session(token, told, who.expires or 0)

    def token(
        self, who: Identity, *, minutes: float, actions: frozenset[str] | None = None,
        client: Client = Client(),
    ) -> Session:  # fmt: skip
        """A short-lived token that may what `who` may, or only `actions` of that; raises
        `Invalid`, `Denied`. It never outlives what it was made with."""
        if not 0 < minutes <= _MOST_MINUTES:
            raise Invalid("minutes", f"more than 0, at most {_MOST_MINUTES}")
        may = who.everywhere.union(*(part.actions for part in who.partly))
        kept = may if actions is None else actions
        check_known(kept)
        if not kept <= may:
            raise Denied(min(kept - may), f"you may not do {min(kept - may)} yourself")
        ends = self._desk.now() + int(minutes * 60_000_000)
        ends = ends if who.expires is None else min(ends, who.expires)
        with self._desk.records.transaction() as db:
            mine = select(func.count()).where(sessions.c.user == who.user)
            if db.execute(mine.where(sessions.c.actions.is_not(None))).scalar_one() >= MOST_TOKENS:
                raise Invalid("minutes", f"you have {MOST_TOKENS} tokens: let some end first")
            made = self._insert(db, who, ends, client, kept)
            told = {"minutes": minutes, "actions": sorted(kept)}
            note(db, who.tenant, who.user, "token.create", made.identity.session or "", None, told)
        return made

    def change_password(
        self, who: Identity, current: str, password: str, *, client: Client = Client()
    ) -> None:
        """Another password of one's own, which ends one's other sessions; raises `Denied` with a
        key or token, `Invalid`, and `Throttled` as `sign_in` does."""
        check_password(
            self._desk, who, current, address=client.address, field="current",
            action="user.password",
        )  # fmt: skip
        made = self._desk.passwords.hash(password)
        with self._desk.records.transaction() as db:
            db.execute(update(users).where(users.c.name == who.user).values(password=made))
            others = (sessions.c.user == who.user) & (sessions.c.id != who.session)
            db.execute(delete(sessions).where(others))
            note(db, who.tenant, who.user, "user.password", who.user)

    def prove(
        self, who: Identity, password: str, code: str | None, *, client: Client, action: str
    ) -> None:
        """That it is the person and not only their browser: with the password, and with a code
        where the second factor is on. A wrong one is in the audit as a refused `action`.

        Raises `Denied` for keys and tokens, `Invalid`, `Throttled`.
        """
        check_password(
            self._desk, who, password, address=client.address, field="password", action=action
        )
        if not self._second_factor.state(who).on:
            return
        if code is None:
            raise Invalid("code", "a code of the second factor is wanted too")
        if not self._second_factor.spend(who.user, code):
            note_refused(self._desk, who, action)
            raise Invalid("code", "this code is wrong, or was used before")

    def all(self, tenant: Tenant, user: str | None = None) -> list[SessionInfo]:
        """Open sessions in a tenant, or those of one user in it, newest first."""
        query = select(sessions).where(
            sessions.c.tenant == tenant, sessions.c.expires > self._desk.now()
        )
        if user is not None:
            query = query.where(sessions.c.user == user)
        with self._desk.records.reading() as db:
            return [_info(row) for row in db.execute(query.order_by(sessions.c.created.desc()))]

    def end(self, tenant: Tenant, session: str, *, actor: str, user: str | None = None) -> None:
        """End somebody's session, or one of `user`'s only; raises `Unknown`."""
        mine = (sessions.c.tenant == tenant) & (sessions.c.id == session)
        if user is not None:
            mine &= sessions.c.user == user
        with self._desk.records.transaction() as db:
            if not ID.fullmatch(session) or db.execute(delete(sessions).where(mine)).rowcount == 0:
                raise Unknown(f"there is no session {session!r}")
            note(db, tenant, actor, "session.end", session)

    def _insert(
        self,
        db: Connection,
        who: Identity,
        ends: int,
        client: Client,
        actions: frozenset[str] | None,
    ) -> Session:
        token, session, now = _SESSION + secrets.token_urlsafe(32), new_id(), self._desk.now()
        db.execute(delete(sessions).where(sessions.c.expires <= now))
        db.execute(
            insert(sessions).values(
                hash=hashed(token),
                id=session,
                user=who.user,
                tenant=who.tenant,
                actions=listed(actions),
                project=who.project,
                parent=who.session,
                key=who.key,
                address=client.address[:60],
                agent=printable(client.agent[:200]),
                created=now,
                expires=ends,
            )
        )
        made = _held(db, session)
        made = narrowed(made, actions, who.project)
        short = actions is not None
        told = replace(made, expires=ends, session=session, short_lived=short)
        return Session(token, told, ends)

    def _check_code(self, row: Any, user: str, code: str | None, client: Client) -> None:
        if code is None:
            with self._desk.records.transaction() as db:
                throttle.take_back(db, user, client.address)
            raise SecondFactorNeeded("a code of the second factor is wanted too")
        if not self._second_factor.spend(row["name"], code):
            self._note_failure(row, user)
            raise NotSignedIn("the code is wrong, or was used before")

    def _note_failure(self, row: Any, user: str) -> None:
        """Where the user exists, the tenant's audit tells of the attempt; else the whole's."""
        tenant = INSTALLATION if row is None else Tenant(row["tenant"])
        with self._desk.records.transaction() as db:
            subject = printable(user[:60])
            entry = AuditEntry(tenant, subject, "session.begin", subject, denied=True)
            audit.append(db, [entry])


def _tenants_of(db: Connection, user: str) -> list[TenantInfo]:
    home = select(users.c.tenant).where(users.c.name == user)
    guest = select(grants.c.tenant).where(grants.c.user == user)
    query = select(tenants).where(or_(tenants.c.id.in_(home), tenants.c.id.in_(guest)))
    first = db.execute(home).scalar()
    found = [
        TenantInfo(Tenant(row.id), row.name, TenantState(row.state), row.created)
        for row in db.execute(query.order_by(tenants.c.id))
    ]
    return sorted(found, key=lambda one: (one.id != first, one.id))


def _info(row: Any) -> SessionInfo:
    return SessionInfo(
        row.id,
        row.user,
        Tenant(row.tenant),
        row.address,
        row.agent,
        row.created,
        row.expires,
        row.actions is not None,
    )


def _holders() -> Select[Any]:
    """Sessions with what decides what their holders may do."""
    lacks = (tenants.c.second_factor & lacks_second_factor()).label("lacks")
    query = select(sessions, users.c.service, lacks)
    query = query.join(users, users.c.name == sessions.c.user)
    return query.join(tenants, tenants.c.id == sessions.c.tenant)


def _held(db: Connection, session: str) -> Identity:
    return _at_work(db, db.execute(_holders().where(sessions.c.id == session)).mappings().one())


def _at_work(db: Connection, row: Mapping[Any, Any]) -> Identity:
    """Who holds a session, or a token made from one. A person who lacks the second factor that the
    tenant asks for may do nothing yet; keys, and tokens made from them, are for programs."""
    tenant = Tenant(row["tenant"])
    if row["lacks"] and not row["service"] and row["key"] is None:
        return Identity(row["user"], tenant, unproved=True)
    return identity(db, row["user"], tenant, service=row["service"])
