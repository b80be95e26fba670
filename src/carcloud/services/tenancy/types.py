"""What crosses the wall of tenancy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from carcloud.model.ids import Tenant


class Role(StrEnum):
    """What a person may do inside a tenant; each may all that the one before may."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # change vehicles, re-process dead letters
    ADMIN = "admin"  # users, tokens, credentials

    @property
    def rank(self) -> int:
        """0 for the least privilege."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a call, once the token is known to be good."""

    user: str
    tenant: Tenant
    role: Role
    expires: int | None = None  # us since 1970; None = a token without end

    def may(self, role: Role) -> bool:
        """Whether this identity has the privileges of `role`."""
        return self.role.rank >= role.rank


@dataclass(frozen=True, slots=True)
class Session:
    """A new sign-in. The token is told once: only its hash is kept."""

    token: str = field(repr=False)
    identity: Identity
    expires: int  # us since 1970


@dataclass(frozen=True, slots=True)
class User:
    """A person of a tenant."""

    name: str
    tenant: Tenant
    role: Role
    created: int  # us since 1970


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A machine's way in, without the secret."""

    id: str
    name: str
    tenant: Tenant
    role: Role
    user: str  # who made it
    created: int  # us since 1970
    expires: int | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of state: who did what to what. `before` and `after` are plain JSON values."""

    tenant: Tenant
    actor: str  # a user's name, or `gateway`, `cli`, ...
    action: str  # e.g. `vehicle.create`
    subject: str  # e.g. a vehicle id
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    time: int = 0  # us since 1970; set when it is written
    id: int = 0  # grows with time


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first, and where the next page begins."""

    items: Sequence[AuditEntry]
    next_before: int | None
