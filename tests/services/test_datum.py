"""Positions are stored in WGS-84, whatever datum the vehicle reports."""

import pyarrow as pa
import pytest

from carcloud.services.telemetry.datum import DATUM, LATITUDE, LONGITUDE, to_wgs84

BEIJING_WGS, BEIJING_GCJ = (116.404, 39.915), (116.410244499, 39.916404282)


def table(**columns: pa.Array) -> pa.Table:
    names = {"lon": LONGITUDE, "lat": LATITUDE, "datum": DATUM, "speed": "Vehicle.Speed"}
    return pa.table({names[name]: column for name, column in columns.items()})


def test_only_marked_rows_are_shifted() -> None:
    rows = table(
        speed=pa.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        lon=pa.array([BEIJING_GCJ[0], BEIJING_GCJ[0], BEIJING_GCJ[0], None, 2.35]),
        lat=pa.array([BEIJING_GCJ[1], BEIJING_GCJ[1], BEIJING_GCJ[1], None, 48.86]),
        datum=pa.array(["GCJ02", "WGS84", None, "GCJ02", "GCJ02"]).dictionary_encode(),
    )
    found = to_wgs84(rows)
    assert found.schema == rows.schema
    assert found[LONGITUDE][0].as_py() == pytest.approx(BEIJING_WGS[0], abs=2e-9)
    assert found[LATITUDE][0].as_py() == pytest.approx(BEIJING_WGS[1], abs=2e-9)
    assert found.slice(1) == rows.slice(1)


def test_tables_without_position_or_datum_stay() -> None:
    for rows in (table(speed=pa.array([1.0])), table(lon=pa.array([1.0]), lat=pa.array([2.0]))):
        assert to_wgs84(rows) is rows


def test_empty_table() -> None:
    rows = table(
        lon=pa.array([], pa.float64()),
        lat=pa.array([], pa.float64()),
        datum=pa.array([], pa.string()),
    )
    assert to_wgs84(rows) is rows
