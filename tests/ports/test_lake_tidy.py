"""Small files are merged beside the appends that make them."""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.engines.lake_delta import Care, DeltaLake, upkeep
from carcloud.engines.lake_delta.log import Log
from carcloud.engines.lake_delta.schema import TIME
from carcloud.engines.lake_delta.write import in_order_of
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import QueryLimits, Slice, TableRef

TENANT = Tenant("fleet-a")
NOW = now_us()  # of all rows, which are of one date then
SIGNALS = TableRef(TENANT, "signals")


def add(lake: DeltaLake, seqs: range, each: int = 5) -> None:
    """`each` rows of as many vehicles in a commit for every seq."""
    for seq in seqs:
        names = [f"v{number}" for number in range(each)]
        times = pa.array([NOW + seq] * each, TIME)
        rows = pa.table({"vehicle": names, "time": times, "seq": pa.array([seq] * each)})
        assert lake.append(SIGNALS, rows, writer="w", seq=seq)


def opened(folder: Path, tidies: Callable[[], bool] | None, **care: int) -> DeltaLake:
    return DeltaLake(folder, Care(**care), tidies=tidies)  # type: ignore[arg-type]


def files(lake: DeltaLake) -> int:
    return sum(table.files for table in lake.tables(TENANT))


def seqs(lake: DeltaLake) -> list[int]:
    return sorted(lake.read(SIGNALS, Slice())["seq"].to_pylist())


def test_small_files_become_one_while_rows_come_in(tmp_path: Path) -> None:
    lake = opened(tmp_path, lambda: True, fan_in=4)
    add(lake, range(1, 5))
    lake.forget(TENANT)  # waits for what is at work on its tables
    assert files(lake) == 1
    assert seqs(lake) == sorted(list(range(1, 5)) * 5)
    counted = lake.query(TENANT, "SELECT count(*) n FROM signals", QueryLimits())
    assert counted.table.to_pylist() == [{"n": 20}]
    lake.close()


@pytest.mark.parametrize(
    ("tidies", "care"),
    [(None, {}), (lambda: False, {}), (lambda: True, {"tidy_bytes": 300})],
    ids=["not asked to", "no room", "too large together"],
)
def test_files_stay(
    tmp_path: Path, tidies: Callable[[], bool] | None, care: dict[str, int]
) -> None:
    lake = opened(tmp_path, tidies, fan_in=4, **care)
    add(lake, range(1, 9))
    lake.forget(TENANT)
    assert files(lake) == 8
    lake.close()


def test_dates_that_nobody_writes_are_left_to_upkeep(tmp_path: Path) -> None:
    lake = opened(tmp_path, None, fan_in=4)
    add(lake, range(1, 5))
    quiet = Log(lake._log(SIGNALS).files, Care(fan_in=4, settle=0))
    assert upkeep.tidy(quiet) == []
    assert files(lake) == 4


def test_a_merge_that_fails_keeps_nobody_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def fail(_log: Log) -> list[str]:
        asked.set()
        raise Unavailable("lake: no")

    monkeypatch.setattr(upkeep, "tidy", fail)
    lake = opened(tmp_path, lambda: True, fan_in=4)
    add(lake, range(1, 5))
    assert asked.wait(30)
    lake.forget(TENANT)
    monkeypatch.undo()
    add(lake, range(5, 9))
    lake.forget(TENANT)
    assert files(lake) == 1
    lake.close()
    assert seqs(lake) == sorted(list(range(1, 9)) * 5)


def test_after_the_end_nothing_is_merged_and_nobody_waits(tmp_path: Path) -> None:
    lake = opened(tmp_path, lambda: True, fan_in=4)
    add(lake, range(1, 4))
    lake.close()
    add(lake, range(4, 9))
    lake.forget(TENANT)
    assert files(lake) == 8
    lake.close()


def test_parts_become_one_table_in_order_and_are_let_go() -> None:
    parts = [
        pa.table(
            {
                "vehicle": [f"v{number * 7 % 5}" for number in range(first, first + 20)],
                "time": pa.array([NOW - number for number in range(first, first + 20)], TIME),
                "cells": [[number] * (number % 3) or None for number in range(first, first + 20)],
            }
        )
        for first in (0, 50, 20)
    ]
    expected = pa.concat_tables(parts).sort_by([("vehicle", "ascending"), ("time", "ascending")])
    assert in_order_of(parts).equals(expected)
    assert parts == []
