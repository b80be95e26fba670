"""MF4, ASAM MDF 4 with bus logging: asammdf reads columns, this makes frames of them.

Old loggers keep all buses in one channel group, newer ones have one group for each bus, direction
and kind of frame. Files that were not finalised, or are compressed, are taken as they are.
"""

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.errors import BadLog
from carcloud.codecs.can.frames import (
    BRS,
    ERROR,
    ESI,
    EXTENDED_IDS,
    FD,
    REMOTE,
    TRANSMITTED,
    CanFrames,
    Clock,
)
from carcloud.codecs.can.merging import merge
from carcloud.engines.canlog_files.errors import LogFileError
from carcloud.engines.canlog_files.mdf_ends import is_cut_off
from carcloud.engines.canlog_files.zones import RELATIVE, Zone, to_ns

BLOCK_FRAMES = 250_000
LONGEST = 1e9  # s since the start of a log
LOCAL_TIME = 1  # flag of the header: its start is local, without a zone
KINDS = {"CAN_DataFrame": 0, "CAN_RemoteFrame": REMOTE, "CAN_ErrorFrame": ERROR}
FLAG_FIELDS = (("Dir", TRANSMITTED), ("EDL", FD), ("BRS", BRS), ("ESI", ESI))
DLC_BYTES = np.array([*range(9), 12, 16, 20, 24, 32, 48, 64], np.uint16)  # ISO 11898-1

# what asammdf raises on bytes that are not as they should be
_CORRUPT = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NameError,
    EOFError,
    RecursionError,
    MemoryError,
)


def read_mdf(
    path: Path, zone: Zone | None, remarks: list[str], progress: Callable[[int], None]
) -> Iterator[CanFrames]:
    """Frames of all groups in order of time. Raises LogFileError, BadLog."""
    # asammdf works on a copy of files that were not finalised, and leaves it where it fails
    with TemporaryDirectory(prefix="carcloud-mf4-") as folder:
        yield from _read(path, zone, remarks, progress, folder)


def _read(
    path: Path,
    zone: Zone | None,
    remarks: list[str],
    progress: Callable[[int], None],
    folder: str,
) -> Iterator[CanFrames]:
    from asammdf import MDF

    broken = (_mdf_error(), struct.error, zlib.error, *_CORRUPT)
    _quiet()
    cut = is_cut_off(path)
    try:
        with redirect_stdout(StringIO()):  # it prints what it stumbles over
            file = MDF(str(path), temporary_folder=folder)
    except broken as error:
        _forget(error)
        what = "is cut off before its frames" if cut else "is no MF4 that can be read"
        raise BadLog("", f"{what}: {error}") from error
    try:
        start, clock = _start(file, path, zone)
        groups = _groups(file)
        if not groups:
            raise BadLog("", "holds no CAN frames (no group with CAN_DataFrame)")
        meter = _Meter(path.stat().st_size, sum(count for _, _, count in groups), progress)
        streams = [_group(file, *group, start, clock, meter) for group in groups]
        yield from merge(streams)
        if cut or meter.short:
            remarks.append("the file is cut off; what lies before is kept")
        others = {name for each in file.groups if (name := _other(each))}
        remarks.extend(f"{name} is no CAN and was left out" for name in sorted(others))
    except broken as error:
        if isinstance(error, BadLog):
            raise
        raise BadLog("", f"is damaged: {error}") from error
    finally:
        file.close()


def _mdf_error() -> type[Exception]:
    """What asammdf raises by itself."""
    from asammdf.blocks.utils import MdfException

    return MdfException


def _quiet() -> None:
    """What asammdf tells beside its errors is for its makers."""
    from asammdf.blocks import mdf_v4

    mdf_v4.debug_channel = lambda *_, **__: None
    logging.getLogger("asammdf").setLevel(logging.CRITICAL + 1)


def _forget(error: BaseException) -> None:
    """asammdf closes a file that it could not open once more when it is collected, and fails."""
    from asammdf.blocks.mdf_v4 import MDF4

    trace = error.__traceback__
    while trace is not None:
        half_open = trace.tb_frame.f_locals.get("self")
        if isinstance(half_open, MDF4):
            half_open._closed = True
            if half_open._tempfile is not None and not half_open._tempfile.closed:
                half_open._tempfile.close()
        trace = trace.tb_next


class _Meter:
    """Turns records read into bytes of the file, which `progress` counts."""

    def __init__(self, size: int, records: int, progress: Callable[[int], None]) -> None:
        self._share = size / max(records, 1)
        self._records = 0
        self._progress = progress
        self.short = False  # a last frame had to be left out

    def add(self, records: int) -> None:
        self._records += records
        self._progress(int(self._records * self._share))


def _start(file: Any, path: Path, zone: Zone | None) -> tuple[int, Clock]:
    start = int(file.header.abs_time)
    if zone == RELATIVE:
        return 0, "relative"
    if not file.header.time_flags & LOCAL_TIME:
        return start, "host_utc"
    if zone is None:
        raise LogFileError(path, "", "its start is a local time without a zone; give --zone")
    whole, rest = divmod(start, 10**9)
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole)
    return to_ns(local.replace(tzinfo=None), zone) + rest, "local_assumed"


def _groups(file: Any) -> list[tuple[int, str, int]]:
    """(index, kind, records) of the groups that hold frames."""
    found = []
    for index, group in enumerate(file.groups):
        count = int(group.channel_group.cycles_nr)
        names = {channel.name for channel in group.channels}
        kind = next((kind for kind in KINDS if f"{kind}.BusChannel" in names), None)
        if kind is None and "CAN_DataFrame.ID" in names:
            kind = "CAN_DataFrame"
        if kind is not None:
            found.append((index, kind, count))
    return found


def _other(group: Any) -> str | None:
    """LIN, FlexRay, Ethernet: buses whose frames are there and are no CAN frames."""
    names = [channel.name for channel in group.channels]
    if not group.channel_group.cycles_nr:
        return None
    return next((n.split("_")[0] for n in names if n.startswith(("LIN_", "FLX_", "ETH_"))), None)


def _group(
    file: Any, index: int, kind: str, count: int, start: int, clock: Clock, meter: _Meter
) -> Iterator[CanFrames]:
    for offset in range(0, count, BLOCK_FRAMES):
        size = min(BLOCK_FRAMES, count - offset)
        try:
            frames = _frames(_Columns(file, index, kind, offset, size), start, clock)
        except _mdf_error():
            # where the file is cut off, the payload of the last frame may be missing
            if offset + size < count or size == 1:
                raise
            meter.short = True
            frames = _frames(_Columns(file, index, kind, offset, size - 1), start, clock)
        yield frames.by_time()
        meter.add(size)


class _Columns:
    """The fields of a run of records; each is read once, as asked for."""

    def __init__(self, file: Any, index: int, kind: str, offset: int, size: int) -> None:
        self.kind = kind
        self.size = size
        self.seconds = np.zeros(size)
        self._file = file
        self._where = {"record_offset": offset, "record_count": size}
        self._index = index
        self._channels = {
            channel.name.removeprefix(f"{kind}."): at
            for at, channel in enumerate(file.groups[index].channels)
        }

    def get(self, name: str) -> NDArray[Any] | None:
        """Samples (size,) or (size, width); None where the group has no such field."""
        if name not in self._channels:
            return None
        signal = self._file.get(
            group=self._index,
            index=self._channels[name],
            ignore_invalidation_bits=True,
            **self._where,
        )
        self.seconds = signal.timestamps
        samples: NDArray[Any] = signal.samples
        return samples

    def number(self, name: str, default: int = 0) -> NDArray[np.int64]:
        found = self.get(name)
        if found is None:
            return np.full(self.size, default, np.int64)
        if found.dtype.kind in "SU":  # Dir as text
            text = found.astype("S")
            found = np.isin(text, [b"Tx", b"1"])
        numbers: NDArray[np.int64] = found.astype(np.int64)
        return numbers


def _frames(columns: _Columns, start: int, clock: Clock) -> CanFrames:
    identifier = columns.number("ID")
    extended = columns.number("IDE") != 0
    # bit 31 marks extended identifiers where a group has no IDE
    extended |= (identifier >> 31) & 1 == 1
    flags = np.full(columns.size, KINDS[columns.kind], np.int64)
    for name, flag in FLAG_FIELDS:
        flags |= np.where(columns.number(name) != 0, flag, 0)
    bus = columns.number("BusChannel")
    length, payload = _payload(columns)
    if not (np.abs(columns.seconds) < LONGEST).all():
        raise BadLog("", "has times that are none")
    return CanFrames.build(
        np.rint(columns.seconds * 1e9).astype(np.int64) + start,
        (identifier & EXTENDED_IDS).astype(np.uint32),
        payload,
        length,
        bus=np.minimum(bus, 255).astype(np.uint8),
        extended=extended,
        flags=flags.astype(np.uint8),
        clock=clock,
    )


def _payload(columns: _Columns) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    data = columns.get("DataBytes") if columns.kind != "CAN_RemoteFrame" else None
    if data is None:
        return np.zeros(columns.size, np.uint16), np.zeros(0, np.uint8)
    table = data.reshape(columns.size, -1).astype(np.uint8, copy=False)
    width = table.shape[1]
    length = columns.number("DataLength", -1)
    if (length < 0).any():
        length = DLC_BYTES[np.clip(columns.number("DLC", 8), 0, 15)].astype(np.int64)
    # new loggers write the code of the length (DLC) into DataLength of classic frames
    length = np.minimum(length, width)
    inside = np.arange(width) < length[:, None]
    return length.astype(np.uint16), table[inside]
