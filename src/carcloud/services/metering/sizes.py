"""What tenants hold: bytes times hours for the bill, and the last size for the quota."""

from sqlalchemy import Connection, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.model.usage import Usage
from carcloud.services.metering.store import stored

SLOT_S = 300  # a size counts for the slot of five minutes that it is measured in


def byte_hours(tenant: Tenant, meter: str, size: int, now: int) -> Usage:
    """The usage of holding `size` bytes for the slot of `now`; told again it counts once."""
    slot = now // (SLOT_S * SECOND)
    quantity = size * SLOT_S // 3_600
    return Usage(f"{meter}-{slot}", tenant, meter, quantity, slot * SLOT_S * SECOND)


def note(db: Connection, tenant: Tenant, part: str, size: int, now: int) -> None:
    """Keep the present size of a part."""
    mine = (stored.c.tenant == tenant) & (stored.c.part == part)
    if db.execute(update(stored).where(mine).values(bytes=size, time=now)).rowcount == 0:
        db.execute(insert(stored).values(tenant=tenant, part=part, bytes=size, time=now))


def sizes(db: Connection) -> dict[Tenant, dict[str, int]]:
    """What every tenant holds, by part."""
    found: dict[Tenant, dict[str, int]] = {}
    for tenant, part, size in db.execute(select(stored.c.tenant, stored.c.part, stored.c.bytes)):
        found.setdefault(Tenant(tenant), {})[part] = size
    return found
