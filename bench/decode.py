"""Decoding realtime reports of about 470 bytes (96 cells, 24 probes) on one core.

The same frames, 2016 and 2025 in turn, go through the columnar decoder (Arrow BinaryArray to Arrow
table, checksum and digest included), the reference decoder, and the PyPI package rtm-con, in one
run. Medians of several runs after a warm-up, in processor time of the one thread that works, so
that other programs on the machine count less. The frames are synthetic, with a fixed seed.
"""

import gc
import importlib
import importlib.util
import statistics
import struct
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bench import Row
from carcloud.codecs.gbt32960.columnar import decode_block
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.codecs.gbt32960.signals import signals
from carcloud.codecs.gbt32960.times import write_us

CELLS, PROBES = 96, 24
START_US = 1_773_472_166_000_000  # 2026-03-14 07:09:26 UTC
_REMAINDERS = "0123456789X"
_VIN_VALUES = {
    **{str(digit): digit for digit in range(10)},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    **{"P": 7, "R": 9},
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(number: int) -> str:
    """A synthetic VIN with a right check digit (ISO 3779, FMVSS 565)."""
    text = f"LTESTVNA0A{number:07d}"
    total = sum(_VIN_VALUES[char] * weight for char, weight in zip(text, _VIN_WEIGHTS, strict=True))
    return text[:8] + _REMAINDERS[total % 11] + text[9:]


def frames(count: int, *, edition: int | None = None, seed: int = 32960) -> list[bytes]:
    """`count` realtime reports of a driving car each; editions alternate unless one is given."""
    random = np.random.default_rng(seed)
    return [_report(random, number, edition or (2016, 2025)[number % 2]) for number in range(count)]


def _report(random: np.random.Generator, number: int, edition: int) -> bytes:
    speed, pack = int(random.integers(0, 1300)), int(random.integers(3300, 4100))
    cells = (pack + random.normal(0, 4, CELLS)).astype(">u2")
    probes = (65 + random.normal(0, 1.5, PROBES)).astype(np.uint8)
    bodies = _bodies16 if edition == 2016 else _bodies25
    unit = write_us(START_US + number * 1_000_000 % 86_400_000_000) + b"".join(
        bodies(random, speed, cells, probes)
    )
    return build(edition, 0x02, 0xFE, vin(number % 5000), unit)


def _bodies16(random: np.random.Generator, speed: int, cells: Any, probes: Any) -> list[bytes]:
    volts, amps = int(cells.sum()) // 100, int(random.integers(8000, 13000))
    load = int(random.integers(19000, 23000))
    high, low = int(cells.argmax()), int(cells.argmin())
    hot, cold = int(probes.argmax()), int(probes.argmin())
    return [
        struct.pack(
            ">BBBBHIHHBBBHBB", 1, 1, 3, 1, speed, 1_234_567, volts, amps, 76, 1, 0x2E, 5000,
            int(random.integers(0, 101)), 0,
        ),
        struct.pack(
            ">BBBBBHHBHH", 2, 1, 1, 1, 85, 20000 + speed * 8, load, 78, volts, amps
        ),
        struct.pack(">BBII", 5, 0, *_place(random)),
        struct.pack(
            ">BBBHBBHBBBBBB", 6, 1, high + 1, cells[high], 1, low + 1, cells[low],
            1, hot + 1, probes[hot], 1, cold + 1, probes[cold],
        ),
        struct.pack(">BBIBBBB", 7, 0, 0, 0, 0, 0, 0),
        struct.pack(">BBBHHHHB", 8, 1, 1, volts, amps, CELLS, 1, CELLS) + cells.tobytes(),
        struct.pack(">BBBH", 9, 1, 1, PROBES) + probes.tobytes(),
        b"\x80" + struct.pack(">H", 125) + random.bytes(125),
    ]  # fmt: skip


def _bodies25(random: np.random.Generator, speed: int, cells: Any, probes: Any) -> list[bytes]:
    volts, amps = int(cells.sum()) // 100, int(random.integers(28000, 33000))
    load = int(random.integers(199000, 203000))
    return [
        struct.pack(">BBBBHIHHBBBH", 1, 1, 3, 1, speed, 1_234_567, volts, amps, 76, 1, 0x2E, 5000),
        struct.pack(">BBBBBHIB", 2, 1, 1, 1, 85, 32000 + speed * 8, load, 78),
        struct.pack(">BBBII", 5, 0, 1, *_place(random)),
        struct.pack(">BBIBBBBB", 6, 0, 0, 0, 0, 0, 0, 0),
        struct.pack(">BBBHHH", 7, 1, 1, volts, amps, CELLS) + cells.tobytes(),
        struct.pack(">BBBH", 8, 1, 1, PROBES) + probes.tobytes(),
        b"\x80" + struct.pack(">H", 85) + random.bytes(85),
        b"\xff" + struct.pack(">BH", 1, 32) + random.bytes(32) + b"\x00\x20" + random.bytes(32),
    ]


def _place(random: np.random.Generator) -> tuple[int, int]:
    return int(random.integers(113_000_000, 122_000_000)), int(
        random.integers(23_000_000, 40_000_000)
    )


def rate(work: Callable[[], object], count: int, runs: int) -> float:
    """Items a second of processor time: median of `runs` after one warm-up."""
    work()
    taken = []
    gc.disable()
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    gc.enable()
    return count / statistics.median(taken)


def columnar_rate(blocks: Sequence[pa.Array], runs: int = 15) -> float:
    """Frames a second from BinaryArray to Arrow table, over all blocks in turn."""

    def work() -> None:
        for block in blocks:
            decode_block(block)

    return rate(work, sum(map(len, blocks)), runs)


def reference_rate(raw: Sequence[bytes]) -> float:
    """Frames a second of the reference decoder, with its VSS signals."""
    return rate(lambda: [signals(decode(parse(one))) for one in raw], len(raw), 3)


def _rtm_con() -> tuple[Callable[[bytes], Any], Callable[[Any], Any]]:
    """`msg_checked.parse` and `flat_msg` of rtm-con.

    The package's top module needs a graphical toolkit and a spreadsheet library to import; the
    parser does not, so only the package's folder is registered.
    """
    if "rtm_con" not in sys.modules:
        spec = importlib.util.find_spec("rtm_con")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("rtm_con")
        package = types.ModuleType("rtm_con")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["rtm_con"] = package
    parser = importlib.import_module("rtm_con.msg_format").msg_checked.parse
    return parser, importlib.import_module("rtm_con.msg_flatten").flat_msg


def rtm_con_rates(raw: Sequence[bytes]) -> tuple[float, float]:
    """Frames a second of rtm-con with its checksum test: parsed alone, and to a flat dict.

    Parsing gives nested raw objects; the flat dict of values by name is what its documentation
    offers for tables, and what compares with our columns.
    """
    parse, flat = _rtm_con()
    return (
        rate(lambda: [parse(one) for one in raw], len(raw), 3),
        rate(lambda: [flat(parse(one)) for one in raw], len(raw), 3),
    )


def rows(small: bool = False) -> list[Row]:
    """The figures; `small` decodes few frames, to see that it works."""
    count = 2_000 if small else 24_000
    raw = frames(count)
    size = statistics.mean(map(len, raw))
    blocks = {
        per_block: [
            pa.array(raw[at : at + per_block], pa.binary()) for at in range(0, count, per_block)
        ]
        for per_block in (8_000, 800)
    }
    large, little = (columnar_rate(chosen) for chosen in blocks.values())
    parse, flat = rtm_con_rates(raw[: 20 if small else 300])
    plain = reference_rate(raw[: 20 if small else 500])
    name = f"columnar decode, one core, {size:.0f}-byte frames"
    return [
        Row(f"{name}, 8,000 in a block", large, "frames/s", ">= 1,000,000",
            "rtm-con, parsed to named values", large / flat, 1000),
        Row(f"{name}, 800 in a block", little, "frames/s", ">= 1,000,000",
            "rtm-con, parsed to named values", little / flat, 1000),
        Row("rtm-con: msg_checked.parse, flat_msg", flat, "frames/s"),
        Row("rtm-con: msg_checked.parse alone", parse, "frames/s",
            peer="our decode over this", ratio=large / parse),
        Row("bytes decoded", large * size / 1e6, "MB/s"),
        Row("reference decoder with VSS signals", plain, "frames/s",
            peer="rtm-con, parsed to named values", ratio=plain / flat),
    ]  # fmt: skip
