"""The way to the cloud: connects again and again, sends what is kept, hands on what comes."""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from carcloud.agent.keeping import Keeper, Parcel
from carcloud.agent.link import Link, LinkLost, OnMessage
from carcloud.agent.settings import Server

log = logging.getLogger(__name__)

_FIRST_S, _MOST_S = 0.5, 60.0
_STEADY_S = 30.0  # after so long a connection, trying begins at once again
_IDLE_S = 0.5  # until conditions of upload are asked again
_AGAIN_S = 2.0  # after the cloud took a message back
_SMALL = 1000
_FAILED = 0x80
_TOO_LARGE = 0x95
_AROUND = 1024  # bytes of a packet besides its payload, at most
_NEVER_TAKEN = frozenset({0x90, 0x95, 0x99})  # topic, size or payload that no repetition mends


Told = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Note:
    """A small message; `shorter` are forms for a server that takes less, best first."""

    topic: str
    payload: bytes
    shorter: tuple[bytes, ...]
    told: Told | None


class Uplink:
    """Runs for ever; `greet` is called when a connection stands."""

    def __init__(
        self,
        vehicle: str,
        server: Server,
        keeper: Keeper,
        on_message: OnMessage,
        greet: Callable[[], None],
    ) -> None:
        self._vehicle = vehicle
        self._server = server
        self._keeper = keeper
        self._on_message = on_message
        self._greet = greet
        self._small: deque[_Note] = deque()
        self._random = random.Random()  # noqa: S311 - spreads vehicles in time, no secret
        self._retry = False
        self._link: Link | None = None
        self.connected = False
        self.connections = 0
        self.reason = ""

    def say(
        self,
        topic: str,
        document: Mapping[str, Any],
        *shorter: Mapping[str, Any],
        told: Told | None = None,
    ) -> None:
        """A small message: sent before records, kept in memory until it is acknowledged.

        `shorter`: what is sent where the server takes no message of that size. `told` is called
        when the cloud has it or will never take it; one that waits already is not added again.
        """
        note = _Note(topic, _packed(document), tuple(map(_packed, shorter)), told)
        if told is not None and any(
            (each.topic, each.payload) == (topic, note.payload) for each in self._small
        ):
            return
        self._small.append(note)
        if len(self._small) > _SMALL:
            self._small.popleft()
        self._keeper.work.set()

    async def run(self) -> None:
        """Connect, work, and after a loss wait a random part of a growing time."""
        loop, pause = asyncio.get_running_loop(), _FIRST_S
        while True:
            began = loop.time()
            try:
                await self._once()
            except LinkLost as error:
                if self.reason != str(error):
                    log.info("no connection to %s: %s", self._server.host, error)
                self.reason = str(error)
            if loop.time() - began > _STEADY_S:
                pause = _FIRST_S
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.0))
            pause = min(pause * 2, _MOST_S)

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self._link is not None:
            self._link.abort()

    async def _once(self) -> None:
        link = Link(self._vehicle, self._server, self._on_message)
        await link.open()
        self._link = link
        self.connected, self.reason = True, ""
        self.connections += 1
        self._keeper.rewind()
        self._greet()
        # Whichever ends first ends the connection, so that neither stands still unseen.
        work = [asyncio.create_task(self._send(link)), asyncio.create_task(link.run())]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            self.connected, self._link = False, None
            await link.close(politely=True)
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            self._keeper.save()

    async def _send(self, link: Link) -> None:
        keeper = self._keeper
        while True:
            keeper.work.clear()
            if self._small:
                await self._send_small(link)
            elif self._retry:
                self._retry = False
                await asyncio.sleep(_AGAIN_S)
                keeper.rewind()
            elif (parcel := keeper.next()) is not None:
                await self._send_parcel(link, parcel)
            else:
                keeper.save()
                try:
                    async with asyncio.timeout(_IDLE_S):
                        await keeper.work.wait()
                except TimeoutError:
                    continue

    async def _send_small(self, link: Link) -> None:
        note = self._small[0]
        fitting = (each for each in (note.payload, *note.shorter) if _fits(link, each))
        payload = next(fitting, None)
        reason = _TOO_LARGE
        if payload is None:
            size = len(note.payload)
            log.warning("a message of %d bytes on %s is too large for the cloud", size, note.topic)
        else:
            flight = await link.publish(note.topic, payload, "application/json")
            await asyncio.wait([flight])
            if flight.cancelled():
                raise LinkLost("the connection ended before the answer")
            reason = flight.result()
            if reason >= _FAILED:
                log.warning("the cloud refused a message on %s: 0x%02x", note.topic, reason)
        if self._small and self._small[0] is note:
            self._small.popleft()
        if note.told is not None and (reason < _FAILED or reason in _NEVER_TAKEN):
            note.told()

    async def _send_parcel(self, link: Link, parcel: Parcel) -> None:
        if not _fits(link, parcel.payload):
            self._keeper.arrived(parcel, rejected=True)
            return
        flight = await link.publish(parcel.topic, parcel.payload, parcel.content_type)
        flight.add_done_callback(lambda done: self._landed(parcel, done))

    def _landed(self, parcel: Parcel, flight: "asyncio.Future[int]") -> None:
        if flight.cancelled():
            return  # the connection ended: it is sent again
        reason = flight.result()
        if reason < _FAILED or reason in _NEVER_TAKEN:
            self._keeper.arrived(parcel, rejected=reason >= _FAILED)
        else:
            self._retry = True
            log.warning("the cloud cannot take records now: 0x%02x", reason)
        self._keeper.work.set()


def _packed(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _fits(link: Link, payload: bytes) -> bool:
    return len(payload) + _AROUND <= link.most_bytes
