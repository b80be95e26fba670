"""Between rows and types: one place that knows both."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert

from carcloud.model import ids
from carcloud.model.ids import Tenant, VehicleId, is_vin
from carcloud.services.vehicles.errors import Invalid
from carcloud.services.vehicles.store import labels as label_table
from carcloud.services.vehicles.store import vehicles
from carcloud.services.vehicles.types import Lifecycle, NewVehicle, Vehicle

MAX_LABELS = 32
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def storable(text: str) -> bool:
    """Whether a database takes the text: without NUL, and made of whole characters."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def checked_id(value: str) -> VehicleId:
    """A vehicle id; raises `Invalid`."""
    try:
        return ids.vehicle(value)
    except ids.InvalidId as error:
        raise Invalid("id", str(error)) from error


def checked_vin(value: str | None) -> str | None:
    """A VIN or None; raises `Invalid`."""
    if value is not None and not is_vin(value):
        raise Invalid("vin", "17 characters of A-Z and 0-9 without I, O and Q")
    return value


def checked_name(field: str, value: str | None) -> str | None:
    """The id of a model, or the name of a protocol; raises `Invalid`."""
    if value is not None and not _NAME.fullmatch(value):
        raise Invalid(field, "letters, digits, '_', '.' and '-', 1 to 40")
    return value


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels; raises `Invalid` naming the label."""
    if len(labels) > MAX_LABELS:
        raise Invalid("labels", f"at most {MAX_LABELS}")
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            raise Invalid("labels", f"{key[:50]!r}: a letter, then letters, digits, '_', '.', '-'")
        if not 1 <= len(value) <= 200 or not value.isprintable():
            raise Invalid(f"labels.{key}", "1 to 200 printable characters")
    return dict(labels)


def made(tenant: Tenant, new: NewVehicle, now: int) -> Vehicle:
    """The vehicle that `new` describes; raises `Invalid`."""
    vehicle_id = checked_id(new.id)
    return Vehicle(
        tenant=tenant,
        id=vehicle_id,
        vin=checked_vin(new.vin) or (str(vehicle_id) if is_vin(vehicle_id) else None),
        model=checked_name("model", new.model),
        labels=checked_labels(new.labels),
        lifecycle=new.lifecycle,
        protocol=checked_name("protocol", new.protocol),
        created=now,
        updated=now,
        revision=1,
    )


def insert_vehicles(db: Connection, made_now: Sequence[Vehicle]) -> None:
    """Write new vehicles and their labels."""
    if not made_now:
        return
    fixed = [{"tenant": v.tenant, "id": v.id, "created": v.created} for v in made_now]
    db.execute(
        insert(vehicles),
        [{**key, **columns(v)} for key, v in zip(fixed, made_now, strict=True)],
    )
    _insert_labels(db, made_now)


def replace_labels(db: Connection, vehicle: Vehicle) -> None:
    """Write the labels of a vehicle anew."""
    db.execute(delete(label_table).where(label_table.c.vehicle == vehicle.id))
    _insert_labels(db, [vehicle])


def _insert_labels(db: Connection, of: Sequence[Vehicle]) -> None:
    rows = [
        {"vehicle": v.id, "tenant": v.tenant, "key": key, "value": value}
        for v in of
        for key, value in v.labels.items()
    ]
    if rows:
        db.execute(insert(label_table), rows)


def columns(vehicle: Vehicle) -> dict[str, Any]:
    """The columns that change."""
    return {
        "vin": vehicle.vin,
        "model": vehicle.model,
        "labels": json.dumps(dict(vehicle.labels), ensure_ascii=False, sort_keys=True),
        "lifecycle": vehicle.lifecycle.value,
        "protocol": vehicle.protocol,
        "updated": vehicle.updated,
        "revision": vehicle.revision,
        "search": _search_text(vehicle),
    }


def _search_text(vehicle: Vehicle) -> str:
    parts = [vehicle.id, vehicle.model or "", *vehicle.labels.values()]
    if vehicle.vin and vehicle.vin != vehicle.id:
        parts.append(vehicle.vin)
    return "\n".join(part for part in parts if part).lower()


def vehicle(row: Any) -> Vehicle:
    """A row of `vehicles` (a mapping)."""
    return Vehicle(
        tenant=Tenant(row["tenant"]),
        id=VehicleId(row["id"]),
        vin=row["vin"],
        model=row["model"],
        labels=json.loads(row["labels"]),
        lifecycle=Lifecycle(row["lifecycle"]),
        protocol=row["protocol"],
        created=row["created"],
        updated=row["updated"],
        revision=row["revision"],
    )


def told(vehicle: Vehicle) -> dict[str, object]:
    """A vehicle as the audit keeps it."""
    return {
        "vin": vehicle.vin,
        "model": vehicle.model,
        "labels": dict(vehicle.labels),
        "lifecycle": vehicle.lifecycle.value,
        "protocol": vehicle.protocol,
    }
