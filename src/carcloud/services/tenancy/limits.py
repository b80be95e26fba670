"""The tenants' own values of quotas, over the defaults of `model/limits.py`."""

import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    String,
    Table,
    delete,
    insert,
    select,
)

from carcloud.model.ids import Tenant
from carcloud.model.limits import LIMIT, LIMITS, UNLIMITED
from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.tenancy.audit import append as record_changes
from carcloud.services.tenancy.desk import known_tenant
from carcloud.services.tenancy.errors import Invalid, Unknown
from carcloud.services.tenancy.store import metadata
from carcloud.services.tenancy.types import AuditEntry

tenant_limits = Table(
    "tenant_limits",
    metadata,
    Column("tenant", String(40), ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),  # us since 1970
    Column("actor", String(100), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit as it holds for one tenant."""

    name: str
    value: int  # `model.limits.UNLIMITED` = no limit
    own: bool  # set for this tenant; else the default
    changed: int | None = None  # us since 1970
    actor: str | None = None


class TenantLimits:
    """Reads and sets quotas. Calls block briefly; `KnownLimits` answers without asking."""

    def __init__(self, records: Records, now: Callable[[], int] = now_us) -> None:
        self._records = records
        self._now = now

    def limit(self, tenant: Tenant, name: str) -> int:
        """The value that holds for a tenant; raises `Unknown` for a name not in the table."""
        with self._records.reading() as db:
            return limit_in(db, tenant, name)

    def quotas(self, tenant: Tenant) -> list[Quota]:
        """Every limit as it holds for a tenant, in the order of the table."""
        query = select(tenant_limits).where(tenant_limits.c.tenant == tenant)
        with self._records.reading() as db:
            own = {row["name"]: row for row in db.execute(query).mappings()}
        return [_quota(limit.name, own.get(limit.name)) for limit in LIMITS]

    def overrides(self) -> dict[tuple[str, str], int]:
        """All tenants' own values, by (tenant, name)."""
        columns = (tenant_limits.c.tenant, tenant_limits.c.name, tenant_limits.c.value)
        with self._records.reading() as db:
            return {(tenant, name): value for tenant, name, value in db.execute(select(*columns))}

    def set_limit(self, tenant: Tenant, name: str, value: int | None, *, actor: str) -> Quota:
        """Give a tenant a value of its own; None = back to the default.

        Raises `Unknown` (no such limit, no such tenant), `Invalid`.
        """
        with self._records.transaction() as db:
            return self.set_in(db, tenant, name, value, actor=actor)

    def set_in(
        self, db: Connection, tenant: Tenant, name: str, value: int | None, *, actor: str
    ) -> Quota:
        """As `set_limit`, in an open transaction."""
        check_limit(name, value)
        known_tenant(db, tenant)
        mine = (tenant_limits.c.tenant == tenant) & (tenant_limits.c.name == name)
        old = db.execute(select(tenant_limits).where(mine)).mappings().first()
        db.execute(delete(tenant_limits).where(mine))
        row = None
        if value is not None:
            row = {"value": value, "changed": self._now(), "actor": actor}
            db.execute(insert(tenant_limits).values(tenant=tenant, name=name, **row))
        made = _quota(name, row)
        before, after = {"value": _quota(name, old).value}, {"value": made.value}
        record_changes(db, [AuditEntry(tenant, actor, "quota.set", name, before, after)])
        return made


def limit_in(db: Connection, tenant: Tenant, name: str) -> int:
    """As `TenantLimits.limit`, inside an open transaction."""
    default = int(_row(name).default)
    mine = (tenant_limits.c.tenant == tenant) & (tenant_limits.c.name == name)
    value = db.execute(select(tenant_limits.c.value).where(mine)).scalar()
    return default if value is None else int(value)


class KnownLimits:
    """All limits in memory, for those who ask many times a second.

    `refresh` blocks: call it from a thread, once a second or so. Until the first one, and while
    the records do not answer, what was known last holds.
    """

    def __init__(self, limits: TenantLimits) -> None:
        self._limits = limits
        self._own: Mapping[tuple[str, str], int] = {}
        self.refreshed = 0.0  # monotonic s

    def refresh(self) -> None:
        """Read the tenants' own values anew; raises `Unavailable`."""
        self._own = self._limits.overrides()
        self.refreshed = clock.monotonic()

    def limit(self, tenant: Tenant, name: str) -> int:
        """The value that holds for a tenant."""
        return self._own.get((tenant, name), LIMIT[name].default)


def check_limit(name: str, value: int | None) -> None:
    """Raises `Unknown` for a name that is not in the table, `Invalid` for a value."""
    _row(name)
    if value is not None and not 0 <= value <= UNLIMITED:
        raise Invalid("value", "a whole number, 0 or more")


def _row(name: str) -> Any:
    if name not in LIMIT:
        raise Unknown(f"there is no limit {name!r}: {', '.join(LIMIT)}")
    return LIMIT[name]


def _quota(name: str, row: Mapping[str, Any] | Any) -> Quota:
    if row is None:
        return Quota(name, LIMIT[name].default, own=False)
    return Quota(name, row["value"], own=True, changed=row["changed"], actor=row["actor"])
