"""Real logs decoded with their DBC files give the values that are known to be in them."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pytest
from tests.data import shared_data

from carcloud.codecs.can.frames import CanFrames, FrameList
from carcloud.codecs.can.merging import merge
from carcloud.codecs.canlog.decoding import LogDecoding, Values
from carcloud.codecs.canlog.layers import NAMES, layers_for
from carcloud.codecs.canlog.tables import long_table, wide_names, wide_schema, wide_table
from carcloud.codecs.dbc import Database, parse
from carcloud.engines.canlog_files import open_log, read_log


@cache
def database(name: str) -> Database:
    return parse(shared_data(f"can/css/{name}.dbc").read_bytes())[0]


@cache
def log(*names: str) -> CanFrames:
    paths = [shared_data(f"can/css/{name}.MF4") for name in names]
    return CanFrames.concat(merge([open_log(path).blocks() for path in paths]))


def decoded(
    frames: CanFrames, *databases: Database, step: int = 50_000, names: Sequence[str] | None = None
) -> tuple[list[Values], LogDecoding]:
    layers = layers_for(databases, names, length_byte=True)  # type: ignore[arg-type]
    decoding = LogDecoding(databases, layers)
    values: list[Values] = []
    for at in range(0, len(frames), step):
        values += decoding.feed(frames.select(slice(at, at + step)))
    decoding.finish()
    return values, decoding


def summary(values: Iterable[Values], signal: str) -> tuple[int, float, float]:
    found = [each.value[~each.missing] for each in values if each.signal == signal]
    every = np.concatenate(found)
    return len(every), float(every.min()), float(every.max())


@pytest.mark.parametrize(
    ("logs", "dbc", "expected"),
    [
        (["j1939_bam_FCBF0606"], "j1939_demo",
         {"EngineSpeed": (577, 0, 0), "WheelBasedVehicleSpeed": (184, 0, 0)}),
        (["j1939_gps_11111111"], "j1939_demo",
         {"EngineSpeed": (12_719, 646.5, 653.75), "WheelBasedVehicleSpeed": (1272, 0, 0)}),
        (["j1939_gps_11111111"], "canmod_gps",
         {"Satellites": (115, 14, 18), "Altitude": (115, 237.2, 253.2),
          "AccelerationX": (11_358, -12.375, 9.75), "AngularRateX": (11_358, -250, 249.75)}),
        (["j1939_gnss_long"], "j1939_demo",
         {"EngineSpeed": (3993, 0, 0), "WheelBasedVehicleSpeed": (3993, 0, 0)}),
        (["split2_2F6913DB_63BEFDF9", "split1_2F6913DB_63BEF5CD"], "gnss",
         {"Speed": (168 + 178, 0, 7.449), "DistanceTrip": (346, 0, 325),
          "AccelerationZ": (1669 + 1859, 7.5, 13.375)}),
        (["obd2_gps_3BA199E2_60FEB5A8"], "canmod_gps",
         {"DistanceTrip": (41, 40310, 40579), "AccelerationX": (4518, 5.875, 13.125)}),
        (["uds_leaf_gnss_2F6913DB"], "canmod_gps",
         {"PositionAccuracy": (44, 5, 27), "AccelerationZ": (4724, 9.75, 10.25)}),
        (["j1939_bam_FCBF0606"], "tp_j1939", {"EngineSpeedAtPoint5": (13, 1566.5, 1600)}),
        (["j1939_gps_11111111"], "tp_j1939", {"EngineSpeedAtPoint5": (25, 1675, 1675)}),
        (["nmea2000_94C49784"], "tp_nmea",
         {"altitude": (60, 172.8, 176.9), "numberOfSvs": (60, 10, 10), "hdop": (60, 1, 1),
          "date": (60, 18711, 18711), "time": (60, 55148.9, 55207.9)}),
        (["uds_kona_17BD1DB7"], "tp_uds",
         {"M_SID_0x220101_StateOfChargeBMS": (120, 50, 50),
          # the indoor temperature hangs on a value that its switch cannot have: told by the parser
          "M_SID_0x220100_OutdoorTemp": (150, 7, 7)}),
        (["uds_leaf_gnss_2F6913DB"], "tp_uds_nissan",
         {"SoC": (13, 89.1029, 89.2286), "BatPackTemp1": (13, 2, 2), "BatPackTemp2": (13, 1, 1),
          "BatPackTemp4": (13, 0, 1)}),
    ],
)  # fmt: skip
def test_values_of_real_logs(logs, dbc, expected):
    values, decoding = decoded(log(*logs), database(dbc))
    for signal, (n, low, high) in expected.items():
        count, least, most = summary(values, signal)
        assert count == n, signal
        # printed digits, as many as they are
        assert (least, most) == pytest.approx((low, high), abs=0.06 if dbc == "tp_nmea" else 1e-4)
    assert decoding.tally.frames == len(log(*logs))


@pytest.mark.parametrize("dbc", ["tp_uds", "tp_nmea", "tp_j1939"])
def test_small_blocks_give_the_same(dbc):
    name = {"tp_uds": "uds_kona_17BD1DB7", "tp_nmea": "nmea2000_94C49784",
            "tp_j1939": "j1939_bam_FCBF0606"}[dbc]  # fmt: skip
    whole, one = decoded(log(name), database(dbc))
    pieces, two = decoded(log(name), database(dbc), step=101)
    assert one.tally == two.tally
    tables = [long_table(values, "host_utc") for values in (whole, pieces)]
    keys = [(name, "ascending") for name in ("time", "message", "signal", "can_id")]
    plain = [table.cast(_plain(table.schema)).sort_by(keys).to_pylist() for table in tables]
    assert plain[0] == plain[1]


def _plain(schema):
    import pyarrow as pa

    return pa.schema(
        [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    )


def test_without_transport_layers_only_single_frames_count():
    values, decoding = decoded(log("j1939_bam_FCBF0606"), database("tp_j1939"), names=[])
    assert values == []
    assert decoding.tally.decoded == 0
    assert sum(decoding.tally.unknown.values()) == 1815
    _, named = decoded(log("j1939_bam_FCBF0606"), database("tp_j1939"), names=NAMES)
    assert named.tally.assembled["j1939"] == 16


DBC = b"""
BO_ 256 Speeds: 8 Vector__XXX
 SG_ Speed : 0|16@1+ (0.5,0) [0|0] "km/h" Vector__XXX
 SG_ Gear : 16|8@1+ (1,0) [0|0] "" Vector__XXX
BO_ 257 Doors: 8 Vector__XXX
 SG_ Door : 0|8@1+ (1,0) [0|0] "" Vector__XXX
VAL_ 256 Gear 0 "Park" 1 "Drive" ;
"""


def made() -> tuple[list[Values], LogDecoding]:
    rows = FrameList()
    rows.append(2, 0x100, b"\x0a\x00\x01" + bytes(5), bus=1)
    rows.append(1, 0x101, b"\x07" + bytes(7), bus=1)
    rows.append(3, 0x100, b"\x02\x01", bus=1)
    rows.append(4, 0x100, b"\x02\x01\x05", bus=1)
    rows.append(5, 0x222, b"\x00", bus=1)
    return decoded(rows.frames(), parse(DBC)[0])


def test_the_long_table():
    values, decoding = made()
    table = long_table(values, "host_utc")
    rows = [tuple(row.values()) for row in table.to_pylist()]
    short = [(row[0].value, *row[1:6]) for row in rows]
    assert short == [
        (1, "Doors", "Door", 7.0, "", None),
        (2, "Speeds", "Speed", 5.0, "km/h", None),
        (2, "Speeds", "Gear", 1.0, "", "Drive"),
        (3, "Speeds", "Speed", 129.0, "km/h", None),
        (4, "Speeds", "Speed", 129.0, "km/h", None),
        (4, "Speeds", "Gear", 5.0, "", None),
    ]
    assert {row[6:] for row in rows} == {(1, 0x100), (1, 0x101)}
    tally = decoding.tally
    assert (tally.frames, tally.decoded, tally.values, tally.backwards) == (5, 4, 6, 1)
    assert tally.unknown == {(1, False, 0x222): 1}
    assert long_table([], "relative").num_rows == 0


def test_the_wide_table():
    values, _ = made()
    schema = wide_schema(wide_names(values), "relative")
    table = wide_table(values, schema)
    assert schema.names == ["time", "bus", "can_id", "Doors.Door", "Speeds.Gear", "Speeds.Speed"]
    assert [tuple(row.values())[2:] for row in table.to_pylist()] == [
        (0x101, 7.0, None, None),
        (0x100, None, 1.0, 5.0),
        (0x100, None, None, 129.0),
        (0x100, None, 5.0, 129.0),
    ]


def test_buses_and_obd_answers():
    frames = read_log(shared_data("can/css/obd2_gps_3BA199E2_60FEB5A8.MF4"))
    decoding = LogDecoding([database("canmod_gps")], obd=True, buses=frozenset({1}))
    values = decoding.feed(frames)
    assert summary(values, "EngineSpeed") == (90, 929.5, 1785)
    assert {each.message for each in values} == {"OBD2"}
    assert decoding.tally.frames == int(np.count_nonzero(frames.bus == 1))
