"""The signal catalogue: all leaves of COVESA VSS 6.0 (facts only) and carcloud's overlay on them.

Source of the standard paths, data types, units and ranges: the Vehicle Signal Specification 6.0
of COVESA (MPL-2.0), in `vss_6_0.csv`; of the units, `vss_units.csv`. Overlay paths, in
`carcloud_overlay.csv`, hold what national protocols report and VSS has no node for;
`Vehicle.Regulatory` is the overlay's own branch. It also names the unit of two lists of VSS.

Nothing here needs Arrow or NumPy: the agent in a vehicle reads it too.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = "Vehicle"
KINDS: Final = ("sensor", "actuator", "attribute")
INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    **{f"int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
"""The least and greatest value of each whole-number type."""
NUMBERS: Final = frozenset((*INTEGERS, "float", "double"))
_SCALARS: Final = (*INTEGERS, "float", "double", "boolean", "string")
DATATYPES: Final = frozenset((*_SCALARS, *(f"{name}[]" for name in _SCALARS)))
MOTORS: Final = (1, 2, 3, 4)  # instances of Powertrain.DriveMotor


@dataclass(frozen=True, slots=True)
class Signal:
    """One leaf of the vocabulary; `minimum` and `maximum` are inclusive, in `unit`.

    `allowed` values of numbers are their texts, such as "2".
    """

    path: str
    datatype: str  # VSS name, arrays end in []
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    kind: str = "sensor"  # sensor, actuator or attribute
    default: Any = None  # of an attribute
    pattern: str | None = None  # regular expression of a text
    deprecated: bool = False
    origin: str = "vss"  # vss, carcloud, or tenant where an overlay adds or changes it
    description: str | None = None  # only overlays have one
    array_size: int | None = None  # elements that an array always has

    @property
    def scalar(self) -> str:
        """The data type of one element."""
        return self.datatype.removesuffix("[]")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of VSS: the quantity it measures, and the data types it may stand at."""

    name: str
    quantity: str
    datatypes: frozenset[str]


class Catalogue(Mapping[str, Signal]):
    """Signals by full path, in the order of their tables; each is read when it is first wanted.

    Every process loads the table and most ask for a few signals of it.
    """

    def __init__(self, tables: Iterable[tuple[str, str]]) -> None:
        """`tables`: (name of a CSV file, origin of its signals); later ones win."""
        self._lines: dict[str, tuple[str, str]] = {}
        self._read: dict[str, Signal] = {}
        for name, origin in tables:
            for line in _lines(name):
                self._lines[f"{ROOT}.{line.partition(',')[0]}"] = line, origin

    def __getitem__(self, path: str) -> Signal:
        found = self._read.get(path)
        if found is None:
            found = self._read[path] = _signal(*self._lines[path])
        return found

    def __contains__(self, path: object) -> bool:
        return path in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _lines(name: str) -> list[str]:
    """The rows of a table, without remarks and head."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line[0] != "#"][1:]


def _signal(line: str, origin: str) -> Signal:
    path, kind, datatype, unit, least, most, allowed, default, pattern, old = next(
        csv.reader([line])
    )
    return Signal(
        f"{ROOT}.{path}",
        datatype,
        unit or None,
        _number(least),
        _number(most),
        tuple(allowed.split("|")) if allowed else (),
        kind,
        json.loads(default) if default else None,
        pattern or None,
        old == "yes",
        origin,
    )


def _number(text: str) -> float | None:
    if not text:
        return None
    return float(text) if "." in text or "e" in text else int(text)


def _units() -> Iterator[Unit]:
    for line in _lines("vss_units.csv"):
        name, quantity, kinds = line.split(",")
        yield Unit(name, quantity, NUMBERS if kinds == "numeric" else frozenset(kinds.split("|")))


def branches(paths: Iterable[str]) -> frozenset[str]:
    """All branches above these leaves."""
    found: set[str] = set()
    for path in paths:
        branch = path.rpartition(".")[0]
        while branch and branch not in found:
            found.add(branch)
            branch = branch.rpartition(".")[0]
    return frozenset(found)


UNITS: Final[dict[str, Unit]] = {unit.name: unit for unit in _units()}
"""Every unit by its name."""
CATALOGUE: Final[Mapping[str, Signal]] = Catalogue(
    (("vss_6_0.csv", "vss"), ("carcloud_overlay.csv", "carcloud"))
)
"""Every signal by its full path, in the order of VSS, the overlay's own ones after them."""
