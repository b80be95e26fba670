"""Tenants and their projects."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model import ids
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.tenancy.desk import SLUG, Desk, known_tenant, note
from carcloud.services.tenancy.errors import Exists, Invalid, Unknown
from carcloud.services.tenancy.second_factor import lacks_second_factor
from carcloud.services.tenancy.store import projects, sessions, tenants, users
from carcloud.services.tenancy.types import MAIN, Identity, Project, TenantInfo, TenantState


class Tenants:
    """Makes, suspends and names tenants, and divides them into projects."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ensure(self, tenant: str, name: str = "") -> Tenant:
        """Make the tenant if it does not exist; raises `ids.InvalidId`."""
        slug = ids.tenant(tenant)
        with self._desk.records.transaction() as db:
            self.ensure_in(db, slug, name or slug)
        return slug

    def ensure_in(self, db: Connection, slug: Tenant, name: str) -> bool:
        """As `ensure`, in an open transaction; whether it was made."""
        if db.execute(select(tenants.c.id).where(tenants.c.id == slug)).first() is not None:
            return False
        now = self._desk.now()
        db.execute(insert(tenants).values(id=slug, name=name, created=now, state="active"))
        db.execute(insert(projects).values(tenant=slug, id=MAIN, name="Main", created=now))
        return True

    def ids(self) -> list[Tenant]:
        """The ids of all tenants, in order."""
        return [one.id for one in self.all()]

    def cared_for(self) -> list[Tenant]:
        """Those whose tables are tidied up: not what is to be deleted."""
        return [one.id for one in self.all() if one.state is not TenantState.DELETING]

    def all(self) -> list[TenantInfo]:
        """All tenants, in order of id; not those that are deleted."""
        there = select(tenants).where(tenants.c.state != TenantState.DELETED.value)
        with self._desk.records.reading() as db:
            return [_info(row) for row in db.execute(there.order_by(tenants.c.id))]

    def get(self, tenant: Tenant) -> TenantInfo:
        """One tenant; raises `Unknown`."""
        with self._desk.records.reading() as db:
            return self._get(db, tenant)

    def rename(self, tenant: Tenant, name: str, *, actor: str) -> TenantInfo:
        """Another name for people to read; raises `Unknown`, `Invalid`."""
        check_name(name)
        with self._desk.records.transaction() as db:
            old = self._get(db, tenant)
            db.execute(update(tenants).where(tenants.c.id == tenant).values(name=name))
            note(db, tenant, actor, "tenant.rename", tenant, {"name": old.name}, {"name": name})
            return self._get(db, tenant)

    def require_second_factor(self, tenant: Tenant, required: bool, *, by: Identity) -> TenantInfo:
        """Whether people who sign in with a password may do nothing here without a second factor.

        Holds at once, also in sessions that are open; keys and service accounts are not asked.
        Raises `Unknown`, and `Invalid` for somebody who would keep themselves out.
        """
        with self._desk.records.transaction() as db:
            old = self._get(db, tenant)
            mine = (users.c.name == by.user) & users.c.service.is_(False) & lacks_second_factor()
            if required and by.key is None and db.execute(select(users.c.name).where(mine)).first():
                raise Invalid("second_factor", "turn your own second factor on first")
            here = update(tenants).where(tenants.c.id == tenant)
            db.execute(here.values(second_factor=required))
            before, after = {"required": old.second_factor}, {"required": required}
            note(db, tenant, by.user, "tenant.second-factor", tenant, before, after)
            return self._get(db, tenant)

    def set_state(self, tenant: Tenant, state: TenantState, *, actor: str) -> TenantInfo:
        """Suspend a tenant or let it work again; raises `Unknown`, `Invalid` for the default one.

        Its sessions end; keys and vehicles are refused while it is not active.
        """
        if state in (TenantState.DELETING, TenantState.DELETED):
            raise Invalid("state", "active or suspended")
        if tenant == ids.DEFAULT_TENANT and state is not TenantState.ACTIVE:
            raise Invalid("tenant", "the default tenant holds the installation's administrators")
        with self._desk.records.transaction() as db:
            old = locked_tenant(db, tenant)
            if old.state is TenantState.DELETING:
                raise Invalid("state", "cancel the deletion of the tenant first")
            mark_tenant(db, tenant, state)
            before, after = {"state": old.state.value}, {"state": state.value}
            note(db, tenant, actor, "tenant.state", tenant, before, after)
            return self._get(db, tenant)

    def projects(self, tenant: Tenant) -> list[Project]:
        """The tenant's projects, in order of id."""
        query = select(projects).where(projects.c.tenant == tenant).order_by(projects.c.id)
        with self._desk.records.reading() as db:
            return [Project(row.id, row.name, row.created) for row in db.execute(query)]

    def create_project(self, tenant: Tenant, project: str, name: str, *, actor: str) -> Project:
        """A new project; raises `Invalid`, `Exists`, `Unknown`."""
        if not SLUG.fullmatch(project):
            raise Invalid("id", "lower-case letters, digits and hyphens, 1 to 40")
        check_name(name)
        made = Project(project, name, self._desk.now())
        values = {"tenant": tenant, "id": project, "name": name, "created": made.created}
        try:
            with self._desk.records.transaction() as db:
                known_tenant(db, tenant)
                db.execute(insert(projects).values(values))
                note(db, tenant, actor, "project.create", project, None, {"name": name})
        except Conflict as error:
            raise Exists(f"there is a project {project!r} already") from error
        return made

    def remove_project(self, tenant: Tenant, project: str, *, actor: str) -> None:
        """Remove the name of a project; raises `Unknown`, `Invalid` for the main one."""
        if project == MAIN:
            raise Invalid("project", "the main project stays")
        if not SLUG.fullmatch(project):
            raise Unknown(f"there is no project {project!r}")
        mine = (projects.c.tenant == tenant) & (projects.c.id == project)
        with self._desk.records.transaction() as db:
            if db.execute(delete(projects).where(mine)).rowcount == 0:
                raise Unknown(f"there is no project {project!r}")
            note(db, tenant, actor, "project.remove", project)

    def _get(self, db: Connection, tenant: Tenant) -> TenantInfo:
        return _found(db.execute(select(tenants).where(tenants.c.id == tenant)).first(), tenant)


def locked_tenant(db: Connection, tenant: Tenant) -> TenantInfo:
    """A tenant whose state nobody else changes before the transaction ends; raises `Unknown`."""
    query = select(tenants).where(tenants.c.id == tenant)
    return _found(db.execute(query.with_for_update(key_share=True)).first(), tenant)


def mark_tenant(db: Connection, tenant: Tenant, state: TenantState) -> None:
    """Another state, in an open transaction; sessions end unless it is active. Of a tenant that is
    deleted only the id is kept."""
    values = {"state": state.value}
    if state is TenantState.DELETED:
        values["name"] = tenant
    db.execute(update(tenants).where(tenants.c.id == tenant).values(values))
    if state is not TenantState.ACTIVE:
        db.execute(delete(sessions).where(sessions.c.tenant == tenant))


def suspended_tenants(records: Records) -> set[Tenant]:
    """All that may not work now."""
    stopped = select(tenants.c.id).where(tenants.c.state != TenantState.ACTIVE.value)
    with records.reading() as db:
        return {Tenant(found) for found in db.execute(stopped).scalars()}


def deleted_tenants(records: Records) -> list[Tenant]:
    """All of which only the id is kept."""
    deleted = select(tenants.c.id).where(tenants.c.state == TenantState.DELETED.value)
    with records.reading() as db:
        return [Tenant(found) for found in db.execute(deleted).scalars()]


def suspended_among(db: Connection, wanted: Iterable[Tenant]) -> set[Tenant]:
    """Those of the tenants that may not work now."""
    stopped = tenants.c.id.in_(set(wanted)) & (tenants.c.state != TenantState.ACTIVE.value)
    return {Tenant(found) for found in db.execute(select(tenants.c.id).where(stopped)).scalars()}


def deleted_among(db: Connection, wanted: Iterable[Tenant]) -> set[Tenant]:
    """Those of the tenants of which only the id is kept."""
    gone = tenants.c.id.in_(set(wanted)) & (tenants.c.state == TenantState.DELETED.value)
    return {Tenant(found) for found in db.execute(select(tenants.c.id).where(gone)).scalars()}


def _found(row: Any, tenant: Tenant) -> TenantInfo:
    if row is None or row.state == TenantState.DELETED.value:
        raise Unknown(f"there is no tenant {tenant!r}")
    return _info(row)


def _info(row: Any) -> TenantInfo:
    return TenantInfo(
        Tenant(row.id),
        row.name,
        TenantState(row.state),
        row.created,
        row.second_factor,
    )


def check_name(name: str) -> None:
    """Raises `Invalid` for a name that nobody can read."""
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise Invalid("name", "1 to 200 printable characters")
