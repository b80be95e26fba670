"""The logs that the demo's agents replay: simulated ones, or a real one that was given.

A simulated car's buses are those of `car.dbc`: its physics is stepped once a second, and what a
car tells ten times a second lies on straight lines between.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from carcloud.codecs.can.frames import ERROR, FD, REMOTE, CanFrames
from carcloud.demo.registry import CannotReplay
from carcloud.engines.canlog_files import RELATIVE, LogFileError, open_log
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.journey import Activity
from carcloud.simulator.readings import Readings

Floats = npt.NDArray[np.float64]

SECONDS = 180  # of a simulated log
_TENTHS = 10  # frames a second of the quick messages
_CHOICE = 3  # cars from which one that drives is taken
_START = 1_767_225_600  # 2026-01-01, of the log's clock; a replay has its own
_WHEELBASE_M, _STEERING_RATIO = 2.8, 14.5
_LOCKS_ABOVE_KMH = 15.0
_DOOR_OPEN_S = 5  # after a trip, and before the next one
_POSITION = struct.Struct("<ii")
_COURSE = struct.Struct("<HxxI")


@dataclass(frozen=True, slots=True)
class _Second:
    """What all cars of a small fleet show in one second."""

    seen: Readings
    heading: Floats  # rad
    outside_c: Floats
    activity: npt.NDArray[np.int8]


def simulated(folder: Path, cars: int, seed: int, seconds: int = SECONDS) -> list[Path]:
    """Candump logs of some simulated cars that drive; the same seed makes the same logs."""
    fleet = Fleet(cars * _CHOICE, seed, _START)
    told = []
    for _ in range(seconds + 1):
        fleet.step(1.0)
        told.append(
            _Second(
                fleet.observe(),
                fleet.journey.road.heading.copy(),
                fleet.ambient_c,
                fleet.journey.activity.copy(),
            )
        )
    driven = told[-1].seen.odometer_km - told[0].seen.odometer_km
    files = []
    for number, car in enumerate(np.argsort(-driven)[:cars].tolist()):
        file = folder / f"simulated-{number + 1}.log"
        file.write_text(_text(told, car), "ascii")
        files.append(file)
    return files


def _text(told: Sequence[_Second], car: int) -> str:
    lines = ["# simulated by carcloud, not recorded in any car\n"]
    quick, slow = _quick(told, car), _slow(told, car)
    for second in range(len(told) - 1):
        at = _START + second
        for tenth in range(_TENTHS):
            motion, driver = quick[second * _TENTHS + tenth]
            stamp = f"({at}.{tenth * 1_000_000 // _TENTHS:06d}) can0"
            lines.append(f"{stamp} 100#{motion.hex()}\n{stamp} 101#{driver.hex()}\n")
            if tenth == 0:
                lines += [f"{stamp} {name:03X}#{data.hex()}\n" for name, data in slow[second]]
    return "".join(lines)


def _quick(told: Sequence[_Second], car: int) -> list[tuple[bytes, bytes]]:
    """Payloads of Motion and Driver, ten a second."""
    count = len(told)
    at = np.arange((count - 1) * _TENTHS) / _TENTHS

    def lines(values: Sequence[float] | Floats) -> Floats:
        found: Floats = np.interp(at, np.arange(count), np.asarray(values, float))
        return found

    speed = np.array([each.seen.speed_kmh[car] for each in told])
    turned = np.diff(np.unwrap([each.heading[car] for each in told]), append=0.0)
    turned[-1] = 0.0
    radius = turned / np.maximum(speed / 3.6, 1.0)  # 1/m
    steering = np.degrees(np.arctan(_WHEELBASE_M * radius)) * _STEERING_RATIO
    columns = (
        lines(speed) * 100,
        lines(np.gradient(speed / 3.6)) * 100,
        lines([abs(each.seen.motor_rpm[car]) for each in told]) * 2,
        lines([each.seen.accelerator_pct[car] for each in told]) * 2,
        lines([each.seen.brake_pct[car] for each in told]) * 2,
        np.clip(lines(steering), -540, 540) * 10,
        np.repeat([each.activity[car] <= Activity.WAITING for each in told[:-1]], _TENTHS),
    )
    rows = np.rint(np.stack(columns, axis=1)).astype(np.int64).tolist()
    return [(struct.pack("<HhHxx", *row[:3]), struct.pack("<BBhBxxx", *row[3:])) for row in rows]


def _slow(told: Sequence[_Second], car: int) -> list[list[tuple[int, bytes]]]:
    """Messages by id, once a second."""
    on = np.array([each.activity[car] <= Activity.WAITING for each in told])
    changes = np.flatnonzero(np.diff(on)) + 1
    made, locked = [], False
    for second, each in enumerate(told[:-1]):
        seen = each.seen
        locked = bool(on[second]) and (locked or bool(seen.speed_kmh[car] > _LOCKS_ABOVE_KMH))
        opened = bool((np.abs(changes - second) < _DOOR_OPEN_S).any()) and not locked
        body = opened | locked << 1 | (2 if on[second] else 0) << 2
        battery = (seen.soc_pct[car] * 100, seen.voltage_v[car] * 10, seen.current_a[car] * 10)
        heading = np.degrees(each.heading[car]) % 360
        made.append(
            [
                (0x200, struct.pack("<HHhBx", *map(round, battery), _degrees(seen.probe_c[car]))),
                (0x201, bytes((_degrees(seen.motor_c[car]), _degrees(each.outside_c[car])))),
                (0x300, bytes((body,))),
                (0x310, _POSITION.pack(*_place(seen, car))),
                (0x311, _COURSE.pack(round(heading * 100), round(seen.odometer_km[car] * 1000))),
            ]
        )
    return made


def _degrees(celsius: Any) -> int:
    return int(np.clip(round(float(np.mean(celsius))) + 60, 0, 255))


def _place(seen: Readings, car: int) -> tuple[int, int]:
    return round(seen.latitude[car] * 1e7), round(seen.longitude[car] * 1e7)


def converted(log: Path, file: Path) -> None:
    """Write a log of any kind that carcloud reads as candump text.

    Raises `CannotReplay`.
    """
    count = 0
    try:
        with file.open("w", encoding="ascii") as out:
            for batch in open_log(log, RELATIVE).blocks():
                lines = _lines(batch)
                out.writelines(lines)
                count += len(lines)
    except LogFileError as error:
        raise CannotReplay(str(error)) from error
    if not count:
        raise CannotReplay(f"{log} has no frame with a payload")


def _lines(frames: CanFrames) -> list[str]:
    made = []
    rows = zip(
        frames.time.tolist(), frames.bus.tolist(), frames.can_id.tolist(),
        frames.extended.tolist(), frames.flags.tolist(), frames.start.tolist(),
        frames.length.tolist(), strict=True,
    )  # fmt: skip
    for time_ns, bus, can_id, extended, flags, start, length in rows:
        if flags & (ERROR | REMOTE):
            continue
        name = f"{can_id:08X}" if extended else f"{can_id:03X}"
        data = frames.payload[start : start + length].tobytes().hex()
        separator = "##0" if flags & FD else "#"
        seconds, micros = divmod(time_ns // 1000, 1_000_000)
        made.append(f"({seconds}.{micros:06d}) can{bus} {name}{separator}{data}\n")
    return made
