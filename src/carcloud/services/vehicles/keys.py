"""Keys of vehicles: activated security chips, and the keys of encrypted data units."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model import ids
from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.tenancy.api import AuditEntry, Seal, record_changes
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.room import Room
from carcloud.services.vehicles.store import chips, credentials, data_keys, vehicles
from carcloud.services.vehicles.types import (
    Activated,
    Activation,
    ActivationRefusal,
    DataKey,
    Lifecycle,
    NewVehicle,
    VehicleKeys,
)

_CHUNK = 500  # ids in one SELECT
_ACTOR = "gateway"
_KEPT = 4  # data-unit keys of a vehicle
_FOR_EVER = 1 << 62  # us


def activate(
    db: Connection, wanting: Activation, auto_register: Tenant | None, now: int
) -> Activated:
    """Put a chip and its public key on record, unless others are."""
    try:
        vehicle = ids.vehicle(wanting.vehicle)
    except ids.InvalidId:
        return Activated(wanting.vehicle, "invalid")
    row = _on_record(db, vehicle)
    if row is None:
        if auto_register is None:
            return Activated(vehicle, "unknown")
        if not Room().has(db, auto_register):
            return Activated(vehicle, "quota")
        _register(db, vehicle, wanting, auto_register, now)
        row = _on_record(db, vehicle)
    tenant = Tenant(row["tenant"])
    refusal = _refusal(row, wanting) or _chip_taken(db, vehicle, wanting)
    if refusal is None and (row["chip_id"], row["public_key"]) != _identity(wanting):
        _write(db, tenant, vehicle, wanting)
    return Activated(vehicle, refusal, tenant)


def chip_of(db: Connection, vehicle: str) -> str | None:
    """The chip on record."""
    found = db.execute(select(chips.c.chip_id).where(chips.c.vehicle == vehicle)).first()
    return None if found is None else str(found.chip_id)


def set_chip(db: Connection, vehicle: str, chip_id: str | None) -> None:
    """Put a chip on record, or none."""
    db.execute(delete(chips).where(chips.c.vehicle == vehicle))
    if chip_id is not None:
        db.execute(insert(chips).values(vehicle=vehicle, chip_id=chip_id))


def keep(db: Connection, seal: Seal, tenant: Tenant, vehicle: str, key: DataKey, now: int) -> None:
    """Add a data-unit key and drop those that are too many; one already there stays."""
    if key in data_keys_of(db, seal, [vehicle]).get(vehicle, ()):
        return
    mine = data_keys.c.vehicle == vehicle
    newest = db.execute(
        select(data_keys.c.received).where(mine).order_by(data_keys.c.received.desc())
    ).scalars()
    before = list(newest)
    if len(before) >= _KEPT:
        db.execute(delete(data_keys).where(mine, data_keys.c.received <= before[_KEPT - 1]))
    values = {
        "vehicle": vehicle,
        "received": max([now, *(one + 1 for one in before)]),
        "cipher": key.cipher,
        "sealed": seal.close(vehicle, key.key),
        "valid_from": key.valid_from,
        "valid_until": key.valid_until,
    }
    db.execute(insert(data_keys).values(values))
    told = {name: values[name] for name in ("cipher", "valid_from", "valid_until")}
    record_changes(db, [AuditEntry(tenant, _ACTOR, "vehicle.data-key", vehicle, None, told)])


def data_keys_of(
    db: Connection, seal: Seal, wanted: Iterable[str]
) -> dict[str, tuple[DataKey, ...]]:
    """Data-unit keys that open under this seal, newest first, the one of a person last."""
    found: dict[str, list[DataKey]] = {}
    for chunk in _chunks(wanted):
        sent = select(data_keys).where(data_keys.c.vehicle.in_(chunk))
        for row in db.execute(sent.order_by(data_keys.c.received.desc())):
            key = seal.open(row.vehicle, row.sealed)
            if key is not None:
                made = DataKey(row.cipher, key, row.valid_from, row.valid_until)
                found.setdefault(row.vehicle, []).append(made)
        given = select(credentials).where(
            credentials.c.vehicle.in_(chunk), credentials.c.cipher_key.is_not(None)
        )
        for row in db.execute(given):
            key = seal.open(row.vehicle, row.cipher_key)
            if key is not None and row.cipher is not None:
                made = DataKey(row.cipher, key, 0, _FOR_EVER)
                found.setdefault(row.vehicle, []).append(made)
    return {vehicle: tuple(keys) for vehicle, keys in found.items()}


def of(db: Connection, seal: Seal, wanted: Sequence[str]) -> dict[str, VehicleKeys]:
    """All keys of vehicles; those without any are left out."""
    sealed = data_keys_of(db, seal, wanted)
    found = {vehicle: VehicleKeys(data_keys=keys) for vehicle, keys in sealed.items()}
    for chunk in _chunks(wanted):
        query = select(credentials).where(
            credentials.c.vehicle.in_(chunk), credentials.c.public_key.is_not(None)
        )
        for row in db.execute(query):
            keys = sealed.get(row.vehicle, ())
            found[row.vehicle] = VehicleKeys(row.public_key, row.algorithm, keys)
    return found


def _chunks(wanted: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(wanted)
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


def _identity(wanting: Activation) -> tuple[str, bytes]:
    return wanting.chip_id, wanting.public_key


def _on_record(db: Connection, vehicle: VehicleId) -> Any:
    query = (
        select(
            vehicles.c.tenant,
            vehicles.c.lifecycle,
            credentials.c.public_key,
            credentials.c.tls_fingerprint,
            chips.c.chip_id,
        )
        .select_from(vehicles)
        .outerjoin(credentials, credentials.c.vehicle == vehicles.c.id)
        .outerjoin(chips, chips.c.vehicle == vehicles.c.id)
    )
    return db.execute(query.where(vehicles.c.id == vehicle)).mappings().first()


def _register(
    db: Connection, vehicle: VehicleId, wanting: Activation, tenant: Tenant, now: int
) -> None:
    made = rows.made(tenant, NewVehicle(id=vehicle, protocol=wanting.protocol), now)
    rows.insert_vehicles(db, [made])
    entry = AuditEntry(tenant, _ACTOR, "vehicle.register", vehicle, None, rows.told(made))
    record_changes(db, [entry])


def _refusal(row: Any, wanting: Activation) -> ActivationRefusal | None:
    """What the vehicle's own record says against it."""
    chip, key, pinned = row["chip_id"], row["public_key"], row["tls_fingerprint"]
    against: dict[ActivationRefusal, bool] = {
        "suspended": row["lifecycle"] == Lifecycle.SUSPENDED.value,
        "retired": row["lifecycle"] == Lifecycle.RETIRED.value,
        "tls": pinned is not None and pinned != wanting.tls_fingerprint,
        "vin": chip is not None and chip != wanting.chip_id,
        "chip": key not in (None, wanting.public_key) and chip == wanting.chip_id,
    }
    first = next((name for name, true in against.items() if true), None)
    other_key = key not in (None, wanting.public_key)
    return first or ("vin" if other_key else None)


def _chip_taken(
    db: Connection, vehicle: VehicleId, wanting: Activation
) -> ActivationRefusal | None:
    """Whether the chip is another vehicle's already."""
    query = (
        select(chips.c.vehicle)
        .join(credentials, credentials.c.vehicle == chips.c.vehicle)
        .where(
            chips.c.chip_id == wanting.chip_id,
            chips.c.vehicle != vehicle,
            credentials.c.public_key.is_not(None),
        )
    )
    return "chip" if db.execute(query.limit(1)).first() is not None else None


def _write(db: Connection, tenant: Tenant, vehicle: VehicleId, wanting: Activation) -> None:
    values = {"public_key": wanting.public_key, "algorithm": wanting.algorithm}
    mine = credentials.c.vehicle == vehicle
    if db.execute(update(credentials).where(mine).values(**values)).rowcount == 0:
        db.execute(insert(credentials).values(vehicle=vehicle, **values))
    set_chip(db, vehicle, wanting.chip_id)
    told = {"chip_id": wanting.chip_id, "algorithm": wanting.algorithm}
    record_changes(db, [AuditEntry(tenant, _ACTOR, "vehicle.chip", vehicle, None, told)])
