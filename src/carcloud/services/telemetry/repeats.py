"""Recognises a report that has been stored before, so that it is one row in the lake.

A report is known by vehicle, collection time and content digest. Almost every report is newer
than all its vehicle has sent, which one comparison with a watermark settles. The rest (reissues,
re-sent reports) are looked up in an index of recent reports and, where that does not reach back
far enough, in the lake.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from carcloud.model.time import DAY, SECOND

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
UInt64 = npt.NDArray[np.uint64]

_LOOKUP = 500_000  # vehicles x seconds of one lookup in the lake
_NEVER = np.iinfo(np.int64).min

Stored = tuple[Sequence[str], Int64, Int64]  # vehicles, times (us), digests
LakeLookup = Callable[[Sequence[str], int, int], Stored]
"""(vehicles, first time, last time inclusive), times in us -> the rows the lake has."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each report: is it a repeat, and is it a correction of a stored one."""

    repeat: Bool
    correction: Bool


@dataclass(slots=True)
class _Segment:
    keys: UInt64  # sorted
    digests: Int64


@dataclass(slots=True)
class RecentReports:
    """The last reports by (vehicle, time): a few sorted runs, merged as they grow.

    Bounded by two generations of `entries // 2`; the older one goes when the younger is full.
    """

    entries: int
    reach_us: int  # a stored report whose time is later than this is in here
    young: list[_Segment] = field(default_factory=list)
    old: list[_Segment] = field(default_factory=list)
    young_reach_us: int | None = None  # the reach once `old` is dropped

    def add(self, keys: UInt64, digests: Int64, horizon_us: int) -> None:
        """Remember reports; `keys` need not be sorted.

        `horizon_us`: no report accepted so far has a time later than this.
        """
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        self.young.append(_Segment(keys[order], digests[order]))
        while len(self.young) > 1 and len(self.young[-2].keys) < 2 * len(self.young[-1].keys):
            last, before = self.young.pop(), self.young.pop()
            merged = np.concatenate((before.keys, last.keys))
            order = np.argsort(merged, kind="stable")
            self.young.append(
                _Segment(merged[order], np.concatenate((before.digests, last.digests))[order])
            )
        if sum(len(segment.keys) for segment in self.young) > self.entries // 2:
            if self.young_reach_us is not None:
                self.reach_us = self.young_reach_us
            self.old, self.young, self.young_reach_us = self.young, [], horizon_us

    @property
    def size(self) -> int:
        """Reports remembered."""
        return sum(len(segment.keys) for segment in (*self.young, *self.old))

    def matches(self, key: np.uint64) -> list[int]:
        """The digests remembered under a key."""
        found: list[int] = []
        for segment in (*self.young, *self.old):
            start = int(np.searchsorted(segment.keys, key, "left"))
            end = int(np.searchsorted(segment.keys, key, "right"))
            found += segment.digests[start:end].tolist()
        return found


class Repeats:
    """The judgement over one tenant's reports; one instance per ingest process and tenant."""

    def __init__(
        self,
        lookup: LakeLookup,
        *,
        newest_us: int | None,
        future_us: int,
        entries: int = 4_000_000,
    ) -> None:
        """`newest_us`: the newest collection time in the lake now, None when it is empty."""
        self._lookup = lookup
        self._start_mark = _NEVER if newest_us is None else newest_us
        self._future_us = future_us
        self._horizon = _NEVER  # no report stored so far has a later time
        self._codes: dict[str, int] = {}
        self._marks = np.full(1024, self._start_mark, np.int64)
        self._recent = RecentReports(entries, reach_us=self._start_mark)
        self.lake_lookups = 0

    @property
    def remembered(self) -> int:
        """Reports in the index of recent ones."""
        return self._recent.size

    def judge(self, vehicles: Sequence[str], times: Int64, digests: Int64, now_us: int) -> Verdict:
        """Decide over reports in order of arrival and remember those that are new.

        Shapes: all (n,); `times` in us since 1970, whole seconds or finer.
        """
        codes = self._coded(vehicles)
        keys = _keys(codes, times)
        repeat = np.zeros(len(times), np.bool_)
        correction = np.zeros(len(times), np.bool_)
        # No vehicle's own time is later than this; what is came in by another way and is asked for.
        latest = now_us + self._future_us
        unusual = times > latest
        suspects = np.flatnonzero((times <= self._marks[codes]) | _twice(keys) | unusual)
        if len(suspects):
            asked = (times <= self._recent.reach_us) | unusual
            self._examine(suspects, vehicles, times, keys, digests, asked, repeat, correction)
        np.maximum.at(self._marks, codes, np.minimum(times, latest))
        self._horizon = max(self._horizon, latest)  # the clock may have stepped back
        self._recent.add(keys[~repeat], digests[~repeat], self._horizon)
        return Verdict(repeat, correction)

    def _coded(self, vehicles: Sequence[str]) -> Int64:
        known = self._codes
        codes = np.array([known.setdefault(name, len(known)) for name in vehicles], np.int64)
        if len(known) > len(self._marks):
            more = np.full(len(known), self._start_mark, np.int64)
            self._marks = np.concatenate((self._marks, more))
        return codes

    def _examine(
        self,
        suspects: npt.NDArray[np.intp],
        vehicles: Sequence[str],
        times: Int64,
        keys: UInt64,
        digests: Int64,
        asked: Bool,
        repeat: Bool,
        correction: Bool,
    ) -> None:
        seen: dict[int, set[int]] = {}
        beyond: dict[int, int] = {}  # key -> row, where the lake may know more than the index
        for row in suspects.tolist():
            key = int(keys[row])
            if key not in seen:
                seen[key] = set(self._recent.matches(keys[row]))
            if asked[row] and int(digests[row]) not in seen[key]:
                beyond[key] = row
        if beyond:
            self._ask_lake(list(beyond.values()), vehicles, times, seen)
        for row in suspects.tolist():
            contents = seen[int(keys[row])]
            digest = int(digests[row])
            repeat[row] = digest in contents
            correction[row] = bool(contents) and not repeat[row]
            contents.add(digest)

    def _ask_lake(
        self, rows: list[int], vehicles: Sequence[str], times: Int64, seen: dict[int, set[int]]
    ) -> None:
        for piece in _pieces(sorted(rows, key=lambda row: int(times[row])), vehicles, times):
            self.lake_lookups += 1
            wanted = sorted({vehicles[row] for row in piece})
            moments = times[piece]
            names, stored_times, stored_digests = self._lookup(
                wanted, int(moments.min()), int(moments.max())
            )
            stored_keys = _keys(self._coded(names), stored_times)
            for key, digest in zip(stored_keys.tolist(), stored_digests.tolist(), strict=True):
                if key in seen:
                    seen[key].add(digest)


def _pieces(rows: list[int], vehicles: Sequence[str], times: Int64) -> Iterator[list[int]]:
    """Rows in order of time, cut so that no lookup has to read much of the lake."""
    piece: list[int] = []
    names: set[str] = set()
    for row in rows:
        names.add(vehicles[row])
        span = int(times[row] - times[piece[0]]) // SECOND + 1 if piece else 1
        if piece and (len(names) * span > _LOOKUP or span * SECOND > DAY):
            yield piece
            piece, names = [], {vehicles[row]}
        piece.append(row)
    if piece:
        yield piece


def _keys(codes: Int64, times: Int64) -> UInt64:
    """(vehicle, time) mixed into 64 bits (the finaliser of SplitMix64), so that keys sort fast."""
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= times.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _twice(keys: UInt64) -> Bool:
    """Rows whose key stands in the same batch more than once."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    equal = ordered[1:] == ordered[:-1]
    flags = np.zeros(len(keys), np.bool_)
    flags[order[1:]] |= equal
    flags[order[:-1]] |= equal
    return flags
