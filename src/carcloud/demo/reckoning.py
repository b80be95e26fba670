"""The last word of a demo or a bench: is everything that was acknowledged in the lake, once?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.model.ids import Tenant
from carcloud.ports.lake import Lake, Slice, TableRef

SECOND = 1_000_000
_TIME_BITS = 44  # 203 days in us


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Reports the lake holds against reports that were acknowledged."""

    stored: int  # rows
    duplicates: int  # rows beyond the first with the same vehicle, time and content
    missing: int  # acknowledged reports that have no row
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Reports of a fleet that were acknowledged; `vehicle` (index into `vehicles`) and `time_us`
    (us since 1970, UTC), both of shape (n,)."""

    vehicles: tuple[str, ...]
    vehicle: npt.NDArray[Any]
    time_us: npt.NDArray[np.int64]


def reckon(
    lake: Lake,
    tenant: Tenant,
    vehicles: tuple[str, ...],
    acked_vehicle: npt.NDArray[np.uint32],
    acked_seconds: npt.NDArray[np.uint32],
) -> Reckoning:
    """Compare one fleet; `acked_*` as `SimulateResult` has them (index, UTC seconds)."""
    told = Acknowledged(vehicles, acked_vehicle, acked_seconds.astype(np.int64) * SECOND)
    return reckon_fleets(lake, tenant, [told])[0]


def reckon_fleets(
    lake: Lake, tenant: Tenant, fleets: Sequence[Acknowledged]
) -> tuple[Reckoning, ...]:
    """Compare each fleet; rows of vehicles of no fleet count with the first."""
    rows = lake.read(TableRef(tenant, "signals"), Slice(columns=("vehicle", "time", "digest")))
    letters = lake.read(TableRef(tenant, "dead_letters"), Slice(columns=("vehicle",)))
    names = [name for fleet in fleets for name in fleet.vehicles]
    ends = np.cumsum([len(fleet.vehicles) for fleet in fleets])
    car, letter_car = _indices(rows["vehicle"], names), _indices(letters["vehicle"], names)
    time = rows["time"].cast("int64").to_numpy()
    first = min([each.min() for each in (time, *(f.time_us for f in fleets)) if len(each)] or [0])
    stored = car << _TIME_BITS | time - first
    full = np.stack((stored, rows["digest"].to_numpy()), axis=1)
    whose = np.searchsorted(ends, car, side="right") % len(fleets)
    letter_whose = np.searchsorted(ends, letter_car, side="right") % len(fleets)
    found = []
    for number, fleet in enumerate(fleets):
        mine = whose == number
        base = int(ends[number]) - len(fleet.vehicles)
        acked = fleet.vehicle.astype(np.int64) + base << _TIME_BITS | fleet.time_us - first
        found.append(
            Reckoning(
                stored=int(mine.sum()),
                duplicates=int(mine.sum()) - len(np.unique(full[mine], axis=0)),
                missing=int((~np.isin(acked, stored[mine])).sum()),
                dead_letters=int((letter_whose == number).sum()),
            )
        )
    return tuple(found)


def _indices(column: pa.ChunkedArray, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place of each value in `names`; their number for one that is not there."""
    told = column.combine_chunks().dictionary_encode()
    number = {name: index for index, name in enumerate(names)}
    places = [number.get(name, len(names)) for name in told.dictionary.to_pylist()]
    places.append(len(names))  # of a null
    indices = told.indices.fill_null(len(places) - 1).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.int64] = np.array(places, np.int64)[indices]
    return found
