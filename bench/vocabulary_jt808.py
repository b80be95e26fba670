"""Decoding JT/T 808 position reports on one core.

The frames are as on the wire, 2013 and 2019 in turn, about 72 bytes: the basic part of 28 bytes and
items 01, 02, 03, 25, 30 and 31, of a truck that drives; synthetic, with a fixed seed, made by our
encoder. They go through the columnar decoder (Arrow BinaryArray to Arrow table of signals: escapes,
checksum, digest, texts included) and through the reference decoder with its signals, in one run.
Medians of several runs after a warm-up, in processor time of the one thread that works, so that
other programs on the machine count less. PyPI has no decoder of position reports to compare with:
its one package for the protocol (tongue 1.0.0, for Python 2) escapes frames and no more.
"""

import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from bench import Row
from bench.decode import rate as rate_of
from carcloud.codecs.jt808.columnar import decode_block
from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.encode import encode_position
from carcloud.codecs.jt808.frame import build, parse
from carcloud.codecs.jt808.signals import signals

_START = datetime(2026, 3, 14, 7, 9, 26, tzinfo=UTC)
_STATUS = 0x0044_0003  # ACC on, fix, GPS, moving


def frames(count: int, seed: int = 808) -> list[bytes]:
    """`count` position reports of 5,000 trucks."""
    random = np.random.default_rng(seed)
    return [_report(random, number) for number in range(count)]


def _report(random: np.random.Generator, number: int) -> bytes:
    speed = int(random.integers(0, 1100)) / 10
    body = encode_position(
        {
            "alarm": 2 if speed > 100 else 0,
            "status": _STATUS,
            "latitude_deg": int(random.integers(23_000_000, 40_000_000)) / 1e6,
            "longitude_deg": int(random.integers(113_000_000, 122_000_000)) / 1e6,
            "altitude_m": int(random.integers(0, 900)),
            "speed_kmh": speed,
            "direction_deg": int(random.integers(0, 360)),
            "time": _START + timedelta(seconds=number // 100),
            "items": [
                {"item": 0x01, "odometer_km": 12_345.6 + number / 10},
                {"item": 0x02, "fuel_l": int(random.integers(0, 4000)) / 10},
                {"item": 0x03, "recorder_kmh": speed},
                {"item": 0x25, "signals": int(random.integers(0, 1 << 15))},
                {"item": 0x30, "signal_strength": int(random.integers(0, 32))},
                {"item": 0x31, "satellites": int(random.integers(4, 30))},
            ],
        }
    )
    phone = f"1390000{number % 5000:04d}"
    return build((2013, 2019)[number % 2], 0x0200, phone, number & 0xFFFF, body)


def _columnar(raw: Sequence[bytes], per_block: int, runs: int) -> float:
    blocks = [
        pa.array(raw[at : at + per_block], pa.binary()) for at in range(0, len(raw), per_block)
    ]
    return rate_of(lambda: [decode_block(block) for block in blocks], len(raw), runs)


def figures(small: bool) -> Iterator[Row]:
    """Columnar and reference; `small` decodes few frames, to see that it works."""
    raw = frames(2_000 if small else 24_000)
    plain_ones = raw[: 20 if small else 500]
    size = statistics.mean(map(len, raw))
    plain = rate_of(lambda: [signals(decode(parse(one))) for one in plain_ones], len(plain_ones), 3)
    name = f"columnar JT/T 808 position decode, one core, {size:.0f}-byte frames"
    for per_block in (8_000, 800):
        rate = _columnar(raw, per_block, 3 if small else 25)
        yield Row(
            f"{name}, {per_block:,} in a block", rate, "frames/s",
            ">= 1,000,000" if per_block == 8_000 else "", "reference decoder with signals",
            rate / plain,
        )  # fmt: skip
    yield Row("JT/T 808 reference decoder with signals", plain, "frames/s")
