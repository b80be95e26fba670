"""Desired and reported state of vehicles, as a device shadow has them.

Both are JSON objects. A change is a merge patch (RFC 7396). The delta is what of the desired
state the vehicle does not report so; what it reports beyond the desired state is its own affair.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from carcloud.codecs.mqtt.topics import prefix
from carcloud.model.ids import Tenant
from carcloud.services.commands.errors import InvalidCommand, StateChanged
from carcloud.services.commands.store import vehicle_states
from carcloud.services.commands.types import VehicleState
from carcloud.services.vehicles.api import put_many_in, retaining

MOST = 32_000  # characters of one state as JSON
_DEPTH = 8


def get(db: Connection, tenant: Tenant, vehicle: str) -> VehicleState:
    """The state of a vehicle; empty where nothing was desired or reported yet."""
    row = db.execute(select(vehicle_states).where(_is(tenant, vehicle))).mappings().first()
    if row is None:
        return VehicleState(vehicle, {}, {}, None, 0, 0, None, None)
    desired, reported = json.loads(row["desired"]), json.loads(row["reported"])
    return VehicleState(
        vehicle,
        desired,
        reported,
        delta(desired, reported),
        row["desired_version"],
        row["reported_version"],
        row["desired_us"],
        row["reported_us"],
    )


def desire(
    db: Connection,
    tenant: Tenant,
    vehicle: str,
    patch: Mapping[str, Any],
    now: int,
    if_version: int | None,
) -> VehicleState:
    """Change the desired state; raises `StateChanged`, `InvalidCommand`."""
    old = get(db, tenant, vehicle)
    if if_version is not None and old.desired_version != if_version:
        raise StateChanged(f"the desired state is at version {old.desired_version} now")
    check_depth("desired", patch)
    text = _checked("desired", merged(old.desired, patch))
    values = {"desired": text, "desired_version": old.desired_version + 1, "desired_us": now}
    same = vehicle_states.c.desired_version == old.desired_version
    if not _kept(db, tenant, vehicle, values, old, same):
        raise StateChanged("the desired state was changed at the same time")
    return get(db, tenant, vehicle)


def report(
    db: Connection, tenant: Tenant, vehicle: str, patch: Mapping[str, Any], now: int
) -> VehicleState:
    """Take what a vehicle reports; raises `InvalidCommand`, `StateChanged` to be tried again."""
    old = get(db, tenant, vehicle)
    check_depth("reported", patch)
    text = _checked("reported", merged(old.reported, patch))
    values = {"reported": text, "reported_version": old.reported_version + 1, "reported_us": now}
    same = vehicle_states.c.reported_version == old.reported_version
    if not _kept(db, tenant, vehicle, values, old, same):
        raise StateChanged("the reported state was changed at the same time")
    return get(db, tenant, vehicle)


def tell(db: Connection, tenant: Tenant, state: VehicleState, now: int, *, desired: bool) -> None:
    """Put the delta, and before it the `desired` state, where the messages of the vehicle wait.

    Raises the errors of `Outgoing.retain`. What changes the desired state is in the audit already.
    """
    topics = {"desired": state.desired or None} if desired else {}
    drafts = []
    for name, content in {**topics, "delta": state.delta}.items():
        payload = b""
        if content is not None:
            told = {"version": state.desired_version, "state": content}
            payload = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        drafts.append(retaining(f"{prefix(state.vehicle)}state/{name}", payload))
    done = put_many_in(db, tenant, {state.vehicle: drafts}, now=now)
    if state.vehicle in done.refused:
        raise done.refused[state.vehicle]


def merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch applied (RFC 7396)."""
    new = dict(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            under = new.get(name)
            new[name] = merged(under if isinstance(under, dict) else {}, value)
        else:
            new[name] = value
    return new


def delta(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> dict[str, Any] | None:
    """What of `desired` is not reported so; None where all is."""
    found: dict[str, Any] = {}
    for name, value in desired.items():
        told = reported.get(name)
        if isinstance(value, dict) and isinstance(told, dict):
            under = delta(value, told)
            if under is not None:
                found[name] = under
        elif not _same(value, told) or name not in reported:
            found[name] = value
    return found or None


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _kept(
    db: Connection,
    tenant: Tenant,
    vehicle: str,
    values: dict[str, Any],
    old: VehicleState,
    same: Any,
) -> bool:
    changed = db.execute(update(vehicle_states).where(_is(tenant, vehicle) & same).values(**values))
    if changed.rowcount == 1:
        return True
    if old.desired_version or old.reported_version:
        return False
    nothing = {"desired": "{}", "reported": "{}", "desired_version": 0, "reported_version": 0}
    row = {**nothing, **values}
    db.execute(insert(vehicle_states).values(tenant=tenant, vehicle=vehicle, **row))
    return True


def _checked(field: str, state: Mapping[str, Any]) -> str:
    text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    if len(text) > MOST:
        raise InvalidCommand(field, f"at most {MOST} characters as JSON")
    if "\\u0000" in text:
        raise InvalidCommand(field, "holds a NUL character")
    return text


def check_depth(field: str, patch: Mapping[str, Any]) -> None:
    """Level by level, since a patch may be nested deeper than the interpreter can go.

    A merge nests no deeper than what it merges.
    """
    level: list[Any] = [patch]
    for _ in range(_DEPTH + 1):
        parents = [one for one in level if isinstance(one, dict | list)]
        if not parents:
            return
        level = [one for each in parents for one in _under(each)]
    raise InvalidCommand(field, f"objects may be nested {_DEPTH} deep")


def _under(parent: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return parent.values() if isinstance(parent, dict) else parent


def _is(tenant: Tenant, vehicle: str) -> Any:
    return (vehicle_states.c.tenant == tenant) & (vehicle_states.c.vehicle == vehicle)
