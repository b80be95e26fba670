"""Routes of people, service accounts, roles, grants, and who may do what."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, JSONBody, PathParameter, QueryParameter

from carcloud.model.actions import ACTIONS, BUILT_IN
from carcloud.model.time import iso
from carcloud.services.tenancy.api import EVERYTHING, Grant, Invalid, RoleInfo, Scope, User
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTenancy
from carcloud.web.paging import Page
from carcloud.web.tags import etag, wanted_revision

UserPath = Annotated[str, PathParameter(max_length=120, description="Name of a user")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ScopeView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a grant holds: in a project, or where labels match; both empty = everywhere."""

    project: str | None = None
    labels: dict[str, str] = {}


class UserView(msgspec.Struct, frozen=True):
    """A person or a service account; `guest` = belongs to another tenant."""

    name: str
    service: bool
    note: str
    guest: bool
    disabled: bool
    second_factor: bool
    external: bool
    created: str


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person who signs in with a password, and what they may do to begin with."""

    name: _Id
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    role: _Id
    scope: ScopeView | None = None
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


class NewServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program: it has keys and no password, and is called `<name>@<tenant>`."""

    name: _Id
    role: _Id
    scope: ScopeView | None = None
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


class UserPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keep a user out, or let them in again."""

    disabled: bool


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another password."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class GrantView(msgspec.Struct, frozen=True):
    """A role that a user was given."""

    id: str
    user: str
    role: str
    scope: ScopeView
    created: str
    by: str


class NewGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role for a user."""

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    role: _Id
    scope: ScopeView | None = None


class RoleView(msgspec.Struct, frozen=True):
    """A set of actions under a name."""

    id: str
    name: str
    help: str
    actions: list[str]
    built_in: bool


class NewRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role of the tenant's own."""

    id: _Id
    name: _Name
    actions: list[str]


class RoleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role of the tenant's own is from now on."""

    name: _Name
    actions: list[str]


class ActionView(msgspec.Struct, frozen=True):
    """Something that a role can allow."""

    name: str
    help: str
    roles: list[str]


class ReasonView(msgspec.Struct, frozen=True):
    """Why a user may do something: the grant whose role holds the action."""

    user: str
    action: str
    grant: GrantView


@get(
    "/users",
    summary="People and service accounts",
    opt=allows("people:read"),
    responses=errors(401, 403, 503),
)
async def list_users(caller: TheCaller, tenancy: TheTenancy) -> Page[UserView]:
    """Who belongs to the tenant or has a grant in it."""
    found = await asyncio.to_thread(tenancy.people.all, caller.tenant)
    return Page([_user(one, caller.tenant) for one in found], None, len(found))


_ANN = Example(
    summary="An operator",
    value={"name": "ann", "password": "correct horse battery", "role": "operator"},
)


@post(
    "/users",
    summary="Add a person",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_user(
    data: Annotated[NewUser, Body(examples=[_ANN])], caller: TheCaller, tenancy: TheTenancy
) -> UserView:
    """Add a person."""
    made = await asyncio.to_thread(
        lambda: tenancy.people.create(
            caller.tenant,
            data.name,
            data.password,
            data.role,
            scope_of(data.scope),
            note=data.note,
            by=caller.identity,
        )
    )
    return _user(made, caller.tenant)


@post(
    "/service-accounts",
    summary="Add a service account",
    opt=allows("keys:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_service_account(
    data: JSONBody[NewServiceAccount], caller: TheCaller, tenancy: TheTenancy
) -> UserView:
    """Add a service account."""
    made = await asyncio.to_thread(
        lambda: tenancy.people.create_service(
            caller.tenant,
            data.name,
            data.role,
            scope_of(data.scope),
            note=data.note,
            by=caller.identity,
        )
    )
    return _user(made, caller.tenant)


@patch(
    "/users/{user:str}",
    summary="Keep a user out, or let them in",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def change_user(
    user: UserPath, data: JSONBody[UserPatch], caller: TheCaller, tenancy: TheTenancy
) -> UserView:
    """Disable or enable a user."""
    made = await asyncio.to_thread(
        tenancy.people.set_disabled, caller.tenant, user, data.disabled, by=caller.identity
    )
    return _user(made, caller.tenant)


@put(
    "/users/{user:str}/password",
    status_code=204,
    summary="Set somebody's password",
    description="Ends the sessions of that user.",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def set_password(
    user: UserPath, data: JSONBody[NewPassword], caller: TheCaller, tenancy: TheTenancy
) -> None:
    """Set a password."""
    await asyncio.to_thread(
        tenancy.people.set_password, caller.tenant, user, data.password, by=caller.identity
    )


@delete(
    "/users/{user:str}",
    status_code=204,
    summary="Remove a user",
    description="With sessions, keys and grants; a guest loses what they had here.",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_user(user: UserPath, caller: TheCaller, tenancy: TheTenancy) -> None:
    """Remove a user."""
    await asyncio.to_thread(tenancy.people.remove, caller.tenant, user, by=caller.identity)


@get(
    "/grants",
    summary="Who has which role",
    opt=allows("people:read"),
    responses=errors(400, 401, 403, 503),
)
async def list_grants(
    caller: TheCaller,
    tenancy: TheTenancy,
    user: Annotated[str | None, QueryParameter(max_length=120)] = None,
) -> Page[GrantView]:
    """Grants of the tenant, or of one user."""
    found = await asyncio.to_thread(tenancy.grants.all, caller.tenant, user)
    return Page([_grant(one) for one in found], None, len(found))


@post(
    "/grants",
    summary="Give a role",
    description="Nobody can give more than they may do.",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 409, 413, 503, 507),
)
async def create_grant(
    data: JSONBody[NewGrant], caller: TheCaller, tenancy: TheTenancy
) -> GrantView:
    """Give a role."""
    made = await asyncio.to_thread(
        tenancy.grants.grant,
        caller.tenant,
        data.user,
        data.role,
        scope_of(data.scope),
        by=caller.identity,
    )
    return _grant(made)


@delete(
    "/grants/{grant:str}",
    status_code=204,
    summary="Take a role back",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def revoke_grant(grant: FromPath[str], caller: TheCaller, tenancy: TheTenancy) -> None:
    """Take a role back, at once."""
    await asyncio.to_thread(tenancy.grants.revoke, caller.tenant, grant, by=caller.identity)


@get(
    "/actions",
    summary="What roles can allow",
    opt=allows("people:read"),
    responses=errors(401, 403),
)
async def list_actions() -> Page[ActionView]:
    """The table of actions."""
    rows = [one for one in ACTIONS if not one.installation]
    return Page([ActionView(one.name, one.help, ["owner", *one.roles]) for one in rows])


@get("/roles", summary="Roles", opt=allows("people:read"), responses=errors(401, 403, 503))
async def list_roles(caller: TheCaller, tenancy: TheTenancy) -> Page[RoleView]:
    """Built-in roles, and the tenant's own."""
    found = await asyncio.to_thread(tenancy.grants.roles, caller.tenant)
    return Page([_role(one) for one in found], None, len(found))


_LOOK = Example(
    summary="May look at vehicles",
    value={"id": "look", "name": "Look", "actions": ["vehicles:read"]},
)


@post(
    "/roles",
    summary="Add a role",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_role(
    data: Annotated[NewRole, Body(examples=[_LOOK])], caller: TheCaller, tenancy: TheTenancy
) -> Response[RoleView]:
    """Add a role."""
    made = await asyncio.to_thread(
        tenancy.grants.create_role,
        caller.tenant,
        data.id,
        data.name,
        frozenset(data.actions),
        by=caller.identity,
    )
    return Response(_role(made), status_code=201, headers=etag(made.revision))


@get(
    "/roles/{role:str}",
    summary="One role",
    opt=allows("people:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_role(
    role: FromPath[str], caller: TheCaller, tenancy: TheTenancy
) -> Response[RoleView]:
    """One role."""
    found = await asyncio.to_thread(tenancy.grants.role, caller.tenant, role)
    return Response(_role(found), headers=etag(found.revision))


@put(
    "/roles/{role:str}",
    summary="Change a role",
    opt=allows("people:write"),
    description="For all who have it, from their next request on. `If-Match` must name the "
    "revision that you saw.",
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
)
async def change_role(
    role: FromPath[str],
    data: JSONBody[RoleBody],
    caller: TheCaller,
    tenancy: TheTenancy,
    if_match: IfMatch = None,
) -> Response[RoleView]:
    """Change a role."""
    revision = wanted_revision(if_match, needed=True)
    made = await asyncio.to_thread(
        tenancy.grants.change_role,
        caller.tenant,
        role,
        data.name,
        frozenset(data.actions),
        by=caller.identity,
        if_revision=revision,
    )
    return Response(_role(made), headers=etag(made.revision))


@delete(
    "/roles/{role:str}",
    status_code=204,
    summary="Remove a role that nobody has",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def remove_role(role: FromPath[str], caller: TheCaller, tenancy: TheTenancy) -> None:
    """Remove a role."""
    await asyncio.to_thread(tenancy.grants.remove_role, caller.tenant, role, by=caller.identity)


@get(
    "/permissions",
    summary="Who can do what, and why",
    opt=allows("people:read"),
    description="Name a user, an action, or both.",
    responses=errors(400, 401, 403, 503),
)
async def who_can(
    caller: TheCaller,
    tenancy: TheTenancy,
    user: Annotated[str | None, QueryParameter(max_length=120)] = None,
    action: FromQuery[str | None] = None,
) -> Page[ReasonView]:
    """The reasons why users may do things."""
    if user is None and action is None:
        raise Invalid("user", "name a user, an action, or both")
    found = await asyncio.to_thread(
        lambda: tenancy.grants.who_can(caller.tenant, user=user, action=action)
    )
    return Page([ReasonView(one.user, one.action, _grant(one.grant)) for one in found])


def scope_of(given: ScopeView | None) -> Scope:
    """The scope behind a view; raises `Invalid`."""
    if given is None:
        return EVERYTHING
    if given.project is not None and given.labels:
        raise Invalid("scope", "a project or labels, not both")
    scope = Scope(given.project, given.labels)
    return scope if scope.text else EVERYTHING


def scope_view(scope: Scope) -> ScopeView:
    """A scope as it goes over the wire."""
    return ScopeView(scope.project, dict(scope.labels))


def _user(one: User, tenant: str) -> UserView:
    return UserView(
        one.name,
        one.service,
        one.note,
        one.tenant != tenant,
        one.disabled,
        one.second_factor,
        one.external,
        iso(one.created),
    )


def _grant(one: Grant) -> GrantView:
    scope = scope_view(one.scope)
    return GrantView(one.id, one.user, one.role, scope, iso(one.created), one.by)


def _role(one: RoleInfo) -> RoleView:
    told = next((known.help for known in BUILT_IN if known.id == one.id), "")
    return RoleView(one.id, one.name, told, sorted(one.actions), one.built_in)


router = Router(
    "/",
    tags=["people"],
    route_handlers=[
        list_users,
        create_user,
        create_service_account,
        change_user,
        set_password,
        remove_user,
        list_grants,
        create_grant,
        revoke_grant,
        list_actions,
        list_roles,
        create_role,
        read_role,
        change_role,
        remove_role,
        who_can,
    ],
)
