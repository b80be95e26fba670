"""Commands to vehicles and their desired state. Calls block briefly.

A command is kept before anybody sends it. Gateways take what waits for the vehicles connected to
them (`waiting`), and tell what becomes of it (`report`). Whoever wants to know at once listens to
the events; nothing is lost where nobody does.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.limits import check as check_limit
from carcloud.model.streams import event_subject, wake_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.commands import progress, queueing, states
from carcloud.services.commands.errors import (
    Ended,
    InvalidCommand,
    KeyTaken,
    NotParked,
    StateChanged,
    UnknownCommand,
)
from carcloud.services.commands.kinds import (
    CONTROL,
    GBT32960,
    JT808,
    KINDS,
    MQTT,
    SEND,
    Argument,
    Kind,
    check_arguments,
    kind_of,
)
from carcloud.services.commands.parked import check_parked
from carcloud.services.commands.rows import command_of, event_of, find, new_id, waiting_of
from carcloud.services.commands.secrecy import digest, sealed, shown, without_secrets
from carcloud.services.commands.store import commands, metadata
from carcloud.services.commands.types import (
    ENDED,
    OPEN,
    Command,
    CommandPage,
    NewCommand,
    Report,
    State,
    VehicleState,
    Waiting,
)
from carcloud.services.tenancy.api import AuditEntry, Seal, limit_in, record_changes
from carcloud.services.vehicles.api import announce

if TYPE_CHECKING:
    from carcloud.services.telemetry.api import VehicleTwin

__all__ = [
    "CONTROL",
    "ENDED",
    "GBT32960",
    "JT808",
    "KINDS",
    "OPEN",
    "SEND",
    "SERVICE",
    "Argument",
    "Check",
    "Command",
    "CommandPage",
    "Commands",
    "Ended",
    "InvalidCommand",
    "KeyTaken",
    "Kind",
    "NewCommand",
    "NotParked",
    "Report",
    "State",
    "StateChanged",
    "UnknownCommand",
    "VehicleState",
    "Waiting",
    "kind_of",
    "metadata",
    "without_secrets",
]  # fmt: skip

Check = Callable[[str, Mapping[str, Any], str | None], None]
"""Whether a protocol can carry a command: its name, its arguments, the protocol's edition where it
is known. Raises `InvalidCommand`."""

SERVICE = "commands"
_CHUNK = 500  # vehicles in one SELECT
_MOST_TIMEOUT_S = 30 * 86_400.0
_MOST_ARGUMENTS = 64_000  # bytes of JSON
_TRIES = 5


class Commands:
    """The service. `parked_s`: how old what is known of a vehicle's speed may be, s. `secret`:
    32 bytes that seal passwords on their way to vehicles. `checks`: what protocols can carry."""

    def __init__(
        self,
        records: Records,
        stream: Stream | None = None,
        *,
        parked_s: float = 60.0,
        secret: bytes | None = None,
        checks: Mapping[str, Check] | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        records.create(metadata)
        self._seal = Seal(secret)
        self._secret = secret or b""
        self._records = records
        self._stream = stream
        self._parked_s = parked_s
        self._checks = checks or {}
        self._now = now

    async def wake(self) -> None:
        """Tell the gateways that there is a command to send; they look by themselves too."""
        if self._stream is not None:
            with contextlib.suppress(EngineError):
                await self._stream.broadcast(wake_subject(SERVICE), b"")

    async def announce(self, tenant: Tenant, vehicle: str) -> None:
        """Tell the gateways that a vehicle's desired state has changed or that a command of its
        was cancelled; they look too."""
        if self._stream is not None:
            with contextlib.suppress(EngineError):
                await announce(self._stream, tenant, [vehicle])

    # commands

    def give(
        self,
        tenant: Tenant,
        vehicle: str,
        new: NewCommand,
        *,
        actor: str,
        protocol: str | None = None,
        edition: str | None = None,
        twin: "VehicleTwin | None" = None,
    ) -> Command:
        """Keep a command for a vehicle of the tenant, to be sent as soon as it is connected.

        `protocol` and `edition`: what the vehicle is known to speak; `twin`: what is known of it,
        for commands that need it parked. Raises `InvalidCommand`, `NotParked`, `KeyTaken`,
        `OverLimit`, `NoSecret`.
        """
        kind = self._checked(new, protocol)
        if protocol is not None and protocol in self._checks:
            self._checks[protocol](new.name, new.arguments, edition)
        same = self._with_key(tenant, vehicle, new)
        if same is not None:
            return same
        if kind.parked:
            if twin is None:
                raise NotParked("the vehicle has not reported its speed")
            check_parked(twin, self._now(), self._parked_s)
            if new.timeout_s > self._parked_s:
                detail = f"at most {self._parked_s:g} for a command that needs the vehicle parked"
                raise InvalidCommand("timeout_s", detail)
        values = self._row_of(tenant, vehicle, new, actor)
        try:
            with self._records.transaction() as db:
                _check_room(db, tenant)
                db.execute(insert(commands).values(**values))
                entry = AuditEntry(tenant, actor, "command.give", vehicle, None, _given(new))
                record_changes(db, [entry])
                return find(db, tenant, str(values["id"]))
        except Conflict:
            same = self._with_key(tenant, vehicle, new)  # the same request at the same time
            if same is None:
                raise
            return same

    def give_all(
        self, tenant: Tenant, vehicles: Sequence[str], new: NewCommand, *, actor: str
    ) -> int:
        """Keep a command for each of many vehicles that speak MQTT, all or none; returns how many.

        `key` does not count, and nothing that needs the vehicle parked can be given so. Raises
        `InvalidCommand`, `NotParked`, `OverLimit`, `NoSecret`.
        """
        kind = self._checked(new, MQTT)
        if kind.parked:
            raise NotParked("a command that needs the vehicle parked is given to one at a time")
        rows = [self._row_of(tenant, vehicle, new, actor) for vehicle in vehicles]
        told = _given(new)
        entries = [
            AuditEntry(tenant, actor, "command.give", vehicle, None, told) for vehicle in vehicles
        ]
        with self._records.transaction() as db:
            _check_room(db, tenant, len(rows))
            if rows:
                db.execute(insert(commands), [{**row, "key": None} for row in rows])
            record_changes(db, entries)
        return len(rows)

    def _checked(self, new: NewCommand, protocol: str | None) -> Kind:
        kind = kind_of(new.name)
        states.check_depth("arguments", new.arguments)
        check_arguments(kind, new.arguments)
        encoded = msgspec.json.encode(new.arguments)
        if len(encoded) > _MOST_ARGUMENTS:
            raise InvalidCommand("arguments", f"at most {_MOST_ARGUMENTS} bytes as JSON")
        if b"\\u0000" in encoded:
            raise InvalidCommand("arguments", "hold a NUL character")
        if not 1 <= new.timeout_s <= _MOST_TIMEOUT_S:
            raise InvalidCommand("timeout_s", f"must be 1 to {_MOST_TIMEOUT_S:.0f}")
        if new.key is not None and not (1 <= len(new.key) <= 100 and new.key.isprintable()):
            raise InvalidCommand("key", "1 to 100 printable characters")
        if protocol is not None and protocol not in kind.protocols:
            carried = ", ".join(kind.protocols)
            raise InvalidCommand("name", f"{new.name} goes over {carried}, not over {protocol}")
        return kind

    def _row_of(self, tenant: Tenant, vehicle: str, new: NewCommand, actor: str) -> dict[str, Any]:
        now = self._now()
        ident, told = new_id(now), shown(new.name, new.arguments)
        return {
            "id": ident,
            "tenant": tenant,
            "vehicle": vehicle,
            "name": new.name,
            "arguments": msgspec.json.encode(told).decode(),
            **self._kept_secrets(ident, new.arguments, hidden=told != new.arguments),
            "state": State.CREATED.value,
            "reason": "",
            "actor": actor,
            "key": new.key,
            "created_us": now,
            "expires_us": now + int(new.timeout_s * 1e6),
        }

    def _kept_secrets(
        self, command: str, arguments: dict[str, Any], *, hidden: bool
    ) -> dict[str, Any]:
        if not hidden:
            return {"sealed": None, "digest": None}
        return {
            "sealed": sealed(self._seal, command, arguments),
            "digest": digest(self._secret, arguments),
        }

    def _with_key(self, tenant: Tenant, vehicle: str, new: NewCommand) -> Command | None:
        if new.key is None:
            return None
        mine = (commands.c.tenant == tenant) & (commands.c.key == new.key)
        with self._records.reading() as db:
            row = db.execute(select(commands).where(mine)).mappings().first()
        if row is None:
            return None
        found = command_of(row)
        asked = (vehicle, new.name, shown(new.name, new.arguments))
        secrets = row["digest"] in (None, digest(self._secret, new.arguments))
        if (found.vehicle, found.name, found.arguments) != asked or not secrets:
            raise KeyTaken(f"the key {new.key!r} was given with another command")
        return found

    def get(self, tenant: Tenant, command: str) -> Command:
        """A command; raises `UnknownCommand`."""
        with self._records.reading() as db:
            return find(db, tenant, command)

    def page(
        self,
        tenant: Tenant,
        *,
        vehicle: str | None = None,
        state: State | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> CommandPage:
        """Commands, newest first, of those before `before`; none behind one that is not there."""
        query = select(commands).where(commands.c.tenant == tenant)
        if vehicle is not None:
            query = query.where(commands.c.vehicle == vehicle)
        if state is not None:
            query = query.where(commands.c.state == state.value)
        if before is not None:
            if not (before.isalnum() and before.isascii()):
                return CommandPage((), None)
            mine = (commands.c.tenant == tenant) & (commands.c.id == before)
            query = query.where(
                commands.c.number < select(commands.c.number).where(mine).scalar_subquery()
            )
        query = query.order_by(commands.c.number.desc()).limit(limit + 1)
        with self._records.reading() as db:
            found = [command_of(row) for row in db.execute(query).mappings()]
        more = found[limit - 1].id if len(found) > limit else None
        return CommandPage(tuple(found[:limit]), more)

    def cancel(self, tenant: Tenant, command: str, *, actor: str) -> Command:
        """Call a command back; raises `UnknownCommand`, `Ended`. Then `announce` it.

        A vehicle that has it already may carry it out all the same.
        """
        with self._records.transaction() as db:
            found = find(db, tenant, command)
            after = progress.cancel(db, tenant, found, actor, self._now())
            if after.state != State.CANCELLED or found.state == State.CANCELLED:
                raise Ended(f"the command is {after.state}")
            queueing.withdraw(db, tenant, found.id, found.vehicle, actor)
            record_changes(db, [progress.entry_of(after, actor)])  # last, as all who lock the audit
        return after

    # for gateways

    def newest(self) -> int:
        """The number of the newest command of all tenants; 0 before the first."""
        with self._records.reading() as db:
            return int(db.execute(select(func.max(commands.c.number))).scalar() or 0)

    def given_after(self, number: int, limit: int = 1000) -> list[Waiting]:
        """Commands of all tenants given after one, in order, that nobody has sent yet."""
        query = select(commands).where(
            commands.c.number > number,
            commands.c.state == State.CREATED.value,
            commands.c.expires_us > self._now(),
        )
        with self._records.reading() as db:
            rows = db.execute(query.order_by(commands.c.number).limit(limit)).mappings()
            found = [(row, waiting_of(row, self._seal)) for row in rows]
        return self._openable(found)

    def waiting(self, vehicles: Sequence[str]) -> list[Waiting]:
        """Commands that nobody has sent yet of vehicles that have just connected, in order."""
        found: list[tuple[Any, Waiting | None]] = []
        now = self._now()
        with self._records.reading() as db:
            for start in range(0, len(vehicles), _CHUNK):
                query = select(commands).where(
                    commands.c.state == State.CREATED.value,
                    commands.c.vehicle.in_(vehicles[start : start + _CHUNK]),
                    commands.c.expires_us > now,
                )
                rows = db.execute(query.order_by(commands.c.number)).mappings()
                found += [(row, waiting_of(row, self._seal)) for row in rows]
        return self._openable(found)

    def _openable(self, found: Sequence[tuple[Any, Waiting | None]]) -> list[Waiting]:
        """Those that can be sent; the others end."""
        reason = "its passwords were sealed under another secret: give it again"
        lost = [
            Report(row["id"], row["vehicle"], State.FAILED, reason)
            for row, one in found
            if one is None
        ]
        if lost:
            self.report(lost)
        return [one for _, one in found if one is not None]

    def report(self, reports: Sequence[Report]) -> list[Command]:
        """Bring commands forward; returns those that changed. Told twice changes nothing."""
        with self._records.transaction() as db:
            return progress.take(db, reports, self._now())

    def queue(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Mark commands, a thousand at most, as sent and put them to the messages that wait for
        their vehicles, in one step; returns those that were put. One that cannot be put is refused,
        with why."""
        with self._records.transaction() as db:
            return queueing.queue(db, waiting, self._now())

    def put_back(self, sent: Sequence[str]) -> None:
        """Commands that were marked as sent, and then their vehicle was not there any more."""
        with self._records.transaction() as db:
            progress.put_back(db, sent)

    # for the jobs role

    def expire(self) -> list[Command]:
        """End the commands whose time is over; returns them."""
        with self._records.transaction() as db:
            return progress.expire(db, self._now())

    def forget_ended(self, keep_days: float) -> int:
        """Drop commands that ended longer ago; returns how many."""
        with self._records.transaction() as db:
            return progress.forget(db, self._now() - int(keep_days * 86_400e6))

    async def publish_ended(self) -> int:
        """Publish `commands.ended` of each command that has ended; returns how many.

        Raises the errors of the engines; what was not told is told the next time.
        """
        if self._stream is None:
            return 0
        ended = await asyncio.to_thread(self._untold)
        for command in ended:
            subject = event_subject(command.tenant, SERVICE, "ended")
            number = f"command-{command.id}-{command.state}"
            await self._stream.publish(subject, json.dumps(event_of(command)).encode(), number)
        if ended:
            await asyncio.to_thread(self._told, [command.id for command in ended])
        return len(ended)

    def _told(self, ended: Sequence[str]) -> None:
        with self._records.transaction() as db:
            progress.told(db, ended)

    def _untold(self) -> list[Command]:
        query = select(commands).where(commands.c.untold).order_by(commands.c.number)
        with self._records.reading() as db:
            rows = db.execute(query.limit(_CHUNK)).mappings()
            return [command_of(row) for row in rows]

    # state

    def state(self, tenant: Tenant, vehicle: str) -> VehicleState:
        """Desired and reported state of a vehicle."""
        with self._records.reading() as db:
            return states.get(db, tenant, vehicle)

    def desire(
        self,
        tenant: Tenant,
        vehicle: str,
        patch: Mapping[str, Any],
        *,
        actor: str,
        if_version: int | None = None,
        protocol: str | None = None,
    ) -> VehicleState:
        """Change the desired state by a merge patch; a vehicle that speaks MQTT is told.

        `protocol`: what the vehicle is known to speak; where nobody knows yet, the state waits for
        it to come over MQTT. Raises `StateChanged`, `InvalidCommand`, `OverLimit`.
        """
        try:
            with self._records.transaction() as db:
                now = self._now()
                made = states.desire(db, tenant, vehicle, patch, now, if_version)
                if protocol is None or protocol == MQTT:
                    states.tell(db, tenant, made, now, desired=True)
                entry = AuditEntry(tenant, actor, "state.desire", vehicle, None, dict(patch))
                record_changes(db, [entry])
                return made
        except Conflict as error:
            raise StateChanged("the desired state was changed at the same time") from error

    def reported(self, tenant: Tenant, vehicle: str, patch: Mapping[str, Any]) -> VehicleState:
        """Take what a vehicle reports of its state, and tell it how the desired one differs.

        Raises `InvalidCommand`.
        """
        for _ in range(_TRIES):
            try:
                with self._records.transaction() as db:
                    now = self._now()
                    before = states.get(db, tenant, vehicle).delta
                    made = states.report(db, tenant, vehicle, patch, now)
                    if made.delta != before:
                        states.tell(db, tenant, made, now, desired=False)
                    return made
            except (Conflict, StateChanged):
                continue
        raise Conflict("the reported state is changed all the time")


def _given(new: NewCommand) -> dict[str, Any]:
    """What the audit tells of a new command."""
    arguments = shown(new.name, new.arguments)
    return {"name": new.name, "arguments": arguments, "timeout_s": new.timeout_s}


def _check_room(db: Connection, tenant: Tenant, more: int = 1) -> None:
    """Raises `OverLimit` where too many commands of the tenant are open."""
    opened = commands.c.state.in_([state.value for state in OPEN])
    mine = select(func.count()).select_from(commands).where(commands.c.tenant == tenant, opened)
    used = db.execute(mine).scalar_one()
    check_limit("commands", limit_in(db, tenant, "commands"), used, more)
