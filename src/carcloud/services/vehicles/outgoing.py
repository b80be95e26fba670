"""Messages that wait for vehicles, until they have them: the queue and the retained documents.

Those who have something for a vehicle put it here and announce it; the gateway that has the
vehicle's connection brings it down, in order, and takes away what the vehicle has acknowledged.
Calls block briefly. What is sent, retained and withdrawn is in the audit; deliveries are not, and
of commands and desired states the audit has the change itself.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, select

from carcloud.model.ids import Tenant
from carcloud.model.streams import down_subject
from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.tenancy.api import AuditEntry, record_changes
from carcloud.services.vehicles.lookup import Waits, Wanted, look_in, message_of
from carcloud.services.vehicles.putting import (
    Draft,
    OutgoingMessage,
    put_many_in,
    retaining,
)
from carcloud.services.vehicles.store import messages, metadata

_CHUNK: Final = 500  # vehicles in one SELECT
_NAMES: Final = 5_000  # of at most 40 bytes in one announcement: the stream takes 1 MB


class Outgoing:
    """The service of messages for vehicles; `now` is a clock in us since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int] = now_us) -> None:
        self._records = records
        self._now = now
        records.create(metadata)

    def send(
        self,
        tenant: Tenant,
        vehicle: str,
        topic: str,
        payload: bytes,
        *,
        actor: str,
        qos: int = 2,
        expires: int | None = None,
    ) -> OutgoingMessage:
        """Queue a message; raises `Unknown`, `Invalid`, `OverLimit`. Then `announce` it."""
        with self._records.transaction() as db:
            draft = Draft(topic, payload, qos=qos, expires=expires)
            return _put(db, tenant, vehicle, draft, actor=actor, now=self._now())

    def retain(
        self, tenant: Tenant, vehicle: str, topic: str, payload: bytes, *, actor: str
    ) -> OutgoingMessage:
        """Put a message in the place of the one that is retained on this topic; raises as `send`.

        An empty payload removes it, and tells the vehicle so once, as MQTT does.
        """
        with self._records.transaction() as db:
            return retain_in(db, tenant, vehicle, topic, payload, actor=actor, now=self._now())

    def withdraw(self, tenant: Tenant, vehicle: str, message: int, *, actor: str) -> bool:
        """Take back what the vehicle does not have yet; False if it is not there any more.

        Then `announce` it: a gateway that was about to send it drops it.
        """
        with self._records.transaction() as db:
            return withdraw_in(db, tenant, vehicle, message, actor=actor)

    def waiting(self, tenant: Tenant, vehicle: str) -> list[OutgoingMessage]:
        """All that is kept for the vehicle, oldest first."""
        with self._records.reading() as db:
            return waiting_in(db, tenant, vehicle)

    def look(self, wanting: Sequence[Wanted]) -> list[Waits]:
        """What waits for each."""
        with self._records.reading() as db:
            return look_in(db, wanting, self._now())

    def delivered(self, had: Iterable[tuple[Tenant, str, int]]) -> None:
        """These are with their vehicles (tenant, vehicle, id), or can never be."""
        gone = [
            {"whose": tenant, "of": vehicle, "number": number} for tenant, vehicle, number in had
        ]
        if gone:
            whose = messages.c.tenant == bindparam("whose")
            one = (messages.c.vehicle == bindparam("of")) & (messages.c.id == bindparam("number"))
            with self._records.transaction() as db:
                db.execute(delete(messages).where(whose & one), gone)

    def changed_since(self, since: int, among: Sequence[str]) -> list[str]:
        """Those of these vehicles for which something was put since (us)."""
        found: list[str] = []
        with self._records.reading() as db:
            new = select(messages.c.vehicle).distinct().where(messages.c.created >= since)
            for start in range(0, len(among), _CHUNK):
                chunk = new.where(messages.c.vehicle.in_(among[start : start + _CHUNK]))
                found += [str(vehicle) for (vehicle,) in db.execute(chunk)]
        return found

    def forget_expired(self) -> int:
        """Remove messages whose time is over; returns how many."""
        with self._records.transaction() as db:
            return db.execute(delete(messages).where(messages.c.expires <= self._now())).rowcount

    def note_attempts(self, attempts: Iterable[AuditEntry]) -> None:
        """Put what vehicles tried and may not into the audit."""
        with self._records.transaction() as db:
            record_changes(db, list(attempts))


def retain_in(
    db: Connection,
    tenant: Tenant,
    vehicle: str,
    topic: str,
    payload: bytes,
    *,
    actor: str,
    now: int,
) -> OutgoingMessage:
    """`Outgoing.retain` inside a transaction of the caller's."""
    return _put(db, tenant, vehicle, retaining(topic, payload), actor=actor, now=now)


def waiting_in(db: Connection, tenant: Tenant, vehicle: str) -> list[OutgoingMessage]:
    """`Outgoing.waiting` inside a transaction of the caller's."""
    query = select(messages).where(_of(tenant, vehicle)).order_by(messages.c.id)
    return [message_of(row) for row in db.execute(query).mappings()]


def withdraw_in(db: Connection, tenant: Tenant, vehicle: str, message: int, *, actor: str) -> bool:
    """`Outgoing.withdraw` inside a transaction of the caller's."""
    one = _of(tenant, vehicle) & (messages.c.id == message)
    if not db.execute(delete(messages).where(one)).rowcount:
        return False
    entry = AuditEntry(tenant, actor, "vehicle.message.withdraw", vehicle, {"id": message}, None)
    record_changes(db, [entry])
    return True


def put_again(
    db: Connection, tenant: Tenant, vehicle: str, topic: str, *, actor: str, now: int
) -> bool:
    """Have what is retained on a topic delivered once more, though the vehicle acknowledged it;
    False where nothing is. Raises as `Outgoing.send`."""
    mine = _of(tenant, vehicle) & messages.c.retained & (messages.c.topic == topic)
    kept = db.execute(select(messages.c.payload).where(mine)).scalar()
    if kept is None:
        return False
    retain_in(db, tenant, vehicle, topic, bytes(kept), actor=actor, now=now)
    return True


async def announce(stream: Stream, tenant: Tenant, vehicles: Iterable[str]) -> None:
    """Tell the gateways that something was put or withdrawn for these vehicles; they find it later
    anyway."""
    names = sorted(set(vehicles))
    for start in range(0, len(names), _NAMES):
        part = json.dumps(names[start : start + _NAMES]).encode()
        await stream.broadcast(down_subject(tenant), part)


def _put(
    db: Connection, tenant: Tenant, vehicle: str, draft: Draft, *, actor: str, now: int
) -> OutgoingMessage:
    done = put_many_in(db, tenant, {vehicle: [draft]}, now=now)
    if vehicle in done.refused:
        raise done.refused[vehicle]
    (message,) = done.put
    told = {"id": message.id, "topic": message.topic, "bytes": len(message.payload)}
    record_changes(db, [AuditEntry(tenant, actor, "vehicle.message.put", vehicle, None, told)])
    return message


def _of(tenant: Tenant, vehicle: str) -> ColumnElement[bool]:
    return (messages.c.tenant == tenant) & (messages.c.vehicle == vehicle)
