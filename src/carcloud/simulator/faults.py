"""Named faults that are injected into chosen cars, and the truth about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from carcloud.model.time import SECOND, iso
from carcloud.simulator.car import CELLS, PROBES
from carcloud.simulator.chance import Cars, Chance, Floats

_ONSET_S = (3.0, 15.0)  # after the start
_RAMP_S = (15.0, 60.0)  # from onset to full strength
_SEVERITY = (0.8, 1.0)


class Fault(IntEnum):
    """What is wrong with a car."""

    NONE = 0
    WEAK_CELL = 1  # one cell loses capacity and gains resistance
    INSULATION_FAULT = 2  # insulation resistance falls steadily
    HOT_PROBE = 3  # one place in the pack grows hotter than the load explains


class UnknownFault(ValueError):
    """The caller named a fault that the simulator does not know."""


class Truth(msgspec.Struct, frozen=True):
    """One line of the truth file; times are UTC, RFC 3339."""

    vehicle: str
    fault: str
    part: int | None  # number of the cell or probe, from 1; null for the whole pack
    onset: str  # first effect
    full: str  # full strength from here on
    severity: float  # 0..1
    effect: str  # what full strength means


_EFFECTS = {
    Fault.WEAK_CELL: "stands {0:.1%} of the pack's charge lower, resistance {1:.2f} times normal",
    Fault.INSULATION_FAULT: "insulation resistance at {0:.2%} of its healthy value",
    Fault.HOT_PROBE: "{0:.1f} K hotter than the load explains",
}
INSULATION_LEFT = 0.004  # share of the healthy resistance left at strength 1
PROBE_RISE_K = 45.0  # K at strength 1


def known() -> list[str]:
    """Names that `parse` accepts."""
    return [fault.name.lower() for fault in Fault if fault]


def parse(text: str) -> dict[str, int]:
    """`weak_cell=2,hot_probe` as cars per fault; raises `UnknownFault` or `ValueError`."""
    counts: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = part.partition("=")
        name = name.strip().replace("-", "_")
        if name not in known():
            raise UnknownFault(f"there is no fault {name!r}; known: {', '.join(known())}")
        if number and not number.strip().isdigit():
            raise ValueError(f"{part!r}: the number of cars must be a whole number")
        counts[name] = counts.get(name, 0) + int(number or 1)
    return counts


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which car has which fault; all arrays have shape (cars,)."""

    kind: NDArray[np.int8]
    part: NDArray[np.intp]  # cell or probe, from 0
    onset_s: Floats  # since the start of the simulation
    ramp_s: Floats
    severity: Floats

    def strength(self, kind: Fault, at: Cars, elapsed_s: float) -> Floats:
        """How far `kind` has grown in the named cars, 0..severity, shape (len(at),)."""
        grown = np.clip((elapsed_s - self.onset_s[at]) / self.ramp_s[at], 0.0, 1.0)
        return np.where(self.kind[at] == kind, grown * self.severity[at], 0.0)


def plan(cars: int, seed: int, counts: Mapping[str, int]) -> FaultPlan:
    """Spread the faults over different cars of the fleet, the same for the same seed."""
    unknown = set(counts) - set(known())
    if unknown:
        raise UnknownFault(f"there is no fault {sorted(unknown)[0]!r}; known: {', '.join(known())}")
    if sum(counts.values()) > cars:
        raise ValueError(f"{sum(counts.values())} faulty cars in a fleet of {cars}")
    chance = Chance(cars, seed, "faults")
    order = np.argsort(chance.between(0.0, 1.0), kind="stable")
    kind = np.zeros(cars, np.int8)
    wanted = [Fault[name.upper()] for name, count in sorted(counts.items()) for _ in range(count)]
    kind[order[: len(wanted)]] = wanted
    parts = np.array([1, CELLS, 1, PROBES])[kind]
    return FaultPlan(
        kind=kind,
        part=(chance.between(0.0, 1.0) * parts).astype(np.intp),
        onset_s=chance.between(*_ONSET_S),
        ramp_s=chance.between(*_RAMP_S),
        severity=chance.between(*_SEVERITY),
    )


def truths(plan: FaultPlan, vehicles: Sequence[str], start_us: int) -> list[Truth]:
    """The truth about every faulty car, for a simulation that starts at `start_us` (UTC)."""
    return [
        _truth(plan, car, vehicles[car], start_us) for car in np.flatnonzero(plan.kind).tolist()
    ]


def write_truths(file: TextIO, rows: Sequence[Truth]) -> None:
    """One JSON object a line."""
    for row in rows:
        file.write(msgspec.json.encode(row).decode() + "\n")


def _truth(plan: FaultPlan, car: int, vehicle: str, start_us: int) -> Truth:
    fault = Fault(int(plan.kind[car]))
    severity = float(plan.severity[car])
    amounts = {
        Fault.WEAK_CELL: (0.15 * severity, 1.0 + 2.0 * severity),
        Fault.INSULATION_FAULT: (INSULATION_LEFT**severity,),
        Fault.HOT_PROBE: (PROBE_RISE_K * severity,),
    }[fault]
    onset = start_us + round(float(plan.onset_s[car]) * SECOND)
    return Truth(
        vehicle=vehicle,
        fault=fault.name.lower(),
        part=None if fault is Fault.INSULATION_FAULT else int(plan.part[car]) + 1,
        onset=iso(onset),
        full=iso(onset + round(float(plan.ramp_s[car]) * SECOND)),
        severity=round(severity, 4),
        effect=_EFFECTS[fault].format(*amounts),
    )
