"""The reports that a vehicle keeps until the server has confirmed them.

No input or output here: the link asks what to send and says what came back. A report leaves the
box only by being confirmed, or by being refused three times.
"""

from collections.abc import Iterator

_TRIES = 3  # GB/T 32960.3 B.2.1: give up after three error replies
_RETRY_S = 60.0  # and wait a minute between them


class Report:
    """One realtime report, ready for the wire."""

    __slots__ = ("frame", "key", "not_before", "place", "refusals", "seconds", "sent_at")

    def __init__(self, seconds: int, frame: bytes, key: bytes | None = None) -> None:
        """`key`: the six bytes of collection time that a reply repeats, where encrypted."""
        self.seconds = seconds  # collection time, UTC since 1970
        self.frame = frame  # as 0x02; sent as 0x03 when it is late
        self.key = frame[24:30] if key is None else key
        self.sent_at = 0.0  # s on the link's clock, 0 = never
        self.place = 0  # among everything this connection has sent
        self.refusals = 0
        self.not_before = 0.0  # s on the link's clock


class Outbox:
    """One vehicle's unconfirmed reports: waiting, or on the wire of the present connection."""

    __slots__ = ("_beats", "_in_flight", "_place", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[bytes, Report] = {}  # oldest first
        self._in_flight: dict[bytes, Report] = {}  # in the order of sending
        self._place = 0
        self._beats: list[tuple[int, float]] = []  # place and time of unanswered heartbeats

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def __iter__(self) -> Iterator[Report]:
        yield from self._in_flight.values()
        yield from self._waiting.values()

    @property
    def waiting(self) -> int:
        """Reports that are not on the wire."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Reports that are on the wire and not yet confirmed."""
        return len(self._in_flight)

    def add(self, report: Report) -> None:
        """Keep a new report; it waits to be sent."""
        if report.key in self._waiting or report.key in self._in_flight:
            raise ValueError("a vehicle makes one report a second")
        self._waiting[report.key] = report

    def add_late(self, reports: list[Report]) -> None:
        """Keep reports of the past; they wait among the others by their time."""
        for report in reports:
            self.add(report)
        self._put_back([])

    def due(self, now: float) -> Report | None:
        """The oldest waiting report that may be sent now."""
        return next((one for one in self._waiting.values() if one.not_before <= now), None)

    def sent(self, report: Report, now: float) -> None:
        """`report` has just been put on the wire."""
        del self._waiting[report.key]
        report.sent_at = now
        report.place = self._place
        self._place += 1
        self._in_flight[report.key] = report

    def beat_sent(self, now: float) -> None:
        """A heartbeat has just been put on the wire."""
        self._beats.append((self._place, now))

    def confirm(self, key: bytes) -> Report | None:
        """The server has confirmed the report of that collection time; None = not on the wire."""
        return self._in_flight.pop(key, None)

    def confirm_oldest(self) -> Report | None:
        """The server has confirmed the report that has been longest on the wire."""
        key = next(iter(self._in_flight), None)
        return None if key is None else self._in_flight.pop(key)

    def beat_answered(self) -> int:
        """The oldest heartbeat is answered; returns the place before which all is covered."""
        return self._beats.pop(0)[0] if self._beats else 0

    def confirm_before(self, place: int) -> list[Report]:
        """The server has confirmed every report sent before `place`."""
        covered = []
        for report in self._in_flight.values():
            if report.place >= place:
                break
            covered.append(report)
        for report in covered:
            del self._in_flight[report.key]
        return covered

    def refuse(self, key: bytes | None, now: float) -> Report | None:
        """The server found fault with a report (None: the oldest); returned when given up."""
        report = self.confirm_oldest() if key is None else self.confirm(key)
        if report is None:
            return None
        report.refusals += 1
        if report.refusals >= _TRIES:
            return report
        report.not_before = now + _RETRY_S
        self._put_back([report])
        return None

    def lost(self) -> None:
        """The connection is gone: what was on the wire waits again."""
        self._put_back(list(self._in_flight.values()))
        self._in_flight.clear()
        self._beats.clear()
        self._place = 0

    def _put_back(self, reports: list[Report]) -> None:
        together = [*self._waiting.values(), *reports]
        together.sort(key=lambda report: report.seconds)
        self._waiting = {report.key: report for report in together}

    def unanswered_since(self) -> float | None:
        """When the heartbeat was sent that has waited longest for its reply."""
        return self._beats[0][1] if self._beats else None

    def oldest_sent_at(self) -> float | None:
        """When the report was sent that has been longest on the wire."""
        report = next(iter(self._in_flight.values()), None)
        return None if report is None else report.sent_at
