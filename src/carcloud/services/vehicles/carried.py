"""Vehicles that a lower platform brings: registered at their first frame, never logged in here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from carcloud.model import ids
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditEntry, record_changes
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.admission import possible
from carcloud.services.vehicles.room import Room
from carcloud.services.vehicles.store import vehicles
from carcloud.services.vehicles.types import (
    Carried,
    CarriedRefusal,
    Lifecycle,
    NewVehicle,
    Vehicle,
)

_CHUNK = 500  # ids in one SELECT
SOURCE = "source"  # label of a vehicle that registered itself so
_REFUSED: dict[str, CarriedRefusal] = {
    Lifecycle.SUSPENDED.value: "suspended",
    Lifecycle.RETIRED.value: "retired",
}


def carry(db: Connection, wanting: Sequence[Carried], now: int) -> list[CarriedRefusal | None]:
    """One answer for each, in order; None = its frames are welcome.

    Unknown vehicles are registered in the platform's tenant with the labels `source` = platform
    and `platform` = its id. Credentials are not asked for: the platform vouches for its vehicles.
    """
    known = _known(db, possible({one.vehicle for one in wanting}))
    room = Room()
    new: list[tuple[Carried, Vehicle]] = []
    woken: list[tuple[Carried, Vehicle]] = []
    answers: list[CarriedRefusal | None] = []
    for one in wanting:
        row = known.get(one.vehicle)
        if row is None:
            made = _made(one, now)
            if made is None:
                answers.append("invalid")
                continue
            if not room.has(db, one.tenant):
                answers.append("quota")
                continue
            new.append((one, made))
            row = known[one.vehicle] = {**rows.columns(made), "tenant": made.tenant}
        refusal = _refusal(row, one.tenant)
        answers.append(refusal)
        if refusal is None and row["lifecycle"] == Lifecycle.REGISTERED.value:
            row["lifecycle"] = Lifecycle.ACTIVE.value
            woken.append((one, rows.vehicle(row)))
    rows.insert_vehicles(db, [vehicle for _, vehicle in new])
    _wake(db, [vehicle for _, vehicle in woken], now)
    record_changes(db, [_registered(*pair) for pair in new] + [_woken(*pair) for pair in woken])
    return answers


def _known(db: Connection, wanted: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(wanted), _CHUNK):
        query = select(vehicles).where(vehicles.c.id.in_(wanted[start : start + _CHUNK]))
        found.update((row["id"], dict(row)) for row in db.execute(query).mappings())
    return found


def _made(one: Carried, now: int) -> Vehicle | None:
    """The vehicle to register; None if its id cannot be a vehicle's."""
    try:
        ids.vehicle(one.vehicle)
    except ids.InvalidId:
        return None
    labels = {SOURCE: "platform", "platform": one.platform}
    new = NewVehicle(
        id=one.vehicle, labels=labels, lifecycle=Lifecycle.ACTIVE, protocol=one.protocol
    )
    return rows.made(one.tenant, new, now)


def _refusal(row: Any, tenant: Tenant) -> CarriedRefusal | None:
    return "tenant" if row["tenant"] != tenant else _REFUSED.get(row["lifecycle"])


def _wake(db: Connection, woken: Sequence[Vehicle], now: int) -> None:
    """Vehicles that report for the first time become active."""
    for vehicle in woken:
        values = {"lifecycle": Lifecycle.ACTIVE.value, "updated": now}
        mine = update(vehicles).where(vehicles.c.id == vehicle.id)
        db.execute(mine.values(**values, revision=vehicle.revision + 1))


def _registered(one: Carried, vehicle: Vehicle) -> AuditEntry:
    actor = f"platform {one.platform}"
    return AuditEntry(
        vehicle.tenant, actor, "vehicle.register", vehicle.id, None, rows.told(vehicle)
    )


def _woken(one: Carried, vehicle: Vehicle) -> AuditEntry:
    before = {"lifecycle": Lifecycle.REGISTERED.value}
    after = {"lifecycle": Lifecycle.ACTIVE.value}
    actor = f"platform {one.platform}"
    return AuditEntry(vehicle.tenant, actor, "vehicle.activate", vehicle.id, before, after)
