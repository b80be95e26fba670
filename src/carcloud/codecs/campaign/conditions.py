"""The state of one campaign: when it triggers, and what of it was sent.

The steps are those of the AWS IoT FleetWise edge agent. A campaign with `compatibility` follows it
to the letter. Otherwise a condition starts unknown instead of true: ALWAYS fires at the first true
evaluation, and the end of the minimum interval counts as an evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from carcloud.codecs.campaign.checking import Bound, Input
from carcloud.codecs.campaign.document import ALWAYS
from carcloud.codecs.campaign.prepare import Prepared

NEVER = 2**62  # microseconds


@dataclass(slots=True)
class Counters:
    """What happened to a campaign since it was activated."""

    evaluations: int = 0
    true: int = 0
    errors: int = 0
    suppressed: int = 0  # by the minimum interval
    triggers: int = 0
    collected: int = 0  # samples and frames
    dropped: int = 0  # samples after the trigger that max_samples had no room for


@dataclass(slots=True)
class Nulls:
    """One isNull: the slot of its flag, the slot of the signal, samples seen before."""

    flag: int
    signal: int
    consumed: int = 0


@dataclass(slots=True, eq=False)
class Condition:
    """One campaign that is active. Times are microseconds."""

    prepared: Prepared
    bound: Bound
    activated_us: int
    nulls: list[Nulls]
    counters: Counters = field(default_factory=Counters)
    dirty: bool = False
    true_now: bool | None = None
    waiting: bool = False
    last_us: int | None = None  # of the last trigger
    again_us: int = NEVER  # when a suppressed condition is looked at once more
    event: int = 0
    event_us: int = 0
    gather_us: int = NEVER
    fired: tuple[str, ...] = ()
    sent: dict[Any, int] = field(default_factory=dict)  # ring to the number of its next sample

    def __post_init__(self) -> None:
        campaign = self.prepared.campaign
        if campaign.compatibility:
            self.true_now = True
        if campaign.compatibility or campaign.trigger.period_us is not None:
            self.last_us = self.activated_us
        if campaign.trigger.period_us is not None:
            self.true_now = True

    @property
    def always(self) -> bool:
        """Whether it triggers again while it stays true."""
        return self.prepared.campaign.trigger.mode == ALWAYS

    @property
    def minimum_us(self) -> int:
        """The least time between two triggers."""
        trigger = self.prepared.campaign.trigger
        return trigger.minimum_us if trigger.period_us is None else trigger.period_us

    @property
    def due_us(self) -> int:
        """When it has to be looked at, whatever comes."""
        if self.waiting:
            return self.gather_us
        if self.true_now and self.always:
            last = self.last_us
            return 0 if last is None else last + max(self.minimum_us, 1)
        return self.again_us

    def reads(self, kind: str, path: str) -> bool:
        """Whether the condition has this input."""
        checked = self.prepared.condition
        return checked is not None and Input(kind, path) in checked.inputs

    def reads_window(self, path: str) -> bool:
        """Whether the condition reads a figure of the signal's windows."""
        checked = self.prepared.condition
        return checked is not None and any(
            each.path == path and each.of_window for each in checked.inputs
        )

    def evaluate(self, values: list[Any], counts: Sequence[int], now: int) -> bool:
        """Evaluate and take the steps that follow; True for a trigger."""
        for each in self.nulls:
            values[each.flag] = counts[each.signal] == each.consumed
            each.consumed = counts[each.signal]
        self.counters.evaluations += 1
        try:
            value = self.bound.evaluate(values)
        except (ArithmeticError, ValueError, TypeError):
            # A function without a value, or a sample of another type than its signal.
            self.counters.errors += 1
            value = None
        self.again_us = NEVER
        if not value:
            self.true_now = False
            return False
        self.counters.true += 1
        return self.holds(now)

    def holds(self, now: int) -> bool:
        """What follows from being true at `now`; True for a trigger."""
        rises = not self.true_now
        if self.true_now is None and not self.always:
            rises = self.prepared.campaign.trigger.fire_on_first_true
        wanted = (self.always or rises) and not self.waiting
        if self.last_us is not None and now < self.last_us + self.minimum_us:
            self.counters.suppressed += wanted
            later = wanted or (self.always and self.waiting)
            if later and not self.prepared.campaign.compatibility:
                self.again_us = self.last_us + self.minimum_us
            return False
        self.true_now = True
        if wanted:
            self.fired = tuple(name for each in self.bound.rises for name in each.fired)
        return wanted

    def step_back(self, now: int) -> None:
        """The clock was set back to `now`: what it said later than that counts as now."""
        self.activated_us = min(self.activated_us, now)
        if self.last_us is not None:
            self.last_us = min(self.last_us, now)
            if self.again_us != NEVER:
                self.again_us = self.last_us + self.minimum_us

    def begin(self, now: int, counter: int) -> None:
        """A trigger at `now`: what belongs to it is gathered after the post-trigger time."""
        campaign = self.prepared.campaign
        self.counters.triggers += 1
        self.waiting = True
        self.last_us = self.event_us = now
        self.event = (now // 1000) << 8 | counter & 255
        if campaign.compatibility:
            self.event &= 0x7FFF_FFFF
        self.gather_us = now + campaign.post_trigger_us
