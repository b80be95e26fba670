"""Usage is counted once, whatever is told again, in whatever order transactions fail."""

import threading

import pytest

from carcloud.model.usage import Usage
from carcloud.services.metering.api import Invalid, Metering
from tests.services.metering.conftest import HOUR, A, B, moment

START = moment(2026, 3, 10, 9)


def use(id, quantity=1, *, tenant=A, meter="messages", at=START, project="main"):
    return Usage(id, tenant, meter, quantity, at, project=project)


def total(metering, tenant=A, meter="messages"):
    return metering.total(tenant, meter, 0, START + 1000 * HOUR)


def test_an_id_counts_once(metering):
    assert metering.count([use("x", 5), use("x", 5), use("y", 7)]) == 2
    assert metering.count([use("x", 5), use("z", 1)]) == 1
    assert total(metering) == 13
    assert metering.count([use("x", 5, tenant=B)]) == 1  # another tenant's x
    assert (total(metering), total(metering, B)) == (13, 5)


def test_the_numbers_of_a_process_count_once_and_in_order(metering):
    assert metering.count([use("web-1:1", 3), use("web-1:2", 4)]) == 2
    assert metering.count([use("web-1:1", 3), use("web-1:2", 4), use("web-1:3", 5)]) == 1
    assert metering.count([use("web-2:1", 10)]) == 1
    assert total(metering) == 22


def test_a_stream_counts_once_by_sequence(metering):
    first = [(1, [use("a")]), (2, [use("b"), use("c")])]
    assert metering.count_from("USAGE", first) == 3
    assert metering.count_from("USAGE", [*first, (3, [use("d")])]) == 1
    assert (metering.position("USAGE"), total(metering)) == (3, 4)
    metering.begin_anew("USAGE")  # another stream: old ids do not count again
    assert metering.count_from("USAGE", [(1, [use("c")]), (2, [use("e")])]) == 1
    assert total(metering) == 5


def test_a_stretch_counts_only_where_the_last_one_ended(metering):
    assert metering.count_stretch("lake:a", 0, 10, [use("-", 100)])
    assert not metering.count_stretch("lake:a", 0, 10, [use("-", 100)])
    assert not metering.count_stretch("lake:a", 11, 12, [use("-", 100)])
    assert metering.count_stretch("lake:a", 10, 12, [use("-", 1)])
    assert (metering.position("lake:a"), total(metering)) == (12, 101)


def test_a_failed_transaction_counts_nothing_and_can_be_repeated(metering, records, monkeypatch):
    from carcloud.services.metering import counting

    class Killed(Exception):
        pass

    def die(*_args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(counting, "move", die)
        with pytest.raises(Killed):
            metering.count_from("USAGE", [(1, [use("a", 9), use("p:1", 9)])])
    assert (metering.position("USAGE"), total(metering)) == (0, 0)
    assert metering.count_from("USAGE", [(1, [use("a", 9), use("p:1", 9)])]) == 2
    assert total(metering) == 18


def test_many_who_tell_the_same_at_once_count_it_once(metering, records):
    usages = [use(f"id-{n}", n) for n in range(40)] + [use("p:1", 1000)]
    begin = threading.Barrier(4)
    failed: list[BaseException] = []

    def tell():
        mine = Metering(records, lambda: START)
        begin.wait()
        try:
            for start in range(0, len(usages), 10):
                mine.count(usages[start : start + 10])
            mine.count(usages)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failed.append(error)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert total(metering) == sum(range(40)) + 1000


def test_usage_by_hour_day_and_month(local):
    local.count([
        use("1", 1, at=START), use("2", 2, at=START + HOUR - 1), use("3", 4, at=START + HOUR),
        use("4", 8, at=START + 24 * HOUR), use("5", 16, at=moment(2026, 4, 1)),
        use("6", 32, at=START, project="other"),
    ])  # fmt: skip
    end = moment(2026, 5, 1)

    def told(by):
        return [(u.start_us, u.project, u.quantity) for u in local.usage(A, START, end, by=by)]

    assert told("hour")[:3] == [
        (START, "main", 3), (START, "other", 32), (START + HOUR, "main", 4),
    ]  # fmt: skip
    day = moment(2026, 3, 10)
    assert (day, "main", 7) in told("day")
    march, april = moment(2026, 3, 1), moment(2026, 4, 1)
    assert told("month") == [
        (march, "main", 15), (march, "other", 32), (april, "main", 16),
    ]  # fmt: skip
    assert local.totals("messages", START, START + HOUR) == {A: 35}
    assert local.usage(B, START, end) == []
    for first, last, by in ((START, START - HOUR, "hour"), (0, end, "hour"), (START, end, "week")):
        with pytest.raises(Invalid):
            local.usage(A, first, last, by=by)


def test_old_ids_are_forgotten(local, clock):
    local.count([use("x"), use("p:1")])
    clock.now += 41 * 24 * HOUR
    local.forget()
    assert local.count([use("x"), use("p:1")]) == 2
