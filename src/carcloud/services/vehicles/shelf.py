"""What the registry says of vehicles, in memory for as long as nobody changes the registry."""

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from carcloud.model.ids import Tenant
from carcloud.ports.records import Records
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.errors import Unknown
from carcloud.services.vehicles.store import chips, credentials, vehicles
from carcloud.services.vehicles.types import Credentials, Vehicle

_CREDENTIALS = (
    credentials.c.vehicle.label("has_credentials"), credentials.c.iccid, credentials.c.public_key,
    credentials.c.algorithm, credentials.c.tls_fingerprint, credentials.c.cipher,
    (credentials.c.cipher_key.is_not(None)).label("has_cipher_key"), chips.c.chip_id,
    credentials.c.token_made,
)  # fmt: skip
_ONE = (
    select(vehicles, *_CREDENTIALS)
    .outerjoin_from(vehicles, credentials, credentials.c.vehicle == vehicles.c.id)
    .outerjoin(chips, chips.c.vehicle == vehicles.c.id)
    .where(vehicles.c.tenant == bindparam("tenant"), vehicles.c.id == bindparam("vehicle"))
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A vehicle and what proves its identity."""

    vehicle: Vehicle
    credentials: Credentials


_Page = tuple[int, OrderedDict[tuple[Tenant, str], Registered]]  # version of the records, rows


class Shelf:
    """At most `entries` vehicles of all tenants, true to the records at every look."""

    def __init__(self, records: Records, entries: int = 20_000) -> None:
        self._records = records
        self._entries = entries
        self._page: _Page = (-1, OrderedDict())  # replaced as one: threads see all of it or none

    def at_hand(self, tenant: Tenant, vehicle: str) -> Registered | None:
        """The vehicle, if it is here and nothing has changed; never waits."""
        version, kept = self._page
        return kept.get((tenant, vehicle)) if self._records.version_at_hand() == version else None

    def get(self, tenant: Tenant, vehicle: str) -> Registered:
        """The vehicle, from the records if need be; may wait. Raises `Unknown`."""
        version = self._records.version()  # first the number, then the rows: never newer than they
        page = self._page
        if page[0] != version:
            page = self._page = (version, OrderedDict())
        kept = page[1]
        if (found := kept.get((tenant, vehicle))) is not None:
            return found
        with self._records.reading() as db:
            found = _read(db, tenant, vehicle)
        kept[tenant, vehicle] = found
        while len(kept) > self._entries:
            kept.popitem(last=False)
        return found


def _read(db: Connection, tenant: Tenant, vehicle: str) -> Registered:
    wanted = {"tenant": tenant, "vehicle": vehicle}
    row = db.execute(_ONE, wanted).mappings().first() if rows.storable(vehicle) else None
    if row is None:
        raise Unknown(f"there is no vehicle {vehicle!r}")
    if row["has_credentials"] is None:
        return Registered(rows.vehicle(row), Credentials(chip_id=row["chip_id"]))
    proof = Credentials(
        iccid=row["iccid"],
        public_key=row["public_key"],
        algorithm=row["algorithm"],
        tls_fingerprint=row["tls_fingerprint"],
        has_cipher_key=bool(row["has_cipher_key"]),
        cipher=row["cipher"],
        chip_id=row["chip_id"],
        token_made=row["token_made"],
    )
    return Registered(rows.vehicle(row), proof)
