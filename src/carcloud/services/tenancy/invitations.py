"""Ways in for people who are no users yet, or users of another tenant: a link that works once."""

import secrets
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.ports.errors import Conflict
from carcloud.services.tenancy.desk import HOUR, ID, USER, Desk, hashed, known_tenant, new_id, note
from carcloud.services.tenancy.errors import Denied, Exists, Invalid, Unknown
from carcloud.services.tenancy.grants import Grants
from carcloud.services.tenancy.identity import identity, parsed_scope
from carcloud.services.tenancy.people import People, check_person
from carcloud.services.tenancy.proof import only_person
from carcloud.services.tenancy.store import invitations, tenants, users
from carcloud.services.tenancy.types import (
    EVERYTHING,
    Identity,
    Invitation,
    NewInvitation,
    Offer,
    Scope,
    TenantState,
    User,
)

PREFIX = "cci_"  # how the secret of a link begins, so that leaks can be searched for
MOST_DAYS = 30
MOST_OPEN = 500  # of one tenant
_GONE = "this invitation is not known: it ended, was used or was taken back"


class Invitations:
    """Makes, lists, revokes and accepts invitations.

    Whoever invites must hold what the invitation gives, when it is made and when it is accepted.
    """

    def __init__(self, desk: Desk, people: People, grants: Grants) -> None:
        self._desk = desk
        self._people = people
        self._grants = grants

    def create(
        self, tenant: Tenant, role: str, scope: Scope = EVERYTHING, *, note: str, days: float,
        by: Identity,
    ) -> NewInvitation:  # fmt: skip
        """An invitation for whom `note` names, with its secret, told once; raises `Invalid`,
        `Denied`."""
        told = note
        if not 1 <= len(told) <= 200 or not told.isprintable():
            raise Invalid("note", "1 to 200 printable characters: whom it is for")
        if not 0 < days <= MOST_DAYS:
            raise Invalid("days", f"more than 0, at most {MOST_DAYS}")
        now = self._desk.now()
        ends = now + int(days * 24 * HOUR)
        made = Invitation(new_id(), tenant, told, role, scope, by.user, now, ends)
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._desk.records.transaction() as db:
            known_tenant(db, tenant)
            self._grants.check(db, tenant, role, scope, by=by)
            self._make_room(db, tenant, now)
            values = {"id": made.id, "hash": hashed(secret), "tenant": tenant, "note": told}
            values |= {"role": role, "scope": scope.text, "by": by.user}
            db.execute(insert(invitations).values(**values, created=now, expires=ends))
            _note(db, made, by.user, "invitation.create")
        return NewInvitation(made, secret)

    def all(self, tenant: Tenant) -> list[Invitation]:
        """Those of a tenant that can still be accepted, newest first."""
        query = select(invitations).where(
            invitations.c.tenant == tenant, invitations.c.expires > self._desk.now()
        )
        with self._desk.records.reading() as db:
            rows = db.execute(query.order_by(invitations.c.created.desc(), invitations.c.id))
            return [_invitation(row) for row in rows]

    def revoke(self, tenant: Tenant, invitation: str, *, by: Identity) -> None:
        """Take one back; raises `Unknown`."""
        mine = (invitations.c.tenant == tenant) & (invitations.c.id == invitation)
        with self._desk.records.transaction() as db:
            row = db.execute(select(invitations).where(mine)).first()
            if row is None or not ID.fullmatch(invitation):
                raise Unknown(f"there is no invitation {invitation!r}")
            db.execute(delete(invitations).where(mine))
            _note(db, _invitation(row), by.user, "invitation.revoke")

    def offer(self, secret: str) -> Offer:
        """What an invitation offers to who holds its secret; raises `Unknown`."""
        query = select(invitations, tenants.c.name.label("tenant_name"))
        query = query.join(tenants, tenants.c.id == invitations.c.tenant)
        with self._desk.records.reading() as db:
            row = db.execute(query.where(self._good(secret))).first()
        if row is None:
            raise Unknown(_GONE)
        return Offer(Tenant(row.tenant), row.tenant_name, row.note, row.role, row.expires)

    def accept(self, secret: str, name: str, password: str | None) -> User:
        """A new user with what the invitation gives; `password` None = signs in at a provider.

        Raises `Unknown`, `Invalid`, `Exists` (the name is taken: the invitation stays good).
        """
        if not USER.fullmatch(name):
            raise Invalid("name", "lower-case letters, digits and . _ @ -, 1 to 64 characters")
        check_person(name, field="name")
        self.offer(secret)  # before the slow hash
        kept = None if password is None else self._desk.passwords.hash(password)
        try:
            with self._desk.records.transaction() as db:
                return self.accept_in(db, secret, name, kept)
        except Conflict as error:
            raise Exists(f"the user name {name!r} is taken") from error

    def accept_in(self, db: Connection, secret: str, name: str, password: str | None) -> User:
        """As `accept`, in an open transaction, with a hash; a taken name is a `Conflict`."""
        taken, by = self._take(db, secret)
        made = User(name, taken.tenant, self._desk.now(), note=taken.note)
        self._people.add(db, made, password, actor=name)
        self._grants.grant_in(db, taken.tenant, name, taken.role, taken.scope, by=by)
        _note(db, taken, name, "invitation.accept")
        return made

    def join(self, secret: str, who: Identity) -> Tenant:
        """Give somebody who is a user already what the invitation offers: in another tenant they
        become a guest. Raises `Unknown`, `Denied` for keys, `Exists` who has that role."""
        only_person(who)
        with self._desk.records.transaction() as db:
            taken, by = self._take(db, secret)
            self._grants.grant_in(db, taken.tenant, who.user, taken.role, taken.scope, by=by)
            _note(db, taken, who.user, "invitation.accept")
            return taken.tenant

    def _take(self, db: Connection, secret: str) -> tuple[Invitation, Identity]:
        """An invitation, used up, and who made it with what that one may now."""
        row = db.execute(select(invitations).where(self._good(secret)).with_for_update()).first()
        if row is None:
            raise Unknown(_GONE)
        taken = _invitation(row)
        if db.execute(delete(invitations).where(invitations.c.id == taken.id)).rowcount == 0:
            raise Unknown(_GONE)  # somebody was faster
        able = select(users.c.name).where(users.c.name == taken.by, users.c.disabled.is_(False))
        if db.execute(able).first() is None:
            raise Unknown(_GONE)
        by = identity(db, taken.by, taken.tenant, service=False)
        try:
            self._grants.check(db, taken.tenant, taken.role, taken.scope, by=by)
        except (Denied, Invalid) as error:
            raise Unknown(_GONE) from error
        return taken, by

    def _good(self, secret: str) -> ColumnElement[bool]:
        working = select(tenants.c.id).where(tenants.c.state == TenantState.ACTIVE.value)
        fresh = invitations.c.expires > self._desk.now()
        mine = invitations.c.hash == hashed(secret)
        return mine & fresh & invitations.c.tenant.in_(working)

    def _make_room(self, db: Connection, tenant: Tenant, now: int) -> None:
        db.execute(delete(invitations).where(invitations.c.expires <= now - 24 * HOUR))
        mine = select(func.count()).where(
            invitations.c.tenant == tenant, invitations.c.expires > now
        )
        if db.execute(mine).scalar_one() >= MOST_OPEN:
            raise Invalid("note", f"{MOST_OPEN} invitations are open: revoke some first")


def _note(db: Connection, one: Invitation, actor: str, action: str) -> None:
    told = {"note": one.note, "role": one.role, "scope": one.scope.text}
    told |= {"by": one.by, "expires_s": str(one.expires // SECOND)}
    before, after = (None, told) if action == "invitation.create" else (told, None)
    note(db, one.tenant, actor, action, one.id, before, after)


def _invitation(row: Any) -> Invitation:
    return Invitation(
        row.id,
        Tenant(row.tenant),
        row.note,
        row.role,
        parsed_scope(row.scope),
        row.by,
        row.created,
        row.expires,
    )
