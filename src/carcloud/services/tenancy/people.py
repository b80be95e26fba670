"""People and service accounts."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from carcloud.model.ids import Tenant
from carcloud.ports.errors import Conflict
from carcloud.services.tenancy.desk import SLUG, USER, Desk, known_tenant, note
from carcloud.services.tenancy.errors import Exists, Invalid, Unknown
from carcloud.services.tenancy.grants import Grants, check_covers, keeping_owners
from carcloud.services.tenancy.store import grants, keys, sessions, users
from carcloud.services.tenancy.text import storable
from carcloud.services.tenancy.types import EVERYTHING, INSTALLATION, Identity, Scope, User

_RESERVED = ("carcloud", "gateway", "ingest", "jobs", "web", "cli")  # actors in the audit
_HOME = "carcloud"  # the actor that another tenant is told


class People:
    """Adds, changes and removes users. Whoever does it must hold all that the user may."""

    def __init__(self, desk: Desk, granting: Grants) -> None:
        self._desk = desk
        self._granting = granting

    def all(self, tenant: Tenant) -> list[User]:
        """Who belongs to a tenant or has a grant in it, in order of name."""
        guests = select(grants.c.user).where(grants.c.tenant == tenant)
        query = select(users).where(or_(users.c.tenant == tenant, users.c.name.in_(guests)))
        with self._desk.records.reading() as db:
            return [user_of(row) for row in db.execute(query.order_by(users.c.name)).mappings()]

    def get(self, tenant: Tenant, name: str) -> User:
        """One of `all`; raises `Unknown`."""
        for user in self.all(tenant):
            if user.name == name:
                return user
        raise Unknown(f"there is no user {name!r}")

    def create(
        self,
        tenant: Tenant,
        name: str,
        password: str | None,
        role: str,
        scope: Scope = EVERYTHING,
        *,
        note: str = "",
        by: Identity,
    ) -> User:
        """A new person with a first role; raises `Invalid`, `Exists`, `Denied`.

        Names are unique over all tenants, as people sign in with nothing else. Without a
        password they sign in at the OpenID Connect provider only.
        """
        if not USER.fullmatch(name):
            raise Invalid("user", "lower-case letters, digits and . _ @ -, 1 to 64 characters")
        check_person(name)
        hashed = None if password is None else self._desk.passwords.hash(password)
        made = User(name, tenant, self._desk.now(), note=note)
        try:
            with self._desk.records.transaction() as db:
                self.add(db, made, hashed, actor=by.user)
                self._granting.grant_in(db, tenant, name, role, scope, by=by)
        except Conflict as error:
            raise Exists(f"user {name!r} exists, or tenant {tenant!r} does not") from error
        return made

    def create_service(
        self, tenant: Tenant, name: str, role: str, scope: Scope = EVERYTHING, *,
        note: str = "", by: Identity,
    ) -> User:  # fmt: skip
        """A service account, called `<name>@<tenant>`: it has no password, only keys."""
        if not SLUG.fullmatch(name):
            raise Invalid("name", "lower-case letters, digits and hyphens, 1 to 40")
        made = User(f"{name}@{tenant}", tenant, self._desk.now(), service=True, note=note)
        try:
            with self._desk.records.transaction() as db:
                known_tenant(db, tenant)
                self.add(db, made, None, actor=by.user)
                self._granting.grant_in(db, tenant, made.name, role, scope, by=by)
        except Conflict as error:
            raise Exists(f"there is a service account {made.name!r} already") from error
        return made

    def add(self, db: Connection, made: User, password: str | None, *, actor: str) -> None:
        """The row of a new user in an open transaction; `password` is hashed already."""
        if len(made.note) > 200 or not (made.note or "-").isprintable():
            raise Invalid("note", "at most 200 printable characters")
        db.execute(
            insert(users).values(
                name=made.name,
                tenant=made.tenant,
                service=made.service,
                password=password,
                note=made.note,
                totp_step=0,
                disabled=False,
                created=made.created,
            )
        )
        told = {"name": made.name, "service": made.service, "note": made.note}
        note(db, made.tenant, actor, "user.create", made.name, None, told)

    def set_password(self, tenant: Tenant, name: str, password: str, *, by: Identity) -> None:
        """Replace a password and end the user's sessions; raises `Unknown`, `Invalid`, `Denied`.

        Only in the tenant that the person belongs to. What they may in other tenants as a guest
        ends: whoever sets the password could sign in as them, and was not invited there. They
        sign in with it from then on, and at no provider.
        """
        hashed = self._desk.passwords.hash(password)
        with self._desk.records.transaction() as db:
            old = self.mine(db, tenant, name, by)
            if old.service:
                raise Invalid("user", "a service account has keys, and no password")
            new = {"password": hashed, "external": None}
            db.execute(update(users).where(users.c.name == name).values(new))
            db.execute(delete(sessions).where(sessions.c.user == name))
            _end_elsewhere(db, tenant, name, "the password was set by the tenant they belong to")
            note(db, tenant, by.user, "user.password", name, {"external": old.external},
                 {"external": False})  # fmt: skip

    def set_disabled(self, tenant: Tenant, name: str, disabled: bool, *, by: Identity) -> User:
        """Keep a user out, keys included, or let them in again; raises as `set_password`."""
        with self._desk.records.transaction() as db:
            old = self.mine(db, tenant, name, by)
            with keeping_owners(db, tenant):
                db.execute(update(users).where(users.c.name == name).values(disabled=disabled))
            if disabled:
                db.execute(delete(sessions).where(sessions.c.user == name))
            for other in _elsewhere(db, tenant, name):
                told = {"disabled": disabled, "by": "the tenant they belong to"}
                note(db, other, _HOME, "guest.disable", name, None, told)
            before, after = {"disabled": old.disabled}, {"disabled": disabled}
            note(db, tenant, by.user, "user.disable", name, before, after)
            return self.mine(db, tenant, name, by)

    def remove(self, tenant: Tenant, name: str, *, by: Identity) -> None:
        """Remove a user with sessions, keys and grants; a guest loses only the grants here.

        Raises `Unknown`, `Denied`, `Invalid` for the last owner.
        """
        if not storable(name):
            raise Unknown(f"there is no user {name!r}")
        with self._desk.records.transaction() as db:
            home = db.execute(select(users.c.tenant).where(users.c.name == name)).scalar()
            with keeping_owners(db, tenant):
                if home == tenant:
                    self.mine(db, tenant, name, by)
                    _end_elsewhere(db, tenant, name, "removed by the tenant they belong to")
                    db.execute(delete(users).where(users.c.name == name))
                else:
                    self._remove_guest(db, tenant, name, by)
            note(db, tenant, by.user, "user.remove", name, {"tenant": home})

    def _remove_guest(self, db: Connection, tenant: Tenant, name: str, by: Identity) -> None:
        guest = (grants.c.tenant == tenant) & (grants.c.user == name)
        if db.execute(select(grants.c.id).where(guest)).first() is None:
            raise Unknown(f"there is no user {name!r}")
        check_covers(db, tenant, name, by)
        for table in (sessions, keys):
            db.execute(delete(table).where(table.c.user == name, table.c.tenant == tenant))
        db.execute(delete(grants).where(guest))

    def mine(self, db: Connection, tenant: Tenant, name: str, by: Identity) -> User:
        """Somebody who belongs to the tenant and may no more than `by`; raises `Unknown`,
        `Denied`."""
        mine: ColumnElement[bool] = (users.c.tenant == tenant) & (users.c.name == name)
        row = None
        if storable(name):
            row = db.execute(select(users).where(mine)).mappings().first()
        if row is None:
            raise Unknown(f"there is no user {name!r}")
        check_covers(db, tenant, name, by)
        return user_of(row)


def _elsewhere(db: Connection, home: Tenant, name: str) -> list[Tenant]:
    """Tenants in which somebody is a guest."""
    guest = grants.c.user == name, grants.c.tenant.not_in([home, INSTALLATION])
    found = select(grants.c.tenant).where(*guest).distinct().order_by(grants.c.tenant)
    return [Tenant(one) for one in db.execute(found).scalars()]


def _end_elsewhere(db: Connection, home: Tenant, name: str, reason: str) -> None:
    """End what a guest may in other tenants; the audit of each tells why, and not who did it."""
    for other in _elsewhere(db, home, name):
        for table in (sessions, keys, grants):
            db.execute(delete(table).where(table.c.user == name, table.c.tenant == other))
        note(db, other, _HOME, "guest.end", name, None, {"reason": reason})


def check_person(name: str, field: str = "user") -> None:
    """Raises `Invalid` for names of service accounts and of carcloud's own parts."""
    if name in _RESERVED or ("@" in name and "." not in name.rpartition("@")[2]):
        raise Invalid(field, "that name is kept for programs")


def user_of(row: Any) -> User:
    """A row of `users`."""
    return User(
        row["name"],
        Tenant(row["tenant"]),
        row["created"],
        row["service"],
        row["note"],
        row["disabled"],
        row["totp"] is not None,
        row["external"] is not None,
    )
