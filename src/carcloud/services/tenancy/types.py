"""What crosses the wall of tenancy. Times are us since 1970, UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from carcloud.model.ids import Tenant

INSTALLATION = Tenant("*")
"""Stands for all tenants, in grants of administrators and in the audit of what concerns none."""

MAIN = "main"  # the project of whatever names none


class TenantState(StrEnum):
    """Whether a tenant may work."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # nobody signs in, no key and no vehicle is admitted; data stays
    DELETING = "deleting"  # as suspended; its deletion was asked for
    DELETED = "deleted"  # only the id is left, which nobody gets again


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """A tenant."""

    id: Tenant
    name: str
    state: TenantState
    created: int
    second_factor: bool = False  # people need one


@dataclass(frozen=True, slots=True)
class Project:
    """A named part of a tenant."""

    id: str
    name: str
    created: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a grant holds: everywhere in the tenant, in a project, or where labels match."""

    project: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """`project:NAME`, `labels:key=value,key=value`, or empty for everything."""
        if self.project is not None:
            return f"project:{self.project}"
        if self.labels:
            return "labels:" + ",".join(f"{k}={v}" for k, v in sorted(self.labels.items()))
        return ""

    def covers(self, project: str | None, labels: Mapping[str, str]) -> bool:
        """Whether a thing of this project with these labels lies inside."""
        if self.project is not None:
            return (project or labels.get("project", MAIN)) == self.project
        for key, value in self.labels.items():  # noqa: SIM110 - all() takes three times as long
            if labels.get(key) != value:
                return False
        return True


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Grant:
    """A role given to a user in a tenant, there where `scope` says."""

    id: str
    tenant: Tenant
    user: str
    role: str
    scope: Scope
    created: int
    by: str


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """A set of actions under a name. Built-in roles cannot be changed."""

    id: str
    name: str
    actions: frozenset[str]
    built_in: bool
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Allowed:
    """Actions that an identity may do inside a scope."""

    scope: Scope
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a call, and what that one may do in the tenant it works in."""

    user: str
    tenant: Tenant
    everywhere: frozenset[str] = frozenset()  # actions allowed on all of the tenant
    partly: tuple[Allowed, ...] = ()  # what else is allowed, and where
    expires: int | None = None  # None = a key without end
    key: str | None = None  # id of the API key, if it came with one
    session: str | None = None  # id of the session, if it came with one
    actions: frozenset[str] | None = None  # the most that its key or token allows; None = no bound
    project: str | None = None  # the only project of its key or token
    short_lived: bool = False  # came with a token made from a session or a key
    service: bool = False
    unproved: bool = False  # must set up a second factor before anything else is allowed

    def may(
        self, action: str, project: str | None = None, labels: Mapping[str, str] | None = None
    ) -> bool:
        """Whether `action` is allowed: on the whole tenant, or on a thing of this project with
        these labels."""
        if action in self.everywhere:
            return True
        if project is None and labels is None:
            return False
        given = labels or {}
        for part in self.partly:
            if action in part.actions and part.scope.covers(project, given):
                return True
        return False

    def may_somewhere(self, action: str) -> bool:
        """Whether there can be anything on which `action` is allowed."""
        return action in self.everywhere or any(action in part.actions for part in self.partly)

    def scopes(self, action: str) -> tuple[Scope, ...] | None:
        """Where `action` is allowed; None = everywhere in the tenant."""
        if action in self.everywhere:
            return None
        return tuple(part.scope for part in self.partly if action in part.actions)


@dataclass(frozen=True, slots=True)
class Session:
    """A new sign-in. The token is told once: only its hash is kept."""

    token: str = field(repr=False)
    identity: Identity
    expires: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """An open session of a user, without its token."""

    id: str
    user: str
    tenant: Tenant
    address: str
    agent: str
    created: int
    expires: int
    short_lived: bool  # a token with an end and actions of its own, not a sign-in


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a service account of one tenant. `tenant` is the one they belong to."""

    name: str
    tenant: Tenant
    created: int
    service: bool = False
    note: str = ""
    disabled: bool = False
    second_factor: bool = False
    external: bool = False  # signs in at an OpenID Connect provider


@dataclass(frozen=True, slots=True)
class SecondFactorState:
    """Whether somebody's second factor is on."""

    on: bool
    recovery_codes: int  # that were not used


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for an authenticator app, told once."""

    secret: str = field(repr=False)  # base32
    uri: str = field(repr=False)  # otpauth://totp/...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's way in, without the secret. It may what its user may, or less."""

    id: str
    name: str
    tenant: Tenant
    user: str
    actions: frozenset[str] | None  # None = all that its user may
    project: str | None
    by: str
    created: int
    expires: int | None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with what is told once: the key itself, and the secret for the S3 interface."""

    key: ApiKey
    secret: str = field(repr=False)
    s3_secret: str | None = field(repr=False)  # None = the installation has no sealing secret


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What checks a Signature V4: the S3 secret of an API key, and who it is."""

    id: str
    secret: str = field(repr=False)
    identity: Identity


@dataclass(frozen=True, slots=True)
class Invitation:
    """A way in that was sent to somebody who is not a user yet."""

    id: str
    tenant: Tenant
    note: str
    role: str
    scope: Scope
    by: str
    created: int
    expires: int


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation with its secret, told once."""

    invitation: Invitation
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation tells to who holds its secret."""

    tenant: Tenant
    tenant_name: str
    note: str
    role: str
    expires: int


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """Whom a provider lets in, and what becomes of those who are no users yet."""

    domains: tuple[str, ...] = ()  # of verified e-mail addresses; none = all
    creates: bool = False  # whether a user is made of who comes for the first time
    role: str | None = None  # of such a user, if no claim gives another
    claim: str | None = None  # whose values give roles, e.g. `groups`
    roles: Mapping[str, str] = field(default_factory=dict)  # value of the claim -> role


@dataclass(frozen=True, slots=True)
class LoginProvider:
    """An OpenID Connect provider, without the secret of the client."""

    id: str
    tenant: Tenant  # `*` = for people of all tenants
    name: str
    issuer: str
    client: str
    confidential: bool  # has a client secret
    rules: ProviderRules
    by: str
    created: int


@dataclass(frozen=True, slots=True)
class SignInBegun:
    """Where to send a browser, and the ticket that it must bring back."""

    url: str
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignInDone:
    """Who came back from a provider; a sealed proposal in place of a session where an account is
    to be connected."""

    session: Session | None
    back: str  # the path to go on at
    proposal: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An identity at a provider that waits for its owner's yes; `shown` is what they know it by."""

    provider: str
    name: str  # of the provider
    shown: str


@dataclass(frozen=True, slots=True)
class Connection:
    """How a person may sign in, and at which providers they could.

    `provider` is None where it was removed since; `subject` is what it calls them.
    """

    connected: bool
    provider: LoginProvider | None
    subject: str
    password: bool
    second_factor: bool
    offered: tuple[LoginProvider, ...]
    proposal: Proposal | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a user may do something: one grant and the role that holds the action."""

    user: str
    action: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of state, or an attempt that was refused: who did what to what.

    `before` and `after` are plain JSON values. `address` and `request` are set from the request
    that is being served.
    """

    tenant: Tenant
    actor: str  # a user's name, or `gateway`, `cli`, ...
    action: str  # e.g. `vehicle.create`
    subject: str  # e.g. a vehicle id
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    denied: bool = False
    address: str = ""
    request: str = ""
    time: int = 0  # set when it is written
    id: int = 0  # grows with time
    number: int = 0  # of the tenant's entries, from 1
    hash: str = ""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first, and where the next page begins."""

    items: Sequence[AuditEntry]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; all that is given must hold."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None  # also as a beginning that ends in `*`
    denied: bool | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What `verify` found in one tenant's entries."""

    tenant: Tenant
    entries: int
    head: str  # hash of the last entry
    faults: Sequence[str]
