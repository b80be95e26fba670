"""Roles, who has which where, and the answer to "who can do what, and why"."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from carcloud.model.actions import ACTIONS, ADMINISTRATOR, BUILT_IN, BY_NAME, OWNER, actions_of
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.ports.errors import Conflict
from carcloud.services.tenancy.desk import ID, SLUG, Desk, listed, new_id, note
from carcloud.services.tenancy.errors import Changed, Denied, Exists, Invalid, Unknown
from carcloud.services.tenancy.identity import Roles, allowed, custom_roles, grant_of, grants_of
from carcloud.services.tenancy.store import grants, projects, roles, tenants, users
from carcloud.services.tenancy.text import storable
from carcloud.services.tenancy.types import (
    EVERYTHING,
    INSTALLATION,
    Grant,
    Identity,
    Reason,
    RoleInfo,
    Scope,
)

_LABELS, _TEXT = 8, 300  # most labels of a scope, most characters
_REFUSED_IN_LABELS = set(",=:")


class Grants:
    """Roles of a tenant and grants of them. Nobody can give more than they have themselves."""

    everything = frozenset(BY_NAME)  # what a rule may give that was checked when it was set

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def roles(self, tenant: Tenant) -> list[RoleInfo]:
        """Built-in roles, then the tenant's own in order of id."""
        query = select(roles).where(roles.c.tenant == tenant).order_by(roles.c.id)
        with self._desk.records.reading() as db:
            own = [_role(row) for row in db.execute(query)]
        fixed = [
            RoleInfo(role.id, role.name, actions_of(role.id) or frozenset(), True)
            for role in BUILT_IN
            if role.id != ADMINISTRATOR
        ]
        return fixed + own

    def role(self, tenant: Tenant, role: str) -> RoleInfo:
        """One role; raises `Unknown`."""
        for known in self.roles(tenant):
            if known.id == role:
                return known
        raise Unknown(f"there is no role {role!r}")

    def create_role(
        self, tenant: Tenant, role: str, name: str, actions: frozenset[str], *, by: Identity
    ) -> RoleInfo:
        """A role of the tenant's own; raises `Invalid`, `Exists`, `Denied`."""
        if not SLUG.fullmatch(role):
            raise Invalid("id", "lower-case letters, digits and hyphens, 1 to 40")
        if actions_of(role) is not None:
            raise Exists(f"{role!r} is a built-in role")
        _check_role(name, actions, by)
        told = {"name": name, "actions": sorted(actions)}
        try:
            with self._desk.records.transaction() as db:
                values = {"tenant": tenant, "id": role, "name": name, "revision": 1}
                db.execute(insert(roles).values(**values, actions=listed(actions)))
                note(db, tenant, by.user, "role.create", role, None, told)
        except Conflict as error:
            raise Exists(f"there is a role {role!r} already") from error
        return RoleInfo(role, name, actions, False, 1)

    def change_role(
        self,
        tenant: Tenant,
        role: str,
        name: str,
        actions: frozenset[str],
        *,
        by: Identity,
        if_revision: int | None = None,
    ) -> RoleInfo:
        """Other actions for all who have the role, from their next request on; raises `Invalid`,
        `Unknown`, `Changed`, `Denied`."""
        _check_role(name, actions, by)
        with self._desk.records.transaction() as db:
            old = _own_role(db, tenant, role)
            if if_revision is not None and if_revision != old.revision:
                raise Changed(f"role {role!r} is at revision {old.revision} now")
            _hold(by, old.actions, EVERYTHING)
            values = {"name": name, "actions": listed(actions), "revision": old.revision + 1}
            seen = _is(tenant, role) & (roles.c.revision == old.revision)
            if db.execute(update(roles).where(seen).values(values)).rowcount == 0:
                raise Changed(f"role {role!r} was changed at the same time")
            before = {"name": old.name, "actions": sorted(old.actions)}
            after = {"name": name, "actions": sorted(actions)}
            note(db, tenant, by.user, "role.change", role, before, after)
        return RoleInfo(role, name, actions, False, old.revision + 1)

    def remove_role(self, tenant: Tenant, role: str, *, by: Identity) -> None:
        """Remove a role that nobody has; raises `Unknown`, `Exists` while somebody has it."""
        with self._desk.records.transaction() as db:
            old = _own_role(db, tenant, role)
            used = select(grants.c.user).where(grants.c.tenant == tenant, grants.c.role == role)
            holder = db.execute(used.limit(1)).scalar()
            if holder is not None:
                raise Exists(f"{holder!r} has the role {role!r}: revoke that first")
            db.execute(delete(roles).where(_is(tenant, role)))
            before = {"name": old.name, "actions": sorted(old.actions)}
            note(db, tenant, by.user, "role.remove", role, before)

    def all(self, tenant: Tenant, user: str | None = None) -> list[Grant]:
        """The grants of a tenant, or of one user in it, oldest first."""
        query = select(grants).where(grants.c.tenant == tenant).order_by(grants.c.created)
        if user is not None:
            if not storable(user):
                return []
            query = query.where(grants.c.user == user)
        with self._desk.records.reading() as db:
            return [grant_of(row) for row in db.execute(query).mappings()]

    def grant(
        self, tenant: Tenant, user: str, role: str, scope: Scope = EVERYTHING, *, by: Identity
    ) -> Grant:
        """Give a role to a user of this tenant, or to one who has a grant in it already; raises
        `Unknown`, `Invalid`, `Exists`, `Denied`."""
        with self._desk.records.transaction() as db:
            if not _is_member(db, tenant, user):
                raise Unknown(f"there is no user {user!r}")
            return self.grant_in(db, tenant, user, role, scope, by=by)

    def grant_in(
        self, db: Connection, tenant: Tenant, user: str, role: str, scope: Scope, *, by: Identity
    ) -> Grant:
        """As `grant`, in an open transaction, for whoever is known to be welcome."""
        self.check(db, tenant, role, scope, by=by)
        made = Grant(new_id(), tenant, user, role, scope, self._desk.now(), by.user)
        same = (grants.c.tenant == tenant) & (grants.c.user == user) & (grants.c.role == role)
        if db.execute(select(grants.c.id).where(same, grants.c.scope == scope.text)).first():
            raise Exists(f"{user!r} has the role {role!r} there already")
        values = {"id": made.id, "tenant": tenant, "user": user, "role": role}
        db.execute(
            insert(grants).values(**values, scope=scope.text, created=made.created, by=by.user)
        )
        note(db, tenant, by.user, "grant.create", user, None, {"role": role, "scope": scope.text})
        return made

    def check(
        self, db: Connection, tenant: Tenant, role: str, scope: Scope, *, by: Identity
    ) -> None:
        """Return if `by` may give that role there; raises `Invalid`, `Denied`."""
        _check_scope(db, tenant, scope)
        _hold(by, _actions(db, tenant, role), scope)

    def revoke(self, tenant: Tenant, grant: str, *, by: Identity) -> None:
        """Take a role back, at once; raises `Unknown`, `Denied`, `Invalid` for the last owner."""
        if not ID.fullmatch(grant):
            raise Unknown(f"there is no grant {grant!r}")
        with self._desk.records.transaction() as db:
            mine = (grants.c.tenant == tenant) & (grants.c.id == grant)
            row = db.execute(select(grants).where(mine)).mappings().first()
            if row is None:
                raise Unknown(f"there is no grant {grant!r}")
            old = grant_of(row)
            _hold(by, _held(db, tenant, old.role), old.scope)
            with keeping_owners(db, tenant):
                db.execute(delete(grants).where(mine))
            before = {"role": old.role, "scope": old.scope.text}
            note(db, tenant, by.user, "grant.revoke", old.user, before)

    def who_can(
        self, tenant: Tenant, *, user: str | None = None, action: str | None = None
    ) -> list[Reason]:
        """Each reason why a user may do something: the grant whose role holds the action."""
        if action is not None and action not in BY_NAME:
            raise Invalid("action", f"there is no action {action!r}")
        if user is not None and not storable(user):
            return []
        query = select(grants).join(users, users.c.name == grants.c.user)
        query = query.where(grants.c.tenant == tenant, users.c.disabled.is_(False))
        if user is not None:
            query = query.where(grants.c.user == user)
        with self._desk.records.reading() as db:
            ordered = query.order_by(grants.c.user, grants.c.created)
            given = [grant_of(row) for row in db.execute(ordered).mappings()]
            known = Roles.needed(db, tenant, given)
        wanted = [action] if action is not None else [one.name for one in ACTIONS]
        return [
            Reason(grant.user, name, grant)
            for grant in given
            for name in wanted
            if name in known.actions(grant)
        ]


@contextmanager
def keeping_owners(db: Connection, tenant: Tenant) -> Iterator[None]:
    """Raises `Invalid` if the block leaves nobody who can give rights in the tenant, or on the
    installation."""
    both = (DEFAULT_TENANT, tenant)
    locked = select(tenants.c.id).where(tenants.c.id.in_(both)).order_by(tenants.c.id)
    db.execute(locked.with_for_update()).all()  # so that two cannot remove each other
    before = _owned(db, tenant)
    yield
    lost = before - _owned(db, tenant)
    if lost:
        raise Invalid("user", f"that is the last {min(lost)}: make another one first")


def _owned(db: Connection, tenant: Tenant) -> set[str]:
    """Which of owner and administrator somebody is."""
    query = select(grants.c.role).join(users, users.c.name == grants.c.user)
    owner = (grants.c.tenant == tenant) & (grants.c.role == OWNER) & (grants.c.scope == "")
    owner &= users.c.tenant == tenant  # a guest may be gone any time, by what another tenant does
    whole = (grants.c.tenant == INSTALLATION) & (grants.c.role == ADMINISTRATOR)
    people = query.where(users.c.disabled.is_(False), users.c.service.is_(False))
    return set(db.execute(people.where(owner | whole)).scalars())


def check_covers(db: Connection, tenant: Tenant, user: str, by: Identity) -> None:
    """Raises `Denied` if `user` may more in the tenant, or on the installation, than `by`."""
    given = grants_of(db, tenant, user)
    everywhere, partly = allowed(given, Roles.needed(db, tenant, given))
    _hold(by, everywhere, EVERYTHING)
    for part in partly:
        _hold(by, part.actions, part.scope)


def check_held(actions: frozenset[str], by: Identity, scope: Scope = EVERYTHING) -> None:
    """Raises `Invalid` for actions that do not exist, `Denied` for those that `by` may not do."""
    check_known(actions)
    _hold(by, actions, scope)


def check_known(actions: frozenset[str]) -> None:
    """Raises `Invalid` for actions that do not exist."""
    unknown = sorted(actions - BY_NAME.keys())
    if unknown:
        raise Invalid("actions", f"there is no action {unknown[0]!r}")


def _hold(by: Identity, actions: frozenset[str], scope: Scope) -> None:
    missing = sorted(
        name
        for name in actions - by.everywhere
        if not any(name in part.actions and part.scope == scope for part in by.partly)
    )
    if missing:
        raise Denied(missing[0], f"you may not do {missing[0]} there yourself")


def _check_role(name: str, actions: frozenset[str], by: Identity) -> None:
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise Invalid("name", "1 to 200 printable characters")
    for action in sorted(actions):
        if action in BY_NAME and BY_NAME[action].installation:
            raise Invalid("actions", f"{action} concerns the whole installation")
    check_held(actions, by)


def _check_scope(db: Connection, tenant: Tenant, scope: Scope) -> None:
    if scope.project is not None:
        known = (projects.c.tenant == tenant) & (projects.c.id == scope.project)
        if (
            not SLUG.fullmatch(scope.project)
            or not db.execute(select(projects.c.id).where(known)).first()
        ):
            raise Invalid("project", f"there is no project {scope.project!r}")
    for text in (*scope.labels, *scope.labels.values()):
        if not text or not text.isprintable() or _REFUSED_IN_LABELS & set(text):
            raise Invalid("labels", "printable text without , = and :")
    if len(scope.labels) > _LABELS or len(scope.text) > _TEXT:
        raise Invalid("labels", f"at most {_LABELS} labels and {_TEXT} characters")


def _held(db: Connection, tenant: Tenant, role: str) -> frozenset[str]:
    """The actions of a role that may be gone by now."""
    return actions_of(role) or custom_roles(db, tenant).get(role, frozenset())


def _actions(db: Connection, tenant: Tenant, role: str) -> frozenset[str]:
    found = actions_of(role)
    if found is None:
        found = custom_roles(db, tenant).get(role)
    if found is None or (role == ADMINISTRATOR) != (tenant == INSTALLATION):
        raise Invalid("role", f"there is no role {role!r}")
    return found


def _is_member(db: Connection, tenant: Tenant, user: str) -> bool:
    if not storable(user):
        return False
    home = db.execute(select(users.c.tenant).where(users.c.name == user)).scalar()
    if home == (DEFAULT_TENANT if tenant == INSTALLATION else tenant):
        return True
    guest = (grants.c.tenant == tenant) & (grants.c.user == user)
    return db.execute(select(grants.c.id).where(guest)).first() is not None


def _own_role(db: Connection, tenant: Tenant, role: str) -> RoleInfo:
    if actions_of(role) is not None:
        raise Invalid("role", f"{role!r} is built in and stays as it is")
    row = None
    if SLUG.fullmatch(role):
        row = db.execute(select(roles).where(_is(tenant, role))).first()
    if row is None:
        raise Unknown(f"there is no role {role!r}")
    return _role(row)


def _is(tenant: Tenant, role: str) -> ColumnElement[bool]:
    return (roles.c.tenant == tenant) & (roles.c.id == role)


def _role(row: Any) -> RoleInfo:
    return RoleInfo(row.id, row.name, frozenset(json.loads(row.actions)), False, row.revision)
