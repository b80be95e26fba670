"""One vehicle's connection: login, reports, heartbeats and what the server says to them."""

import asyncio
from typing import Protocol, cast

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter
from carcloud.simulator.messages import as_reissue
from carcloud.simulator.outbox import Outbox, Report

_ACTIVATED = b"\x01"  # first byte of an activation result (S25 table B.4)
_OPENING = (Command.ACTIVATION, Command.LOGIN, Command.KEY_EXCHANGE)
_TIME_SIZE = 6  # bytes of a collection time
_DECIDE_S = 5.0  # a server that has not answered a report for so long answers heartbeats only


class Hub(Protocol):
    """What a link needs of the fleet it belongs to."""

    heartbeat_confirms: bool | None  # None: not known yet what the server does

    def now(self) -> float:
        """Seconds on the clock that times replies."""

    def opened(self, link: "Link") -> list[bytes]:
        """The connection stands; returns what to send one after another: the login at least."""

    def taken(self, link: "Link", command: int) -> None:
        """The server has accepted one of these frames."""

    def online(self, link: "Link") -> None:
        """The server has accepted the last of them."""

    def closed(self, link: "Link", was_ready: bool) -> None:
        """The connection is gone."""

    def confirmed(self, link: "Link", report: Report) -> None:
        """The server has a report."""

    def refused(self, link: "Link", given_up: Report | None) -> None:
        """The server has refused a report; `given_up` if it was the last try."""

    def reports_answered(self) -> None:
        """The server answers reports, so heartbeats need not confirm any."""

    def stray(self) -> None:
        """A reply matches nothing on the wire."""

    def commanded(self, link: "Link", frame: Frame) -> bytes | None:
        """The server asks, sets or controls something; returns what to answer."""


class Link(asyncio.Protocol):
    """A connection of vehicle `car`; made anew for every connection."""

    __slots__ = ("_hub", "_opening", "_splitter", "_transport", "car", "outbox", "paused", "ready")

    def __init__(self, hub: Hub, car: int, outbox: Outbox) -> None:
        self.car = car
        self.outbox = outbox
        self.ready = False  # logged in
        self.paused = False  # the socket takes no more for now
        self._hub = hub
        self._opening: list[bytes] = []  # to be accepted before the first report
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._opening = self._hub.opened(self)
        self._transport.write(self._opening[0])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        was_ready, self.ready = self.ready, False
        self._transport = None
        self._hub.closed(self, was_ready)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def data_received(self, data: bytes) -> None:
        for found in self._splitter.feed(data):
            if isinstance(found, Garbage):
                self._hub.stray()
                self.abort()
                return
            self._take(found)

    def send(self, report: Report, late: bool) -> None:
        """Put a report of the outbox on the wire; a late one goes as reissue."""
        if self._transport is not None:
            self.outbox.sent(report, self._hub.now())
            self._transport.write(as_reissue(report.frame) if late else report.frame)

    def beat(self, frame: bytes) -> None:
        """Send a heartbeat."""
        if self._transport is not None:
            self.outbox.beat_sent(self._hub.now())
            self._transport.write(frame)

    def finish(self, logout: bytes) -> None:
        """Send the logout (if any) and close."""
        if self._transport is not None:
            self._transport.write(logout)
            self._transport.close()

    def abort(self) -> None:
        """Break the connection without a word, as a vehicle in a tunnel does."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, reply: Frame) -> None:
        if reply.command == Command.ACTIVATION_RESULT:
            self._opened(Command.ACTIVATION, reply.data[:1] == _ACTIVATED)
        elif reply.is_command:
            answer = self._hub.commanded(self, reply)
            if answer is not None and self._transport is not None:
                self._transport.write(answer)
        elif reply.command in _OPENING:
            self._opened(reply.command, reply.flag == Flag.SUCCESS)
        elif reply.command == Command.HEARTBEAT:
            self._beat_answered()
        elif reply.command in (Command.REALTIME, Command.REISSUE):
            self._answered(reply)

    def _opened(self, command: int, accepted: bool) -> None:
        """One of the opening frames is answered: send the next, or begin to report."""
        if not self._opening or self._opening[0][2] != command:
            return
        if not accepted:
            self.abort()
            return
        del self._opening[0]
        self._hub.taken(self, command)
        if self._opening and self._transport is not None:
            self._transport.write(self._opening[0])
        elif not self.ready:
            self.ready = True
            self._hub.online(self)

    def _answered(self, reply: Frame) -> None:
        """Reading A of a reply repeats the report's time; any other body goes by order."""
        key = reply.data if len(reply.data) == _TIME_SIZE else None
        if reply.flag != Flag.SUCCESS:
            self._hub.refused(self, self.outbox.refuse(key, self._hub.now()))
            return
        self._hub.reports_answered()
        report = self.outbox.confirm_oldest() if key is None else self.outbox.confirm(key)
        if report is None:
            self._hub.stray()
        else:
            self._hub.confirmed(self, report)

    def _beat_answered(self) -> None:
        """Where reports get no reply, a heartbeat's reply covers everything sent before it."""
        oldest = self.outbox.oldest_sent_at()
        place = self.outbox.beat_answered()
        if self._hub.heartbeat_confirms is None and oldest is not None:
            silent = self._hub.now() - oldest > _DECIDE_S
            self._hub.heartbeat_confirms = True if silent else None
        if self._hub.heartbeat_confirms:
            for report in self.outbox.confirm_before(place):
                self._hub.confirmed(self, report)
