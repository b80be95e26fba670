"""The lake port, `rewrite`: the rows of a slice replaced in one commit, whatever others do."""

import threading

import pyarrow as pa
import pyarrow.compute as pc
from tests.ports.test_lake import (
    DAY_0,
    SIGNALS,
    Opened,
    again,
    keys_of,
    lake,
    rows,
    s3_endpoint,
    select,
)

from carcloud.model.time import DAY, SECOND
from carcloud.ports.lake import Lake, Slice

__all__ = ["again", "lake", "s3_endpoint"]

OF_A = Slice(vehicles=("a",), until_seq=20)


def filled(lake: Lake) -> None:
    """Two vehicles over two days, in ten commits."""
    for seq in range(1, 11):
        at = seq * SECOND + (DAY if seq > 5 else 0)
        some = rows(("a", at, seq), ("b", at, seq), speed=pa.array([seq, seq], pa.int64()))
        assert lake.append(SIGNALS, some, writer="ingest", seq=seq)


def doubled(found: pa.Table) -> pa.Table:
    speed = pc.multiply(found["speed"], 2)
    return found.set_column(found.schema.get_field_index("speed"), "speed", speed)


def test_the_rows_of_a_slice_are_replaced_and_no_other(lake: Lake) -> None:
    filled(lake)
    before = keys_of(lake.read(SIGNALS, Slice()))
    assert lake.rewrite(SIGNALS, OF_A, doubled, writer="redecode")
    assert keys_of(lake.read(SIGNALS, Slice())) == before
    told = select(lake, "SELECT vehicle, sum(speed)::INT AS s FROM signals GROUP BY 1 ORDER BY 1")
    assert told == [{"vehicle": "a", "s": 110}, {"vehicle": "b", "s": 55}]
    assert lake.position(SIGNALS, "ingest") == 10
    assert lake.position(SIGNALS, "redecode") == 1


def test_rows_and_columns_may_come_and_go(lake: Lake) -> None:
    filled(lake)
    new = rows(("a", 2 * DAY, 3), heat=pa.array([1.5], pa.float64()))
    assert lake.rewrite(SIGNALS, OF_A, lambda _: new, writer="redecode")
    found = lake.read(SIGNALS, Slice(vehicles=("a",)))
    assert keys_of(found) == keys_of(new)
    assert found["heat"].to_pylist() == [1.5] and found["speed"].to_pylist() == [None]
    assert lake.count(SIGNALS, Slice(vehicles=("b",))) == 10
    dated = Slice(columns=("date",), vehicles=("a",))
    assert lake.read(SIGNALS, dated).num_rows == 1
    assert lake.rewrite(SIGNALS, OF_A, lambda rows: rows.slice(0, 0), writer="redecode")
    assert lake.count(SIGNALS, Slice(vehicles=("a",))) == 0


def test_nothing_is_written_where_nothing_is_to_change(lake: Lake) -> None:
    assert not lake.rewrite(SIGNALS, OF_A, doubled, writer="redecode")
    filled(lake)
    assert not lake.rewrite(SIGNALS, OF_A, lambda _: None, writer="redecode")
    assert lake.position(SIGNALS, "redecode") == 0


def test_appends_and_merges_that_come_between_stand(again: Opened) -> None:
    lake, other = again(), again()
    filled(lake)
    asked: list[int] = []

    def change(found: pa.Table) -> pa.Table:
        asked.append(found.num_rows)
        if len(asked) == 1:
            late = rows(("a", SECOND, 21), speed=pa.array([1000], pa.int64()))
            assert other.append(SIGNALS, late, writer="ingest", seq=21)
            other.upkeep(SIGNALS, keep_days=None)
        return doubled(found)

    assert lake.rewrite(SIGNALS, OF_A, change, writer="redecode")
    told = select(lake, "SELECT vehicle, sum(speed)::INT AS s FROM signals GROUP BY 1 ORDER BY 1")
    assert told == [{"vehicle": "a", "s": 1110}, {"vehicle": "b", "s": 55}]
    assert set(asked) == {10}


def test_two_who_rewrite_the_same_rows_do_it_one_after_the_other(again: Opened) -> None:
    first, second = again(), again()
    filled(first)
    both = threading.Barrier(2)
    calls: list[int] = []

    def change(found: pa.Table) -> pa.Table:
        calls.append(1)
        if len(calls) <= 2:
            both.wait(60)
        return doubled(found)

    def work(lake: Lake) -> None:
        assert lake.rewrite(SIGNALS, OF_A, change, writer="redecode")

    threads = [threading.Thread(target=work, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = first.read(SIGNALS, Slice(vehicles=("a",), start_us=DAY_0))
    assert pc.sum(found["speed"]).as_py() == 220 and found.num_rows == 10
    assert len(calls) == 3
