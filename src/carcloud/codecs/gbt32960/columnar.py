"""Whole blocks of report frames to Arrow columns (GB/T 32960.3-2016 and -2025 §7.2).

The plain reference is `decode` with `signals`; this is the same reading, compiled. A frame that
is no readable report in clear becomes a fault; a report of which a later part cannot be read
becomes a row with `partial` set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960.columnar_layout import Layout, layout
from carcloud.codecs.gbt32960.vss import (
    ALARM_MASKS,
    ALARM_NAMES,
    BATTERY,
    LOCATION,
    MOTOR,
)
from carcloud.model.signals import CATALOGUE, arrow_type

SOURCES: Final = (
    "gbt32960.2016.realtime",
    "gbt32960.2016.reissue",
    "gbt32960.2025.realtime",
    "gbt32960.2025.reissue",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame gives no row: a short stable word, and the clause that is broken."""

    code: str
    clause: str


FAULTS: Final = (
    Fault("ok", ""),
    Fault("start", "6.2 table 2"),
    Fault("length", "6.2 table 2"),
    Fault("unique-id", "6.2 table 2"),
    Fault("bcc", "6.2 table 2"),
    Fault("not-a-report", "6.3.1 table 3"),
    Fault("reserved-encryption", "5, table 5"),
    Fault("encrypted", "5, table 5"),
    Fault("overrun", "7.2.1 table 7"),
    Fault("time", "6.4 table 5"),
)
"""What the codes in `DecodedBlock.fault` mean. An `encrypted` frame must be decrypted first."""


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """Rows of a block, in the order of its frames.

    `rows` has vehicle, time (us UTC), source, digest, partial, out_of_range, then the VSS columns
    in which any row has a value. `row_frame` int32[rows] is the frame of each row; `fault`
    uint8[frames] indexes `FAULTS`, `fault_offset` int32[frames] is the byte where it was found.
    """

    rows: pa.Table
    row_frame: NDArray[np.int32]
    fault: NDArray[np.uint8]
    fault_offset: NDArray[np.int32]


def decode_block(frames: pa.BinaryArray, *, negate_current: bool = True) -> DecodedBlock:
    """Decode realtime (0x02) and reissue (0x03) frames of both editions, mixed.

    `frames` holds one whole frame each, data unit in clear; its buffers are read in place.
    `negate_current`: vehicles count discharge as positive, VSS counts charge so. Raises
    `TypeError` for another array type.
    """
    if not pa.types.is_binary(frames.type):
        raise TypeError(f"frames are {frames.type}, expected binary")
    bounds, data = _buffers(frames)
    tables = layout(negate_current)
    slots, lists, rows = _room(tables, len(frames), int(bounds[-1]) - int(bounds[0]))
    scratch = _registers(), np.zeros(8, np.int64)
    frame = row = 0
    while True:
        frame, row = kernel.decode_frames(
            data, bounds, frame, row, tables.plan, slots, lists, rows, *scratch
        )
        if frame == len(frames):
            break
        lists = _more_room(lists)
    columns = dict(_row_columns(rows, row))
    columns.update(_Signals(tables, slots, lists, rows, row).columns())
    return DecodedBlock(
        pa.table(columns), rows.row_frame[:row].copy(), rows.fault, rows.fault_offset
    )


def warm() -> None:
    """Compile the kernels, or load them from the cache, so that the first block is fast."""
    decode_block(pa.array([b"##"], pa.binary()))


def _buffers(frames: pa.BinaryArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets and bytes of an array, without copying."""
    _, offsets, data = frames.buffers()
    empty = np.zeros(1, np.int32)
    bounds = empty if offsets is None else np.frombuffer(offsets, np.int32)
    bounds = bounds[frames.offset : frames.offset + len(frames) + 1] if len(frames) else empty
    return bounds, np.frombuffer(data or b"", np.uint8)


def _stride(count: int) -> int:
    """Row capacity of a column: an odd number of cache lines of the narrowest type, so that the
    columns of one row do not fall into one set of the cache."""
    return (count // 32 + 1 | 1) * 32


def _room(
    tables: Layout, count: int, size: int
) -> tuple[kernel.Slots, kernel.Lists, kernel.Rows]:
    """Buffers for `count` frames of `size` bytes in all."""
    stride = _stride(count)
    slots = kernel.Slots(
        floats=np.empty((len(tables.floats), stride), np.float32),
        smalls=np.empty((len(tables.smalls), stride), np.int16),
        wides=np.empty((len(tables.wides), stride), np.int64),
        places=np.empty((2, stride), np.float64),
        live=np.zeros((3, 64), np.uint8),
    )
    lists = kernel.Lists(
        cells=np.empty(65536 + size // 4, np.float32),
        probes=np.empty(65536 + size // 8, np.float32),
        fuel=np.empty(65536, np.float32),
        errors=np.empty(65536, np.uint32),
        offsets=np.zeros((4, count + 1), np.int32),
        present=np.empty((4, count + 1), np.uint8),
        gaps=np.zeros(4, np.int64),
        packs=np.empty((2, kernel.MAX_PACKS, 5), np.int64),
    )
    rows = kernel.Rows(
        time=np.empty(count, np.int64),
        digest=np.empty(count, np.int64),
        source=np.empty(count, np.int8),
        partial=np.empty(count, np.uint8),
        outside=np.empty(count, np.uint8),
        vins=np.empty(count * 17, np.uint8),
        vin_offsets=np.zeros(count + 1, np.int32),
        stamps=np.empty(count * 20, np.uint8),
        stamp_offsets=np.zeros(count + 1, np.int32),
        row_frame=np.empty(count, np.int32),
        fault=np.empty(count, np.uint8),
        fault_offset=np.empty(count, np.int32),
    )
    return slots, lists, rows


def _registers() -> kernel.Registers:
    return kernel.Registers(*(np.zeros(kernel.MAX_ROWS, np.int64) for _ in range(3)))


def _more_room(lists: kernel.Lists) -> kernel.Lists:
    """The same lists with twice the room for values."""
    return lists._replace(
        cells=np.concatenate((lists.cells, np.empty_like(lists.cells))),
        probes=np.concatenate((lists.probes, np.empty_like(lists.probes))),
        fuel=np.concatenate((lists.fuel, np.empty_like(lists.fuel))),
        errors=np.concatenate((lists.errors, np.empty_like(lists.errors))),
    )


def _bits(flags: NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _booleans(flags: NDArray[Any]) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, _bits(flags)], 0)


def _plain(
    kind: pa.DataType, values: NDArray[Any], valid: pa.Buffer | None = None, nulls: int = 0
) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values)], nulls)


def _texts(
    offsets: NDArray[np.int32],
    text: NDArray[np.uint8],
    valid: pa.Buffer | None = None,
    nulls: int = 0,
) -> pa.Array:
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(text[: offsets[-1]])]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers, nulls)


@cache
def _dictionary(values: tuple[str, ...]) -> pa.Array:
    return pa.array(values, pa.string())


def _row_columns(rows: kernel.Rows, count: int) -> Iterator[tuple[str, pa.Array]]:
    """The columns that every row has."""
    yield "vehicle", _texts(rows.vin_offsets[: count + 1], rows.vins)
    yield "time", _plain(pa.timestamp("us", tz="UTC"), rows.time[:count])
    sources = _plain(pa.int8(), rows.source[:count])
    yield "source", pa.DictionaryArray.from_arrays(sources, _dictionary(SOURCES), safe=False)
    yield "digest", _plain(pa.int64(), rows.digest[:count])
    yield "partial", _booleans(rows.partial[:count])
    yield "out_of_range", _booleans(rows.outside[:count])


class _Signals:
    """Builds the VSS columns of `count` rows from the kernel's buffers."""

    def __init__(
        self,
        tables: Layout,
        slots: kernel.Slots,
        lists: kernel.Lists,
        rows: kernel.Rows,
        count: int,
    ) -> None:
        self.tables = tables
        self.slots = slots
        self.lists = lists
        self.rows = rows
        self.count = count
        self.found: dict[str, pa.Array] = {}

    def columns(self) -> dict[str, pa.Array]:
        """All columns with a value, in catalogue order."""
        if self.count:
            self._scalars(self.tables.floats, self.slots.floats, kernel.FLOAT)
            self._scalars(self.tables.smalls, self.slots.smalls, kernel.SMALL)
            self._scalars(self.tables.wides, self.slots.wides, kernel.WIDE)
            self._places()
            self._shared()
            self._products()
            self._series()
            self._alarms()
        return {path: self.found[path] for path in CATALOGUE if path in self.found}

    def _scalars(self, paths: tuple[str, ...], matrix: NDArray[Any], kind: int) -> None:
        live = np.flatnonzero(self.slots.live[kind, : len(paths)])
        nulls = np.zeros(len(paths), np.int64)
        bits = np.empty((len(paths), (self.count + 7) // 8), np.uint8)
        values = matrix[:, : self.count]
        if kind == kernel.FLOAT:
            kernel.float_validity(values, live, bits, nulls)
        else:
            absent = kernel.ABSENT_SMALL if kind == kernel.SMALL else kernel.ABSENT_WIDE
            kernel.int_validity(values, np.int64(absent), live, bits, nulls)
        for slot in live:
            if nulls[slot] < self.count:
                valid = pa.py_buffer(bits[slot]) if nulls[slot] else None
                self.found[paths[slot]] = _scalar(
                    paths[slot], values[slot], valid, int(nulls[slot])
                )

    def _places(self) -> None:
        """Longitude, latitude and their time: all three or none in a row."""
        if not self.slots.live[kernel.WIDE, -1]:
            return
        offsets = self.rows.stamp_offsets[: self.count + 1]
        placed = np.diff(offsets) > 0
        nulls = self.count - int(np.count_nonzero(placed))
        if nulls == self.count:
            return
        valid = _bits(placed) if nulls else None
        for leaf, values in zip(("Longitude", "Latitude"), self.slots.places, strict=True):
            column = _plain(pa.float64(), values[: self.count], valid, nulls)
            self.found[f"{LOCATION}.{leaf}"] = column
        self.found[f"{LOCATION}.Timestamp"] = _texts(offsets, self.rows.stamps, valid, nulls)

    def _shared(self) -> None:
        """Columns that say the same as another one."""
        found = self.found
        found["Vehicle.VehicleIdentification.VIN"] = _texts(
            self.rows.vin_offsets[: self.count + 1], self.rows.vins
        )
        motor = "Vehicle.Powertrain.DriveMotor.Motor1"
        for leaf in ("Speed", "Temperature"):
            if f"{motor}.{leaf}" in found:
                found[f"{MOTOR}.{leaf}"] = found[f"{motor}.{leaf}"]
        if "Vehicle.Regulatory.State" in found:
            codes = found["Vehicle.Regulatory.State"].indices
            values = _dictionary(("ON", "OFF", "UNDEFINED"))
            found["Vehicle.LowVoltageSystemState"] = pa.DictionaryArray.from_arrays(
                codes, values, safe=False
            )

    def _float(self, path: str) -> NDArray[np.float32] | None:
        """The values of a column, NaN where it has none; None if no row has one."""
        if path not in self.found:
            return None
        return np.asarray(self.slots.floats[self.tables.floats.index(path), : self.count])

    def _products(self) -> None:
        """Battery power in W; torque and power of motor 1 in whole Nm and kW."""
        volts, amps = self._float(f"{BATTERY}.CurrentVoltage"), self._float(
            f"{BATTERY}.CurrentCurrent"
        )  # fmt: skip
        if volts is not None and amps is not None:
            self._derived(f"{BATTERY}.CurrentPower", volts * amps)
        speed = self._float("Vehicle.Powertrain.DriveMotor.Motor1.Speed")
        torque = self._float("Vehicle.Powertrain.DriveMotor.Motor1.Torque")
        if torque is not None:
            self._derived(f"{MOTOR}.Torque", np.rint(torque))
            if speed is not None:
                watts = speed.astype(np.float64) * torque * (2 * np.pi / 60)
                self._derived(f"{MOTOR}.Power", np.rint(watts / 1000))

    def _derived(self, path: str, values: NDArray[Any]) -> None:
        """Add a column computed in floats; NaN, and what its type cannot hold, is null."""
        kind = arrow_type(CATALOGUE[path].datatype)
        present = ~np.isnan(values)
        if kind == pa.int16():
            present &= np.abs(values) <= 32767
            values = np.where(present, values, 0).astype(np.int16)
        nulls = self.count - int(np.count_nonzero(present))
        if nulls < self.count:
            valid = _bits(present) if nulls else None
            self.found[path] = _plain(kind, values, valid, nulls)

    def _list(self, path: str, which: int, values: pa.Array) -> None:
        present = self.lists.present[which, : self.count]
        nulls = self.count - int(np.count_nonzero(present))
        if nulls == self.count:
            return
        valid = _bits(present) if nulls else None
        offsets = pa.py_buffer(self.lists.offsets[which, : self.count + 1])
        self.found[path] = pa.Array.from_buffers(
            pa.list_(values.type), self.count, [valid, offsets], nulls, children=[values]
        )

    def _series(self) -> None:
        """List columns of numbers, and the battery fault codes as text."""
        numbers = (
            (f"{BATTERY}.CellVoltage.CellVoltages", kernel.CELLS, self.lists.cells),
            (f"{BATTERY}.Temperature.CellTemperature", kernel.PROBES, self.lists.probes),
            ("Vehicle.Powertrain.FuelCell.ProbeTemperatures", kernel.FUEL, self.lists.fuel),
        )
        for path, which, buffer in numbers:
            values = buffer[: self.lists.offsets[which, self.count]]
            present = ~np.isnan(values) if self.lists.gaps[which] else None
            nulls = 0 if present is None else len(values) - int(np.count_nonzero(present))
            valid = _bits(present) if present is not None and nulls else None
            self._list(path, which, _plain(pa.float32(), values, valid, nulls))
        codes = self.lists.errors[: self.lists.offsets[kernel.ERRORS, self.count]]
        self._list(f"{BATTERY}.ErrorCodes", kernel.ERRORS, _hexadecimal(codes))

    def _alarms(self) -> None:
        """Names of the alarm bits that are set; an empty list where the flags are clear."""
        flags = self.found.get("Vehicle.Regulatory.AlarmFlags")
        if flags is None:
            return
        slot = self.tables.wides.index("Vehicle.Regulatory.AlarmFlags")
        wires = self.slots.wides[slot, : self.count]
        masks = np.array(ALARM_MASKS, np.int64)[self.rows.source[: self.count] >> 1]
        known = np.where(wires == kernel.ABSENT_WIDE, 0, wires & masks)
        rows, bits = _set_bits(known)
        offsets = np.searchsorted(rows, np.arange(self.count + 1)).astype(np.int32)
        names = _dictionary(ALARM_NAMES).take(pa.array(bits))
        self.found["Vehicle.Regulatory.AlarmCodes"] = pa.Array.from_buffers(
            pa.list_(pa.string()),
            self.count,
            [flags.buffers()[0], pa.py_buffer(offsets)],
            flags.null_count,
            children=[names],
        )


def _scalar(path: str, values: NDArray[Any], valid: pa.Buffer | None, nulls: int) -> pa.Array:
    """A column of the type that the catalogue gives it."""
    signal = CATALOGUE[path]
    if signal.datatype == "boolean":
        return pa.Array.from_buffers(pa.bool_(), len(values), [valid, _bits(values == 1)], nulls)
    if signal.allowed:
        codes = _plain(pa.int8(), values.astype(np.int8), valid, nulls)
        return pa.DictionaryArray.from_arrays(codes, _dictionary(signal.allowed), safe=False)
    kind = arrow_type(signal.datatype)
    return _plain(kind, values.astype(kind.to_pandas_dtype(), copy=False), valid, nulls)


def _set_bits(words: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Row and number of every set bit, in order of row then bit."""
    rows = np.flatnonzero(words)
    table = words[rows, None] >> np.arange(len(ALARM_NAMES)) & 1
    which, bits = np.nonzero(table)
    return rows[which], bits.astype(np.int8)


def _hexadecimal(codes: NDArray[np.uint32]) -> pa.Array:
    """Eight upper-case hexadecimal digits for each code."""
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)[codes[:, None] >> shifts & 15]
    offsets = np.arange(0, 8 * len(codes) + 1, 8, dtype=np.int32)
    return _texts(offsets, np.ascontiguousarray(digits).reshape(-1))


