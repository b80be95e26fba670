"""How many vehicles more a tenant may register; asked once in a transaction."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED, OverLimit
from carcloud.services.tenancy.api import limit_in
from carcloud.services.vehicles.store import vehicles
from carcloud.services.vehicles.types import Lifecycle

_LIMIT = "vehicles"


@dataclass(slots=True)
class Room:
    """The quota of vehicles as one transaction sees it."""

    _known: dict[Tenant, list[int]] = field(default_factory=dict)  # [limit, used]

    def take(self, db: Connection, tenant: Tenant) -> None:
        """One vehicle more; raises `OverLimit`."""
        known = self._known.get(tenant)
        if known is None:
            known = self._known[tenant] = _ask(db, tenant)
        limit, used = known
        if used >= limit:
            raise OverLimit(_LIMIT, limit, used)
        known[1] += 1

    def has(self, db: Connection, tenant: Tenant) -> bool:
        """The same, as an answer."""
        try:
            self.take(db, tenant)
        except OverLimit:
            return False
        return True


def _ask(db: Connection, tenant: Tenant) -> list[int]:
    limit = limit_in(db, tenant, _LIMIT)
    if limit >= UNLIMITED:
        return [limit, 0]
    there = (vehicles.c.tenant == tenant) & (vehicles.c.lifecycle != Lifecycle.RETIRED.value)
    query = select(func.count()).select_from(vehicles).where(there)
    return [limit, int(db.execute(query).scalar_one())]
