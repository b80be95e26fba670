"""Forwarding to a further platform: frames a second that leave the lake and are answered.

A lake is filled with realistic 2025 frames as ingest would leave them after an outage of the
further platform: half in files as they were appended, half merged by upkeep, so that the frames of
one stream message lie all over a file. A link (reading ahead, sending, matching replies, recording
its progress in SQLite) forwards them over loopback to a whole carcloud, which answers a frame when
it is synced to disk in its stream. At the end its lake must hold every report once. Link and
platform share this machine.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import uvloop

from bench.load import Frames, LoadOptions
from bench.row import Row
from bench.site import Site, site
from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.app.forwarding import Forwarding, make_compliance
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import SECOND
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.compliance.api import Compliance, LinkSpec, PlatformAccounts
from carcloud.simulator.vins import vins

_FRAMES = TableRef(DEFAULT_TENANT, "frames")
_VEHICLES = 500
_MESSAGE = 500  # frames in one stream message
_PLATFORM = "LOWERPLATFORM0001"
_TIME = pa.timestamp("us", "UTC")


class _Lower:
    """The engines of the installation that forwards; it needs no processes of its own."""

    def __init__(self, data: Path) -> None:
        settings = Settings({"data": str(data)})
        prepare(settings)
        self.records, self.lake = open_records(settings), open_lake(settings)
        self.compliance = make_compliance(settings, self)  # type: ignore[arg-type]


def rows(small: bool = False) -> list[Row]:
    """Rate and completeness; small: seconds."""
    count = 20_000 if small else 200_000
    data = Path(tempfile.mkdtemp(prefix="carcloud-bench-"))
    try:
        lower = _Lower(data)
        with site(gateway__auto_register=False) as upper:
            _link(lower, upper)
            names = _fill(lower, count)
            seconds = uvloop.run(_forwarded(lower.compliance, count))
            found = upper.reckoning(tuple(names), *_expected(lower))
        lower.records.close()
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return [
        Row("forwarded to a further platform and answered", round(count / seconds), "frames/s"),
        Row("of these missing in its lake", found.missing, "frames", "<= 0"),
        Row("of these twice in its lake", found.duplicates, "frames", "<= 0"),
        Row("frames of that run", count, "frames"),
    ]


def _link(lower: _Lower, upper: Site) -> None:
    above = open_records(upper.settings)
    PlatformAccounts(above).grant(DEFAULT_TENANT, _PLATFORM, "maker", "secret", actor="bench")
    above.close()
    spec = LinkSpec(
        name="upper", host="127.0.0.1", port=upper.port, platform_id=_PLATFORM,
        user="maker", password="secret",  # noqa: S106 - of this run
    )  # fmt: skip
    lower.compliance.add(DEFAULT_TENANT, spec, actor="bench")


def _fill(lower: _Lower, count: int) -> list[str]:
    """Reports of the last minutes, one stream message after the other; returns the VINs."""
    names = vins(7, _VEHICLES)
    each = count // _VEHICLES
    start = int(time.time()) - each - 60
    frames = Frames(LoadOptions(port=0, vehicles=_VEHICLES), list(names), start, each)
    parts = np.array_split(np.arange(count), 20)
    for index, part in enumerate(parts):
        table = _table(frames, list(names), start, part)
        lower.lake.append(_FRAMES, table, writer="ingest", seq=int(part[-1]) // _MESSAGE + 1)
        if index == len(parts) // 2:
            lower.lake.upkeep(_FRAMES, keep_days=None)
    return list(names)


def _table(frames: Frames, names: list[str], start: int, part: Any) -> pa.Table:
    cars, numbers = part % _VEHICLES, part // _VEHICLES
    pairs = list(zip(cars.tolist(), numbers.tolist(), strict=True))
    times = pa.array((numbers + start) * SECOND).cast(_TIME)
    return pa.table(
        {
            "vehicle": [names[car] for car in cars],
            "time": times,
            "received": times,
            "seq": pa.array(part // _MESSAGE + 1),
            "protocol": ["gbt32960"] * len(part),
            "kind": ["realtime"] * len(part),
            "frame": pa.array([frames.make(*pair) for pair in pairs], pa.binary()),
        }
    )


def _expected(lower: _Lower) -> tuple[Any, Any]:
    """(index into the VINs, UTC seconds) of every frame that was forwarded."""
    found = lower.lake.read(_FRAMES, Slice(columns=("vehicle", "time")))
    index = {name: number for number, name in enumerate(vins(7, _VEHICLES))}
    cars = np.array([index[name] for name in found["vehicle"].to_pylist()], np.uint32)
    return cars, (found["time"].cast("int64").to_numpy() // SECOND).astype(np.uint32)


async def _forwarded(compliance: Compliance, count: int) -> float:
    """Forward everything; returns the seconds from the first answer to the last."""
    forwarding = asyncio.create_task(Forwarding(compliance, _never).run())
    begun = 0.0
    while True:
        state = compliance.state(DEFAULT_TENANT, "upper")
        if state.forwarded and not begun:
            begun, first = time.perf_counter(), state.forwarded
        if state.forwarded >= count:
            break
        assert not forwarding.done(), forwarding.result()
        await asyncio.sleep(0.05)
    seconds = (time.perf_counter() - begun) * count / max(1, count - first)
    forwarding.cancel()
    await asyncio.gather(forwarding, return_exceptions=True)
    return seconds


def _never(_vehicle: str, _frame: bytes, _received: int) -> bytes:
    raise ValueError("these frames are not encrypted")
