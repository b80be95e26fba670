"""How commands go on: sent, answered, timed out. Only steps forward are taken.

What a vehicle tells after its command has timed out is still kept: it has happened.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from carcloud.model.ids import Tenant
from carcloud.services.commands.errors import InvalidCommand
from carcloud.services.commands.rows import command_of
from carcloud.services.commands.secrecy import without_secrets
from carcloud.services.commands.states import check_depth
from carcloud.services.commands.store import commands
from carcloud.services.commands.types import ENDED, OPEN, Command, Report, State
from carcloud.services.tenancy.api import AuditEntry, record_changes

_CHUNK = 500  # ids in one SELECT
_MOST_EXPIRED = 1000  # commands that one round ends
_REASON, _RESULT = 500, 100_000  # characters
_TOLD: Final = (State.EXECUTED, State.REFUSED, State.FAILED)

BEFORE: Final[Mapping[State, tuple[State, ...]]] = {
    State.SENT: (State.CREATED,),
    State.RECEIVED: (State.CREATED, State.SENT),
    State.EXECUTED: (*OPEN, State.TIMED_OUT),
    State.REFUSED: (*OPEN, State.TIMED_OUT),
    State.FAILED: (*OPEN, State.TIMED_OUT),
    State.TIMED_OUT: OPEN,
    State.CANCELLED: OPEN,
}
"""From which states a command may come to another."""

_TIMES: Final[Mapping[State, str]] = {State.SENT: "sent_us", State.RECEIVED: "received_us"}


def take(db: Connection, reports: Sequence[Report], now: int) -> list[Command]:
    """Bring commands forward; returns those that changed, as they are now.

    A report of a command that is not its sender's, or would be a step back, changes nothing.
    """
    known = _known(db, [report.id for report in reports])
    changed: dict[str, Command] = {}
    for report in reports:
        row = known.get(report.id)
        if row is None or row["vehicle"] != report.vehicle:
            continue
        if State(row["state"]) not in BEFORE.get(report.state, ()):
            continue
        row.update(_values(report, report.time or now))
        changed[report.id] = command_of(row)
    for command in changed.values():
        row = known[command.id]
        values = {name: row[name] for name in _CHANGED}
        db.execute(update(commands).where(commands.c.id == command.id).values(**values))
    record_changes(db, [entry_of(one, "vehicle") for one in changed.values() if one.state in _TOLD])
    return list(changed.values())


def expire(db: Connection, now: int) -> list[Command]:
    """End the open commands whose time is over; returns them."""
    over = commands.c.state.in_([state.value for state in OPEN]) & (commands.c.expires_us <= now)
    query = select(commands).where(over).order_by(commands.c.expires_us).limit(_MOST_EXPIRED)
    free = query.with_for_update(skip_locked=True)  # what somebody holds has its turn next time
    rows = [dict(row) for row in db.execute(free).mappings()]
    ended = []
    for row in rows:
        told = _timed_out(State(row["state"]))
        same = (commands.c.id == row["id"]) & (commands.c.state == row["state"])
        values = _end(State.TIMED_OUT, told, now)
        if db.execute(update(commands).where(same).values(**values)).rowcount == 1:
            ended.append(command_of({**row, **values}))
    record_changes(db, [entry_of(one, "carcloud") for one in ended])
    return ended


def put_back(db: Connection, sent: Sequence[str]) -> None:
    """Sent commands wait again."""
    _known(db, sent)
    mine = commands.c.id.in_(sent) & (commands.c.state == State.SENT.value)
    db.execute(update(commands).where(mine).values(state=State.CREATED.value, sent_us=None))


def told(db: Connection, ended: Sequence[str]) -> None:
    """The end of these has been published."""
    _known(db, ended)
    db.execute(update(commands).where(commands.c.id.in_(ended)).values(untold=False))


def forget(db: Connection, before: int) -> int:
    """Drop commands that ended before; returns how many."""
    old = commands.c.ended_us < before
    return int(db.execute(delete(commands).where(old & ~commands.c.untold)).rowcount)


def cancel(db: Connection, tenant: Tenant, command: Command, actor: str, now: int) -> Command:
    """The command as cancelled, for the caller to put into the audit; unchanged where it has just
    ended."""
    states = [state.value for state in BEFORE[State.CANCELLED]]
    same = (commands.c.id == command.id) & commands.c.state.in_(states)
    values = _end(State.CANCELLED, f"by {actor}", now)
    db.execute(update(commands).where(same & (commands.c.tenant == tenant)).values(**values))
    row = db.execute(select(commands).where(commands.c.id == command.id)).mappings().one()
    return command_of(row)


_CHANGED: Final = (
    "state", "reason", "result", "untold", "sealed", "sent_us", "received_us", "ended_us",
)  # fmt: skip


def _known(db: Connection, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Their rows, locked: nobody else takes the same step, or cancels, until the end."""
    found: dict[str, dict[str, Any]] = {}
    ordered = sorted({one for one in wanted if one.isalnum() and len(one) <= 32})
    for start in range(0, len(ordered), _CHUNK):
        chunk = select(commands).where(commands.c.id.in_(ordered[start : start + _CHUNK]))
        query = chunk.order_by(commands.c.id).with_for_update()
        found.update((row["id"], dict(row)) for row in db.execute(query).mappings())
    return found


def _values(report: Report, time: int) -> dict[str, Any]:
    values: dict[str, Any] = {"state": report.state.value}
    values["reason"] = report.reason.replace("\0", "\ufffd")[:_REASON]
    if report.result is not None:
        values["result"] = _result_of(report.result)
    values[_TIMES.get(report.state, "ended_us")] = time
    values["untold"] = report.state in _TOLD
    if report.state in ENDED:
        values["sealed"] = None
    return values


def _result_of(result: Any) -> str:
    try:
        check_depth("result", {"result": result})
    except InvalidCommand:
        return json.dumps("too deep to keep")
    text = json.dumps(_storable(without_secrets(result)), ensure_ascii=False)
    return text if len(text) <= _RESULT else json.dumps("too long to keep")


def _storable(value: Any) -> Any:
    """JSON values without NUL characters, which PostgreSQL does not take."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {_storable(str(name)): _storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(one) for one in value]
    return value


def _end(state: State, reason: str, now: int) -> dict[str, Any]:
    return {
        "state": state.value,
        "reason": reason[:_REASON],
        "ended_us": now,
        "untold": True,
        "sealed": None,
    }


def _timed_out(before: State) -> str:
    return {
        State.CREATED: "the vehicle was not connected in time",
        State.SENT: "the vehicle did not answer in time",
        State.RECEIVED: "the vehicle has it, and did not tell its end in time",
    }[before]


def entry_of(command: Command, actor: str) -> AuditEntry:
    """The end of a command, as the audit has it."""
    after = {"name": command.name, "state": command.state.value, "reason": command.reason}
    action = "command.cancel" if command.state == State.CANCELLED else "command.end"
    return AuditEntry(command.tenant, actor, action, command.vehicle, None, after)


assert set(_TOLD) <= set(ENDED)  # noqa: S101 - both tables name the same states
