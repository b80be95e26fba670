"""The models of a tenant's vehicles."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, or_, select, update

from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditEntry, record_changes
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.errors import Changed, Invalid, Unknown
from carcloud.services.vehicles.store import models, vehicles
from carcloud.services.vehicles.types import CurrentSign, Datum, Reporting, VehicleModel

_CHUNK = 500  # ids in one SELECT
_SPECIAL = or_(
    models.c.datum != Datum.WGS84.value, models.c.current_sign != CurrentSign.DISCHARGE.value
)


def create(db: Connection, tenant: Tenant, model: VehicleModel, actor: str) -> VehicleModel:
    """A new model; `Conflict` of the port if the id is taken."""
    made = msgspec.structs.replace(_checked(model), revision=1)
    db.execute(insert(models).values(tenant=tenant, **_columns(made), id=made.id))
    entry = AuditEntry(tenant, actor, "model.create", made.id, None, _columns(made))
    record_changes(db, [entry])
    return made


def change(
    db: Connection, tenant: Tenant, wanted: VehicleModel, if_revision: int | None, actor: str
) -> VehicleModel:
    """Replace a model; raises `Unknown`, `Changed`."""
    old = get(db, tenant, wanted.id)
    if if_revision is not None and old.revision != if_revision:
        raise Changed(f"model {wanted.id!r} is at revision {old.revision} now")
    new = msgspec.structs.replace(_checked(wanted), revision=old.revision + 1)
    same = (models.c.tenant == tenant) & (models.c.id == old.id)
    same = same & (models.c.revision == old.revision)
    if db.execute(update(models).where(same).values(_columns(new))).rowcount != 1:
        raise Changed(f"model {wanted.id!r} was changed at the same time")
    entry = AuditEntry(tenant, actor, "model.change", old.id, _columns(old), _columns(new))
    record_changes(db, [entry])
    return new


def get(db: Connection, tenant: Tenant, model: str) -> VehicleModel:
    """A model; raises `Unknown`."""
    mine = (models.c.tenant == tenant) & (models.c.id == model)
    known = rows.storable(model)
    row = db.execute(select(models).where(mine)).mappings().first() if known else None
    if row is None:
        raise Unknown(f"there is no model {model!r}")
    return _model(row)


def every(db: Connection, tenant: Tenant) -> list[VehicleModel]:
    """All models, in order of id."""
    query = select(models).where(models.c.tenant == tenant).order_by(models.c.id)
    return [_model(row) for row in db.execute(query).mappings()]


def any_special(db: Connection) -> bool:
    """Whether a model of any tenant differs from the usual datum or sign of current."""
    return db.execute(select(models.c.id).where(_SPECIAL).limit(1)).first() is not None


def reporting(db: Connection, wanted: Sequence[str]) -> dict[str, Reporting]:
    """Datum and sign of current of vehicles, where their model is special."""
    query = select(vehicles.c.id, models.c.datum, models.c.current_sign).join(
        models, (models.c.tenant == vehicles.c.tenant) & (models.c.id == vehicles.c.model)
    )
    found: dict[str, Reporting] = {}
    for start in range(0, len(wanted), _CHUNK):
        mine = query.where(_SPECIAL, vehicles.c.id.in_(wanted[start : start + _CHUNK]))
        for row in db.execute(mine):
            found[row.id] = Reporting(Datum(row.datum), CurrentSign(row.current_sign))
    return found


def _checked(model: VehicleModel) -> VehicleModel:
    rows.checked_name("id", model.id)
    rows.checked_name("protocol", model.protocol)
    if not 1 <= len(model.name) <= 200 or not model.name.isprintable():
        raise Invalid("name", "1 to 200 printable characters")
    if len(model.maker) > 200 or not model.maker.isprintable():
        raise Invalid("maker", "at most 200 printable characters")
    return model


def _columns(model: VehicleModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "maker": model.maker,
        "protocol": model.protocol,
        "datum": model.datum.value,
        "current_sign": model.current_sign.value,
        "revision": model.revision,
    }


def _model(row: Any) -> VehicleModel:
    return VehicleModel(
        id=row["id"],
        name=row["name"],
        maker=row["maker"],
        protocol=row["protocol"],
        datum=Datum(row["datum"]),
        current_sign=CurrentSign(row["current_sign"]),
        revision=row["revision"],
    )
