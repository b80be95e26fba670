"""Commands and desired state, on every database."""

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.ports.errors import Unavailable
from carcloud.services.commands import progress, queueing, store
from carcloud.services.commands.api import (
    Commands,
    Ended,
    InvalidCommand,
    KeyTaken,
    NewCommand,
    NotParked,
    Report,
    State,
    StateChanged,
    UnknownCommand,
)
from carcloud.services.commands.kinds import BY_NAME, KINDS
from carcloud.services.commands.secrecy import HIDDEN
from carcloud.services.commands.states import delta, merged
from carcloud.services.telemetry.api import VehicleTwin
from carcloud.services.telemetry.types import Reading
from carcloud.services.tenancy.api import AuditFilter, NoSecret, Tenancy
from carcloud.services.vehicles import outgoing
from carcloud.services.vehicles.api import NewVehicle, Outgoing, Vehicles

A, B = Tenant("a"), Tenant("b")
CONSOLE = Path(__file__).parents[2] / "frontend" / "src"
CAR = "LTESTCMD000000001"
SECOND = 1_000_000
START = 1_700_000_000 * SECOND
SECRET = bytes(range(32))


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(records: SqlRecords, clock: Clock) -> Commands:
    Tenancy(records)  # whose tables hold limits and the audit
    Vehicles(records).create(A, NewVehicle(CAR), actor="ann")
    return Commands(records, now=clock, secret=SECRET)


def twin(**signals: Any) -> VehicleTwin:
    """What is known of the car: signals as (value, seconds ago)."""
    names = {"speed": "Vehicle.Speed", "moving": "Vehicle.IsMoving"}
    readings = {
        names[name]: Reading(value, START - age * SECOND) for name, (value, age) in signals.items()
    }
    return VehicleTwin(CAR, START, START, readings)


STANDS = twin(speed=(0.0, 1))


def give(service: Commands, name: str = "locate", **more: Any) -> Any:
    asked = NewCommand(name, **{k: more.pop(k) for k in list(more) if k in ASKED})
    return service.give(more.pop("tenant", A), more.pop("vehicle", CAR), asked, actor="ann", **more)


ASKED = {"arguments", "timeout_s", "key"}


def test_a_command_is_kept_sent_received_and_executed(
    service: Commands, records: SqlRecords, clock: Clock
) -> None:
    made = give(service)
    assert made.state == State.CREATED
    assert [one.id for one in service.waiting([CAR, "OTHER"])] == [made.id]
    steps = [State.SENT, State.RECEIVED, State.EXECUTED]
    for state in steps:
        clock.now += SECOND
        (after,) = service.report([Report(made.id, CAR, state, result={"lat": 1})])
        assert after.state == state
    assert (after.sent, after.received, after.ended) == tuple(START + n * SECOND for n in (1, 2, 3))
    assert after.result == {"lat": 1}
    assert service.waiting([CAR]) == []
    trail = Tenancy(records).trail.page(A, AuditFilter(subject=CAR)).items
    assert [entry.action for entry in trail][:2] == ["command.end", "command.give"]
    assert service.get(A, made.id) == after


def test_no_step_goes_back(service: Commands) -> None:
    made = give(service)
    service.report([Report(made.id, CAR, State.REFUSED, "busy")])
    for late in (State.SENT, State.RECEIVED, State.EXECUTED, State.TIMED_OUT):
        assert service.report([Report(made.id, CAR, late)]) == []
    assert service.get(A, made.id).reason == "busy"


def test_what_a_vehicle_answers_is_kept_whatever_it_is(service: Commands) -> None:
    answer = {"apn": "\\u0000", "raw": "a\0b", "n\0": [1, {"x": "\0"}]}
    made = give(service)
    service.report([Report(made.id, CAR, State.EXECUTED, "a\0", answer)])
    kept = {"apn": "\\u0000", "raw": "a\ufffdb", "n\ufffd": [1, {"x": "\ufffd"}]}
    assert service.get(A, made.id).result == kept


def test_only_its_own_vehicle_tells_of_a_command(service: Commands) -> None:
    made = give(service)
    assert service.report([Report(made.id, "LTESTCMD000000002", State.EXECUTED)]) == []
    assert service.report([Report("0" * 24, CAR, State.EXECUTED)]) == []
    assert service.report([Report("x'--\0", CAR, State.EXECUTED)]) == []
    assert service.get(A, made.id).state == State.CREATED


def test_time_ends_a_command_and_a_late_answer_is_kept(service: Commands, clock: Clock) -> None:
    made, other = give(service, timeout_s=10), give(service, timeout_s=100)
    clock.now += 10 * SECOND
    assert service.waiting([CAR])[0].id == other.id  # what is over is not sent any more
    assert [one.id for one in service.expire()] == [made.id]
    assert "not connected" in service.get(A, made.id).reason
    assert service.expire() == []
    service.report([Report(made.id, CAR, State.EXECUTED)])
    assert service.get(A, made.id).state == State.EXECUTED


def test_cancelled_until_it_has_ended(service: Commands) -> None:
    made = give(service)
    assert service.cancel(A, made.id, actor="ben").state == State.CANCELLED
    assert service.waiting([CAR]) == []
    with pytest.raises(Ended, match="cancelled"):
        service.cancel(A, made.id, actor="ben")
    done = give(service)
    service.report([Report(done.id, CAR, State.EXECUTED)])
    with pytest.raises(Ended, match="executed"):
        service.cancel(A, done.id, actor="ben")


def test_another_tenant_sees_nothing(service: Commands) -> None:
    made = give(service)
    for ask in (service.get, lambda t, c: service.cancel(t, c, actor="eve")):
        with pytest.raises(UnknownCommand):
            ask(B, made.id)
    assert service.page(B).items == ()
    assert service.state(B, CAR).desired == {}


def test_a_key_gives_one_command(service: Commands) -> None:
    made = give(service, key="k1")
    assert give(service, key="k1").id == made.id
    with pytest.raises(KeyTaken):
        give(service, key="k1", vehicle="LTESTCMD000000002")
    assert give(service, key="k1", tenant=B).id != made.id


def test_parked_is_made_sure_of(service: Commands) -> None:
    for known, why in (
        (None, "not reported"),
        (twin(), "not reported"),
        (twin(speed=(43.0, 3)), "43 km/h 3 s ago"),
        (twin(speed=(0.0, 61)), "61 s old"),
        (twin(speed=(0.0, -3600)), "in the future"),
        (twin(speed=(-20.0, 1)), "-20 km/h"),
        (twin(speed=(math.nan, 1)), "nan km/h"),
        (twin(speed=(0.0, 1), moving=(True, 7)), "moves 7 s ago"),
        (twin(speed=(0.0, 61), moving=(False, 1)), "speed is 61 s old"),
        (twin(moving=(False, 1)), "not reported its speed"),
    ):
        with pytest.raises(NotParked, match=why):
            give(service, "unlock", twin=known)


def test_a_standing_vehicle_is_unlocked(service: Commands) -> None:
    for known in (twin(speed=(0.2, 5)), twin(speed=(0.0, 7), moving=(True, 180))):
        assert give(service, "unlock", twin=known).state == State.CREATED


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("fly", {}, "name"),
    ("locate", {"protocol": "gbt32960"}, "name"),
    ("locate", {"arguments": {"x": 1}}, "arguments.x"),
    ("message", {}, "arguments.text"),
    ("message", {"arguments": {"text": ""}}, "arguments.text"),
    ("message", {"arguments": {"text": "hi", "show": "sing"}}, "arguments.show"),
    ("track", {"arguments": {"interval_s": True, "duration_s": 5}}, "arguments.interval_s"),
    ("track", {"arguments": {"interval_s": 0, "duration_s": 5}}, "arguments.interval_s"),
    ("message", {"arguments": {"text": "a\0"}}, "arguments"),
    ("locate", {"timeout_s": 0.5}, "timeout_s"),
    ("locate", {"key": ""}, "key"),
    ("unlock", {"timeout_s": 3600, "twin": STANDS}, "timeout_s"),
]


def test_a_bad_command_names_the_field(service: Commands) -> None:
    for name, more, field in BAD:
        with pytest.raises(InvalidCommand) as refused:
            give(service, name, **more)
        assert refused.value.field == field


def test_pages_and_what_gateways_ask_for(service: Commands, clock: Clock) -> None:
    made = []
    for _ in range(5):
        clock.now += 1
        made.append(give(service).id)
    first = service.page(A, limit=2)
    assert [one.id for one in first.items] == made[:-3:-1]
    rest = service.page(A, before=first.next_cursor, limit=10)
    assert [one.id for one in rest.items] == made[2::-1]
    assert service.page(A, vehicle="LTESTCMD000000002").items == ()
    assert len(service.page(A, state=State.CREATED).items) == 5
    numbers = [one.number for one in service.given_after(0)]
    assert numbers == sorted(numbers)
    assert service.newest() == numbers[-1]
    assert [one.number for one in service.given_after(numbers[2])] == numbers[3:]


def test_too_many_open_commands_are_refused(service: Commands, records: SqlRecords) -> None:
    tenancy = Tenancy(records)
    tenancy.tenants.ensure(A)
    tenancy.limits.set_limit(A, "commands", 2, actor="root")
    for _ in range(2):
        made = give(service)
    with pytest.raises(OverLimit, match="commands"):
        give(service)
    service.cancel(A, made.id, actor="ann")
    give(service)


def test_desired_and_reported_state(service: Commands) -> None:
    made = service.desire(A, CAR, {"reporting": {"interval_s": 30}, "lamp": True}, actor="ann")
    assert made.delta == {"reporting": {"interval_s": 30}, "lamp": True}
    told = service.reported(A, CAR, {"reporting": {"interval_s": 30}, "lamp": 1, "own": "x"})
    assert told.delta == {"lamp": True}, "1 is not true"
    assert (told.desired_version, told.reported_version) == (1, 1)
    done = service.reported(A, CAR, {"lamp": True})
    assert done.delta is None
    assert done.reported["own"] == "x"
    with pytest.raises(StateChanged, match="version 1"):
        service.desire(A, CAR, {}, actor="ann", if_version=7)
    gone = service.desire(A, CAR, {"lamp": None}, actor="ann", if_version=1)
    assert gone.desired == {"reporting": {"interval_s": 30}}


def test_a_state_has_bounds(service: Commands) -> None:
    service.desire(A, CAR, nested(8), actor="ann")
    for wrong in (nested(9), nested(50_000), {"a": "x" * 40_000}, {"a": "\0"}):
        with pytest.raises(InvalidCommand, match="desired"):
            service.desire(A, CAR, wrong, actor="ann")
    for wrong in (nested(50_000), {"a": "x" * 40_000}):
        with pytest.raises(InvalidCommand, match="reported"):
            service.reported(A, CAR, wrong)


def nested(levels: int) -> Any:
    """An object and a list in turn, so deep."""
    deep: Any = 1
    for at in range(levels - 1):
        deep = [deep] if at % 2 else {"a": deep}
    return {"a": deep}


def test_what_sets_something_in_a_vehicle_needs_more_than_sending() -> None:
    sets = {"set-parameters", "set-areas", "remove-areas", "set-signal", "restart", "run", "lock"}
    assert {name for name in sets if BY_NAME[name].action != "commands:control"} == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_console_has_words_for_every_command(language: str) -> None:
    texts = (CONSOLE / "i18n" / language / "commands.ts").read_text()
    for kind in KINDS:
        assert f"'command.{kind.name}':" in texts
        for argument in kind.arguments:
            assert f"'argument.{argument.name}':" in texts


JSON = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)
STATE = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(STATE, STATE)
def test_reporting_the_delta_leaves_none(desired: Any, reported: Any) -> None:
    differs = delta(desired, reported)
    if differs is not None:
        assert delta(desired, merged(reported, _whole(differs, desired))) is None
    else:
        assert delta(desired, merged(reported, desired)) is None


def _whole(differs: Any, desired: Any) -> Any:
    """The delta, as a vehicle applies it: an object in place of what was none comes whole."""
    return {
        name: _whole(value, desired[name]) if isinstance(value, dict) and value else value
        for name, value in differs.items()
    }


def queued(records: SqlRecords) -> list[dict[str, Any]]:
    """The commands among the messages that wait for the car."""
    waiting = Outgoing(records).waiting(A, CAR)
    assert {one.topic for one in waiting} <= {f"v1/{CAR}/commands"}
    return [json.loads(one.payload) for one in waiting]


def test_a_command_is_queued_and_marked_or_neither(
    service: Commands, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [give(service, "message", arguments={"text": text}) for text in ("one", "two")]
    waiting = service.waiting([CAR])

    def fail(*_args: Any, **_more: Any) -> Any:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(queueing, "put_many_in", fail)
        with pytest.raises(Unavailable):
            service.queue(waiting)
    assert [service.get(A, one.id).state for one in made] == [State.CREATED] * 2
    assert queued(records) == []

    assert [one.id for one in service.queue(waiting)] == [one.id for one in made]
    assert [service.get(A, one.id).state for one in made] == [State.SENT] * 2
    told = queued(records)
    assert [one["id"] for one in told] == [one.id for one in made]
    assert told[0] == {
        "id": made[0].id,
        "name": "message",
        "arguments": {"text": "one"},
        "expires_ms": made[0].expires // 1000,
    }
    assert service.queue(waiting) == [], "somebody has queued them"
    assert queued(records) == told


def test_what_a_vehicle_has_no_room_for_is_refused(service: Commands, records: SqlRecords) -> None:
    first, *_ = [give(service, "message", arguments={"text": str(n)}) for n in range(4)]
    other = "LTESTCMD000000002"
    service.queue(service.waiting([CAR])[:1])
    (size,) = [len(m.payload) + len(m.topic) + 100 for m in Outgoing(records).waiting(A, CAR)]
    Tenancy(records).tenants.ensure(A)
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 3 * size + 2, actor="root")
    Vehicles(records).create(A, NewVehicle(other), actor="ann")
    give(service, "message", vehicle=other, arguments={"text": "x"})
    put = service.queue(service.waiting([CAR, other]))
    assert [one.arguments["text"] for one in put] == ["x", "1", "2"]
    states = {one.arguments["text"]: one for one in service.page(A, vehicle=CAR).items}
    assert [states[text].state for text in "0123"] == [State.SENT] * 3 + [State.REFUSED]
    assert "vehicle_message_bytes" in states["3"].reason
    assert [one["arguments"]["text"] for one in queued(records)] == ["0", "1", "2"]
    assert first.id == queued(records)[0]["id"]


def test_a_command_that_is_cancelled_is_not_queued_and_one_that_is_queued_is_withdrawn(
    service: Commands, records: SqlRecords
) -> None:
    first, second = (give(service), give(service))
    waiting = service.waiting([CAR])
    service.cancel(A, first.id, actor="ann")
    assert [one.id for one in service.queue(waiting)] == [second.id]
    service.cancel(A, second.id, actor="ann")
    assert queued(records) == []


def test_a_cancelled_command_takes_no_other_along(service: Commands, records: SqlRecords) -> None:
    first = give(service)
    second = give(service, "message", arguments={"text": f"see {first.id}"})
    service.queue(service.waiting([CAR]))
    service.cancel(A, first.id, actor="ann")
    assert [one["id"] for one in queued(records)] == [second.id]


def test_a_command_is_cancelled_while_its_message_is_withdrawn(
    service: Commands, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock the message before the audit, so neither waits for the other in a circle."""
    command = give(service).id
    service.queue(service.waiting([CAR]))
    (message,) = Outgoing(records).waiting(A, CAR)
    locked, audit = Event(), outgoing.record_changes

    def slow(*args: Any) -> None:
        locked.set()
        sleep(0.5)
        audit(*args)

    monkeypatch.setattr(outgoing, "record_changes", slow)
    with ThreadPoolExecutor(1) as pool:
        withdrawn = pool.submit(Outgoing(records).withdraw, A, CAR, message.id, actor="bob")
        assert locked.wait(60)
        assert service.cancel(A, command, actor="ann").state == State.CANCELLED
        assert withdrawn.result()
    assert queued(records) == []


def test_what_somebody_holds_is_ended_the_next_time(
    service: Commands, records: SqlRecords, clock: Clock
) -> None:
    if records.kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    held, free = give(service).id, give(service).id
    clock.now += 61 * SECOND
    with records.transaction() as db, ThreadPoolExecutor(1) as pool:
        progress.take(db, [Report(held, CAR, State.RECEIVED)], clock.now)
        assert [one.id for one in pool.submit(service.expire).result(60)] == [free]
    assert [one.id for one in service.expire()] == [held]


def test_of_many_at_once_one_takes_a_step(service: Commands) -> None:
    """Gateways mark commands while people cancel them: each ends with one or the other."""
    rounds, workers = 20, 4
    turns = [[give(service).id for _ in range(3)] for _ in range(rounds)]

    def mark(ids: list[str]) -> list[str]:
        return [one.id for one in service.report([Report(i, CAR, State.SENT) for i in ids])]

    with ThreadPoolExecutor(workers + 1) as pool:
        for ids in turns:
            marking = [pool.submit(mark, ids if n % 2 else ids[::-1]) for n in range(workers)]
            cancelling = pool.submit(service.cancel, A, ids[1], actor="ann")
            marked = sorted(one for each in marking for one in each.result())
            assert cancelling.result().state == State.CANCELLED
            assert marked in (sorted(ids), sorted({ids[0], ids[2]}))
            assert [service.get(A, one).state for one in ids] == [
                State.SENT, State.CANCELLED, State.SENT,
            ]  # fmt: skip


def test_put_back_and_forgotten(service: Commands, clock: Clock) -> None:
    made = give(service)
    service.report([Report(made.id, CAR, State.SENT)])
    service.put_back([made.id])
    assert service.get(A, made.id).sent is None
    assert [one.id for one in service.waiting([CAR])] == [made.id]
    service.cancel(A, made.id, actor="ann")
    clock.now += 100 * 86_400 * SECOND
    assert service.forget_ended(99) == 0, "its end is not published yet"
    asyncio.run(_publish(service))
    assert service.forget_ended(101) == 0
    assert service.forget_ended(99) == 1
    assert service.page(A).items == ()


async def _publish(service: Commands) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    class Told:
        """The one method of a stream that is used."""

        async def publish(self, subject: str, data: bytes, _id: str) -> None:
            told.append((subject, json.loads(data)))

    service._stream = Told()  # type: ignore[assignment]
    assert await service.publish_ended() == 1
    assert await service.publish_ended() == 0
    ((subject, event),) = told
    assert subject == "events.a.commands.ended"
    assert (event["vehicle"], event["state"], event["reason"]) == (CAR, "cancelled", "by ann")


SERVER = {"apn": "net", "password": "open-sesame", "address": "192.0.2.1", "code": "open-sesame"}
SET = {
    "parameters": {
        "main_apn": "net", "main_password": "open-sesame", "0x0016": "open-sesame", "37": "",
        "24": 7,
    }
}  # fmt: skip


def everything_kept(records: SqlRecords) -> str:
    """All rows of the commands and the audit, as text."""
    with records.reading() as db:
        rows = [*db.execute(select(store.commands)), *db.execute(text("SELECT * FROM audit"))]
    return repr(rows)


@pytest.mark.parametrize(
    ("name", "arguments", "hidden"),
    [
        ("change-server", SERVER, {**SERVER, "password": HIDDEN, "code": HIDDEN}),
        (
            "set-parameters",
            SET,
            {"parameters": {**SET["parameters"], "main_password": HIDDEN, "0x0016": HIDDEN}},
        ),
        (
            "run",
            {"hook": "wifi", "arguments": {"nets": [{"Password": "open-sesame", "18": 1}]}},
            {"hook": "wifi", "arguments": {"nets": [{"Password": HIDDEN, "18": 1}]}},
        ),
    ],
)
@pytest.mark.parametrize(
    "end", [State.EXECUTED, State.FAILED, State.CANCELLED, State.TIMED_OUT, None]
)
def test_passwords_reach_the_vehicle_and_nobody_else(
    service: Commands, records: SqlRecords, clock: Clock, name: str, arguments: Any,
    hidden: Any, end: State | None,
) -> None:  # fmt: skip
    made = give(service, name, arguments=arguments, key="once")
    assert made.arguments == hidden
    assert [one.arguments for one in service.waiting([CAR])] == [arguments]
    assert [one.arguments for one in service.given_after(0)] == [arguments]
    assert give(service, name, arguments=arguments, key="once").id == made.id
    changed = json.loads(json.dumps(arguments).replace("open-sesame", "other"))
    with pytest.raises(KeyTaken):
        give(service, name, arguments=changed, key="once")
    service.report([Report(made.id, CAR, State.SENT)])
    service.put_back([made.id])
    assert [one.arguments for one in service.waiting([CAR])] == [arguments]
    if end == State.CANCELLED:
        service.cancel(A, made.id, actor="ann")
    elif end == State.TIMED_OUT:
        clock.now = made.expires
        service.expire()
    elif end is not None:
        service.report([Report(made.id, CAR, end)])
    assert service.get(A, made.id).arguments == hidden
    assert service.page(A).items[0].arguments == hidden
    kept = everything_kept(records)
    assert "open-sesame" not in kept
    with records.reading() as db:
        (sealed,) = db.execute(select(store.commands.c.sealed)).scalars()
    assert (sealed is None) == (end is not None)
    with pytest.raises(KeyTaken):
        give(service, name, arguments=changed, key="once")
    assert give(service, name, arguments=arguments, key="once").id == made.id


def test_passwords_that_a_terminal_reads_out_are_not_kept(
    service: Commands, records: SqlRecords
) -> None:
    made = give(service, "read-parameters")
    answer = {
        "items": [
            {"parameter": "0x0012", "name": "main_password", "value": "open-sesame"},
            {"parameter": "0x0013", "name": "main_address", "value": "192.0.2.1"},
        ]
    }
    service.report([Report(made.id, CAR, State.EXECUTED, result=answer)])
    items = service.get(A, made.id).result["items"]
    assert [one["value"] for one in items] == [HIDDEN, "192.0.2.1"]
    assert "open-sesame" not in everything_kept(records)


def test_what_was_sealed_under_another_secret_is_not_sent(
    service: Commands, records: SqlRecords
) -> None:
    lost = give(service, "change-server", arguments=SERVER)
    other = give(service)
    found = Commands(records, now=service._now, secret=bytes(32)).waiting([CAR])
    assert [one.id for one in found] == [other.id]
    ended = service.get(A, lost.id)
    assert (ended.state, "give it again" in ended.reason) == (State.FAILED, True)


def test_without_a_secret_nothing_is_sealed_and_nothing_kept(
    records: SqlRecords, service: Commands
) -> None:
    unable = Commands(records, now=service._now)
    with pytest.raises(NoSecret):
        give(unable, "change-server", arguments=SERVER)
    assert service.waiting([CAR]) == []
    assert give(unable).state == State.CREATED


def test_passwords_kept_by_older_versions_are_sent_and_not_told(
    service: Commands, records: SqlRecords
) -> None:
    made = give(service, "change-server", arguments=SERVER, key="old")
    bare = {"arguments": json.dumps(SERVER), "sealed": None, "digest": None}
    with records.transaction() as db:
        db.execute(update(store.commands).values(**bare, result='{"password": "open-sesame"}'))
    assert "open-sesame" not in repr(service.get(A, made.id))
    assert [one.arguments for one in service.waiting([CAR])] == [SERVER]
    assert give(service, "change-server", arguments=SERVER, key="old").id == made.id


def test_users_of_addresses_are_hidden(service: Commands, clock: Clock) -> None:
    url = "ftp://user:open-sesame@192.0.2.1/f.bin"
    made = give(service, "update-terminal", arguments={"url": url}, twin=STANDS)
    assert made.arguments == {"url": f"ftp://{HIDDEN}@192.0.2.1/f.bin"}
    assert [one.arguments["url"] for one in service.waiting([CAR])] == [url]


def test_what_is_nested_too_deep_is_refused_or_not_kept(service: Commands) -> None:
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    with pytest.raises(InvalidCommand, match="nested"):
        give(service, "set-parameters", arguments={"parameters": {"a": deep}})
    made = give(service)
    service.report([Report(made.id, CAR, State.EXECUTED, result=deep)])
    assert service.get(A, made.id).result == "too deep to keep"
