"""Methods of tenants, their projects and exports. Other tenants than one's own are for
administrators of the installation."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from carcloud.client.access_types import Deletion, Export, Project, Tenant, TenantState
from carcloud.client.exchange import Bytes, Call, Stream, content, get, nothing, send, whole
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Place

_ONE = "/v1/tenants/{tenant}"
_PLACE = f"{_ONE}/storage"


class Owner(msgspec.Struct, frozen=True):
    """The first person of a tenant."""

    name: str
    password: str


class NewTenant(msgspec.Struct, frozen=True):
    """The body of a new tenant."""

    id: str
    name: str
    owner: Owner


class TenantChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a changed tenant."""

    name: str | UnsetType = UNSET
    state: TenantState | UnsetType = UNSET


class PlaceChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of another place; None stays."""

    url: str | None = None
    options: dict[str, str] | None = None
    sealed: bool | None = None


class OwnTenantChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a change of the tenant that one works in."""

    name: str | UnsetType = UNSET
    second_factor: bool | UnsetType = UNSET


class NewProject(msgspec.Struct, frozen=True):
    """The body of a new project."""

    id: str
    name: str


class Confirmation(msgspec.Struct, frozen=True):
    """The body of a wish to delete a tenant."""

    confirm: str


class _Tenants:
    @call
    def mine(self) -> Call[Tenant]:
        """The tenant that one works in."""
        return get("/v1/tenant", Tenant)

    @call
    def rename(self, name: str) -> Call[Tenant]:
        """Another name for the tenant that one works in."""
        return send("PATCH", "/v1/tenant", Tenant, body=OwnTenantChange(name=name))

    @call
    def ask_second_factor(self, asked: bool) -> Call[Tenant]:
        """Whether people who sign in with a password need a second factor in one's tenant."""
        return send("PATCH", "/v1/tenant", Tenant, body=OwnTenantChange(second_factor=asked))

    @call
    def list(self) -> Call[tuple[Tenant, ...]]:
        """All tenants of the installation."""
        return whole("/v1/tenants", Tenant)

    @call
    def get(self, tenant: str) -> Call[Tenant]:
        """One tenant."""
        return get(_ONE, Tenant, place={"tenant": tenant})

    @call
    def create(self, id: str, name: str, *, owner: Owner) -> Call[Tenant]:
        """A tenant and its first owner. Raises `Conflict` for an id or name that is taken."""
        return send("POST", "/v1/tenants", Tenant, body=NewTenant(id, name, owner))

    @call
    def change(
        self,
        tenant: str,
        *,
        name: str | UnsetType = UNSET,
        state: TenantState | UnsetType = UNSET,
    ) -> Call[Tenant]:
        """Rename a tenant, suspend it, or let it work again."""
        body = TenantChange(name, state)
        return send("PATCH", _ONE, Tenant, place={"tenant": tenant}, body=body)

    @call
    def place(self, tenant: str) -> Call[Place]:
        """Where the objects of a tenant lie."""
        return get(_PLACE, Place, place={"tenant": tenant})

    @call
    def change_place(
        self,
        tenant: str,
        *,
        url: str | None = None,
        options: Mapping[str, str] | None = None,
        sealed: bool | None = None,
    ) -> Call[Place]:
        """Change where they lie, while the tenant keeps none, or whether new ones are sealed."""
        body = PlaceChange(url, None if options is None else dict(options), sealed)
        return send("PATCH", _PLACE, Place, place={"tenant": tenant}, body=body)

    @call
    def projects(self) -> Call[tuple[Project, ...]]:
        """The tenant's projects."""
        return whole("/v1/projects", Project)

    @call
    def add_project(self, id: str, name: str) -> Call[Project]:
        """A project of the tenant."""
        return send("POST", "/v1/projects", Project, body=NewProject(id, name))

    @call
    def remove_project(self, project: str) -> Call[None]:
        """Remove the name of a project."""
        return nothing("DELETE", "/v1/projects/{project}", place={"project": project})

    @call
    def exports(self, *, tenant: str | None = None) -> Call[tuple[Export, ...]]:
        """Exports of the tenant that one works in, or of another."""
        route, place = _exports(tenant)
        return whole(route, Export, place=place)

    @call
    def export(self, *, tenant: str | None = None) -> Call[Export]:
        """Begin to export all that a tenant has. Raises `Conflict` while another one goes on."""
        route, place = _exports(tenant)
        return send("POST", route, Export, place=place)

    @call
    def get_export(self, export: str, *, tenant: str | None = None) -> Call[Export]:
        """One export, and how far it is."""
        route, place = _exports(tenant)
        return get(f"{route}/{{export}}", Export, place={**place, "export": export})

    @many
    def download_export(self, export: str, *, tenant: str | None = None) -> Stream[bytes]:
        """The archive of an export, piece by piece."""
        route, place = _exports(tenant)
        return Bytes(content(f"{route}/{{export}}/archive", place={**place, "export": export}))

    @call
    def remove_export(self, export: str, *, tenant: str | None = None) -> Call[None]:
        """Take an export back, or remove its archive."""
        route, place = _exports(tenant)
        return nothing("DELETE", f"{route}/{{export}}", place={**place, "export": export})

    @call
    def deletions(self) -> Call[tuple[Deletion, ...]]:
        """Deletions of tenants, also of those that are gone, with their certificates."""
        return whole("/v1/tenant-deletions", Deletion)

    @call
    def deletion(self, tenant: str) -> Call[Deletion]:
        """The last deletion of a tenant, and how far it is."""
        return get(f"{_ONE}/deletion", Deletion, place={"tenant": tenant})

    @call
    def delete(self, tenant: str, confirm: str) -> Call[Deletion]:
        """Ask for the deletion of a suspended tenant; `confirm` is its id again. Raises `Conflict`
        for one that is not suspended."""
        body = Confirmation(confirm)
        return send("POST", f"{_ONE}/deletion", Deletion, place={"tenant": tenant}, body=body)

    @call
    def approve_deletion(self, tenant: str) -> Call[Deletion]:
        """Agree to a deletion that somebody else has asked for."""
        return send("POST", f"{_ONE}/deletion/approval", Deletion, place={"tenant": tenant})

    @call
    def cancel_deletion(self, tenant: str) -> Call[Deletion]:
        """Cancel a deletion that has not begun. Raises `Conflict` for one that has."""
        return send("DELETE", f"{_ONE}/deletion", Deletion, place={"tenant": tenant})


def _exports(tenant: str | None) -> tuple[str, dict[str, Any]]:
    if tenant is None:
        return "/v1/tenant/exports", {}
    return f"{_ONE}/exports", {"tenant": tenant}


class TenantGroup(Group, _Tenants):
    """`client.tenants`"""


class AsyncTenantGroup(AsyncGroup, _Tenants):
    """`client.tenants`"""
