"""Values outside type, range or allowed values: flagged by one check, kept, seen in the twin."""

import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE, Signal, arrow_type
from carcloud.services.telemetry.ranges import Ranges, RangesByTenant, marked
from carcloud.services.telemetry.twin import Twin

SIGNALS = (
    Signal("Vehicle.Byte", "uint8"),
    Signal("Vehicle.Percent", "uint8", "percent", 0, 100),
    Signal("Vehicle.Small", "int8"),
    Signal("Vehicle.Large", "uint64"),
    Signal("Vehicle.Ratio", "float", None, -0.1, 0.1),
    Signal("Vehicle.Above", "double", None, 0),
    Signal("Vehicle.Free", "float"),
    Signal("Vehicle.Word", "string", allowed=("ON", "OFF")),
    Signal("Vehicle.Words", "string[]", allowed=("ON", "OFF")),
    Signal("Vehicle.Cells", "float[]", "V", 0, 5),
    Signal("Vehicle.Bytes", "uint8[]"),
    Signal("Vehicle.IsOn", "boolean"),
    Signal("Vehicle.Step", "int8", allowed=("-1", "0", "2")),
    Signal("Vehicle.Huge", "int64", allowed=(str(2**53 + 1), "-3")),
    Signal("Vehicle.Level", "float", allowed=("0.1", "5.0")),
    Signal("Vehicle.Three", "float[]", None, 0, 5, array_size=3),
)
BY_PATH = {signal.path: signal for signal in SIGNALS}
_WHOLE = st.integers(-130, 300)
_REAL = st.sampled_from([-1.0, -0.1, 0.0, 0.05, 0.1, 0.2, 5.0, 6.0, math.nan, math.inf])
_WORDS = st.sampled_from(["ON", "OFF", "on", "", "OTHER"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Vehicle.Byte": _WHOLE,
    "Vehicle.Percent": _WHOLE,
    "Vehicle.Small": st.integers(-128, 127),
    "Vehicle.Large": st.integers(-5, 2**63 - 1),
    "Vehicle.Ratio": _REAL,
    "Vehicle.Above": _REAL,
    "Vehicle.Free": _REAL,
    "Vehicle.Word": _WORDS,
    "Vehicle.Words": st.lists(_WORDS, max_size=3),
    "Vehicle.Cells": st.lists(_REAL, max_size=3),
    "Vehicle.Bytes": st.lists(_WHOLE, max_size=3),
    "Vehicle.IsOn": st.booleans(),
    "Vehicle.Step": st.integers(-3, 3),
    "Vehicle.Huge": st.sampled_from([2**53, 2**53 + 1, 2**53 + 2, -3, 0]),
    "Vehicle.Level": _REAL,
    "Vehicle.Three": st.lists(_REAL, min_size=2, max_size=4),
}
ROWS = st.lists(
    st.fixed_dictionaries({path: st.none() | values for path, values in VALUES.items()}),
    max_size=12,
)


def plainly_outside(signal: Signal, value: Any) -> bool:
    """Reference: one value after the other."""
    if value is None:
        return False
    if isinstance(value, list):
        if signal.array_size not in (None, len(value)):
            return True
        return any(plainly_outside(replace(signal, datatype=signal.scalar), one) for one in value)
    if signal.allowed and signal.scalar != "string":
        number = int if "int" in signal.scalar else float
        return value not in map(number, signal.allowed)
    if signal.allowed:
        return value not in signal.allowed
    if signal.datatype.startswith("uint") and not 0 <= value < 1 << int(signal.datatype[4:]):
        return True
    if signal.datatype in ("boolean", "string"):
        return False
    least, most = signal.minimum, signal.maximum
    if least is most is None:
        return False
    within = (least is None or value >= least) and (most is None or value <= most)
    return not within


def table(rows: list[dict[str, Any]]) -> pa.Table:
    fields = [pa.field(path, arrow_type(BY_PATH[path].datatype)) for path in VALUES]
    return pa.Table.from_pylist(rows, pa.schema(fields))


@given(ROWS, st.booleans(), st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_the_check_of_columns_equals_the_plain_one(
    rows: list[dict[str, Any]], coded: bool, cut: int
) -> None:
    values = table(rows)
    if coded:
        at = values.column_names.index("Vehicle.Word")
        values = values.set_column(at, "Vehicle.Word", values["Vehicle.Word"].dictionary_encode())
    values, rows = values[cut:], rows[cut:]  # a slice: its arrays begin elsewhere
    wanted = [
        [path for path in VALUES if plainly_outside(BY_PATH[path], row[path])] for row in rows
    ]
    found = Ranges(BY_PATH).flag(values)
    if not any(wanted):
        assert found is values
        return
    assert [paths or [] for paths in found["flagged"].to_pylist()] == wanted
    assert found["out_of_range"].to_pylist() == [bool(paths) for paths in wanted]
    kept = found.drop_columns(["flagged", "out_of_range"])
    assert str(kept.to_pylist()) == str(values.to_pylist())  # NaN is not equal to itself


def test_marks_that_are_there_stay() -> None:
    rows = pa.table(
        {
            "out_of_range": [True, False, False],
            "flagged": pa.array([None, ["Vehicle.Own"], None], pa.list_(pa.string())),
            "Vehicle.Percent": pa.array([1, 101, 2], pa.int16()),
        }
    )
    found = Ranges(BY_PATH).flag(rows)
    assert found["out_of_range"].to_pylist() == [True, True, False]
    assert found["flagged"].to_pylist() == [None, ["Vehicle.Own", "Vehicle.Percent"], None]
    assert found.column_names == rows.column_names
    assert marked(rows, {}).equals(rows.set_column(0, "out_of_range", [[True, False, False]]))


def test_a_column_of_another_type_or_name_is_left_alone() -> None:
    rows = pa.table({"Vehicle.Percent": ["x"], "Vehicle.Other": [1], "Vehicle.Word": [3]})
    assert Ranges(BY_PATH).flag(rows) is rows


def test_a_tenant_with_a_catalogue_of_its_own_is_checked_by_it() -> None:
    own: dict[Tenant, dict[str, Signal]] = {Tenant("a"): BY_PATH}
    ranges = RangesByTenant(lambda tenant: own.get(tenant, CATALOGUE))
    assert ranges.of(Tenant("a")).catalogue is BY_PATH
    assert ranges.of(Tenant("a")) is ranges.of(Tenant("a"))
    assert ranges.of(Tenant("b")) is ranges.of(Tenant("c"))
    own[Tenant("a")] = dict(BY_PATH)
    assert ranges.of(Tenant("a")).catalogue is own[Tenant("a")]


def test_the_twin_shows_which_latest_values_are_flagged() -> None:
    def rows(time: int, percent: int, flagged: list[str] | None) -> pa.Table:
        return pa.table(
            {
                "vehicle": ["A", "B"],
                "time": pa.array([time, time], pa.timestamp("us", "UTC")),
                "flagged": pa.array([flagged, None], pa.list_(pa.string())),
                "Vehicle.Percent": pa.array([percent, 1], pa.int16()),
                "Vehicle.IsOn": [True, True],
            }
        )

    def flags(twin: Twin, vehicle: str) -> list[bool]:
        got = twin.get(vehicle)
        assert got is not None
        return [got.signals[path].flagged for path in ("Vehicle.Percent", "Vehicle.IsOn")]

    twin = Twin()
    twin.apply(rows(1, 1, None))
    twin.apply(rows(5, 200, ["Vehicle.Percent"]))
    twin.apply(rows(2, 3, None))  # older: the later one stays
    assert (flags(twin, "A"), flags(twin, "B")) == ([True, False], [False, False])
    again = Twin.from_arrow(twin.copy().to_arrow())
    assert (flags(again, "A"), flags(again, "B")) == ([True, False], [False, False])
    again.apply(rows(6, 4, None))
    assert flags(again, "A") == [False, False]
    for number in range(200):  # makes room for more vehicles
        again.apply(rows(7, 4, None).set_column(0, "vehicle", [["A", f"C{number}"]]))
    assert flags(again, "C7") == [False, False]


@pytest.mark.parametrize("path", ["Vehicle.Speed", "Vehicle.CurrentLocation.Latitude"])
def test_usual_signals_that_a_report_repeats_are_checked(path: str) -> None:
    signal = replace(CATALOGUE[path], maximum=50)
    values = pa.table({path: pa.array([10, 60], arrow_type(signal.datatype))})
    assert Ranges({path: signal}).flag(values)["flagged"].to_pylist() == [None, [path]]
