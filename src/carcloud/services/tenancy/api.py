"""Tenants, their people, rights and keys, and the record of what was changed. Calls block briefly.

`Tenancy` holds its parts: `tenants`, `people`, `invitations`, `second_factor`, `grants`, `keys`,
`sessions`, `providers`, `connections`, `openid`, `trail`.
"""

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import func, select

from carcloud.model.actions import ACTIONS, ADMINISTRATOR, OWNER
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.openid import ProviderWeb
from carcloud.ports.records import Records
from carcloud.services.tenancy import throttle
from carcloud.services.tenancy.audit import AuditOrigin, subjects_after
from carcloud.services.tenancy.audit import append as record_changes
from carcloud.services.tenancy.connections import PROPOSAL_S, Connections
from carcloud.services.tenancy.desk import USER, Desk, note
from carcloud.services.tenancy.errors import (
    Changed,
    Denied,
    Exists,
    Invalid,
    NoSecret,
    NotSignedIn,
    SecondFactorMissing,
    SecondFactorNeeded,
    SignInRefused,
    Throttled,
    Unknown,
)
from carcloud.services.tenancy.grants import Grants
from carcloud.services.tenancy.invitations import Invitations
from carcloud.services.tenancy.keys import LONGEST_NAME, Keys
from carcloud.services.tenancy.limits import (
    KnownLimits,
    Quota,
    TenantLimits,
    check_limit,
    limit_in,
)
from carcloud.services.tenancy.openid import OpenId
from carcloud.services.tenancy.passwords import Passwords
from carcloud.services.tenancy.people import People, check_person
from carcloud.services.tenancy.providers import Providers
from carcloud.services.tenancy.seal import Seal
from carcloud.services.tenancy.second_factor import SecondFactor
from carcloud.services.tenancy.sessions import Client, Sessions
from carcloud.services.tenancy.shares import Shares
from carcloud.services.tenancy.store import metadata, users
from carcloud.services.tenancy.tenants import (
    Tenants,
    check_name,
    deleted_among,
    deleted_tenants,
    locked_tenant,
    mark_tenant,
    suspended_among,
    suspended_tenants,
)
from carcloud.services.tenancy.trail import Trail
from carcloud.services.tenancy.types import (
    EVERYTHING,
    INSTALLATION,
    MAIN,
    AccessKey,
    Allowed,
    ApiKey,
    AuditEntry,
    AuditFilter,
    AuditPage,
    ChainReport,
    Connection,
    Enrolment,
    Grant,
    Identity,
    Invitation,
    LoginProvider,
    NewInvitation,
    NewKey,
    Offer,
    Project,
    Proposal,
    ProviderRules,
    Reason,
    RoleInfo,
    Scope,
    SecondFactorState,
    Session,
    SessionInfo,
    SignInBegun,
    SignInDone,
    TenantInfo,
    TenantState,
    User,
)

__all__ = [
    "EVERYTHING", "INSTALLATION", "LONGEST_NAME", "MAIN", "PROPOSAL_S", "SYSTEM", "AccessKey",
    "Allowed", "ApiKey", "AuditEntry", "AuditFilter", "AuditOrigin", "AuditPage", "ChainReport",
    "Changed", "Client", "Connection", "Denied", "Enrolment", "Exists", "Grant", "Identity",
    "Invalid", "Invitation", "KnownLimits", "LoginProvider", "NewInvitation", "NewKey", "NoSecret",
    "NotSignedIn", "Offer", "Passwords", "Project", "Proposal", "ProviderRules", "Quota", "Reason",
    "RoleInfo", "Scope", "Seal", "SecondFactorMissing", "SecondFactorNeeded", "SecondFactorState",
    "Session", "SessionInfo", "Shares", "SignInBegun", "SignInDone", "SignInRefused", "Tenancy",
    "TenantInfo", "TenantLimits", "TenantState", "Throttled", "Unknown", "User", "check_limit",
    "deleted_among", "deleted_tenants", "limit_in", "locked_tenant", "mark_tenant", "metadata",
    "record_changes", "subjects_after", "suspended_among", "suspended_tenants",
]  # fmt: skip

SYSTEM = Identity("carcloud", DEFAULT_TENANT, frozenset(action.name for action in ACTIONS))
"""carcloud itself, and whoever owns the machine it runs on."""


class Tenancy:
    """The service. `secret` (32 bytes) seals what is kept; `now` is a clock in us since 1970."""

    def __init__(
        self,
        records: Records,
        *,
        secret: bytes | None = None,
        now: Callable[[], int] = now_us,
        passwords: Passwords | None = None,
        provider_web: ProviderWeb | None = None,
    ) -> None:
        records.create(metadata)
        self._desk = desk = Desk(records, now, Seal(secret), passwords or Passwords())
        self.tenants = Tenants(desk)
        self.grants = Grants(desk)
        self.people = People(desk, self.grants)
        self.invitations = Invitations(desk, self.people, self.grants)
        self.keys = Keys(desk)
        self.second_factor = SecondFactor(desk, self.people)
        self.sessions = Sessions(desk, self.keys, self.second_factor)
        self.providers = Providers(desk, self.grants)
        self.connections = Connections(desk, self.providers, self.sessions)
        self.openid = OpenId(
            desk, provider_web, self.providers, self.people, self.grants, self.invitations,
            self.sessions, self.connections,
        )  # fmt: skip
        self.trail = Trail(desk)
        self.limits = TenantLimits(records, now)

    def limit(self, tenant: Tenant, name: str) -> int:
        """How much of a thing a tenant may have, see `model/limits.py`; raises `Unknown`."""
        return self.limits.limit(tenant, name)

    def bootstrap(self) -> tuple[str, str] | None:
        """On the very first start, make the default tenant, and its owner, who is administrator
        of the installation too.

        Returns the name and generated password, once ever; None after that.
        """
        password = secrets.token_urlsafe(18)
        hashed = self._desk.passwords.hash(password)
        admin = User("admin", DEFAULT_TENANT, self._desk.now())
        try:
            with self._desk.records.transaction() as db:
                people = select(func.count()).select_from(users).where(users.c.service.is_(False))
                if db.execute(people).scalar_one() > 0:
                    return None
                self.tenants.ensure_in(db, DEFAULT_TENANT, "Default")
                self.people.add(db, admin, hashed, actor=SYSTEM.user)
                give = self.grants.grant_in
                give(db, DEFAULT_TENANT, admin.name, OWNER, EVERYTHING, by=SYSTEM)
                give(db, INSTALLATION, admin.name, ADMINISTRATOR, EVERYTHING, by=SYSTEM)
        except Conflict:  # another process was first
            return None
        return admin.name, password

    def register(
        self, tenant: Tenant, name: str, owner: str, password: str, *,
        limits: Mapping[str, int], address: str, most: int,
    ) -> TenantInfo:  # fmt: skip
        """A tenant that its owner makes, with limits of its own; raises as `found`, `Throttled`
        after `most` from one address."""
        for limit, value in limits.items():
            check_limit(limit, value)
        with self._desk.records.transaction() as db:
            throttle.count_registration(db, address, self._desk.now(), most)
        return self.found(tenant, name, owner, password, actor=owner, limits=limits)

    def found(
        self, tenant: Tenant, name: str, owner: str, password: str, *, actor: str,
        limits: Mapping[str, int] = MappingProxyType({}),
    ) -> TenantInfo:  # fmt: skip
        """A new tenant and its first owner, with `limits` of its own; raises `ids.InvalidId`,
        `Invalid`, `Exists`, and `Unknown` for a limit that does not exist."""
        if not USER.fullmatch(owner):
            raise Invalid("owner.name", "lower-case letters, digits and . _ @ -, 1 to 64")
        check_person(owner)
        check_name(name)
        hashed = self._desk.passwords.hash(password)
        first = User(owner, tenant, self._desk.now())
        try:
            with self._desk.records.transaction() as db:
                if not self.tenants.ensure_in(db, tenant, name):
                    raise Exists(f"there is, or was, a tenant {tenant!r} already")
                note(db, tenant, actor, "tenant.create", tenant, None, {"name": name})
                self.people.add(db, first, hashed, actor=actor)
                self.grants.grant_in(db, tenant, owner, OWNER, EVERYTHING, by=SYSTEM)
                for limit, value in limits.items():
                    self.limits.set_in(db, tenant, limit, value, actor=SYSTEM.user)
        except Conflict as error:
            raise Exists(f"the user name {owner!r} is taken") from error
        return self.tenants.get(tenant)
