"""Series, trails, alarms, frames and dead letters, read from a real lake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.ids import DEFAULT_TENANT, VehicleId
from carcloud.model.time import DAY, SECOND
from carcloud.ports.lake import TableRef
from carcloud.services.telemetry.errors import InvalidArgument
from carcloud.services.telemetry.history import ALARM_CODES, Buckets, History, Span, parse_path
from carcloud.services.telemetry.twin import ALARM, LAT, LON, SPEED

CAR = VehicleId("LTEST000000000001")
CELLS = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"
STATE = "Vehicle.Regulatory.State"
NOON = 20_500 * DAY + DAY // 2  # us
UNITS: dict[str, str | None] = {SPEED: "km/h", "Vehicle.Altitude": "m"}


def signals(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema(
        [
            ("vehicle", pa.string()),
            ("time", pa.timestamp("us", "UTC")),
            ("received", pa.timestamp("us", "UTC")),
            ("seq", pa.int64()),
            (SPEED, pa.float32()),
            (LON, pa.float64()),
            (LAT, pa.float64()),
            (ALARM, pa.int16()),
            (ALARM_CODES, pa.list_(pa.string())),
            (CELLS, pa.list_(pa.float32())),
            (STATE, pa.string()),
        ]
    )
    return pa.Table.from_pylist([{"vehicle": CAR, "seq": 1, **row} for row in rows], schema)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DeltaLake]:
    lake = DeltaLake(tmp_path)
    rows = [
        {
            "time": NOON + i * SECOND,
            "received": NOON + i * SECOND,
            SPEED: float(i),
            LON: 116.0 + i / 1000,
            LAT: 40.0,
            CELLS: [3.5, 3.5 + i / 100] if i % 2 else [3.5],
            STATE: "STARTED",
            ALARM: 2 if 3 <= i < 6 else 0,
            ALARM_CODES: ["gb_insulation"] if 3 <= i < 6 else [],
        }
        for i in range(10)
    ]
    lake.append(TableRef(DEFAULT_TENANT, "signals"), signals(rows), writer="test", seq=1)
    yield lake


def read(lake: DeltaLake, path: str, span: Span, points: int) -> Any:
    paths = [parse_path(path)]
    found = History(lake).series(DEFAULT_TENANT, CAR, paths, span, points=points, units=UNITS)
    return found.series[path]


SPAN = Span(NOON, NOON + 10 * SECOND)


def test_a_series_at_full_resolution(lake: DeltaLake) -> None:
    got = read(lake, SPEED, SPAN, 100)
    assert got.unit == "km/h"
    assert got.time_ms == [(NOON + i * SECOND) // 1000 for i in range(10)]
    assert got.min == got.max == got.mean == [float(i) for i in range(10)]


def test_a_series_in_two_buckets(lake: DeltaLake) -> None:
    got = read(lake, SPEED, SPAN, 2)
    assert (got.min, got.max, got.mean) == ([0.0, 5.0], [4.0, 9.0], [2.0, 7.0])
    assert got.time_ms == [NOON // 1000, (NOON + 5 * SECOND) // 1000]


def test_an_element_of_an_array(lake: DeltaLake) -> None:
    got = read(lake, f"{CELLS}[1]", SPAN, 100)
    assert len(got.time_ms) == 5
    assert got.mean == pytest.approx([3.51, 3.53, 3.55, 3.57, 3.59], rel=1e-6)
    assert read(lake, f"{CELLS}[7]", SPAN, 100).time_ms == []


def test_a_known_signal_that_nobody_sent_gives_nothing(lake: DeltaLake) -> None:
    assert read(lake, "Vehicle.Altitude", SPAN, 10).time_ms == []


@pytest.mark.parametrize(
    "path", ["Vehicle.Nothing", CELLS, f"{SPEED}[0]", STATE, "a b", "", "x'; DROP"]
)
def test_a_bad_path_is_named(lake: DeltaLake, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(lake, path, SPAN, 10)
    assert caught.value.field == "paths"


def test_nothing_was_ever_written(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    assert read(lake, SPEED, SPAN, 10).time_ms == []
    assert History(lake).trail(DEFAULT_TENANT, CAR, SPAN, 10).lon == []
    assert History(lake).alarms(DEFAULT_TENANT, CAR, SPAN) == []
    assert History(lake).frames(DEFAULT_TENANT, CAR, None, 10, {}) == []


def test_trail(lake: DeltaLake) -> None:
    got = History(lake).trail(DEFAULT_TENANT, CAR, SPAN, 5)
    assert got.lon == pytest.approx([116.0, 116.002, 116.004, 116.006, 116.008])
    assert got.speed_kmh == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_alarm_intervals(lake: DeltaLake) -> None:
    [alarm] = History(lake).alarms(DEFAULT_TENANT, CAR, SPAN)
    assert (alarm.code, alarm.level) == ("gb_insulation", 2)
    assert (alarm.start_us, alarm.end_us) == (NOON + 3 * SECOND, NOON + 6 * SECOND)
    [open_] = History(lake).alarms(DEFAULT_TENANT, CAR, Span(NOON, NOON + 5 * SECOND))
    assert open_.end_us is None


def test_frames_are_decoded_or_say_why_not(tmp_path: Path) -> None:
    def decode(data: bytes, edition: str | None) -> dict[str, Any]:
        if data == b"bad":
            raise ValueError("offset 0: no start")
        return {"length": len(data), "edition": edition}

    lake = DeltaLake(tmp_path)
    moments = pa.array([NOON, NOON + 1], pa.timestamp("us", "UTC"))
    frames = pa.table(
        {
            "vehicle": [CAR, CAR],
            "time": moments,
            "received": moments,
            "seq": [1, 2],
            "protocol": ["gbt32960", "gbt32960"],
            "kind": ["realtime", "realtime"],
            "frame": pa.array([b"bad", b"##12"], pa.binary()),
        }
    )
    lake.append(TableRef(DEFAULT_TENANT, "frames"), frames, writer="test", seq=2)
    newest, oldest = History(lake).frames(
        DEFAULT_TENANT, CAR, None, 10, {"gbt32960": decode}, "2016"
    )
    assert newest.fields == {"length": 4, "edition": "2016"}
    assert oldest.error == {"detail": "offset 0: no start"}
    assert oldest.fields is None
    told = {"error": {"offset": 0, "clause": "6.2"}}
    [refused] = History(lake).frames(
        DEFAULT_TENANT, CAR, NOON + 1, 10, {"gbt32960": lambda *_: told.copy()}
    )
    assert (refused.fields, refused.error) == (None, told["error"])
    [only] = History(lake).frames(DEFAULT_TENANT, CAR, NOON + 1, 10, {})
    assert only.data == b"bad"


@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(-50, 50) | st.none()), max_size=60),
    st.integers(1, 40),
    st.integers(1, 59),
)
@settings(deadline=None)
def test_buckets_equal_plain_ones(
    samples: list[tuple[int, int | None]], points: int, cut: int
) -> None:
    buckets = Buckets(Span(0, 1000), points)
    for part in (samples[:cut], samples[cut:]):
        times = np.array([t for t, _ in part], np.int64)
        values = np.array([np.nan if v is None else v for _, v in part], np.float64)
        buckets.add(times, values)
    width = -(-1000 // points)
    plain: dict[int, list[tuple[int, int]]] = {}
    for t, v in samples:
        if v is not None:
            plain.setdefault(t // width, []).append((t, v))
    got = buckets.series(None)
    inside = [plain[key] for key in sorted(plain)]
    assert got.min == [min(v for _, v in one) for one in inside]
    assert got.max == [max(v for _, v in one) for one in inside]
    assert got.mean == pytest.approx([sum(v for _, v in one) / len(one) for one in inside])
    assert got.time_ms == [min(t for t, _ in one) // 1000 for one in inside]
