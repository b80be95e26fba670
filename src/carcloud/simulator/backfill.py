"""Reports that a vehicle adds around a level-3 alarm (2016 B.2.1 and 5.2.4, 2025 B.2.1).

A vehicle that reports less often than once a second still samples every second. When an alarm of
level 3 (2025: or 4) comes on, it sends what it sampled in the 30 s before, as reissue, and goes on
with one report a second: for 30 s (2016), or until the alarm is over (2025).
"""

from dataclasses import dataclass

from carcloud.simulator.messages import EDITION_2016

LEVEL = 3  # and above
BEFORE_S = 30
AFTER_S = 30  # 2016


@dataclass(frozen=True, slots=True)
class Added:
    """What one look adds to the periodic reports."""

    before: list[tuple[int, bytes]]  # collection time and frame, to be sent as reissue
    now: bool  # the sample that was looked at goes out, too


class AlarmWatch:
    """The samples and the alarm of one vehicle; times are UTC seconds since 1970."""

    __slots__ = ("_alarm", "_edition", "_since", "_untold")

    def __init__(self, edition: int) -> None:
        self._edition = edition
        self._untold: dict[int, bytes] = {}  # by collection time, oldest first
        self._alarm = False
        self._since: int | None = None  # when the alarm last came on

    def look(self, seconds: int, level: int, frame: bytes) -> Added:
        """Take the sample of this second: the highest alarm level, and the report it would be."""
        came_on = level >= LEVEL and not self._alarm
        self._alarm = level >= LEVEL
        for past in [time for time in self._untold if time < seconds - BEFORE_S]:
            del self._untold[past]
        before: list[tuple[int, bytes]] = []
        if came_on:
            self._since = seconds
            before = list(self._untold.items())
            self._untold.clear()
        now = self._told_every_second(seconds)
        if not now:
            self._untold[seconds] = frame
        return Added(before, now)

    def reported(self, seconds: int) -> None:
        """The sample of this second has gone out as a periodic report."""
        self._untold.pop(seconds, None)

    def _told_every_second(self, seconds: int) -> bool:
        if self._edition != EDITION_2016:
            return self._alarm
        return self._since is not None and seconds <= self._since + AFTER_S
