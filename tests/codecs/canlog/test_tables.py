"""Decoded logs as Arrow tables in long form."""

import numpy as np
import pyarrow as pa

from carcloud.codecs.can.frames import CanFrames, Clock
from carcloud.codecs.canlog.decoding import LogDecoding
from carcloud.codecs.canlog.tables import long_schema, long_table
from carcloud.codecs.dbc import Database, Message, Signal

BASE = Database(
    (
        Message(1, False, "One", 8, (
            Signal("Gear", 0, 8, signed=True, labels={-1: "R", 0: "N", 2**40: "far"}),
            Signal("Speed", 8, 8, factor=0.5, unit="km/h"),
        )),
        Message(0x18FEF100, True, "Two", 8, (Signal("Rpm", 0, 16, unit="rpm"),), j1939=True),
        Message(2, False, "Long", 10, (Signal("Text", 0, 80, labels={1: "one"}),)),
    )
)  # fmt: skip


def rows_of(clock: Clock) -> pa.Table:
    payload = bytes((255, 20, 0, 30, 0xFF, 0xFF, 7, 0)) + bytes((1, *bytes(9)))
    frames = CanFrames.build(
        [10, 30, 20, 25, 40], [1, 1, 0x18FEF147, 0x18FEF148, 2], np.frombuffer(payload, np.uint8),
        [2, 2, 2, 2, 10], extended=[False, False, True, True, False], bus=[1, 1, 2, 2, 1],
        clock=clock,
    )  # fmt: skip
    return long_table(LogDecoding([BASE]).feed(frames), clock)


def test_a_row_for_each_value_by_time() -> None:
    rows = rows_of("host_utc")
    assert rows["time"].type == pa.timestamp("ns", "UTC")
    assert rows["time"].cast(pa.int64()).to_pylist() == [10, 10, 20, 25, 30, 30, 40]
    assert rows["message"].to_pylist() == ["One", "One", "Two", "Two", "One", "One", "Long"]
    assert rows["signal"].to_pylist() == [*("Gear", "Speed", "Rpm", "Rpm", "Gear", "Speed", "Text")]
    assert rows["value"].to_pylist() == [-1, 10, None, 7, 0, 15, 1]
    assert rows["unit"].to_pylist() == ["", "km/h", "rpm", "rpm", "", "km/h", ""]
    assert rows["label"].to_pylist() == ["R", None, None, None, "N", None, "one"]
    assert rows["bus"].to_pylist() == [1, 1, 2, 2, 1, 1, 1]
    assert rows["can_id"].to_pylist()[2:4] == [0x18FEF147, 0x18FEF148]


def test_a_clock_that_is_relative_gives_durations() -> None:
    rows = rows_of("relative")
    assert rows["time"].type == pa.duration("ns")
    assert rows["time"].cast(pa.int64()).to_pylist() == [10, 10, 20, 25, 30, 30, 40]


def test_nothing_is_an_empty_table() -> None:
    assert long_table([], "host_utc").schema == long_schema("host_utc")
    assert rows_of("host_utc").schema == long_schema("host_utc")
