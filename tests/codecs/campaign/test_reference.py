"""The engine against the steps of the fact sheet, written down one after the other.

The plain model looks at its condition at every cycle and knows no schedule; the engine works out
when it must look. Both must trigger at the same times, whatever comes.
"""

import random
from dataclasses import dataclass

import pytest
from tests.codecs.campaign.script import Script, campaign


@dataclass
class Plain:
    """Section 5 of the fact sheet for `Vehicle.Speed > 50`, to the letter; times in ms."""

    always: bool
    minimum: int
    post: int
    true_now: bool = True
    waiting: bool = False
    last: int = 0
    gather: int = 0
    speed: float | None = None

    def cycle(self, now, speed):
        """Whether it triggers; `speed` None where nothing came."""
        changed = speed is not None and speed != self.speed
        self.speed = self.speed if speed is None else speed
        triggered = self._step(now, changed)
        if triggered:
            self.waiting, self.last, self.gather = True, now, now + self.post
        if self.waiting and now >= self.gather:
            self.waiting = False
        return triggered

    def _step(self, now, changed):
        evaluated = changed and self.speed > 50
        if changed and not evaluated:
            self.true_now = False
        if not evaluated and not (self.true_now and not self.waiting):
            return False
        if now < self.last + self.minimum:
            return False
        fires = (self.always or not self.true_now) and not self.waiting
        self.true_now = True
        return fires


@pytest.mark.parametrize("mode", ["ALWAYS", "RISING_EDGE"])
def test_compatible_campaigns_trigger_when_the_plain_steps_do(mode):
    seed = random.randrange(2**32)
    source = random.Random(seed)
    for _ in range(60):
        minimum = source.choice([0, 100, 1000, 3000])
        post = source.choice([0, 0, 50, 700, 2500])
        script = Script(
            campaign(
                trigger={
                    "when": "Vehicle.Speed > 50",
                    "mode": mode,
                    "minimum_interval_ms": minimum,
                },
                post_trigger_ms=post,
                compatibility=True,
            )
        )
        plain, wanted, now = Plain(mode == "ALWAYS", minimum, post), [], 0
        for _ in range(80):
            now += source.choice([1, 10, 50, 100, 400, 1000])
            speed = source.choice([None, None, 40, 40, 60, 60, 61])
            if plain.cycle(now, speed):
                wanted.append(now / 1000)
            if speed is None:
                script.tick(now / 1000)
            else:
                script.feed(now / 1000, Speed=speed)
        script.tick(now / 1000 + 10)
        got = [at for at in script.events if at <= now / 1000]
        assert got == wanted, f"seed {seed}: {mode}, minimum {minimum}, post {post}"
