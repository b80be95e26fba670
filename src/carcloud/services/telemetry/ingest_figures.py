"""What ingest counts, and the state of its last micro-batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from carcloud.model.figures import Histogram
from carcloud.model.time import now_us

_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
_FRAMES = (10.0, 100.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0)
_OF_AN_ATTEMPT = ("frames", "duplicates", "corrections", "dead_letters")


@dataclass(slots=True)
class IngestFigures:
    """Counters since the start, and the state of the last micro-batch."""

    frames: int = 0
    stored: int = 0
    duplicates: int = 0
    corrections: int = 0
    dead_letters: int = 0
    commits: int = 0
    commits_full: int = 0  # that did not wait for the clock
    retries: int = 0
    lag_frames: int = 0
    stream_bytes: int = 0
    problem: str | None = None
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    commit_frames: Histogram = field(default_factory=lambda: Histogram(_FRAMES))
    fresh_ms: float | None = None  # of the last micro-batch
    waiting_since_us: int | None = None  # the oldest frame of one that cannot be committed

    def of_attempt(self) -> dict[str, int]:
        """The counters that an attempt at a micro-batch raises, to be `put_back` if it fails."""
        return {name: getattr(self, name) for name in _OF_AN_ATTEMPT}

    def put_back(self, counted: Mapping[str, int]) -> None:
        """An attempt has failed: the next one counts its frames anew."""
        for name, count in counted.items():
            setattr(self, name, count)

    @property
    def freshness_ms(self) -> float | None:
        """From arrival to queryable: of the last micro-batch, or of the one that waits."""
        if self.waiting_since_us is not None and self.problem is not None:
            return (now_us() - self.waiting_since_us) / 1000
        return self.fresh_ms
