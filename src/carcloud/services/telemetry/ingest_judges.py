"""Which reports the lake has already: one judge of repeats for each table."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.model.time import now_us
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.services.telemetry.repeats import Repeats


class Judges:
    """Made when a table is first asked about. `entries`: reports that each remembers."""

    def __init__(self, lake: Lake, *, future_us: int, entries: int) -> None:
        self._lake = lake
        self._future_us = future_us
        self._entries = entries
        self._known: dict[TableRef, Repeats] = {}
        self._lookups = 0  # in the lake, of judges that are gone

    def of(self, ref: TableRef) -> Repeats:
        """The judge of a table; raises `EngineError`."""
        judge = self._known.get(ref)
        if judge is None:
            known = self._lake.tables(ref.tenant)
            newest = next((t.max_time_us for t in known if t.name == ref.name), None)
            if newest is not None:
                newest = min(newest, now_us() + self._future_us)
            judge = self._known[ref] = Repeats(
                lambda names, first, last: _stored(self._lake, ref, names, first, last),
                newest_us=newest,
                future_us=self._future_us,
                entries=self._entries,
            )
        return judge

    def forget(self) -> None:
        """What they remember may not be in the lake."""
        self._lookups = self.figures[1]
        self._known.clear()

    @property
    def figures(self) -> tuple[int, int]:
        """(reports remembered, lookups in the lake since the start)."""
        judges = list(self._known.values())
        lookups = self._lookups + sum(judge.lake_lookups for judge in judges)
        return sum(judge.remembered for judge in judges), lookups


def _stored(
    lake: Lake, ref: TableRef, vehicles: Iterable[str], first_us: int, last_us: int
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = lake.read(
        ref,
        Slice(
            columns=("vehicle", "time", "digest"),
            start_us=first_us,
            end_us=last_us + 1,
            vehicles=tuple(vehicles),
        ),
    )
    if found.num_rows == 0:
        return [], np.zeros(0, np.int64), np.zeros(0, np.int64)
    times = found["time"].cast(pa.int64()).to_numpy()
    return found["vehicle"].to_pylist(), times, found["digest"].to_numpy()
