"""Messages that wait for vehicles, on every database."""

import pytest
from sqlalchemy import select
from sqlalchemy.event import listen, remove

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.limits import OverLimit
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles import lookup
from carcloud.services.vehicles.api import (
    Draft,
    Invalid,
    NewVehicle,
    Outgoing,
    Unknown,
    Vehicles,
    Waits,
    Wanted,
    put_again,
    put_many_in,
    retaining,
)
from carcloud.services.vehicles.store import vehicles
from tests.services.campaign_scene import SECOND, START, A, B, Clock

CAR, OTHER = "car-0", "car-1"
COMMANDS, LIST, DOCUMENT = (f"v1/{CAR}/{name}" for name in ("commands", "documents", "documents/x"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(records: SqlRecords, clock: Clock) -> Outgoing:
    Tenancy(records).tenants.ensure(A)
    for name in (CAR, OTHER):
        Vehicles(records).create(A, NewVehicle(name), actor="ann")
    return Outgoing(records, now=clock)


def said(service: Outgoing, vehicle: str = CAR) -> list[tuple[str, bytes, bool]]:
    return [(one.topic, one.payload, one.retained) for one in service.waiting(A, vehicle)]


def test_messages_wait_in_order_until_they_are_delivered(
    service: Outgoing, records: SqlRecords
) -> None:
    first = service.send(A, CAR, COMMANDS, b"one", actor="ann")
    second = service.send(A, CAR, COMMANDS, b"\x00\xff", actor="ann", qos=0)
    assert (first.id, second.id) == (START, START + 1)  # in one microsecond
    assert service.waiting(A, CAR) == [first, second]
    assert service.waiting(B, CAR) == []
    service.delivered([(B, CAR, first.id), (A, OTHER, first.id)])
    assert service.waiting(A, CAR) == [first, second]
    service.delivered([])
    service.delivered([(A, CAR, first.id), (A, CAR, first.id), (A, OTHER, 1)])
    assert service.waiting(A, CAR) == [second]
    assert service.withdraw(A, CAR, second.id, actor="ann")
    assert not service.withdraw(A, CAR, second.id, actor="ann")
    trail = Tenancy(records).trail.page(A, AuditFilter(action="vehicle.message.*")).items
    assert [(one.action.rpartition(".")[2], one.subject) for one in trail] == [
        ("withdraw", CAR), ("put", CAR), ("put", CAR)
    ]  # fmt: skip


def test_one_message_is_retained_on_a_topic(service: Outgoing, records: SqlRecords) -> None:
    service.retain(A, CAR, DOCUMENT, b"old", actor="ann")
    service.send(A, CAR, COMMANDS, b"go", actor="ann")
    service.retain(A, CAR, DOCUMENT, b"new", actor="ann")
    assert said(service) == [(COMMANDS, b"go", False), (DOCUMENT, b"new", True)]
    before = service.waiting(A, CAR)[1].id
    with records.transaction() as db:
        assert put_again(db, A, CAR, DOCUMENT, actor="ann", now=START)
        assert not put_again(db, A, CAR, LIST, actor="ann", now=START)
    assert service.waiting(A, CAR)[1].id > before
    service.retain(A, CAR, DOCUMENT, b"", actor="ann")  # the vehicle hears of it once
    assert said(service) == [(COMMANDS, b"go", False), (DOCUMENT, b"", False)]


def test_what_is_too_late_is_not_given_out_and_forgotten(service: Outgoing, clock: Clock) -> None:
    wanted = [Wanted(A, CAR, (COMMANDS,), frozenset())]
    message = service.send(A, CAR, COMMANDS, b"go", actor="ann", expires=START + SECOND)
    assert service.look(wanted) == [Waits((message,), False)]
    clock.now += SECOND
    assert service.look(wanted) == [Waits((), False)]
    assert service.forget_expired() == 1
    assert service.waiting(A, CAR) == []


def test_a_gateway_gets_what_its_filters_cover_and_it_does_not_know(service: Outgoing) -> None:
    listed = service.retain(A, CAR, LIST, b"[]", actor="ann")
    document = service.retain(A, CAR, DOCUMENT, b"{}", actor="ann")
    service.send(A, OTHER, f"v1/{OTHER}/commands", b"go", actor="ann")

    def look(*filters: str, known: frozenset[int] = frozenset()) -> list[int]:
        (found,) = service.look([Wanted(A, CAR, filters, known)])
        assert not found.more
        return [one.id for one in found.messages]

    assert look(COMMANDS) == []
    assert look(f"v1/{CAR}/#") == [listed.id, document.id]
    assert look(f"v1/{CAR}/documents/+") == [document.id]
    assert look(f"v1/{CAR}/#", known=frozenset({listed.id})) == [document.id]
    for _ in range(70):
        service.send(A, CAR, COMMANDS, b"go", actor="ann")  # more than go into one answer
    (found,) = service.look([Wanted(A, CAR, (COMMANDS,), frozenset())])
    assert (len(found.messages), found.more) == (64, True)


def test_a_gateway_is_told_what_it_holds_in_vain(service: Outgoing) -> None:
    first = service.send(A, CAR, COMMANDS, b"go", actor="ann")
    listed = service.retain(A, CAR, LIST, b"[]", actor="ann")
    wanted = Wanted(A, CAR, (), frozenset(), frozenset({first.id, listed.id}))
    assert service.look([wanted]) == [Waits((), False)]
    service.withdraw(A, CAR, first.id, actor="ann")
    assert service.look([wanted]) == [Waits((), False, frozenset({first.id}))]
    service.retain(A, CAR, LIST, b"[1]", actor="ann")
    foreign = Wanted(B, CAR, (), frozenset(), wanted.held)
    assert [one.gone for one in service.look([wanted, foreign])] == [wanted.held] * 2


def test_many_vehicles_are_looked_up_in_few_statements(
    service: Outgoing, records: SqlRecords
) -> None:
    names = [f"many-{number:03d}" for number in range(300)]
    Vehicles(records).import_csv(A, "\n".join(["id", *names]), actor="ann")
    drafts = {
        name: [Draft(f"v1/{name}/commands", f"{name} {each}".encode()) for each in range(2)]
        for name in names
    }
    with records.transaction() as db:
        put = put_many_in(db, A, drafts, now=START).put
    known = frozenset({put[1].id})
    wanted = [Wanted(A, name, (f"v1/{name}/#",), known) for name in names]
    wanted += [Wanted(B, names[0], ("#",), frozenset()), Wanted(A, CAR, ("#",), frozenset())]
    counted: list[str] = []
    with records.reading() as db:
        engine = db.engine

    def count(_c: object, _k: object, text: str, *_: object) -> None:
        counted.append(text)

    listen(engine, "before_cursor_execute", count)
    found = service.look(wanted)
    remove(engine, "before_cursor_execute", count)
    assert len([text for text in counted if "vehicle_messages" in text]) == 2
    assert [one.messages for one in found[:-2]] == [(one,) for one in put[::2]]
    assert found[-2:] == [Waits((), False)] * 2


def test_an_answer_has_room_for_so_much_and_the_rest_is_asked_for_again(
    service: Outgoing, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup._Room.__init__, "__defaults__", (5, 100))
    monkeypatch.setattr(lookup, "_ALL", 5)
    for vehicle, size, count in ((CAR, 200, 2), (OTHER, 20, 6)):
        with records.transaction() as db:
            draft = Draft(f"v1/{vehicle}/commands", bytes(size))
            put_many_in(db, A, {vehicle: [draft] * count}, now=START)

    def look(*vehicles: str) -> list[tuple[int, bool]]:
        wanted = [Wanted(A, name, (f"v1/{name}/#",), frozenset()) for name in vehicles]
        return [(len(one.messages), one.more) for one in service.look(wanted)]

    assert look(CAR, OTHER) == [(1, True), (0, True)]  # what is too large for all goes alone
    assert look(OTHER, CAR) == [(5, True), (0, True)]
    assert look(OTHER) == [(5, True)]


def test_vehicles_with_very_much_are_told_all_of_it(
    service: Outgoing, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_HEADS", 3)
    with records.transaction() as db:
        drafts = {
            name: [
                *[Draft(f"v1/{name}/commands", b"go")] * 4,
                retaining(f"v1/{name}/documents", b"[]"),
            ]
            for name in (CAR, OTHER)
        }
        put_many_in(db, A, drafts, now=START)
    numbers = [one.id for one in service.waiting(A, CAR)]

    def look(*filters: str, held: int, known: int = 0) -> list[Waits]:
        return service.look(
            [
                Wanted(A, name, tuple(f"v1/{name}/{one}" for one in filters),
                       frozenset(numbers[:known]), frozenset({numbers[held], 1}))
                for name in (CAR, OTHER)
            ]
        )  # fmt: skip

    for held in (0, 4):
        for found in (*look("documents", held=held), *look("#", held=held, known=4)):
            assert [one.payload for one in found.messages] == [b"[]"]
            assert (found.more, found.gone) == (False, {1})
        for found in look("#", held=held):
            assert [one.id for one in found.messages] == numbers
        for found in look(held=held):
            assert found == Waits((), False, frozenset({1}))
    monkeypatch.setattr(lookup, "_MOST", 2)
    for found in look("#", held=4):
        assert (len(found.messages), found.more, found.gone) == (2, True, {1})


def test_whether_messages_are_still_wanted_is_told_by_one_select(
    service: Outgoing, records: SqlRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_HEADS", 3)
    with records.transaction() as db:
        put_many_in(db, A, {CAR: [Draft(COMMANDS, b"go")] * 5}, now=START)
        engine = db.engine
    numbers = [one.id for one in service.waiting(A, CAR)]
    counted = list[str]()

    def count(_c: object, _k: object, text: str, *_: object) -> None:
        counted.append(text)

    def selects(*held: int) -> int:
        counted.clear()
        [found] = service.look([Wanted(A, CAR, (), frozenset(), frozenset(held))])
        assert found == Waits((), False, frozenset(held) - set(numbers))
        return len([text for text in counted if "vehicle_messages" in text])

    listen(engine, "before_cursor_execute", count)
    told = [selects(), selects(1, *numbers[:3]), selects(numbers[4])]
    remove(engine, "before_cursor_execute", count)
    assert told == [1, 1, 2]


def test_gateways_find_what_was_put_since(service: Outgoing, clock: Clock) -> None:
    service.send(A, CAR, COMMANDS, b"go", actor="ann")
    clock.now += SECOND
    service.send(A, OTHER, f"v1/{OTHER}/commands", b"go", actor="ann")
    both = [CAR, OTHER, *(f"none-{number}" for number in range(1200))]
    assert sorted(service.changed_since(START, both)) == [CAR, OTHER]
    assert service.changed_since(START + 1, both) == [OTHER]
    assert service.changed_since(START + 1, [CAR]) == []


@pytest.mark.parametrize(
    ("vehicle", "topic", "qos", "error"),
    [
        ("nobody", "v1/nobody/commands", 1, Unknown),
        ("no\0body", "v1/no\0body/commands", 1, Unknown),
        (CAR, f"v1/{OTHER}/commands", 1, Invalid),
        (CAR, f"v1/{CAR}/documents/+", 1, Invalid),
        (CAR, COMMANDS, 3, Invalid),
    ],
)
def test_what_cannot_be_put_is_refused(
    service: Outgoing, vehicle: str, topic: str, qos: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.send(A, vehicle, topic, b"go", actor="ann", qos=qos)
    with pytest.raises(Unknown):
        service.send(B, CAR, COMMANDS, b"go", actor="bob")
    assert said(service) == []


def test_the_bytes_of_a_vehicle_are_limited_and_a_replaced_message_frees_its_own(
    service: Outgoing, records: SqlRecords
) -> None:
    topic = f"v1/{CAR}/documents/标"  # counted in characters, its payload in bytes
    size = 100 + len(topic) + 300
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", size, actor="root")
    service.retain(A, CAR, topic, bytes(range(256)) + b"\x80" * 44, actor="ann")
    with pytest.raises(OverLimit) as refused:
        service.send(A, CAR, COMMANDS, b"", actor="ann")
    assert refused.value.used == size
    service.retain(A, CAR, topic, b"\xff" * 300, actor="ann")
    with pytest.raises(OverLimit):
        service.retain(A, CAR, topic, b"\xff" * 301, actor="ann")
    assert said(service) == [(topic, b"\xff" * 300, True)]


def test_many_vehicles_get_all_of_theirs_or_nothing(service: Outgoing, records: SqlRecords) -> None:
    service.retain(A, CAR, DOCUMENT, b"old", actor="ann")
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 600, actor="root")
    wanted = {
        CAR: [retaining(LIST, b"[]"), retaining(DOCUMENT, b"new"), Draft(COMMANDS, b"go")],
        OTHER: [
            retaining(f"v1/{OTHER}/documents", b"[]"),
            retaining(f"v1/{OTHER}/documents/x", bytes(500)),
        ],
        "nobody": [retaining("v1/nobody/documents", b"[]")],
    }
    with records.transaction() as db:
        done = put_many_in(db, A, wanted, now=START)
    assert {name: type(error) for name, error in done.refused.items()} == {
        OTHER: OverLimit, "nobody": Unknown
    }  # fmt: skip
    assert done.put == service.waiting(A, CAR)
    assert said(service) == [
        (LIST, b"[]", True),
        (DOCUMENT, b"new", True),
        (COMMANDS, b"go", False),
    ]
    assert [one.id for one in done.put] == [START + 1, START + 2, START + 3]
    assert said(service, OTHER) == []
    with records.transaction() as db:
        assert put_many_in(db, A, {}, now=START).put == []


def test_thousands_of_messages_need_few_statements(service: Outgoing, records: SqlRecords) -> None:
    vehicles = Vehicles(records)
    names = [f"bulk-{number:03d}" for number in range(60)]
    vehicles.import_csv(A, "\n".join(["id", *names]), actor="ann")

    def put(some: list[str]) -> int:
        wanted = {
            name: [retaining(f"v1/{name}/documents/{each}", b"{}") for each in range(40)]
            for name in some
        }
        with records.transaction() as db:
            counted: list[str] = []
            listen(db, "before_cursor_execute", lambda _c, _k, text, *_: counted.append(text))
            assert len(put_many_in(db, A, wanted, now=START).put) == 40 * len(some)
            return len(counted)

    few = put(names[:1])
    assert put(names) <= few + 1  # and one to take away what was there
    assert len(service.waiting(A, names[0])) == 40


def test_a_vehicle_can_log_in_while_messages_are_put_for_it(
    service: Outgoing, records: SqlRecords
) -> None:
    wanted = {CAR: [retaining(DOCUMENT, b"x")]}
    with records.transaction() as db:
        assert put_many_in(db, A, wanted, now=START).put
        referring = select(vehicles.c.id).where(vehicles.c.id == CAR)
        if db.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        with records.transaction() as other:  # as a foreign key asks for it
            locked = referring.with_for_update(read=True, key_share=True, nowait=True)
            assert other.execute(locked).scalars().all() == [CAR]
