"""Campaigns at work: samples and frames in, records out.

The clock comes from outside, in microseconds since 1970 UTC, and never goes back: an earlier time
counts as the latest one. Every `feed`, `tick`, and every frame of `run` is one cycle: what came is
stored, conditions whose inputs changed are evaluated, then what is due is done.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from carcloud.codecs.campaign.buffers import (
    FRAME_BYTES,
    FrameRing,
    Ring,
    Window,
    sample_bytes,
)
from carcloud.codecs.campaign.checking import Bound, Checked, Input, SignalType
from carcloud.codecs.campaign.conditions import NEVER, Condition, Counters, Nulls
from carcloud.codecs.campaign.document import Campaign, FrameItem
from carcloud.codecs.campaign.prepare import Prepared
from carcloud.codecs.campaign.record import RawFrame, Record, Series
from carcloud.codecs.campaign.sinks import Sink, sink

EXTENDED = 0x8000_0000  # bit of a frame's key: its id has 29 bits
MOST_CAMPAIGNS = 256
TRIM_EVERY = 8192  # frames
RISEN_PATH = "Vehicle.MultiRisingEdgeTrigger"
_FIGURES = {"MIN": 0, "MAX": 1, "AVG": 2}

Handler = Callable[[int, bytes], None]
FrameKey = tuple[str | None, int | None, bool, int | None, int]  # bus, id, extended, pgn, interval


class Handlers(Protocol):
    """What takes the frames of one bus, by key: id, with `EXTENDED` for 29 bits.

    False: nobody wants it. A key that `get` does not know is given to `resolve`, which remembers.
    """

    def get(self, key: int, /) -> Handler | bool | None: ...
    def resolve(self, key: int, /) -> Handler | bool: ...


def pgn_of(can_id: int) -> int:
    """The J1939 parameter group of a 29-bit id; a destination address is not part of it."""
    pgn = can_id >> 8 & 0x3FFFF
    return pgn if pgn >> 8 & 0xFF >= 240 else pgn & 0x3FF00


class Engine:
    """Runs campaigns. `emit` gets every record with its campaign, most urgent first.

    `memory` bounds the bytes of samples and frames; a campaign that does not fit is refused.
    `attributes` are facts about the vehicle for the dimensions of records. `changed` is called
    when the functions of signals and frames are new, so that decoders take them up.
    """

    def __init__(
        self,
        emit: Callable[[Campaign, Record], None],
        *,
        memory: int = 64 << 20,
        attributes: Mapping[str, str] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._emit = emit
        self._memory = memory
        self._attributes = dict(attributes or {})
        self._changed = changed
        self.values: list[Any] = []
        self._counts: list[int] = []
        self._slots: dict[tuple[str, str, object], int] = {}
        self._types: dict[str, SignalType] = {}
        self._prepared: tuple[Prepared, ...] = ()
        self._watched: dict[str, SignalType] = {}
        self._active: dict[str, Condition] = {}
        self._rings: dict[tuple[str, int], Ring] = {}
        self._frames: dict[FrameKey, FrameRing] = {}
        self._windows: dict[tuple[str, int], Window] = {}
        self._sinks: dict[str, Sink] = {}
        self._dirty: list[Condition] = []
        self._each_cycle: list[Condition] = []
        self._done: list[Condition] = []
        self._now = 0
        self._due = NEVER
        self._boundary = NEVER  # the next start or expiry of a campaign
        self._events = 0
        self._frames_taken = 0

    # What is wanted

    def configure(
        self,
        campaigns: Sequence[Prepared],
        now: int,
        *,
        watched: Mapping[str, SignalType] | None = None,
    ) -> dict[str, str]:
        """Replace the campaigns, and the signals whose latest value is `watched`.

        Campaigns that stay the same keep their state, and rings that stay keep their samples.
        Returns the campaigns that are refused, by id, with the reason.
        """
        refused = {}
        taken: list[Prepared] = []
        free = self._memory
        for each in sorted(campaigns, key=lambda each: (each.campaign.priority, each.campaign.id)):
            alone, together = _memory([each]), _memory([*taken, each])
            if len(taken) == MOST_CAMPAIGNS:
                refused[each.campaign.id] = f"more than {MOST_CAMPAIGNS} campaigns"
            elif together > free:
                refused[each.campaign.id] = (
                    f"needs {alone:,} bytes of sample memory, {free - _memory(taken):,} are free"
                )
            else:
                taken.append(each)
        self._prepared, self._watched = tuple(taken), dict(watched or {})
        self._now = max(self._now, now)
        self._rebuild()
        self.cycle(self._now)
        return refused

    def _rebuild(self) -> None:
        now, before = self._now, self._active
        wanted = [
            each for each in self._prepared
            if each.campaign.start_us <= now < each.campaign.expiry_us
        ]  # fmt: skip
        self._types = dict(self._watched)
        for each in wanted:
            self._types |= each.types
        self._active = {}
        for each in wanted:
            kept = before.get(each.campaign.id)
            if kept is None or kept.prepared != each:
                kept = self._activate(each)
            self._active[each.campaign.id] = kept
        boundaries = [
            time
            for each in self._prepared
            for time in (each.campaign.start_us, each.campaign.expiry_us)
            if time > now
        ]
        self._boundary = min(boundaries, default=NEVER)
        self._dirty = [each for each in self._dirty if each in self._active.values()]
        self._each_cycle = [each for each in self._active.values() if _each_cycle(each.prepared)]
        self._make_rings()
        self._make_sinks()
        self._schedule()
        self._changed()

    def _activate(self, prepared: Prepared) -> Condition:
        windows, nulls = prepared.windows, []
        condition = prepared.condition
        bound = Bound(lambda _values: True)
        if condition is not None:
            bound = condition.bind(self._bindings(condition, windows, prepared))
            nulls = [
                Nulls(self._slot("isNull", each.path, prepared), self._value_slot(each.path))
                for each in condition.inputs
                if each.kind == "isNull"
            ]
            for each in nulls:
                each.consumed = self._counts[each.signal]
        active = Condition(prepared, bound, self._now, nulls)
        active.uploads = {
            key: each.bind(self._bindings(each, windows, prepared))
            for key, each in prepared.uploads.items()
        }
        if condition is not None and self._ready(condition, prepared.campaign):
            active.dirty = True
            self._dirty.append(active)
        return active

    def _ready(self, condition: Checked, campaign: Campaign) -> bool:
        """Whether a condition is evaluated at once, before any input changes."""
        if campaign.compatibility:
            return not condition.inputs
        return all(
            each.kind == "value" and self.values[self._value_slot(each.path)] is not None
            for each in condition.inputs
        )

    def _bindings(
        self, checked: Checked, windows: Mapping[str, int], owner: Prepared
    ) -> dict[Input, int]:
        slots = {}
        for each in checked.inputs:
            if each.kind == "value":
                slots[each] = self._value_slot(each.path)
            elif each.kind == "isNull":
                slots[each] = self._slot("isNull", each.path, owner)
            else:
                slots[each] = self._slot(each.kind, each.path, windows[each.path])
        return slots

    def _value_slot(self, path: str) -> int:
        return self._slot("value", path, None)

    def _slot(self, kind: str, path: str, owner: object) -> int:
        key = (kind, path, id(owner) if isinstance(owner, Prepared) else owner)
        if key not in self._slots:
            self._slots[key] = len(self.values)
            self.values.append(None)
            self._counts.append(0)
        return self._slots[key]

    def _make_rings(self) -> None:
        rings, frames = {}, {}
        for active in self._active.values():
            for item in active.prepared.campaign.signals:
                if item.condition_only:
                    continue
                key = (item.path, item.interval_us)
                if key not in rings:
                    datatype = self._types[item.path].datatype
                    old = self._rings.get(key)
                    kept = old if old is not None and old.datatype == datatype else None
                    rings[key] = kept or Ring(datatype, item.interval_us)
                    rings[key].capacity = 1
                rings[key].capacity = max(rings[key].capacity, item.max_samples)
            for wanted in active.prepared.campaign.frames:
                name = _frame_key(wanted)
                if name not in frames:
                    frames[name] = self._frames.get(name) or FrameRing(wanted.interval_us)
                    frames[name].capacity = 1
                frames[name].capacity = max(frames[name].capacity, wanted.max_frames)
        self._rings, self._frames = rings, frames
        lengths = {
            (path, length)
            for active in self._active.values()
            for path, length in active.prepared.windows.items()
        }
        self._windows = {key: self._windows.get(key) or Window(key[1]) for key in lengths}

    def _make_sinks(self) -> None:
        self._sinks = {}
        for path in self._types:
            slot = self._value_slot(path)
            readers = [each for each in self._active.values() if _reads(each, "value", path)]
            counted = any(_reads(each, "isNull", path) for each in self._active.values())
            self._sinks[path] = sink(
                self.values,
                slot,
                [ring for (name, _), ring in self._rings.items() if name == path],
                readers,
                self._mark,
                [self._window_sink(key) for key in self._windows if key[0] == path],
                self._counts if counted else None,
            )

    def _window_sink(self, key: tuple[str, int]) -> Callable[[int, Any], None]:
        window = self._windows[key]

        def take(t: int, value: Any) -> None:
            if window.add(t, value):
                self._window_ended(key, window)
            self._due = min(self._due, window.end_us or NEVER)

        return take

    def _window_ended(self, key: tuple[str, int], window: Window) -> None:
        path, length = key
        for which, figures in (("LAST", window.last), ("PREV_LAST", window.before)):
            for what, at in _FIGURES.items():
                slot = self._slots.get((f"{which}_WINDOW_{what}", path, length))
                if slot is not None:
                    self.values[slot] = None if figures is None else figures[at]
        for each in self._active.values():
            if each.prepared.windows.get(path) == length and _reads_window(each, path):
                self._mark(each)

    def _mark(self, condition: Condition) -> None:
        if not condition.dirty:
            condition.dirty = True
            self._dirty.append(condition)

    # What comes in

    @property
    def paths(self) -> tuple[str, ...]:
        """The signals that somebody wants."""
        return tuple(self._sinks)

    def sink(self, path: str) -> Sink:
        """The function that takes samples of a signal; raises `KeyError` if nobody wants it.

        After all samples of one instant, `cycle` must be called. Values must have the signal's
        type: numbers as float or int, booleans, strings.
        """
        return self._sinks[path]

    def frame_sinks(
        self, bus: str, can_id: int, extended: bool
    ) -> list[Callable[[int, int, str, bytes], None]]:
        """Functions that take raw frames of an id: time, key, bus, payload."""
        return [
            ring.add
            for (on, number, wide, pgn, _), ring in self._frames.items()
            if on in (None, bus)
            and wide == extended
            and (number == can_id if pgn is None else pgn_of(can_id) == pgn)
        ]

    def latest(self, path: str) -> Any:
        """The latest value of a wanted signal, None where there is none."""
        slot = self._slots.get(("value", path, None))
        return None if slot is None else self.values[slot]

    def feed(self, t: int, samples: Mapping[str, Any]) -> None:
        """One cycle with samples of one instant; signals that nobody wants are passed over.

        Raises `ValueError` or `TypeError` for a value that cannot be of its signal's type.
        """
        t = self._forward(t)
        if t >= self._boundary:
            self._rebuild()
        for path, value in samples.items():
            take = self._sinks.get(path)
            if take is not None:
                take(t, _typed(value, self._types[path].datatype))
        self.cycle(t)

    def tick(self, t: int) -> None:
        """One cycle in which nothing came: what is due is done."""
        self.cycle(self._forward(t))
        self._trim()

    def _forward(self, t: int) -> int:
        self._now = max(self._now, t)
        return self._now

    def run(self, frames: Iterable[tuple[int, int, bytes]], handlers: Handlers) -> int:
        """Frames of one bus as (time, key, payload), each a cycle; returns how many were wanted."""
        get, resolve, now, wanted = handlers.get, handlers.resolve, self._now, 0
        for t, key, payload in frames:
            if t > now:  # noqa: PLR1730 - twice as quick as max
                now = t
            if now >= self._boundary:
                self._now = now
                self._rebuild()
            handle = get(key)
            if handle is None:
                handle = resolve(key)
            if handle:
                wanted += 1
                handle(now, payload)  # type: ignore[operator] # True is never given
                if self._dirty or self._each_cycle or now >= self._due:
                    self.cycle(now)
            elif now >= self._due:
                self.cycle(now)
        self._now = now
        self._frames_taken += wanted
        if self._frames_taken >= TRIM_EVERY:
            self._trim()
        return wanted

    def _trim(self) -> None:
        self._frames_taken = 0
        for ring in self._rings.values():
            ring.trim()
        for frames in self._frames.values():
            frames.trim()

    # What follows

    def cycle(self, t: int) -> None:
        """Evaluate what changed, then do what is due."""
        self._now = t
        if t >= self._boundary:
            self._rebuild()
        for each in self._each_cycle:
            self._mark(each)
        if self._dirty:
            self._evaluate(t)
        if t >= self._due:
            self._timers(t)
        if self._done:
            self._gather_all()

    def _evaluate(self, t: int) -> None:
        changed, self._dirty = self._dirty, []
        for each in changed:
            each.dirty = False
            if each.evaluate(self.values, self._counts, t):
                self._trigger(each, t)
            self._due = min(self._due, each.due_us if each.due_us > t else t + 1)

    def _trigger(self, condition: Condition, t: int) -> None:
        self._events += 1
        condition.begin(t, self._events)
        if condition.gather_us <= t:
            self._done.append(condition)

    def _timers(self, t: int) -> None:
        for key, window in self._windows.items():
            if window.pass_to(t):
                self._window_ended(key, window)
        for each in self._active.values():
            if each.due_us > t or each in self._done:
                continue
            if each.waiting:
                self._done.append(each)
            elif each.true_now and each.always:
                if each.holds(t):
                    self._trigger(each, t)
            else:
                self._mark(each)
        if self._dirty:
            self._evaluate(t)
        self._schedule()

    def _schedule(self) -> None:
        dues = [each.due_us for each in self._active.values() if each not in self._done]
        dues += [window.end_us or NEVER for window in self._windows.values()]
        self._due = min(self._boundary, *dues) if dues else self._boundary

    def _gather_all(self) -> None:
        done, self._done = self._done, []
        done.sort(key=lambda each: (each.prepared.campaign.priority, each.prepared.campaign.id))
        for each in done:
            for record in self._gather(each):
                self._emit(each.prepared.campaign, record)
            each.waiting = False
            each.gather_us = NEVER
        self._schedule()

    def _gather(self, condition: Condition) -> list[Record]:
        campaign = condition.prepared.campaign
        series: dict[str, list[Series]] = {}
        frames: dict[str, list[RawFrame]] = {}
        for item in campaign.signals:
            if item.condition_only:
                continue
            ring = self._rings[item.path, item.interval_us]
            low, high = self._span(condition, (item.path, item.interval_us), ring, item.max_samples)
            if low < high:
                offsets = [time - condition.event_us for time in ring.times[low:high]]
                found = Series(item.path, offsets, ring.values[low:high])
                series.setdefault(item.partition, []).append(found)
        for wanted in campaign.frames:
            name = _frame_key(wanted)
            kept = self._frames[name]
            low, high = self._span(condition, name, kept, wanted.max_frames)
            taken = [_raw(kept, at, condition.event_us) for at in range(low, high)]
            frames.setdefault(wanted.partition, []).extend(taken)
        if condition.fired:
            risen = Series(RISEN_PATH, [0], [list(condition.fired)])
            series.setdefault(campaign.partitions[0].id, []).append(risen)
        return self._records(condition, series, frames)

    def _span(
        self, condition: Condition, key: object, ring: Ring | FrameRing, most: int
    ) -> tuple[int, int]:
        """Places in a ring of what is sent: up to the end, the newest, none twice."""
        campaign, event = condition.prepared.campaign, condition.event_us
        high = bisect_right(ring.times, condition.gather_us)
        unsent = max(condition.sent.get(key, 0) - ring.base, 0)
        low = min(max(high - most, unsent, 0), high)
        if campaign.pre_trigger_us is not None:
            low = max(low, bisect_left(ring.times, event - campaign.pre_trigger_us, 0, high))
        condition.sent[key] = ring.base + high
        condition.counters.collected += high - low
        after = max(bisect_left(ring.times, event, 0, high), unsent)
        condition.counters.dropped += max(low - after, 0)
        return low, high

    def _records(
        self,
        condition: Condition,
        series: Mapping[str, list[Series]],
        frames: Mapping[str, list[RawFrame]],
    ) -> list[Record]:
        campaign = condition.prepared.campaign
        filled = [
            each.id for each in campaign.partitions if series.get(each.id) or frames.get(each.id)
        ]
        dimensions = tuple(
            (name, text)
            for name in campaign.dimensions
            if (text := self._dimension(name)) is not None
        )
        return [
            Record(
                campaign=campaign.id,
                version=campaign.version,
                event=condition.event,
                time_us=condition.event_us,
                series=tuple(series.get(partition, ())),
                frames=tuple(frames.get(partition, ())),
                dimensions=dimensions,
                partition=partition,
            )
            for partition in filled or [campaign.partitions[0].id]
        ]

    def _dimension(self, name: str) -> str | None:
        if name in self._attributes:
            return self._attributes[name]
        value = self.latest(name)
        return None if value is None else str(value)

    # What can be asked

    def upload_open(self, campaign: str, partition: str) -> bool:
        """Whether data of a partition may be sent now; a partition without a condition always."""
        active = self._active.get(campaign)
        bound = None if active is None else active.uploads.get(partition)
        if bound is None:
            return True
        try:
            return bool(bound.evaluate(self.values))
        except (ArithmeticError, ValueError, TypeError):
            return False

    @property
    def counters(self) -> dict[str, Counters]:
        """Counters of the active campaigns, by id."""
        return {key: each.counters for key, each in self._active.items()}

    @property
    def memory_bytes(self) -> int:
        """Bytes that samples and frames take now, by estimate."""
        rings = sum(
            len(ring.times) * sample_bytes(self._types[path].datatype)
            for (path, _), ring in self._rings.items()
        )
        return rings + sum(len(each.times) * FRAME_BYTES for each in self._frames.values())


def _memory(campaigns: Iterable[Prepared]) -> int:
    """Bytes that the rings of campaigns take when they are full; equal rings are shared."""
    rings: dict[object, int] = {}
    for each in campaigns:
        for item in each.campaign.signals:
            if not item.condition_only:
                size = item.max_samples * sample_bytes(each.types[item.path].datatype)
                key: object = (item.path, item.interval_us)
                rings[key] = max(rings.get(key, 0), size)
        for frame in each.campaign.frames:
            key = _frame_key(frame)
            rings[key] = max(rings.get(key, 0), frame.max_frames * FRAME_BYTES)
    return sum(rings.values())


def _frame_key(item: FrameItem) -> FrameKey:
    return (item.bus, item.can_id, item.extended, item.pgn, item.interval_us)


def _raw(ring: FrameRing, at: int, event_us: int) -> RawFrame:
    key = ring.ids[at]
    return RawFrame(
        offset_us=ring.times[at] - event_us,
        can_id=key & ~EXTENDED,
        extended=bool(key & EXTENDED),
        bus=ring.origins[at],
        payload=ring.payloads[at],
    )


def _each_cycle(prepared: Prepared) -> bool:
    condition = prepared.condition
    if condition is None:
        return False
    return condition.every_cycle or (condition.custom and prepared.campaign.compatibility)


def _reads(condition: Condition, kind: str, path: str) -> bool:
    checked = condition.prepared.condition
    return checked is not None and Input(kind, path) in checked.inputs


def _reads_window(condition: Condition, path: str) -> bool:
    checked = condition.prepared.condition
    return checked is not None and any(
        each.path == path and each.kind not in ("value", "isNull") for each in checked.inputs
    )


_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


def _typed(value: Any, datatype: str) -> Any:
    """A value as its signal's type; raises `ValueError` or `TypeError`."""
    if datatype in ("float", "double"):
        return float(value)
    if datatype in _INTEGERS:
        return value if type(value) is int else round(value)
    if datatype == "boolean":
        return bool(value)
    return value
