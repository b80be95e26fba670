"""The columns of a block as Arrow arrays over the memory that the kernels have filled."""

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.jt808 import columnar_kernel as kernel
from carcloud.codecs.jt808.columnar_kernel import Fields
from carcloud.codecs.jt808.tables_position import ALARM_CODES, ALARM_MASKS, LOADS
from carcloud.codecs.jt808.vss import (
    BRAKE_STATES,
    EDITIONS,
    LIGHTS,
    LOCATION,
    POWER_STATES,
    REGULATORY,
    SIGNAL_FLAGS,
    SLEEP_STATES,
    SOURCES,
    STATUS_FLAGS,
    STATUS_FLAGS_2019,
    SYSTEMS,
)

_ALARMS: Final = tuple(f"jt_{name}" for name in ALARM_CODES)
_MASKS: Final = np.array([ALARM_MASKS[year] for year in EDITIONS], np.uint32)
_SYSTEMS: Final = tuple(SYSTEMS.get(bit, "") for bit in range(max(SYSTEMS) + 1))
_SYSTEMS_MASK: Final = np.array([sum(1 << bit for bit in SYSTEMS)] * 2, np.uint32)
_BRAKE_BIT: Final = 4
_TIME: Final = pa.timestamp("us", tz="UTC")
_STATUS_BITS: Final = np.array([*STATUS_FLAGS.values(), *STATUS_FLAGS_2019.values()], np.int64)
_LAMP_BITS: Final = np.array(list(SIGNAL_FLAGS.values()), np.int64)
_HAVE_BITS: Final = np.arange(kernel.HAS_NEUTRAL + 1, dtype=np.int64)
_FIRST_BIT: Final = np.zeros(1, np.int64)

Column = tuple[str, pa.Array]
Valid = tuple[pa.Buffer | None, int] | None
"""Bits of validity (None = all rows) and how many are null; None = no row has a value."""


def columns(found: NDArray[np.int64], fields: Fields) -> pa.Table:
    """The table of the reports in `found` (rows of `Scan.row`)."""
    made = dict(_Columns(found, fields).all())
    return pa.Table.from_arrays(list(made.values()), names=list(made))


@cache
def _dictionary(names: tuple[str, ...]) -> pa.Array:
    return pa.array(names, pa.string())


@cache
def _letters(names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The names one after the other, and where each ends."""
    ends = np.array([0, *accumulate(map(len, names))], np.int64)
    return np.frombuffer("".join(names).encode(), np.uint8), ends


class _Columns:
    """Makes the columns of one block."""

    def __init__(self, found: NDArray[np.int64], fields: Fields) -> None:
        self.found, self.fields, self.count = found, fields, len(found)
        self.valid = self._validities()
        self.edition = found[:, kernel.SOURCE] // (len(SOURCES) // len(EDITIONS))

    def all(self) -> Iterator[Column]:
        """Those of every row, then the VSS columns in which any row has a value."""
        fields, found = self.fields, self.found
        yield "vehicle", self._text(fields.ends, fields.phones)
        yield "time", self._plain(_TIME, found[:, kernel.ROW_TIME].copy())
        yield "source", self._named(SOURCES, found[:, kernel.SOURCE].astype(np.int8))
        yield "digest", self._plain(pa.int64(), fields.digest)
        for name, words in zip(("partial", "out_of_range"), fields.flags, strict=True):
            yield name, self._plain(pa.bool_(), self._packed(words, _FIRST_BIT)[0])
        if self.count:
            yield from self._of_status()
            yield from self._of_position()
            yield from self._of_items()

    def _of_status(self) -> Iterator[Column]:
        status = self.fields.status[: self.count]
        states = (status & 1).astype(np.int8)
        yield "Vehicle.LowVoltageSystemState", self._named(POWER_STATES, states)
        bits = self._packed(self.fields.status, _STATUS_BITS)
        for path, packed in zip(STATUS_FLAGS, bits, strict=False):
            yield path, self._plain(pa.bool_(), packed)
        if valid := self.valid[kernel.HAS_2019]:
            for path, packed in zip(STATUS_FLAGS_2019, bits[len(STATUS_FLAGS) :], strict=True):
                yield path, self._plain(pa.bool_(), packed, valid)
        loads = (status >> 8 & 3).astype(np.int8)
        yield f"{REGULATORY}.LoadState", self._named(LOADS, loads)
        systems = self._listed(self.fields.status, _SYSTEMS_MASK, _SYSTEMS)
        yield f"{LOCATION}.GNSSReceiver.Systems", systems
        alarm = self.fields.alarm
        yield f"{REGULATORY}.AlarmCodes", self._listed(alarm, _MASKS, _ALARMS)
        emergency = self._plain(pa.bool_(), self._packed(alarm, _FIRST_BIT)[0])
        yield f"{REGULATORY}.IsEmergencyRequested", emergency

    def _of_position(self) -> Iterator[Column]:
        latitude, longitude, altitude, heading = self.fields.places
        if valid := self.valid[kernel.HAS_NO_FIX]:
            codes = np.zeros(self.count, np.int8)
            yield f"{LOCATION}.GNSSReceiver.FixType", self._named(("NONE",), codes, valid)
        if valid := self.valid[kernel.HAS_PLACE]:
            yield f"{LOCATION}.Latitude", self._plain(pa.float64(), latitude, valid)
            yield f"{LOCATION}.Longitude", self._plain(pa.float64(), longitude, valid)
            ends = np.arange(0, 20 * self.count + 20, 20, dtype=np.int32)
            yield f"{LOCATION}.Timestamp", self._text(ends, self.fields.stamps, valid)
        yield f"{LOCATION}.Altitude", self._plain(pa.float64(), altitude)
        yield f"{LOCATION}.Heading", self._plain(pa.float64(), heading)
        yield "Vehicle.Speed", self._plain(pa.float32(), self.fields.floats[0])

    def _of_items(self) -> Iterator[Column]:
        fields = self.fields
        for path, bit, kind, values in (
            ("Vehicle.TraveledDistance", kernel.HAS_ODOMETER, pa.int64(), fields.odometer),
            ("Vehicle.Powertrain.FuelSystem.AbsoluteLevel", kernel.HAS_FUEL, pa.float32(),
             fields.floats[1]),
            (f"{REGULATORY}.RecorderSpeed", kernel.HAS_RECORDER, pa.float32(), fields.floats[2]),
            ("Vehicle.Cabin.HVAC.AmbientAirTemperature", kernel.HAS_TEMPERATURE, pa.float32(),
             fields.floats[3]),
            (f"{REGULATORY}.AnalogInput0", kernel.HAS_ANALOG, pa.int32(), fields.analog[0]),
            (f"{REGULATORY}.AnalogInput1", kernel.HAS_ANALOG, pa.int32(), fields.analog[1]),
            ("Vehicle.Connectivity.SignalStrength", kernel.HAS_STRENGTH, pa.int16(),
             fields.shorts[0]),
            (f"{LOCATION}.GNSSReceiver.SatelliteCount", kernel.HAS_SATELLITES, pa.int16(),
             fields.shorts[1]),
        ):  # fmt: skip
            if valid := self.valid[bit]:
                yield path, self._plain(kind, values, valid)
        if valid := self.valid[kernel.HAS_SLEEP]:
            yield f"{REGULATORY}.TerminalSleep", self._named(SLEEP_STATES, fields.sleep, valid)
        if valid := self.valid[kernel.HAS_SIGNALS]:
            bits = self._packed(fields.lamps, _LAMP_BITS)
            for path, packed in zip(SIGNAL_FLAGS, bits, strict=True):
                yield path, self._plain(pa.bool_(), packed, valid)
            braking = (fields.lamps[: self.count] >> _BRAKE_BIT & 1).astype(np.int8)
            yield f"{LIGHTS}.Brake.IsActive", self._named(BRAKE_STATES, braking, valid)
        if valid := self.valid[kernel.HAS_NEUTRAL]:
            gear = np.zeros(self.count, np.int8)
            yield (
                "Vehicle.Powertrain.Transmission.SelectedGear",
                self._plain(pa.int8(), gear, valid),
            )

    def _packed(self, words: NDArray[np.uint32], chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        bits = np.empty((len(chosen), (self.count + 7) // 8), np.uint8)
        kernel.pack_bits(words, chosen, bits)
        return bits

    def _validities(self) -> list[Valid]:
        """Of each bit of `have`."""
        present = np.empty(len(_HAVE_BITS), np.int64)
        kernel.count_bits(self.fields.have, present)
        rows = self._packed(self.fields.have, _HAVE_BITS)
        return [
            None
            if count == 0
            else (pa.py_buffer(bits) if count < self.count else None, self.count - count)
            for bits, count in zip(rows, present.tolist(), strict=True)
        ]

    def _plain(
        self, kind: pa.DataType, values: NDArray[np.generic], valid: Valid = (None, 0)
    ) -> pa.Array:
        bits, nulls = valid or (None, 0)
        return pa.Array.from_buffers(kind, self.count, [bits, pa.py_buffer(values)], nulls)

    def _named(
        self, names: tuple[str, ...], codes: NDArray[np.int8], valid: Valid = (None, 0)
    ) -> pa.Array:
        indices = self._plain(pa.int8(), codes, valid)
        return pa.DictionaryArray.from_arrays(indices, _dictionary(names), safe=False)

    def _text(
        self, ends: NDArray[np.int32], text: NDArray[np.uint8], valid: Valid = (None, 0)
    ) -> pa.Array:
        bits, nulls = valid or (None, 0)
        buffers = [bits, pa.py_buffer(ends), pa.py_buffer(text)]
        return pa.Array.from_buffers(pa.string(), self.count, buffers, nulls)

    def _listed(
        self, words: NDArray[np.uint32], masks: NDArray[np.uint32], names: tuple[str, ...]
    ) -> pa.Array:
        """The names of the bits that are set under the mask of the edition."""
        text, name_ends = _letters(names)
        ends, none = np.zeros(self.count + 1, np.int32), np.empty(0, np.int32)
        given = (words, self.count, masks, self.edition, text, name_ends, ends)
        found = kernel.list_bits(*given, none, np.empty(0, np.uint8))
        value_ends, value_text = np.zeros(found + 1, np.int32), np.empty(ends[0], np.uint8)
        kernel.list_bits(*given, value_ends, value_text)
        buffers = [None, pa.py_buffer(value_ends), pa.py_buffer(value_text)]
        values = pa.Array.from_buffers(pa.string(), found, buffers, 0)
        kind = pa.list_(pa.string())
        lists = [None, pa.py_buffer(ends)]
        return pa.Array.from_buffers(kind, self.count, lists, 0, children=[values])
