"""One simulated truck: it registers once, authenticates, reports, and answers commands."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import Frame, Garbage, Splitter, build, build_message
from carcloud.simulator.truck_commands import Commands
from carcloud.simulator.truck_messages import authentication, registration

_BATCH = 40  # positions in one 0x0704: more than one packet takes
_WINDOW = 64  # messages on the wire before others wait
_LATE = 1  # positions that wait: more go as a batch
_FROM_PLATFORM_REPLY, _REGISTERED, _MEDIA_REPLY, _RESEND = 0x8001, 0x8100, 0x8800, 0x8003


class Refused(OSError):
    """The platform does not let the truck in."""


class Hub(Protocol):
    """What a truck needs of its fleet."""

    finishing: bool

    def now(self) -> float:
        """Seconds on the clock that times replies."""

    def online(self, truck: "Truck") -> None:
        """It has authenticated."""

    def offline(self, truck: "Truck", was_ready: bool) -> None:
        """Its connection is gone."""

    def sent(self, reports: int, late: int) -> None:
        """So many positions were sent for the first time, so many as backfill."""

    def confirmed(self, truck: "Truck", report: "Report", latency_s: float) -> None:
        """The platform has a position."""

    def refused(self) -> None:
        """The platform refused a position."""

    def stray(self) -> None:
        """A reply matches nothing."""

    def position(self, truck: "Truck") -> bytes:
        """Where it is now: the body of a 0x0200."""


@dataclass(slots=True)
class Report:
    """One position, kept until the platform has it."""

    seconds: int  # UTC since 1970
    body: bytes
    sent: bool = False


class Truck:
    """Number `index` of its fleet. `code` outlives connections, as in a terminal's memory."""

    def __init__(self, hub: Hub, index: int, phone: str, edition: int, period_s: float) -> None:
        self.hub, self.index, self.phone, self.edition = hub, index, phone, edition
        self.period_s = period_s
        self.locked = True
        self.code: str | None = None
        self.ready = False
        self.commands = Commands(self)
        self._serial = 0
        self._waiting: deque[Report] = deque()
        self._flight: dict[int, tuple[list[Report], float]] = {}
        self._sent_long: dict[int, list[bytes]] = {}  # by first serial number
        self._writer: asyncio.StreamWriter | None = None
        self._inbox: deque[Frame] = deque()

    @property
    def unconfirmed(self) -> int:
        """Positions that the platform has not confirmed."""
        return len(self._waiting) + sum(len(reports) for reports, _ in self._flight.values())

    def oldest_sent(self) -> float | None:
        """When the message was sent that has waited longest for its reply."""
        return next((at for _, at in self._flight.values()), None)

    # a connection

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the first byte to the last; raises `OSError` when it does not get in."""
        self._writer = writer
        splitter = Splitter()
        try:
            async with asyncio.timeout(60):
                await self._get_in(reader, splitter)
            self.ready = True
            self.hub.online(self)
            self.flush()
            self._take_all()
            while data := await reader.read(65536):
                self._hear(splitter, data)
                self._take_all()
        finally:
            was_ready, self.ready, self._writer = self.ready, False, None
            self._put_back()
            with contextlib.suppress(OSError):
                writer.close()
            self.hub.offline(self, was_ready)

    async def _get_in(self, reader: asyncio.StreamReader, splitter: Splitter) -> None:
        if self.code is None:
            self.send(0x0100, registration(self.edition, self.phone))
            body = (await self._next(reader, splitter, _REGISTERED)).body
            if len(body) < 3 or body[2] != 0:
                raise Refused("the registration is refused")
            self.code = body[3:].rstrip(b"\0").decode("gbk", "replace")
        self.send(0x0102, authentication(self.edition, self.phone, self.code))
        body = (await self._next(reader, splitter, _FROM_PLATFORM_REPLY)).body
        if body[4] != 0:
            self.code = None  # register anew
            raise Refused("the code is refused")

    async def _next(self, reader: asyncio.StreamReader, splitter: Splitter, message: int) -> Frame:
        while True:
            while self._inbox:
                frame = self._inbox.popleft()
                if frame.message == message:
                    return frame
            data = await reader.read(65536)
            if not data:
                raise Refused("the platform has hung up")
            self._hear(splitter, data)

    def _hear(self, splitter: Splitter, data: bytes) -> None:
        for piece in splitter.feed(data):
            if isinstance(piece, Garbage):
                self.hub.stray()
            else:
                self._inbox.append(piece)

    def abort(self) -> None:
        """Break the connection without a word, as in a tunnel."""
        if self._writer is not None:
            self._writer.transport.abort()

    # reports

    def report(self, report: Report) -> None:
        """A new position: sent at once if there is a connection."""
        self._waiting.append(report)
        self.flush()

    def flush(self) -> None:
        """Send what waits: single positions, or batches of backfill when there are many."""
        while self.ready and self._waiting and len(self._flight) < _WINDOW:
            if len(self._waiting) > _LATE:
                count = min(_BATCH, len(self._waiting))
                reports = [self._waiting.popleft() for _ in range(count)]
                items = b"".join(len(one.body).to_bytes(2) + one.body for one in reports)
                serial = self.send_long(0x0704, count.to_bytes(2) + b"\1" + items)
            else:
                reports = [self._waiting.popleft()]
                serial = self.send(0x0200, reports[0].body)
            new = sum(not one.sent for one in reports)
            for one in reports:
                one.sent = True
            self._flight[serial] = reports, self.hub.now()
            self.hub.sent(new, len(reports) if len(reports) > 1 else 0)

    def beat(self) -> None:
        """Send a heartbeat."""
        if self.ready:
            self.send(0x0002, b"")

    def _put_back(self) -> None:
        """What was on the wire waits again."""
        lost = [report for reports, _ in self._flight.values() for report in reports]
        self._flight.clear()
        self._inbox.clear()
        self._waiting.extendleft(sorted(lost, key=lambda one: one.seconds, reverse=True))

    # messages

    def send(self, message: int, body: bytes) -> int:
        """Send a message of one packet; returns its serial number."""
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        self._write(build(self.edition, message, self.phone, serial, body))
        return serial

    def send_long(self, message: int, body: bytes) -> int:
        """Send a message of any length; returns the serial number of its last packet."""
        frames = build_message(self.edition, message, self.phone, self._serial, body)
        first, self._serial = self._serial, (self._serial + len(frames)) & 0xFFFF
        self._sent_long[first] = frames
        while len(self._sent_long) > _WINDOW:
            del self._sent_long[next(iter(self._sent_long))]
        self._write(b"".join(frames))
        return (first + len(frames) - 1) & 0xFFFF

    def _write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def _take_all(self) -> None:
        while self._inbox:
            self._take(self._inbox.popleft())
        self.flush()

    def _take(self, frame: Frame) -> None:
        if frame.message == _FROM_PLATFORM_REPLY:
            self._answered(int.from_bytes(frame.body[:2]), frame.body[4])
        elif frame.message == _RESEND:
            size = 2 if frame.edition == 2019 else 1
            self._resend(int.from_bytes(frame.body[:2]), frame.body[2 + size :])
        elif frame.message != _MEDIA_REPLY:
            self.commands.take(frame)

    def _answered(self, serial: int, result: int) -> None:
        reports, at = self._flight.pop(serial, ([], 0.0))
        for report in reports:
            if result == 0:
                self.hub.confirmed(self, report, self.hub.now() - at)
            else:
                self.hub.refused()

    def _resend(self, first: int, numbers: bytes) -> None:
        frames = self._sent_long.get(first, [])
        for at in range(0, len(numbers), 2):
            number = int.from_bytes(numbers[at : at + 2])
            if 0 < number <= len(frames):
                self._write(frames[number - 1])

    def reply(self, frame: Frame, result: int) -> None:
        """The general reply to a command."""
        fields = {"reply_serial": frame.serial, "reply_id": frame.message, "result": result}
        self.send(0x0001, encode(0x0001, self.edition, fields))
