"""Readings of many cars as GB/T 32960.3 realtime reports, both editions, without a loop over cars.

Cars whose reports have the same layout are filled into one numpy record array; its rows are the
frames.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator import alarms
from carcloud.simulator.chance import Cars, Floats
from carcloud.simulator.layouts import template
from carcloud.simulator.messages import EDITION_2016, EDITION_2025, time6
from carcloud.simulator.readings import CHARGING_PARKED, Readings

Records = np.ndarray[Any, Any]

_CURRENT_OFFSET = {EDITION_2016: 1000.0, EDITION_2025: 3000.0}  # A
_RPM_OFFSET = {EDITION_2016: 20_000.0, EDITION_2025: 32_000.0}
_TORQUE_OFFSET = {EDITION_2016: 2_000.0, EDITION_2025: 20_000.0}  # N.m


class FrameWriter:
    """Writes the reports of one fleet."""

    def __init__(self, vins: Sequence[str], editions: NDArray[np.int64]) -> None:
        """`editions` holds 2016 or 2025 for each car, shape (cars,)."""
        self._vins = np.array([vin.encode("ascii") for vin in vins], "S17")
        self._editions = editions

    def encode(self, readings: Readings) -> list[bytes]:
        """One realtime report for each car of `readings`, in its order."""
        frames: list[bytes] = [b""] * len(readings)
        motors = np.where(readings.charge_state == CHARGING_PARKED, 0, readings.motors)
        codes = (readings.storage_fault > 0).astype(np.int64)
        old = self._editions[readings.car] == EDITION_2016
        general = np.where(old, 0, (readings.alarm_levels > 0).sum(axis=1))
        keys = ((~old * 4 + motors) * 2 + codes) * 64 + general
        for key in np.unique(keys).tolist():
            rows = np.flatnonzero(keys == key)
            edition = EDITION_2016 if old[rows[0]] else EDITION_2025
            first = rows[0]
            record = template(edition, int(motors[first]), int(codes[first]), int(general[first]))
            for row, frame in zip(
                rows.tolist(), self._rows(record, edition, readings, rows), strict=True
            ):
                frames[row] = frame
        return frames

    def _rows(self, record: Records, edition: int, readings: Readings, at: Cars) -> list[bytes]:
        records = np.full(len(at), record)
        records["vin"] = self._vins[readings.car[at]]
        records["time"] = list(time6(readings.seconds))
        _vehicle(records["vehicle"], edition, readings, at)
        if "motors" in (records.dtype.names or ()):
            _motors(records["motors"]["motor"], edition, readings, at)
        _position(records["position"], readings, at)
        if edition == EDITION_2016:
            _extremes(records["extremes"], readings, at)
        _alarm(records["alarm"], readings, at)
        _pack(records["voltages"], edition, readings, at)
        records["temperatures"]["probes"] = _celsius(readings.probe_c[at])
        return _sealed(records)


def _sealed(records: Records) -> list[bytes]:
    """Set the check bytes (XOR of all bytes after the start) and cut the array into frames."""
    size = records.dtype.itemsize
    rows = records.view(np.uint8).reshape(len(records), size)
    rows[:, -1] = np.bitwise_xor.reduce(rows[:, 2:-1], axis=1)
    whole = rows.tobytes()
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _raw(values: Floats, per_unit: float, offset: float, largest: int) -> NDArray[np.int64]:
    """Physical values as raw codes within the range that the standard calls valid."""
    codes = np.rint((values + offset) * per_unit)
    return np.clip(codes, 0, largest).astype(np.int64)


def _celsius(values: Floats) -> NDArray[np.int64]:
    return _raw(values, 1.0, 40.0, 250)


def _amperes(values: Floats, edition: int) -> NDArray[np.int64]:
    offset = _CURRENT_OFFSET[edition]
    return _raw(values, 10.0, offset, int(20 * offset))


def _vehicle(out: Records, edition: int, readings: Readings, at: Cars) -> None:
    out["vehicle_state"] = readings.vehicle_state[at]
    out["charge_state"] = readings.charge_state[at]
    out["speed"] = _raw(readings.speed_kmh[at], 10.0, 0.0, 2200)
    out["odometer"] = _raw(readings.odometer_km[at], 10.0, 0.0, 9_999_999)
    out["voltage"] = _raw(readings.voltage_v[at], 10.0, 0.0, 10_000)
    out["current"] = _amperes(readings.current_a[at], edition)
    out["soc"] = _raw(readings.soc_pct[at], 1.0, 0.0, 100)
    out["dcdc"] = readings.dcdc_state[at]
    out["gear"] = readings.gear[at]
    out["insulation"] = _raw(readings.insulation_kohm[at], 1.0, 0.0, 60_000)
    if edition == EDITION_2016:
        out["accelerator"] = _raw(readings.accelerator_pct[at], 1.0, 0.0, 100)
        out["brake"] = _raw(readings.brake_pct[at], 1.0, 0.0, 100)


def _motors(out: Records, edition: int, readings: Readings, at: Cars) -> None:
    """`out` has shape (len(at), motors)."""
    fitted = out.shape[1]
    highest = 65_531 if edition == EDITION_2016 else 400_000
    out["state"] = readings.motor_state[at][:, None]
    out["controller_temperature"] = _celsius(readings.controller_c[at])[:, None]
    out["speed"] = _raw(readings.motor_rpm[at], 1.0, _RPM_OFFSET[edition], 65_531)[:, None]
    torque = readings.motor_torque_nm[at, :fitted]
    out["torque"] = _raw(torque, 10.0, _TORQUE_OFFSET[edition], highest)
    out["temperature"] = _celsius(readings.motor_c[at])[:, None]
    if edition == EDITION_2016:
        out["voltage"] = _raw(readings.voltage_v[at], 10.0, 0.0, 60_000)[:, None]
        out["current"] = _amperes(readings.controller_a[at, :fitted], edition)


def _position(out: Records, readings: Readings, at: Cars) -> None:
    latitude, longitude = readings.latitude[at], readings.longitude[at]
    out["status"] = (latitude < 0.0) * 2 + (longitude < 0.0) * 4  # bit 0 clear: a valid fix
    out["longitude"] = _raw(np.abs(longitude), 1e6, 0.0, 180_000_000)
    out["latitude"] = _raw(np.abs(latitude), 1e6, 0.0, 90_000_000)


def _extremes(out: Records, readings: Readings, at: Cars) -> None:
    volts, degrees = readings.cell_v[at], readings.probe_c[at]
    out["max_cell"] = volts.argmax(axis=1) + 1
    out["max_volts"] = _raw(volts.max(axis=1), 1000.0, 0.0, 15_000)
    out["min_cell"] = volts.argmin(axis=1) + 1
    out["min_volts"] = _raw(volts.min(axis=1), 1000.0, 0.0, 15_000)
    out["hot_probe"] = degrees.argmax(axis=1) + 1
    out["hot"] = _celsius(degrees.max(axis=1))
    out["cold_probe"] = degrees.argmin(axis=1) + 1
    out["cold"] = _celsius(degrees.min(axis=1))


def _alarm(out: Records, readings: Readings, at: Cars) -> None:
    levels = readings.alarm_levels[at]
    out["level"] = levels.max(axis=1)
    out["flags"] = alarms.flags(levels)
    out["storage"] = readings.storage_fault[at][:, None][:, : out["storage"].shape[1]]
    if "general" in (out.dtype.names or ()) and out["general"].shape[1]:
        cars, bits = np.nonzero(levels)
        pairs = np.stack([bits, levels[cars, bits]], axis=1)
        out["general"] = pairs.reshape(len(at), -1, 2)


def _pack(out: Records, edition: int, readings: Readings, at: Cars) -> None:
    out["voltage"] = _raw(readings.voltage_v[at], 10.0, 0.0, 10_000)
    out["current"] = _amperes(readings.current_a[at], edition)
    out["cells"] = _raw(readings.cell_v[at], 1000.0, 0.0, 60_000)
