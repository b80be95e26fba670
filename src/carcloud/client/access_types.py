"""What the API tells of people, roles, keys, tenants and the audit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from carcloud.client.types import Tagged

TenantState = Literal["active", "suspended", "deleting"]


class Scope(msgspec.Struct, frozen=True):
    """Where a grant holds: in a project, or for vehicles with labels; neither = everywhere."""

    project: str | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class User(msgspec.Struct, frozen=True):
    """A person or a service account; `guest` = belongs to another tenant, `external` = signs in
    at a provider."""

    name: str
    service: bool
    note: str
    guest: bool
    disabled: bool
    second_factor: bool
    external: bool
    created: datetime


class Invitation(msgspec.Struct, frozen=True):
    """An invitation that can still be accepted; `note` tells whom it is for."""

    id: str
    note: str
    role: str
    scope: Scope
    by: str
    created: datetime
    expires: datetime


class InvitationMade(msgspec.Struct, frozen=True):
    """An invitation and its link, told once: carcloud sends no mail."""

    invitation: Invitation
    link: str


class LoginProvider(msgspec.Struct, frozen=True):
    """An OpenID Connect provider; `callback` must be registered there."""

    id: str
    name: str
    installation: bool
    issuer: str
    client_id: str
    confidential: bool
    domains: tuple[str, ...]
    creates: bool
    role: str | None
    claim: str | None
    roles: dict[str, str]
    created: datetime
    callback: str


class Role(Tagged, frozen=True):
    """A set of actions under a name."""

    id: str
    name: str
    help: str
    actions: tuple[str, ...]
    built_in: bool


class Action(msgspec.Struct, frozen=True):
    """Something that a role can allow, and the built-in roles that do."""

    name: str
    help: str
    roles: tuple[str, ...]


class Grant(msgspec.Struct, frozen=True):
    """A role that a user was given."""

    id: str
    user: str
    role: str
    scope: Scope
    created: datetime
    by: str


class Reason(msgspec.Struct, frozen=True):
    """Why a user may do something: the grant whose role holds the action."""

    user: str
    action: str
    grant: Grant


class Key(msgspec.Struct, frozen=True):
    """An API key without its secret; `actions` None = all that its user may."""

    id: str
    name: str
    user: str
    actions: tuple[str, ...] | None
    project: str | None
    by: str
    created: datetime
    expires: datetime | None
    used: datetime | None


class KeyMade(msgspec.Struct, frozen=True):
    """A new key. `secret` and the pair for the S3 interface are told this once."""

    key: Key
    secret: str
    s3_access_key_id: str
    s3_secret_access_key: str | None


class Token(msgspec.Struct, frozen=True):
    """A short-lived token, told this once."""

    token: str
    expires: datetime
    actions: tuple[str, ...]


class Tenant(msgspec.Struct, frozen=True):
    """A tenant."""

    id: str
    name: str
    state: TenantState
    created: datetime
    second_factor: bool


class Project(msgspec.Struct, frozen=True):
    """A named part of the tenant."""

    id: str
    name: str
    created: datetime


class Export(msgspec.Struct, frozen=True):
    """An archive of all that a tenant has. `progress` is 0 to 1, by bytes, and an estimate."""

    id: str
    tenant: str
    state: str
    by: str
    created: datetime
    ended: datetime | None
    expires: datetime | None
    attempt: int
    part: str
    progress: float
    bytes: int
    members: int
    sha256: str | None
    error: str | None


class Deletion(msgspec.Struct, frozen=True):
    """The deletion of a tenant. Without `approved_by` it waits for somebody to agree; `entry` and
    `entry_hash` name the certificate's entry in the audit of the installation."""

    id: str
    tenant: str
    state: str
    asked_by: str
    asked: datetime
    due: datetime
    approved_by: str | None
    cancelled_by: str | None
    step: str
    steps: tuple[str, ...]
    round: int
    began: datetime | None
    ended: datetime | None
    problem: str | None
    certificate: dict[str, Any] | None
    entry: int | None
    entry_hash: str | None


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what to what, or was refused (`denied`); `number` counts the tenant's entries, and
    `hash` covers the entry and the hash of the one before."""

    number: int
    time: datetime
    actor: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    denied: bool
    address: str
    request: str
    hash: str


class Chain(msgspec.Struct, frozen=True):
    """What a check of the audit found; no faults = nothing was altered or removed."""

    entries: int
    head: str
    faults: tuple[str, ...]
