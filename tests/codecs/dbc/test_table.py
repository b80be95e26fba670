"""Decoded logs as Arrow tables."""

import numpy as np
import pyarrow as pa

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import Database, Message, Signal
from carcloud.codecs.dbc.columnar import decode
from carcloud.codecs.dbc.columnar_table import table

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


def _frames(clock: str = "host_utc") -> CanFrames:
    payload = bytes((255, 20, 0, 30, 0xFF, 0xFF, 7, 0)) + bytes((1, *bytes(9)))
    return CanFrames.build(
        [10, 30, 20, 25, 40], [1, 1, 0x18FEF147, 0x18FEF148, 2], np.frombuffer(payload, np.uint8),
        [2, 2, 2, 2, 10], extended=[False, False, True, True, False], bus=[1, 1, 2, 2, 1],
        clock=clock,
    )  # fmt: skip


def test_rows_signal_by_signal() -> None:
    rows = table(decode(_frames(), [BASE]))
    assert rows["time"].type == pa.timestamp("ns", "UTC")
    assert rows["time"].cast(pa.int64()).to_pylist() == [10, 30, 10, 30, 20, 25, 40]
    assert rows["message"].to_pylist() == ["One"] * 4 + ["Two"] * 2 + ["Long"]
    assert rows["signal"].to_pylist() == ["Gear"] * 2 + ["Speed"] * 2 + ["Rpm"] * 2 + ["Text"]
    assert rows["value"].to_pylist() == [-1, 0, 10, 15, None, 7, 1]
    assert rows["unit"].to_pylist() == [None, None, "km/h", "km/h", "rpm", "rpm", None]
    assert rows["label"].to_pylist() == ["R", "N", None, None, None, None, "one"]
    assert rows["bus"].to_pylist() == [1, 1, 1, 1, 2, 2, 1]
    assert rows["can_id"].to_pylist()[-3:] == [0x18FEF147, 0x18FEF148, 2]


def test_rows_by_time() -> None:
    rows = table(decode(_frames("relative"), [BASE]), by_time=True)
    assert rows["time"].type == pa.duration("ns")
    assert rows["time"].cast(pa.int64()).to_pylist() == [10, 10, 20, 25, 30, 30, 40]
    assert rows["value"].to_pylist() == [-1, 10, None, 7, 0, 15, 1]
    assert rows["label"].to_pylist() == ["R", None, None, None, "N", None, "one"]


def test_nothing_is_an_empty_table() -> None:
    rows = table(decode(CanFrames.empty(), [BASE]))
    assert rows.num_rows == 0
    assert rows.schema.names == table(decode(_frames(), [BASE])).schema.names
