"""Every sample of the shared logs, held against cantools to the last bit of a float64."""

import functools
import struct
from collections.abc import Iterable

import cantools
import numpy as np
import pytest
from cantools.database.errors import DecodeError
from tests.codecs.dbc.layouts import SYNTHETIC
from tests.codecs.dbc.logs import candump, mf4
from tests.data import shared_data

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import Database, parse
from carcloud.codecs.dbc.columnar import Decoded, decode
from carcloud.codecs.dbc.scalar import FrameDecoder, physical

LOGS = (
    ("j1939_bam_FCBF0606", "j1939_demo", 577 + 184),
    ("j1939_gps_11111111", "j1939_demo", 12_719 + 1_272),
    ("j1939_gps_11111111", "canmod_gps", None),
    ("j1939_gnss_long", "j1939_demo", 2 * 3_993),
    ("obd2_gps_3BA199E2_60FEB5A8", "canmod_gps", None),
    ("uds_leaf_gnss_2F6913DB", "canmod_gps", None),
    ("split1_2F6913DB_63BEF5CD", "gnss", None),
    ("split2_2F6913DB_63BEFDF9", "gnss", None),
    ("nmea2000_94C49784", "tp_nmea", None),
)


@functools.cache
def _database(name: str) -> Database:
    return parse(shared_data(name).read_bytes())[0]


def _peer(name: str) -> dict[tuple[int, bool], object]:
    text = shared_data(name).read_text("cp1252")
    database = cantools.database.load_string(text, "dbc", strict=False)
    return {(one.frame_id, bool(one.is_extended_frame)): one for one in database.messages}


def _group(can_id: int) -> int:
    group = can_id >> 8 & 0x3FFFF
    return group if group & 0xFF00 >= 0xF000 else group & 0x3FF00


def _matched(frames: CanFrames, keys: Iterable[tuple[int, bool]], *, j1939: bool) -> dict:
    """(id, extended) of the log to that of the database."""
    known = set(keys)
    groups = {_group(can_id): (can_id, True) for can_id, extended in known if extended and j1939}
    ids = np.unique(frames.can_id.astype(np.int64) << 1 | frames.extended).tolist()
    seen = [(one >> 1, bool(one & 1)) for one in ids]
    pairs = {one: one if one in known else groups.get(_group(one[0])) for one in seen if one[1]}
    pairs |= {one: one for one in seen if not one[1] and one in known}
    return {one: other for one, other in pairs.items() if other is not None}


def _held(frames: CanFrames, decoded: Decoded, name: str, database: Database) -> int:
    """Compare, and say how many values were compared."""
    peer = _peer(name)
    j1939 = any(message.j1939 for message in database.messages)
    matched = _matched(frames, peer, j1939=j1939)
    own = FrameDecoder([database])
    known: dict[tuple[int, bytes], dict[str, float]] = {}
    wanted: dict[tuple[int, str], float] = {}
    ids = frames.can_id.astype(np.int64) << 1 | frames.extended
    known_ids = np.array([can_id << 1 | extended for can_id, extended in matched], np.int64)
    for at in np.flatnonzero(np.isin(ids, known_ids)).tolist():
        key = (int(ids[at]) >> 1, bool(ids[at] & 1))
        payload = frames.payload_of(at)
        values = known.get((key[0], payload))
        if values is None:
            try:
                values = peer[matched[key]].decode(  # type: ignore[attr-defined]
                    payload, decode_choices=False, allow_truncated=True
                )
            except DecodeError:  # a switch with a value that selects nothing
                codec = own.codec(*key)
                assert codec is not None
                values = codec.decode(payload)
            known[key[0], payload] = values
        for signal, value in values.items():
            wanted[at, signal] = value
    total = 0
    for column in decoded:
        missing, raws = column.missing, column.raw().tolist()
        for at, value, none, raw in zip(
            column.index.tolist(), column.value.tolist(), missing.tolist(), raws, strict=True
        ):
            theirs = float(wanted.pop((at, column.signal.name)))
            mine = float(physical(column.signal, raw)) if none else value
            assert struct.pack("<d", mine) == struct.pack("<d", theirs), (column.signal, raw)
            total += 1
    assert not wanted
    return total


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_logs(name: str) -> None:
    file = f"can/opendbc/{name}.dbc"
    database, frames = _database(file), candump(name)
    assert _held(frames, decode(frames, [database]), file, database) > 500


@pytest.mark.parametrize(("log", "base", "count"), LOGS)
def test_recorded_logs(log: str, base: str, count: int | None) -> None:
    file = f"can/css/{base}.dbc"
    database, frames = _database(file), mf4(log)
    decoded = decode(frames, [database])
    assert count in (None, decoded.values)
    held = _held(frames, decoded, file, database)
    assert held == decoded.values


RANGES = (
    ("j1939_gps_11111111", "j1939_demo", "EngineSpeed", 12_719, 646.5, 653.75),
    ("j1939_gps_11111111", "canmod_gps", "Satellites", 115, 14, 18),
    ("j1939_gps_11111111", "canmod_gps", "AngularRateX", 11_358, -250.0, 249.75),
    ("split1_2F6913DB_63BEF5CD", "gnss", "DistanceTrip", 168, 0, 234),
    ("split2_2F6913DB_63BEFDF9", "gnss", "AccelerationZ", 1_859, 8.375, 11.75),
    ("obd2_gps_3BA199E2_60FEB5A8", "canmod_gps", "Speed", 41, 0.178, 14.592),
    ("uds_leaf_gnss_2F6913DB", "canmod_gps", "PositionAccuracy", 44, 5, 27),
)


@pytest.mark.parametrize(("log", "base", "signal", "count", "low", "high"), RANGES)
def test_counts_and_ranges(
    log: str, base: str, signal: str, count: int, low: float, high: float
) -> None:
    frames = mf4(log)
    times, values = decode(frames, [_database(f"can/css/{base}.dbc")]).series(signal)
    assert (len(values), values.min(), values.max()) == (count, low, high)
    assert bool(np.all(np.diff(times) >= 0))
