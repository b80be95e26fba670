"""Decoding a recorded CAN log by its databases on one core, next to cantools and asammdf.

The log is a truck's J1939 bus and a position and motion module beside it (57,849 frames in 127 s,
26,269 of the frames known to the two databases), one behind the
other many times. All three decode the same signals of the same frames to physical numbers, without
labels, in one run; a value is one signal of one frame. Processor time of the one thread that works,
medians after a warm-up.

carcloud: frames in memory as arrays, to a column of times and one of values for each signal.
cantools, as its documentation says: `decode_message` for each known frame, `decode_choices=False`,
frames and the ids' lookup in memory; J1939 frames are given by the id of the database, since
cantools compares whole ids. The other frames are left out, to its favour. asammdf:
`MDF.extract_bus_logging` on the log as MF4, in the cache of files and not compressed, repeated with
`MDF.concatenate`; it keeps raw numbers and a formula, and a second figure has the physical values
read, as carcloud and cantools give them. The ratio is taken to the extraction alone.
Left out for all: reading the databases; for carcloud and cantools, reading the log.
"""

import gc
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import Row
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import parse
from carcloud.codecs.dbc.columnar import Decoded, LogDecoder
from carcloud.codecs.dbc.scalar import FrameDecoder
from carcloud.engines.canlog_files.opening import read_log

LOG = "j1939_gps_11111111.MF4"
DATABASES = ("j1939_demo.dbc", "canmod_gps.dbc")
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def folder() -> Path | None:
    """Where the recorded logs lie: `CARCLOUD_TEST_DATA`, or beside the tree; None without."""
    path = Path(os.environ.get("CARCLOUD_TEST_DATA", _BESIDE)) / "can" / "css"
    return path if path.is_dir() else None


def _seconds(work: Callable[[], object], runs: int) -> float:
    """Processor time of one call: median of `runs` after a warm-up."""
    work()
    taken = []
    gc.disable()
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    gc.enable()
    return statistics.median(taken)


def carcloud_rate(frames: CanFrames, texts: list[bytes], runs: int) -> tuple[float, Decoded]:
    """Values a second, and what was decoded."""
    decoder = LogDecoder([parse(text)[0] for text in texts])
    decoded = decoder.decode(frames)
    return decoded.values / _seconds(lambda: decoder.decode(frames), runs), decoded


def _known(frames: CanFrames, texts: list[bytes]) -> list[tuple[int, bytes]]:
    """The frames that the databases know: the id that the database has for each, and its bytes."""
    finder = FrameDecoder([parse(text)[0] for text in texts])
    found = []
    for at in range(len(frames)):
        codec = finder.codec(int(frames.can_id[at]), bool(frames.extended[at]))
        if codec is not None:
            found.append((codec.message.id, frames.payload_of(at)))
    return found


def scalar_rate(known: list[tuple[int, bytes]], texts: list[bytes], values: int) -> float:
    """Values a second of carcloud's decoder of single frames, which the vehicle agent has."""
    decoder = FrameDecoder([parse(text)[0] for text in texts])

    def work() -> None:
        for can_id, payload in known:
            decoder.decode(can_id, can_id > 0x7FF, payload)

    return values / _seconds(work, 3)


def cantools_rate(known: list[tuple[int, bytes]], texts: list[bytes], values: int) -> float:
    """Values a second of cantools."""
    import cantools

    database = cantools.database.Database()
    for text in texts:
        database.add_dbc_string(text.decode())
    count = sum(
        len(database.decode_message(can_id, payload, decode_choices=False))
        for can_id, payload in known
    )
    assert count == values, (count, values)

    def work() -> None:
        decode = database.decode_message
        for can_id, payload in known:
            decode(can_id, payload, decode_choices=False, scaling=True)

    return values / _seconds(work, 3)


def asammdf_rates(data: Path, times: int, values: int, scratch: Path) -> tuple[float, float]:
    """Values a second of asammdf: extracted, and extracted and read as physical values."""
    from asammdf import MDF

    logging.getLogger("asammdf").setLevel(logging.ERROR)
    repeated = scratch / "log.mf4"
    MDF.concatenate([data / LOG] * times, sync=False).save(repeated, compression=0)
    bases: Any = {"CAN": [(data / name, 0) for name in DATABASES]}
    with MDF(repeated) as log:
        extracted = log.extract_bus_logging(bases)
        count = sum(
            (len(group.channels) - 1) * group.channel_group.cycles_nr for group in extracted.groups
        )
        assert count == values, (count, values)

        def read() -> None:
            out = log.extract_bus_logging(bases)
            for at, group in enumerate(out.groups):
                wanted = [(None, at, index) for index in range(1, len(group.channels))]
                out.select(wanted, ignore_value2text_conversions=True)

        return (
            values / _seconds(lambda: log.extract_bus_logging(bases), 3),
            values / _seconds(read, 3),
        )


def figures(small: bool = False) -> Iterator[Row]:
    """The figures; without the recorded logs there are none, and this is told."""
    data = folder()
    if data is None:
        print("no recorded CAN log: set CARCLOUD_TEST_DATA", file=sys.stderr)
        return
    times = 2 if small else 30
    texts = [(data / name).read_bytes() for name in DATABASES]
    once = read_log(data / LOG)
    frames = CanFrames.concat([once] * times)
    rate, decoded = carcloud_rate(frames, texts, 5 if small else 15)
    known = _known(once, texts)
    values = decoded.values // times
    plain = scalar_rate(known, texts, values)
    cantools = cantools_rate(known, texts, values)
    with tempfile.TemporaryDirectory() as scratch:
        extracted, physical = asammdf_rates(data, times, decoded.values, Path(scratch))
    name = "CAN decode of a log, one core, next to"
    yield Row(
        f"{name} cantools", rate, "signal values/s", ">= 15,000,000",
        "cantools", rate / cantools, 20,
    )  # fmt: skip
    yield Row(
        f"{name} asammdf", rate, "signal values/s", ">= 15,000,000",
        "asammdf, extract_bus_logging alone", rate / extracted, 10,
    )  # fmt: skip
    yield Row("frames of the log", rate * len(frames) / decoded.values, "frames/s")
    yield Row("cantools: decode_message", cantools, "signal values/s")
    yield Row("asammdf: extract_bus_logging", extracted, "signal values/s")
    yield Row(
        "asammdf: extract_bus_logging, then physical values", physical, "signal values/s",
        peer="our decode over this", ratio=rate / physical,
    )  # fmt: skip
    yield Row(
        "single frames, plain Python", plain, "signal values/s", peer="cantools",
        ratio=plain / cantools,
    )  # fmt: skip
