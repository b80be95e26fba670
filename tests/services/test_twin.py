"""The columnar twin against a plain one, and its way through Arrow."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.services.telemetry.twin import HEADING, LAT, LON, SPEED, Twin

FLAGS = "Vehicle.Powertrain.TractionBattery.Charging.IsCharging"
CELLS = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"
CODES = "Vehicle.Regulatory.AlarmCodes"
STATE = "Vehicle.Regulatory.State"
DISTANCE = "Vehicle.TraveledDistance"
KINDS: dict[str, pa.DataType] = {
    SPEED: pa.float32(),
    DISTANCE: pa.int64(),
    FLAGS: pa.bool_(),
    STATE: pa.string(),
    CELLS: pa.list_(pa.float32()),
    CODES: pa.list_(pa.string()),
}
SCHEMA = pa.schema(
    [
        ("vehicle", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("received", pa.timestamp("us", "UTC")),
        ("seq", pa.int64()),
        *KINDS.items(),
    ]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    SPEED: st.integers(0, 2200).map(lambda n: n / 8),
    DISTANCE: st.integers(-(2**60), 2**60),
    FLAGS: st.booleans(),
    STATE: st.sampled_from(["STARTED", "OFF", ""]),
    CELLS: st.lists(st.integers(0, 40).map(lambda n: n / 8), max_size=4),
    CODES: st.lists(st.sampled_from(["gb_insulation", "gb_soc_low"]), max_size=2),
}
ROW = st.fixed_dictionaries(
    {
        "vehicle": st.sampled_from(["A", "B", "C", "LTEST000000000001"]),
        "time": st.integers(0, 6),
        "received": st.integers(0, 1000),
        "seq": st.just(1),
        **{path: st.none() | values for path, values in VALUES.items()},
    }
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def plain_merge(batches: list[list[dict[str, Any]]]) -> dict[str, dict[str, tuple[Any, int]]]:
    """Reference: row by row, a value replaces one that is not newer."""
    state: dict[str, dict[str, tuple[Any, int]]] = {}
    for row in (row for batch in batches for row in batch):
        signals = state.setdefault(row["vehicle"], {})
        for path in KINDS:
            known = signals.get(path)
            if row[path] is not None and (known is None or row["time"] >= known[1]):
                signals[path] = (row[path], row["time"])
    return state


def read_back(twin: Twin, vehicle: str) -> dict[str, tuple[Any, int]]:
    got = twin.get(vehicle)
    assert got is not None
    return {path: (reading.value, reading.time_us) for path, reading in got.signals.items()}


@given(st.lists(st.lists(ROW, max_size=12), max_size=4))
@settings(deadline=None, max_examples=80)
def test_columnar_merge_equals_the_plain_one(batches: list[list[dict[str, Any]]]) -> None:
    twin = Twin()
    for batch in batches:
        twin.apply(table(batch))
    expected = plain_merge(batches)
    assert len(twin) == len(expected)
    for vehicle, signals in expected.items():
        assert read_back(twin, vehicle) == signals


@given(st.lists(st.lists(ROW, min_size=1, max_size=8), min_size=1, max_size=3))
@settings(deadline=None, max_examples=50)
def test_a_snapshot_gives_the_same_twin(batches: list[list[dict[str, Any]]]) -> None:
    twin = Twin()
    for batch in batches:
        twin.apply(table(batch))
    again = Twin.from_arrow(twin.to_arrow())
    assert again.overviews() == twin.overviews()
    for vehicle in plain_merge(batches):
        assert again.get(vehicle) == twin.get(vehicle)
    again.apply(table(batches[0]))
    twin.apply(table(batches[0]))
    for vehicle in plain_merge(batches):
        assert again.get(vehicle) == twin.get(vehicle)


def test_an_old_report_changes_nothing_but_what_was_unknown() -> None:
    twin = Twin()
    empty = dict.fromkeys(KINDS)
    twin.apply(
        table([{**empty, "vehicle": "A", "time": 10, "received": 11, "seq": 1, SPEED: 50.0}])
    )
    twin.apply(
        table(
            [
                {
                    **empty,
                    "vehicle": "A",
                    "time": 5,
                    "received": 20,
                    "seq": 2,
                    SPEED: 9.0,
                    STATE: "OFF",
                }
            ]
        )
    )
    assert read_back(twin, "A") == {SPEED: (50.0, 10), STATE: ("OFF", 5)}
    got = twin.get("A")
    assert got is not None
    assert (got.time_us, got.received_us) == (10, 20)


def test_changed_since_names_only_what_changed() -> None:
    twin = Twin()
    empty = dict.fromkeys(KINDS)
    for vehicle in ("A", "B"):
        twin.apply(table([{**empty, "vehicle": vehicle, "time": 1, "received": 1, "seq": 1}]))
    seen = twin.version
    twin.apply(table([{**empty, "vehicle": "B", "time": 2, "received": 2, "seq": 2, SPEED: 1.0}]))
    assert [row.vehicle for row in twin.changed_since(seen)] == ["B"]
    assert twin.version_of("A") < twin.version_of("B")
    assert twin.get("nobody") is None


def position(vehicle: str, second: int, lon: float, lat: float, heading: float | None) -> pa.Table:
    return pa.table(
        {
            "vehicle": pa.array([vehicle]),
            "time": pa.array([second * 1_000_000], pa.timestamp("us", "UTC")),
            LON: pa.array([lon], pa.float64()),
            LAT: pa.array([lat], pa.float64()),
            HEADING: pa.array([heading], pa.float32()),
        }
    )


@pytest.mark.parametrize(
    ("lon", "lat", "degrees"),
    [(0.0, 0.001, 0.0), (0.001, 0.0, 90.0), (0.0, -0.001, 180.0), (-0.001, 0.0, 270.0)],
)
def test_heading_is_derived_from_positions(lon: float, lat: float, degrees: float) -> None:
    twin = Twin()
    twin.apply(position("A", 1, 179.9999, 0.0, None))
    assert twin.overviews()[0].heading is None
    twin.apply(position("A", 2, (179.9999 + lon + 180) % 360 - 180, lat, None))
    assert twin.overviews()[0].heading == pytest.approx(degrees, abs=0.2)
    twin.apply(position("A", 3, (179.9999 + lon + 180) % 360 - 180 + 1e-6, lat, None))
    assert twin.overviews()[0].heading == pytest.approx(degrees, abs=0.2)  # noise turns nothing
    twin.apply(position("A", 4, 0.0, 0.0, 33.0))
    assert twin.overviews()[0].heading == 33.0
