"""Campaigns at work: samples and frames in, records out.

The clock comes from outside, in microseconds since 1970 UTC. A time that is a little earlier counts
as the latest one. One that is earlier by more than `STEP_US` means that the clock was set back, or
was wrong for a moment: samples of the old clock are forgotten, and the engine goes on from there.

Every `feed`, `tick`, and every frame of `run` is one cycle: what came is stored, conditions whose
inputs changed are evaluated, then what is due is done.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from carcloud.codecs.campaign.buffers import Window
from carcloud.codecs.campaign.checking import Bound, Checked, SignalType
from carcloud.codecs.campaign.conditions import NEVER, Condition, Counters, Nulls
from carcloud.codecs.campaign.document import Campaign
from carcloud.codecs.campaign.gathering import gather
from carcloud.codecs.campaign.prepare import Prepared
from carcloud.codecs.campaign.record import Record
from carcloud.codecs.campaign.rings import FrameSink, Rings, fitting
from carcloud.codecs.campaign.sinks import Sink, sink, typed
from carcloud.codecs.campaign.slots import Slots
from carcloud.codecs.campaign.uploads import Uploads

TRIM_EVERY = 8192  # frames
STEP_US = 5_000_000  # beyond what buses and timers that are read in turn lag behind each other

Handler = Callable[[int, bytes], None]


class Handlers(Protocol):
    """What takes the frames of one bus, by key: id, with `EXTENDED` for 29 bits.

    False: nobody wants it. A key that `get` does not know is given to `resolve`, which remembers.
    """

    def get(self, key: int, /) -> Handler | bool | None: ...
    def resolve(self, key: int, /) -> Handler | bool: ...


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
        self._slots = Slots()
        self._values, self._counts = self._slots.values, self._slots.counts
        self._rings = Rings()
        self._uploads = Uploads(self._slots)
        self._types: dict[str, SignalType] = {}
        self._prepared: tuple[Prepared, ...] = ()
        self._resting: tuple[Prepared, ...] = ()  # collect nothing, whatever the time
        self._watched: dict[str, SignalType] = {}
        self._active: dict[str, Condition] = {}
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
        self.steps_back = 0  # of the clock

    # What is wanted

    def configure(
        self,
        campaigns: Sequence[Prepared],
        now: int,
        *,
        watched: Mapping[str, SignalType] | None = None,
        paused: Sequence[Prepared] = (),
    ) -> dict[str, str]:
        """Replace the campaigns, and the signals whose latest value is `watched`.

        Campaigns that stay the same keep their state, and rings that stay keep their samples.
        Those that are `paused` collect nothing, but have their conditions of upload.
        Returns the campaigns that are refused, by id, with the reason.
        """
        taken, refused = fitting(campaigns, self._memory)
        rest = [each for each in campaigns if each.campaign.id in refused]
        self._prepared, self._resting = tuple(taken), (*paused, *rest)
        self._watched = dict(watched or {})
        self._forward(now)
        self._rebuild()
        self.cycle(self._now)
        return refused

    def _rebuild(self) -> None:
        now, before = self._now, self._active
        wanted = [
            each for each in self._prepared
            if each.campaign.start_us <= now < each.campaign.expiry_us
        ]  # fmt: skip
        self._uploads.rebuild((*self._prepared, *self._resting))
        known, self._types = self._types, self._watched | self._uploads.types
        for each in wanted:
            self._types |= each.types
        self._slots.forget(known.keys() - self._types.keys())
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
        self._each_cycle = [each for each in self._active.values() if each.prepared.every_cycle]
        self._rings.rebuild(wanted, self._types)
        self._make_windows()
        self._make_sinks()
        self._schedule()
        self._changed()

    def _activate(self, prepared: Prepared) -> Condition:
        nulls: list[Nulls] = []
        condition = prepared.condition
        bound = Bound(lambda _values: True)
        if condition is not None:
            bound = self._slots.bind(condition, prepared)
            nulls = [
                Nulls(self._slots.of_null(each.path, prepared), self._slots.of(each.path))
                for each in condition.inputs
                if each.kind == "isNull"
            ]
            for each in nulls:
                each.consumed = self._counts[each.signal]
        active = Condition(prepared, bound, self._now, nulls)
        if condition is not None and self._ready(condition, prepared.campaign):
            active.dirty = True
            self._dirty.append(active)
        return active

    def _ready(self, condition: Checked, campaign: Campaign) -> bool:
        """Whether a condition is evaluated at once, before any input changes."""
        if campaign.compatibility:
            return not condition.inputs
        return all(
            each.kind == "value" and self._slots.latest(each.path) is not None
            for each in condition.inputs
        )

    def _make_windows(self) -> None:
        lengths = {
            (path, length)
            for active in self._active.values()
            for path, length in active.prepared.windows.items()
        }
        lengths |= self._uploads.windows
        for path, length in self._windows.keys() - lengths:
            self._slots.take_window(path, length, Window(length))  # without figures
        self._windows = {key: self._windows.get(key) or Window(key[1]) for key in lengths}

    def _make_sinks(self) -> None:
        self._sinks = {}
        for path in self._types:
            readers = [each for each in self._active.values() if each.reads("value", path)]
            counted = any(each.reads("isNull", path) for each in self._active.values())
            self._sinks[path] = sink(
                self._values,
                self._slots.of(path),
                self._rings.of(path),
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
        self._slots.take_window(path, length, window)
        for each in self._active.values():
            if each.prepared.windows.get(path) == length and each.reads_window(path):
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

    def frame_sinks(self, bus: str, can_id: int, extended: bool) -> list[FrameSink]:
        """Functions that take raw frames of an id: time, key, bus, payload."""
        return self._rings.frame_sinks(bus, can_id, extended)

    def latest(self, path: str) -> Any:
        """The latest value of a wanted signal, None where there is none."""
        return self._slots.latest(path)

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
                take(t, typed(value, self._types[path].datatype))
        self.cycle(t)

    def tick(self, t: int) -> None:
        """One cycle in which nothing came: what is due is done."""
        self.cycle(self._forward(t))
        self._frames_taken = 0
        self._rings.trim()

    def _forward(self, t: int) -> int:
        if t < self._now - STEP_US:
            self._step_back(t)
        self._now = max(self._now, t)
        return self._now

    def _step_back(self, t: int) -> None:
        """Send the events that wait for their end, then forget what the old clock has dated."""
        self._done += [each for each in self._active.values() if each.waiting]
        self._done = list(dict.fromkeys(self._done))
        self._gather_all()
        self.steps_back += 1
        self._now = t
        self._rings.clear()
        for window in self._windows.values():
            window.begin_again()
        for each in self._active.values():
            each.step_back(t)
        self._rebuild()

    def run(self, frames: Iterable[tuple[int, int, bytes]], handlers: Handlers) -> int:
        """Frames of one bus as (time, key, payload), each a cycle; returns how many were wanted."""
        get, resolve, now, wanted = handlers.get, handlers.resolve, self._now, 0
        for t, key, payload in frames:
            if t > now:
                now = t
            elif t < now - STEP_US:
                self._step_back(t)
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
            self._frames_taken = 0
            self._rings.trim()
        return wanted

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
            if each.evaluate(self._values, self._counts, t):
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
            for record in gather(each, self._rings, self._dimension):
                self._emit(each.prepared.campaign, record)
            each.waiting = False
            each.gather_us = NEVER
        self._schedule()

    def _dimension(self, name: str) -> str | None:
        if name in self._attributes:
            return self._attributes[name]
        value = self.latest(name)
        return None if value is None else str(value)

    # What can be asked

    def upload_open(self, campaign: str, partition: str) -> bool:
        """Whether data of a partition may be sent now; a partition without a condition always."""
        return self._uploads.open(campaign, partition)

    @property
    def counters(self) -> dict[str, Counters]:
        """Counters of the active campaigns, by id."""
        return {key: each.counters for key, each in self._active.items()}

    @property
    def memory_bytes(self) -> int:
        """Bytes that samples and frames take now, by estimate."""
        return self._rings.bytes
