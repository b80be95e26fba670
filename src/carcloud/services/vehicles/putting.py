"""Putting messages for vehicles inside a transaction, for many vehicles in few statements.

The caller writes the audit: who puts one message tells of it, who puts thousands tells how many.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from carcloud.codecs.mqtt.topics import check_topic, is_down
from carcloud.model.ids import Tenant, VehicleId
from carcloud.model.limits import OverLimit, check
from carcloud.services.tenancy.api import limit_in
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.errors import Invalid, Unknown
from carcloud.services.vehicles.store import messages, vehicles

LIMIT: Final = "vehicle_message_bytes"
_OVERHEAD: Final = 100  # bytes that a message counts besides its own
_SIZE: Final = func.length(messages.c.payload) + func.length(messages.c.topic) + _OVERHEAD

PutError = Unknown | Invalid | OverLimit


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message for a vehicle. Times are us since 1970, UTC; `id` grows with each of a vehicle;
    `qos` is the most it is sent at: the vehicle's subscription may ask for less."""

    vehicle: VehicleId
    id: int
    topic: str
    payload: bytes
    qos: int
    retained: bool  # it stays after delivery, until another takes its place
    expires: int | None  # after this it must not reach the vehicle
    created: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that shall be put; `replaces`: in the place of what is retained on its topic."""

    topic: str
    payload: bytes
    qos: int = 2
    retained: bool = False
    expires: int | None = None
    replaces: bool = False

    @property
    def size(self) -> int:
        """Bytes that it counts."""
        return len(self.payload) + len(self.topic) + _OVERHEAD


def retaining(topic: str, payload: bytes) -> Draft:
    """What retains a payload on a topic; an empty one removes what is there, and tells the
    vehicle so once, as MQTT does."""
    return Draft(topic, payload, retained=bool(payload), replaces=True)


@dataclass(frozen=True, slots=True)
class Done:
    """What was put, and the vehicles that got nothing, with why."""

    put: list[OutgoingMessage] = field(default_factory=list)
    refused: dict[str, PutError] = field(default_factory=dict)


def put_many_in(
    db: Connection, tenant: Tenant, wanted: Mapping[str, Sequence[Draft]], *, now: int
) -> Done:
    """Put the messages of each vehicle, in their order: all of a vehicle's or none.

    Vehicles stay locked until the transaction ends. The number of statements does not grow with
    that of vehicles; of them and of their messages together, a few thousand can be given.
    """
    done = Done()
    there = _locked(db, tenant, wanted)
    kept = _kept(db, tenant, there)
    old = _replaced(db, tenant, there, wanted)
    limit = limit_in(db, tenant, LIMIT)
    gone: list[tuple[str, int]] = []
    for vehicle, drafts in wanted.items():
        last, used = kept.get(vehicle, (0, 0))
        mine = old.get(vehicle, [])
        try:
            if vehicle not in there:
                raise Unknown(f"there is no vehicle {vehicle!r}")
            _check(vehicle, drafts)
            freed = sum(size for _, size in mine)
            check(LIMIT, limit, used - freed, sum(each.size for each in drafts))
        except (Unknown, Invalid, OverLimit) as error:
            done.refused[vehicle] = error
            continue
        gone += [(vehicle, number) for number, _ in mine]
        first = max(now, last + 1)
        done.put.extend(
            OutgoingMessage(
                VehicleId(vehicle), number, each.topic, each.payload, each.qos, each.retained,
                each.expires, now,
            )
            for number, each in enumerate(drafts, first)
        )  # fmt: skip
    _write(db, tenant, gone, done.put)
    return done


def _locked(db: Connection, tenant: Tenant, wanted: Iterable[str]) -> frozenset[str]:
    """Those that there are. One at a time puts messages of a vehicle, so that their numbers and
    sizes are right; all take their locks in one order. What only refers to a vehicle, as its login
    does, does not wait for them."""
    asked = [vehicle for vehicle in wanted if rows.storable(vehicle)]
    mine = (vehicles.c.tenant == tenant) & vehicles.c.id.in_(asked)
    query = select(vehicles.c.id).where(mine).order_by(vehicles.c.id)
    return frozenset(db.execute(query.with_for_update(key_share=True)).scalars())


def _kept(db: Connection, tenant: Tenant, there: Collection[str]) -> dict[str, tuple[int, int]]:
    """(highest number, bytes) of what is kept, by vehicle."""
    query = select(messages.c.vehicle, func.max(messages.c.id), func.sum(_SIZE))
    mine = (messages.c.tenant == tenant) & messages.c.vehicle.in_(there)
    found = db.execute(query.where(mine).group_by(messages.c.vehicle))
    return {vehicle: (int(last), int(used)) for vehicle, last, used in found}


def _replaced(
    db: Connection,
    tenant: Tenant,
    there: Collection[str],
    wanted: Mapping[str, Sequence[Draft]],
) -> dict[str, list[tuple[int, int]]]:
    """(number, bytes) of what is retained on topics that get another, by vehicle."""
    topics = {each.topic for vehicle in there for each in wanted[vehicle] if each.replaces}
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    if topics:
        mine = (messages.c.tenant == tenant) & messages.c.vehicle.in_(there) & messages.c.retained
        query = select(messages.c.vehicle, messages.c.id, _SIZE)
        for vehicle, number, size in db.execute(query.where(mine & messages.c.topic.in_(topics))):
            found[vehicle].append((number, size))
    return found


def _check(vehicle: str, drafts: Iterable[Draft]) -> None:
    for each in drafts:
        try:
            check_topic(each.topic)
        except ValueError as error:
            raise Invalid("topic", str(error)) from error
        if not is_down(vehicle, each.topic):
            raise Invalid("topic", "not one on which this vehicle is told anything")
        if each.qos not in (0, 1, 2):
            raise Invalid("qos", "0, 1 or 2")


def _write(
    db: Connection,
    tenant: Tenant,
    gone: Sequence[tuple[str, int]],
    put: Sequence[OutgoingMessage],
) -> None:
    if gone:
        one = (messages.c.vehicle == bindparam("of")) & (messages.c.id == bindparam("number"))
        db.execute(delete(messages).where(one), [{"of": of, "number": n} for of, n in gone])
    if put:
        db.execute(insert(messages), [{"tenant": tenant, **_columns(each)} for each in put])


def _columns(message: OutgoingMessage) -> dict[str, object]:
    return {
        "vehicle": message.vehicle,
        "id": message.id,
        "topic": message.topic,
        "payload": message.payload,
        "qos": message.qos,
        "retained": message.retained,
        "expires": message.expires,
        "created": message.created,
    }
