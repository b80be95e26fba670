"""Arrow columns from the kernel's buffers; values are not copied where the types agree."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, TypeVar, cast

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960.columnar_layout import Layout
from carcloud.codecs.gbt32960.vss import ALARM_MASKS, ALARM_NAMES, BATTERY, LOCATION, MOTOR
from carcloud.model.signals import CATALOGUE, arrow_type

_BOOLEAN: Final = pa.bool_()
_CODE: Final = pa.int8()
SOURCES: Final = (
    "gbt32960.2016.realtime",
    "gbt32960.2016.reissue",
    "gbt32960.2025.realtime",
    "gbt32960.2025.reissue",
)

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def _jit(function: Compiled) -> Compiled:
    compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Compiled, compiled)


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


def row_columns(rows: kernel.Rows, count: int) -> Iterator[tuple[str, pa.Array]]:
    """The columns that every row has."""
    yield "vehicle", _texts(rows.vin_offsets[: count + 1], rows.vins)
    yield "time", _plain(pa.timestamp("us", tz="UTC"), rows.time[:count])
    sources = _plain(pa.int8(), rows.source[:count])
    yield "source", pa.DictionaryArray.from_arrays(sources, _dictionary(SOURCES), safe=False)
    yield "digest", _plain(pa.int64(), rows.digest[:count])
    yield "partial", _booleans(rows.partial[:count])
    yield "out_of_range", _booleans(rows.outside[:count])


class SignalColumns:
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
            _float_validity(values, live, bits, nulls)
        else:
            absent = int(kernel.ABSENT_SMALL if kind == kernel.SMALL else kernel.ABSENT_WIDE)
            _int_validity(values, absent, live, bits, nulls)
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
        offsets, names = _names_of_bits(known)
        self.found["Vehicle.Regulatory.AlarmCodes"] = pa.Array.from_buffers(
            pa.list_(pa.string()),
            self.count,
            [flags.buffers()[0], pa.py_buffer(offsets)],
            flags.null_count,
            children=[names],
        )


@cache
def _column_type(path: str) -> tuple[pa.DataType, Any, tuple[str, ...]]:
    """Arrow type, numpy type and, of an enumeration, the values of a column."""
    signal = CATALOGUE[path]
    kind = arrow_type(signal.datatype)
    return kind, kind.to_pandas_dtype(), signal.allowed


def _scalar(path: str, values: NDArray[Any], valid: pa.Buffer | None, nulls: int) -> pa.Array:
    """A column of the type that the catalogue gives it."""
    kind, dtype, allowed = _column_type(path)
    if kind is _BOOLEAN:
        return pa.Array.from_buffers(kind, len(values), [valid, _bits(values == 1)], nulls)
    if allowed:
        codes = _plain(_CODE, values.astype(np.int8), valid, nulls)
        return pa.DictionaryArray.from_arrays(codes, _dictionary(allowed), safe=False)
    if values.dtype != dtype:
        values = values.astype(dtype)
    return _plain(kind, values, valid, nulls)


def _names_of_bits(words: NDArray[np.int64]) -> tuple[NDArray[np.int32], pa.Array]:
    """Names of the bits set in each word, and the list offsets int32[words + 1]."""
    rows = np.flatnonzero(words)
    if not len(rows):
        return np.zeros(len(words) + 1, np.int32), _dictionary(())
    which, bits = np.nonzero(words[rows, None] >> np.arange(len(ALARM_NAMES)) & 1)
    offsets = np.searchsorted(rows[which], np.arange(len(words) + 1)).astype(np.int32)
    return offsets, _dictionary(ALARM_NAMES).take(pa.array(bits.astype(np.int8)))


def _hexadecimal(codes: NDArray[np.uint32]) -> pa.Array:
    """Eight upper-case hexadecimal digits for each code."""
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)[codes[:, None] >> shifts & 15]
    offsets = np.arange(0, 8 * len(codes) + 1, 8, dtype=np.int32)
    return _texts(offsets, np.ascontiguousarray(digits).reshape(-1))


@_jit
def _float_validity(
    values: NDArray[Any],
    slots: NDArray[np.int64],
    bits: NDArray[np.uint8],
    nulls: NDArray[np.int64],
) -> None:
    """Pack 'is not NaN' of the rows of some `values` [slot, row] into `bits`, count the others."""
    n = values.shape[1]
    for slot in slots:
        column = values[slot]
        present = 0
        for i in range(n):
            present += column[i] == column[i]
        nulls[slot] = n - present
        if 0 < present < n:
            for place in range(bits.shape[1]):
                byte = np.int64(0)
                for i in range(8 * place, min(8 * place + 8, n)):
                    byte |= np.int64(column[i] == column[i]) << (i & 7)
                bits[slot, place] = byte


@_jit
def _int_validity(
    values: NDArray[Any], absent: int, slots: NDArray[np.int64], bits: NDArray[np.uint8],
    nulls: NDArray[np.int64],
) -> None:  # fmt: skip
    """The same for integers, where one value stands for 'absent'."""
    n = values.shape[1]
    for slot in slots:
        column = values[slot]
        present = 0
        for i in range(n):
            present += column[i] != absent
        nulls[slot] = n - present
        if 0 < present < n:
            for place in range(bits.shape[1]):
                byte = np.int64(0)
                for i in range(8 * place, min(8 * place + 8, n)):
                    byte |= np.int64(column[i] != absent) << (i & 7)
                bits[slot, place] = byte
