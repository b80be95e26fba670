"""Finding vehicles: filters, keyset pages, opaque cursors."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select, true

from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.tenancy.api import MAIN, Scope
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.errors import Invalid
from carcloud.services.vehicles.store import credentials, labels, logins, vehicles
from carcloud.services.vehicles.types import Filter, Lifecycle, Reachable, Sort, VehiclePage

MAX_LIMIT = 500


def find(
    db: Connection, tenant: Tenant, what: Filter, *, sort: Sort, cursor: str | None, limit: int
) -> VehiclePage:
    """One page of matching vehicles; raises `Invalid` for a cursor that is not ours."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid("limit", f"1 to {MAX_LIMIT}")
    query = select(vehicles.c.id, vehicles.c.updated).where(*conditions(db, tenant, what))
    if cursor is not None:
        query = query.where(_after(sort, _opened(sort, cursor)))
    keys = db.execute(query.order_by(*_order(sort)).limit(limit + 1)).all()
    found = by_id(db, tenant, [key.id for key in keys[:limit]])
    items = [found[key.id] for key in keys[:limit]]
    more = len(keys) > limit
    return VehiclePage(items, _cursor(sort, keys[limit - 1]) if more else None)


def by_id(db: Connection, tenant: Tenant, wanted: list[str]) -> dict[str, Any]:
    """Vehicles of the tenant by id; those that do not exist are left out."""
    mine = (vehicles.c.tenant == tenant) & vehicles.c.id.in_(filter(rows.storable, wanted))
    found = db.execute(select(vehicles).where(mine)).mappings()
    return {row["id"]: rows.vehicle(row) for row in found}


def matching_ids(db: Connection, tenant: Tenant, what: Filter) -> list[VehicleId]:
    """All matching ids, in order."""
    query = select(vehicles.c.id).where(*conditions(db, tenant, what)).order_by(vehicles.c.id)
    return [VehicleId(found) for found in db.execute(query).scalars()]


def models_by_vehicle(db: Connection, tenant: Tenant, what: Filter) -> dict[str, str | None]:
    """The model of all matching vehicles."""
    query = select(vehicles.c.id, vehicles.c.model).where(*conditions(db, tenant, what))
    return {row.id: row.model for row in db.execute(query)}


def models_of(db: Connection, tenant: Tenant, wanted: Sequence[str]) -> dict[str, str]:
    """The model of those of these vehicles that have one."""
    mine = (vehicles.c.tenant == tenant) & vehicles.c.id.in_(filter(rows.storable, wanted))
    query = select(vehicles.c.id, vehicles.c.model).where(mine, vehicles.c.model.is_not(None))
    return {row.id: row.model for row in db.execute(query)}


def over_mqtt(db: Connection, tenant: Tenant) -> list[Reachable]:
    """Those that are let in and speak MQTT: by the registry, by a token, or at their last login."""
    let_in = [Lifecycle.REGISTERED.value, Lifecycle.ACTIVE.value]
    query = (
        select(vehicles.c.id, vehicles.c.model, vehicles.c.labels)
        .outerjoin(logins, logins.c.vehicle == vehicles.c.id)
        .outerjoin(credentials, credentials.c.vehicle == vehicles.c.id)
        .where(vehicles.c.tenant == tenant, vehicles.c.lifecycle.in_(let_in))
        .where(
            or_(
                vehicles.c.protocol == "mqtt",
                logins.c.protocol == "mqtt",
                credentials.c.token_sha256.is_not(None),
            )
        )
        .order_by(vehicles.c.id)
    )
    return [
        Reachable(VehicleId(row.id), row.model, json.loads(row.labels)) for row in db.execute(query)
    ]


def count(db: Connection, tenant: Tenant, what: Filter) -> int:
    """How many match."""
    query: Select[Any] = select(func.count()).select_from(vehicles)
    return int(db.execute(query.where(*conditions(db, tenant, what))).scalar_one())


def conditions(db: Connection, tenant: Tenant, what: Filter) -> list[ColumnElement[bool]]:
    """What `what` says, in SQL. `search` lies in the index that gives the order."""
    found: list[ColumnElement[bool]] = [vehicles.c.tenant == tenant]
    texts = (what.q, what.model, what.label, what.protocol)
    if not all(rows.storable(text) for text in texts if text):
        return [false()]
    if what.q:
        place = func.strpos if db.dialect.name == "postgresql" else func.instr
        found.append(place(vehicles.c.search, what.q.lower()) > 0)
    if what.model is not None:
        found.append(vehicles.c.model == what.model)
    if what.lifecycle is not None:
        found.append(vehicles.c.lifecycle == what.lifecycle.value)
    if what.protocol is not None:
        found.append(vehicles.c.protocol == what.protocol)
    if what.label:
        found.append(_labelled(tenant, what.label))
    if what.within is not None:
        found.append(or_(false(), *(_inside(tenant, scope) for scope in what.within)))
    return found


def _inside(tenant: Tenant, scope: Scope) -> ColumnElement[bool]:
    """As `Scope.covers`: a vehicle's project is its label `project`, the main one without."""
    wanted = dict(scope.labels)
    if scope.project is not None:
        wanted["project"] = scope.project
    parts = [_labelled(tenant, f"{key}:{value}") for key, value in wanted.items()]
    if scope.project == MAIN:
        return or_(*parts, ~_labelled(tenant, "project"))
    return and_(true(), *parts)


def _labelled(tenant: Tenant, label: str) -> ColumnElement[bool]:
    """Few have one value, so its index leads; many have a key, so each vehicle is asked."""
    key, colon, value = label.partition(":")
    having = select(labels.c.vehicle).where(labels.c.key == key)
    if colon:
        mine = having.where(labels.c.tenant == tenant, labels.c.value == value)
        return vehicles.c.id.in_(mine)
    return having.where(labels.c.vehicle == vehicles.c.id).exists()


def _order(sort: Sort) -> list[ColumnElement[Any]]:
    if sort == "id":
        return [vehicles.c.id.asc()]
    return [vehicles.c.updated.desc(), vehicles.c.id.desc()]


def _after(sort: Sort, key: list[Any]) -> ColumnElement[bool]:
    if sort == "id":
        return and_(vehicles.c.id > key[0])
    updated, vehicle = key
    same = and_(vehicles.c.updated == updated, vehicles.c.id < vehicle)
    return or_(vehicles.c.updated < updated, same)


def _cursor(sort: Sort, key: Any) -> str:
    parts = [key.id] if sort == "id" else [key.updated, key.id]
    return base64.urlsafe_b64encode(json.dumps([sort, *parts]).encode()).decode().rstrip("=")


def _opened(sort: Sort, cursor: str) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        told = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError as error:
        raise Invalid("cursor", "not a cursor of this list") from error
    shapes: dict[Sort, list[type]] = {"id": [str, str], "updated": [str, int, str]}
    right = isinstance(told, list) and [type(part) for part in told] == shapes[sort]
    if not right or told[0] != sort or not rows.storable(told[-1]):
        raise Invalid("cursor", "not a cursor of this list and sort")
    return list(told[1:])
