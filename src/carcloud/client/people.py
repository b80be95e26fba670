"""Methods of people, of the roles that they have, and of where they sign in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from carcloud.client.access_types import (
    Action,
    Grant,
    Invitation,
    InvitationMade,
    LoginProvider,
    Reason,
    Role,
    Scope,
    User,
)
from carcloud.client.exchange import Call, get, nothing, send, whole
from carcloud.client.methods import AsyncGroup, Group, call

_USER = "/v1/users/{user}"
_ROLE = "/v1/roles/{role}"
_PROVIDER = "/v1/login-providers/{provider}"


class NewUser(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new person."""

    name: str
    password: str
    role: str
    scope: Scope | None = None
    note: str = ""


class NewService(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new service account."""

    name: str
    role: str
    scope: Scope | None = None
    note: str = ""


class UserChange(msgspec.Struct, frozen=True):
    """The body of a changed user."""

    disabled: bool


class Password(msgspec.Struct, frozen=True):
    """The body of another password."""

    password: str


class NewInvitation(msgspec.Struct, frozen=True):
    """The body of an invitation."""

    note: str
    role: str
    scope: Scope | None
    days: float


class NewGrant(msgspec.Struct, frozen=True):
    """The body of a grant."""

    user: str
    role: str
    scope: Scope | None


class NewRole(msgspec.Struct, frozen=True):
    """The body of a new role."""

    id: str
    name: str
    actions: Sequence[str]


class RoleBody(msgspec.Struct, frozen=True):
    """The body of a role that is there."""

    name: str
    actions: Sequence[str]


class ProviderBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a provider."""

    name: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    domains: Sequence[str] = ()
    creates: bool = False
    role: str | None = None
    claim: str | None = None
    roles: Mapping[str, str] = msgspec.field(default_factory=dict)
    installation: bool = False


class _People:
    @call
    def list(self) -> Call[tuple[User, ...]]:
        """Who belongs to the tenant or has a grant in it."""
        return whole("/v1/users", User)

    @call
    def add(
        self, name: str, password: str, role: str, *, scope: Scope | None = None, note: str = ""
    ) -> Call[User]:
        """A person with a first role. Raises `Conflict` for a name that is taken, `Invalid`."""
        return send("POST", "/v1/users", User, body=NewUser(name, password, role, scope, note))

    @call
    def add_service(
        self, name: str, role: str, *, scope: Scope | None = None, note: str = ""
    ) -> Call[User]:
        """A program's user, called `<name>@<tenant>`: it has keys and no password."""
        body = NewService(name, role, scope, note)
        return send("POST", "/v1/service-accounts", User, body=body)

    @call
    def set_disabled(self, user: str, disabled: bool) -> Call[User]:
        """Keep a user out, keys included, or let them in again."""
        return send("PATCH", _USER, User, place={"user": user}, body=UserChange(disabled))

    @call
    def set_password(self, user: str, password: str) -> Call[None]:
        """Replace a password; the user's sessions end."""
        asked = nothing("PUT", f"{_USER}/password", place={"user": user})
        return replace(asked, body=Password(password))

    @call
    def reset_second_factor(self, user: str) -> Call[None]:
        """Take a lost second factor from somebody."""
        return nothing("DELETE", f"{_USER}/second-factor", place={"user": user})

    @call
    def remove(self, user: str) -> Call[None]:
        """Remove a user with sessions, keys and grants; a guest loses the grants here."""
        return nothing("DELETE", _USER, place={"user": user})

    @call
    def invitations(self) -> Call[tuple[Invitation, ...]]:
        """Invitations that can still be accepted."""
        return whole("/v1/invitations", Invitation)

    @call
    def invite(
        self, note: str, role: str, *, scope: Scope | None = None, days: float = 7
    ) -> Call[InvitationMade]:
        """A link that works once, for whom `note` names; carcloud sends no mail."""
        body = NewInvitation(note, role, scope, days)
        return send("POST", "/v1/invitations", InvitationMade, body=body)

    @call
    def revoke_invitation(self, invitation: str) -> Call[None]:
        """Take an invitation back."""
        return nothing("DELETE", "/v1/invitations/{invitation}", place={"invitation": invitation})


class _Roles:
    @call
    def list(self) -> Call[tuple[Role, ...]]:
        """Built-in roles and those of the tenant."""
        return whole("/v1/roles", Role)

    @call
    def get(self, role: str) -> Call[Role]:
        """One role, with its ETag."""
        return get(_ROLE, Role, place={"role": role})

    @call
    def create(self, id: str, name: str, actions: Sequence[str]) -> Call[Role]:
        """A role of the tenant's own; nobody can put more into it than they may themselves."""
        return send("POST", "/v1/roles", Role, body=NewRole(id, name, actions))

    @call
    def replace(self, role: str, etag: str, *, name: str, actions: Sequence[str]) -> Call[Role]:
        """What a role of the tenant's own is from now on. Raises `Changed`."""
        body = RoleBody(name, actions)
        return send("PUT", _ROLE, Role, place={"role": role}, body=body, etag=etag)

    @call
    def remove(self, role: str) -> Call[None]:
        """Remove a role that nobody has."""
        return nothing("DELETE", _ROLE, place={"role": role})

    @call
    def actions(self) -> Call[tuple[Action, ...]]:
        """What roles can allow."""
        return whole("/v1/actions", Action)

    @call
    def grants(self, *, user: str | None = None) -> Call[tuple[Grant, ...]]:
        """Who has which role, in the tenant or of one user."""
        return whole("/v1/grants", Grant, user=user)

    @call
    def grant(self, user: str, role: str, *, scope: Scope | None = None) -> Call[Grant]:
        """Give a role. Raises `Conflict` for one that the user has, `Forbidden`."""
        return send("POST", "/v1/grants", Grant, body=NewGrant(user, role, scope))

    @call
    def take_back(self, grant: str) -> Call[None]:
        """Take a role back, by the id of its grant."""
        return nothing("DELETE", "/v1/grants/{grant}", place={"grant": grant})

    @call
    def why(
        self, *, user: str | None = None, action: str | None = None
    ) -> Call[tuple[Reason, ...]]:
        """Who can do what, and because of which grant; one of both is wanted."""
        return whole("/v1/permissions", Reason, user=user, action=action)


class _LoginProviders:
    @call
    def list(self) -> Call[tuple[LoginProvider, ...]]:
        """Providers of the tenant and of the installation."""
        return whole("/v1/login-providers", LoginProvider)

    @call
    def set(
        self,
        provider: str,
        *,
        name: str,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        domains: Sequence[str] = (),
        creates: bool = False,
        role: str | None = None,
        claim: str | None = None,
        roles: Mapping[str, str] | None = None,
        installation: bool = False,
    ) -> Call[LoginProvider]:
        """Add a provider, or replace one; without `client_secret` it keeps what it has."""
        body = ProviderBody(
            name, issuer, client_id, client_secret, domains, creates, role, claim, roles or {},
            installation,
        )  # fmt: skip
        return send("PUT", _PROVIDER, LoginProvider, place={"provider": provider}, body=body)

    @call
    def remove(self, provider: str, *, installation: bool = False) -> Call[None]:
        """Nobody signs in there any more."""
        asked = nothing("DELETE", _PROVIDER, place={"provider": provider})
        return replace(asked, query={"installation": installation})


class PeopleGroup(Group, _People):
    """`client.people`"""


class AsyncPeopleGroup(AsyncGroup, _People):
    """`client.people`"""


class RoleGroup(Group, _Roles):
    """`client.roles`"""


class AsyncRoleGroup(AsyncGroup, _Roles):
    """`client.roles`"""


class LoginProviderGroup(Group, _LoginProviders):
    """`client.login_providers`"""


class AsyncLoginProviderGroup(AsyncGroup, _LoginProviders):
    """`client.login_providers`"""
