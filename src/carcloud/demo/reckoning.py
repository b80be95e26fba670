"""The last word of a demo or a bench: is everything that was acknowledged in the lake, once?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carcloud.model.ids import Tenant
from carcloud.ports.lake import Lake, Slice, TableRef

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Reports the lake holds against reports that were acknowledged."""

    stored: int  # rows
    duplicates: int  # rows beyond the first with the same vehicle, time and content
    missing: int  # acknowledged reports that have no row
    dead_letters: int


def reckon(
    lake: Lake,
    tenant: Tenant,
    vehicles: tuple[str, ...],
    acked_vehicle: npt.NDArray[np.uint32],
    acked_seconds: npt.NDArray[np.uint32],
) -> Reckoning:
    """Compare; `acked_*` as `SimulateResult` has them (index into `vehicles`, UTC seconds)."""
    rows = lake.read(TableRef(tenant, "signals"), Slice(columns=("vehicle", "time", "digest")))
    letters = lake.read(TableRef(tenant, "dead_letters"), Slice(columns=("vehicle",)))
    if rows.num_rows == 0:
        return Reckoning(0, 0, len(acked_vehicle), letters.num_rows)
    names = rows["vehicle"].combine_chunks().dictionary_encode()
    number = {name: index for index, name in enumerate(vehicles)}
    to_index = np.array(
        [number.get(name, len(vehicles)) for name in names.dictionary.to_pylist()], np.uint64
    )
    cars = to_index[names.indices.to_numpy()]
    seconds = (rows["time"].cast("int64").to_numpy() // SECOND).astype(np.uint64)
    stored = cars << np.uint64(40) | seconds
    acked = acked_vehicle.astype(np.uint64) << np.uint64(40) | acked_seconds.astype(np.uint64)
    full = np.stack((stored.view(np.int64), rows["digest"].to_numpy()), axis=1)
    distinct = len(np.unique(full, axis=0))
    return Reckoning(
        stored=rows.num_rows,
        duplicates=rows.num_rows - distinct,
        missing=int((~np.isin(acked, stored)).sum()),
        dead_letters=letters.num_rows,
    )
