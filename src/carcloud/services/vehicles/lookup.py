"""What waits for vehicles, looked up for many of them at once: when thousands connect in the same
second, the statements must not be as many as they are."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select, tuple_

from carcloud.codecs.mqtt.topics import matches
from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.vehicles.putting import OutgoingMessage
from carcloud.services.vehicles.store import messages

_MOST: Final = 64  # messages of a vehicle in one answer, and their bytes:
_MOST_BYTES: Final = 256 * 1024
_ALL_BYTES: Final = 4 * 1024 * 1024  # of all vehicles asked for at once, and their messages:
_ALL: Final = 4_096
_HEADS: Final = 200  # of a vehicle that are looked at first; few have more
_CHUNK: Final = 500  # vehicles or messages in one SELECT
_NONE: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a gateway asks for: messages on topics that a filter covers, besides those it knows.

    `held`: those that it has and is about to send, to be told which are not wanted any more.
    """

    tenant: Tenant
    vehicle: str
    filters: tuple[str, ...]
    known: frozenset[int]
    held: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Waits:
    """The oldest messages, in order, whether there are more, and which of those held are gone.

    There may be more without a message, where others that were asked for with it took the room.
    """

    messages: Sequence[OutgoingMessage]
    more: bool
    gone: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Head:
    """A message without what it says."""

    id: int
    topic: str
    bytes: int
    expires: int | None


@dataclass(slots=True)
class _Choice:
    """What a gateway is told of one vehicle."""

    ids: list[int] = field(default_factory=list)
    bytes: int = 0
    more: bool = False
    gone: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Room:
    """What is left of one answer. A message larger than it goes alone."""

    messages: int = _ALL
    bytes: int = _ALL_BYTES

    def has(self, choice: _Choice, head: _Head) -> bool:
        """Whether the message goes in behind those chosen."""
        if self.messages == _ALL and not choice.ids:
            return True
        size = choice.bytes + head.bytes
        count = len(choice.ids)
        return (
            count < min(_MOST, self.messages)
            and size <= self.bytes
            and (size <= _MOST_BYTES or not count)
        )

    def take(self, choice: _Choice) -> None:
        """It is told."""
        self.messages -= len(choice.ids)
        self.bytes -= choice.bytes


def look_in(db: Connection, wanting: Sequence[Wanted], now: int) -> list[Waits]:
    """What waits for each. First which, then what they say: what is known is not read again."""
    heads = _heads(db, {one.vehicle for one in wanting}, _HEADS)
    room, choices = _Room(), []
    for one in wanting:
        key = one.tenant, one.vehicle
        mine: Sequence[_Head] = heads.get(key, ())
        choice = _choose(one, mine, room, now)
        if len(mine) == _HEADS and (
            (one.filters and not choice.more) or max(one.held, default=0) > mine[-1].id
        ):
            mine = _heads(db, {one.vehicle}, None)[key]
            choice = _choose(one, mine, room, now)
        room.take(choice)
        choices.append(choice)
    pairs = {
        (one.vehicle, number)
        for one, choice in zip(wanting, choices, strict=True)
        for number in choice.ids
    }
    said = _said(db, pairs)
    return [
        Waits(tuple(said[one.vehicle, n] for n in choice.ids), choice.more, choice.gone)
        for one, choice in zip(wanting, choices, strict=True)
    ]


def _heads(
    db: Connection, vehicles: Collection[str], most: int | None
) -> dict[tuple[str, str], list[_Head]]:
    """By tenant and vehicle, oldest first; `most` of each vehicle, None = all."""
    found: dict[tuple[str, str], list[_Head]] = defaultdict(list)
    names = sorted(vehicles)
    for start in range(0, len(names), _CHUNK):
        query = _oldest(names[start : start + _CHUNK], most)
        for tenant, vehicle, number, topic, size, expires in db.execute(query):
            found[tenant, vehicle].append(_Head(number, topic, size, expires))
    return found


def _oldest(vehicles: Sequence[str], most: int | None) -> Select[Any]:
    number, size = messages.c.id, func.length(messages.c.payload).label("bytes")
    columns = (
        messages.c.tenant, messages.c.vehicle, number, messages.c.topic, size, messages.c.expires,
    )  # fmt: skip
    query = select(*columns).where(messages.c.vehicle.in_(vehicles))
    if most is None or len(vehicles) == 1:
        return query.order_by(messages.c.vehicle, number).limit(most)
    place = func.row_number().over(partition_by=messages.c.vehicle, order_by=number)
    placed = query.add_columns(place.label("place")).subquery()
    kept = select(*[placed.c[column.name] for column in columns]).where(placed.c.place <= most)
    return kept.order_by(placed.c.vehicle, placed.c.id)


def _choose(wanted: Wanted, heads: Sequence[_Head], room: _Room, now: int) -> _Choice:
    choice = _Choice(gone=wanted.held - {head.id for head in heads} if wanted.held else _NONE)
    if not wanted.filters:
        return choice
    for head in heads:
        if head.id in wanted.known or (head.expires is not None and head.expires <= now):
            continue
        if not any(matches(one, head.topic) for one in wanted.filters):
            continue
        if not room.has(choice, head):
            choice.more = True
            break
        choice.ids.append(head.id)
        choice.bytes += head.bytes
    return choice


def _said(
    db: Connection, pairs: Collection[tuple[str, int]]
) -> dict[tuple[str, int], OutgoingMessage]:
    """The messages of these vehicles and numbers."""
    found: dict[tuple[str, int], OutgoingMessage] = {}
    wanted, pair = sorted(pairs), tuple_(messages.c.vehicle, messages.c.id)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        # SQLite finds pairs alone by reading the whole table.
        mine = messages.c.vehicle.in_(sorted({vehicle for vehicle, _ in some}))
        for row in db.execute(select(messages).where(mine & pair.in_(some))).mappings():
            message = message_of(row)
            found[message.vehicle, message.id] = message
    return found


def message_of(row: Mapping[Any, Any]) -> OutgoingMessage:
    """A row of the table as what it is."""
    return OutgoingMessage(
        VehicleId(row["vehicle"]), row["id"], row["topic"], bytes(row["payload"]), row["qos"],
        bool(row["retained"]), row["expires"], row["created"],
    )  # fmt: skip
