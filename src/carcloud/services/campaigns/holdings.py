"""What vehicles say of the documents that they hold, and what they then get once more.

A vehicle checks in as soon as it is connected, before the retained documents have reached it. So
only what was put some time ago counts as missing; then it is put again, and nothing else.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.services.campaigns.documents import LIST, topic
from carcloud.services.campaigns.store import (
    vehicle_checkins,
    vehicle_documents,
    vehicle_holdings,
)
from carcloud.services.campaigns.types import CheckIn
from carcloud.services.vehicles.api import put_again

AGAIN_US: Final = 60_000_000  # since it was put, until it counts as missing
_MOST: Final = 2000  # documents of one check-in
_REASON, _SHORT = 300, 40
_MOST_JSON: Final = 20_000  # characters
_ACTOR: Final = "campaigns"


def take(db: Connection, tenant: Tenant, told: CheckIn, now: int) -> list[str]:
    """Keep a check-in; returns the ids of the documents that are put again."""
    _keep_check_in(db, tenant, told, now)
    said = {row["id"]: row for row in (_holding(one, told, now) for one in told.documents[:_MOST])}
    mine = (vehicle_holdings.c.tenant == tenant) & (vehicle_holdings.c.vehicle == told.vehicle)
    before = {
        row["id"]: dict(row) for row in db.execute(select(vehicle_holdings).where(mine)).mappings()
    }
    gone = [name for name in before if name not in said]
    if gone:
        db.execute(delete(vehicle_holdings).where(mine & vehicle_holdings.c.id.in_(gone)))
    fresh = []
    for name, row in said.items():
        if name not in before:
            fresh.append({"tenant": tenant, "vehicle": told.vehicle, **row})
        elif any(before[name][key] != value for key, value in row.items() if key != "told_us"):
            db.execute(update(vehicle_holdings).where(mine & (vehicle_holdings.c.id == name)), row)
    if fresh:
        db.execute(insert(vehicle_holdings), fresh)
    return _again(db, tenant, told, said, now)


def _again(
    db: Connection, tenant: Tenant, told: CheckIn, said: Mapping[str, Mapping[str, Any]], now: int
) -> list[str]:
    table = vehicle_documents.c
    mine = (table.tenant == tenant) & (table.vehicle == told.vehicle)
    old = mine & (table.put_us <= now - AGAIN_US) & (table.problem == "")
    put = {
        row["id"]: dict(row) for row in db.execute(select(vehicle_documents).where(old)).mappings()
    }
    wanted = {name for name in put if name != LIST}
    stale = [name for name in wanted if _misses(put[name], said.get(name))]
    unwanted = said.keys() - {row for row in _listed(db, mine)}
    if LIST in put and (unwanted or any(_not_listed(put[name], told) for name in stale)):
        stale.append(LIST)  # its list is not ours
    for name in sorted(stale):  # the list comes before what is in it
        put_again(db, tenant, told.vehicle, topic(told.vehicle, name), actor=_ACTOR, now=now)
    if stale:
        db.execute(update(vehicle_documents).where(mine & table.id.in_(stale)).values(put_us=now))
    return sorted(stale)


def _listed(db: Connection, mine: Any) -> list[str]:
    return list(db.execute(select(vehicle_documents.c.id).where(mine)).scalars())


def _misses(put: Mapping[str, Any], said: Mapping[str, Any] | None) -> bool:
    """Whether a vehicle has not got a document as it was put; one that it refuses it has got."""
    return said is None or (said["version"], said["sha256"]) != (put["version"], put["sha256"])


def _not_listed(put: Mapping[str, Any], told: CheckIn) -> bool:
    """Whether the vehicle does not even know that it should hold a document."""
    return put["id"] not in told.missing


def _holding(one: Mapping[str, Any], told: CheckIn, now: int) -> dict[str, Any]:
    name, version = _text(one.get("id"), 110), one.get("version")
    counters = told.counters.get(name) if one.get("kind") == "campaign" else None
    return {
        "id": name,
        "kind": _text(one.get("kind"), 10),
        "version": version if isinstance(version, int) and 0 <= version < 2**31 else 0,
        "sha256": _text(one.get("hash"), 64),
        "result": _text(one.get("result"), 12),
        "reason": _text(one.get("reason"), _REASON),
        "counters": _json(counters if isinstance(counters, Mapping) else {}),
        "told_us": now,
    }


def _keep_check_in(db: Connection, tenant: Tenant, told: CheckIn, now: int) -> None:
    values = {
        "agent": _text(told.agent, _SHORT), "figures": _json(told.figures), "told_us": now
    }  # fmt: skip
    table = vehicle_checkins.c
    mine = (table.tenant == tenant) & (table.vehicle == told.vehicle)
    if db.execute(update(vehicle_checkins).where(mine).values(**values)).rowcount == 0:
        row = {"tenant": tenant, "vehicle": told.vehicle, **values}
        db.execute(insert(vehicle_checkins).values(**row))


def _text(value: object, most: int) -> str:
    return str("" if value is None else value).replace("\0", "\ufffd")[:most]


def _json(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("\\u0000", "\ufffd")
    return text if len(text) <= _MOST_JSON else "{}"
