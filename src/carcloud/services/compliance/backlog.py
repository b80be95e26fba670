"""The frames in the lake that a link has not sent yet, read in bounded pieces.

Raw frames are sorted by vehicle in the lake, so that the frames of one stream sequence may lie
anywhere in a day's file. Reading a batch of 500 would look through the whole file each time; so a
piece of thousands is read at once and handed out in batches.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.services.compliance.types import Batch, Outgoing

KINDS = ("login", "realtime", "reissue", "logout")  # 6.3.1 table 3: what a platform passes on
PIECE_ROWS = 20_000
_COLUMNS = ("seq", "vehicle", "time", "received", "kind", "frame")
_NOTHING = np.zeros(0, np.int64)


def frames_of(tenant: Tenant) -> TableRef:
    """The table of raw frames."""
    return TableRef(tenant, "frames")


@dataclass(slots=True)
class Backlog:
    """Reads ahead for one link. Calls block; one at a time."""

    lake: Lake
    tenant: Tenant
    piece_rows: int = PIECE_ROWS
    _start: int = 0  # the piece has every frame with _start < seq <= _reach
    _reach: int = 0
    _piece: pa.Table = field(default_factory=lambda: pa.table({}))
    _seqs: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: _NOTHING)

    def after(self, done: int, limit: int) -> Batch | None:
        """The frames that follow sequence `done`, about `limit` of them; None when none wait.

        Whole stream messages only, so that their sequence can be recorded when all are answered.
        """
        if not self._start <= done < self._reach and not self._fetch(done):
            return None
        first = int(np.searchsorted(self._seqs, done, "right"))
        if first + limit >= len(self._seqs):
            return Batch(self._reach, self._frames(first, len(self._seqs)))
        reach = int(self._seqs[first + limit - 1])
        return Batch(reach, self._frames(first, int(np.searchsorted(self._seqs, reach, "right"))))

    def _fetch(self, done: int) -> bool:
        reach = self._next_reach(done)
        if reach is None:
            return False
        what = Slice(columns=_COLUMNS, after_seq=done, until_seq=reach, by_seq=True)
        rows = self.lake.read(frames_of(self.tenant), what)
        rows = rows.filter(pc.is_in(rows["kind"], value_set=pa.array(KINDS, pa.string())))
        self._piece = rows.sort_by([("seq", "ascending"), ("received", "ascending")])
        self._seqs = self._piece["seq"].to_numpy()
        self._start, self._reach = done, reach
        return True

    def _next_reach(self, done: int) -> int | None:
        """The sequence at which the next piece ends; None when nothing waits."""
        what = Slice(columns=("seq",), after_seq=done, by_seq=True, limit=self.piece_rows)
        seqs = self.lake.read(frames_of(self.tenant), what)["seq"].to_numpy()
        if len(seqs) == 0:
            return None
        last = int(seqs[-1])
        whole = seqs[seqs < last]  # the last message may have more frames than were read
        return int(whole[-1]) if len(seqs) == self.piece_rows and len(whole) else last

    def _frames(self, first: int, end: int) -> list[Outgoing]:
        rows = self._piece.slice(first, end - first)
        columns = (
            rows["seq"].to_pylist(),
            rows["vehicle"].to_pylist(),
            rows["time"].cast("int64").to_pylist(),
            rows["kind"].to_pylist(),
            rows["frame"].to_pylist(),
        )
        return [Outgoing(*row) for row in zip(*columns, strict=True)]
