"""Reading a durable stream in order, from a position, across lost connections and servers.

The server keeps no state for a reader that matters: a short-lived consumer delivers from the
next sequence on, and a new one is made from there whenever the connection was lost or a
delivery is missing. So nothing is skipped, reordered or handed out twice.
"""

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from nats.aio.msg import Msg

from carcloud.engines.stream_nats.link import ApiError, Link, status_of
from carcloud.ports.errors import Unavailable
from carcloud.ports.stream import Message

_log = logging.getLogger(__name__)

_NS = 1_000_000_000
_REQUEST_S = 5.0  # one request for messages stays open so long
_BEAT_S = 1.0  # between signs of life of an open request that brings nothing
_SILENT_S = 3.0  # without any: the server of the consumer is gone
_REQUEST_BYTES = 32 * 1024 * 1024  # delivered ahead of the reader, at most
_FORGET_S = 60.0  # the server drops a consumer nobody asks any more
_RETRY_S = 0.1


class Reader:
    """Messages of `stream` after sequence `after`."""

    def __init__(self, link: Link, stream: str, after: int, batch: int) -> None:
        self._link = link
        self._stream = stream
        self._next = after + 1  # sequence of the next message to hand out
        self._batch = batch
        self._news = asyncio.Event()
        self._consumer: _Consumer | None = None
        self._refused = False  # since it could last be read

    async def lists(self, wait_s: float) -> AsyncGenerator[list[Message], None]:
        """Lists of up to `batch` messages; an empty one after `wait_s` without any."""
        self._link.on_back.add(self._news.set)
        try:
            while True:
                yield await self._take(wait_s)
        finally:
            self._link.on_back.discard(self._news.set)
            await self._drop()

    async def _take(self, wait_s: float) -> list[Message]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait_s
        while True:
            asked = await self._keep_asking(deadline)
            self._news.clear()
            messages = self._consumer.take(self._batch) if self._consumer else []
            if messages:
                self._next = messages[-1].seq + 1
                await self._keep_asking(deadline)  # the next ones travel meanwhile
                return messages
            left = deadline - clock()
            if left <= 0:
                return []
            await self._wait(min(left, _REQUEST_S if asked else _RETRY_S))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def _keep_asking(self, deadline: float) -> bool:
        """See to it that a consumer exists and has been asked; False while that is impossible."""
        now = asyncio.get_running_loop().time()
        try:
            if self._consumer is None or self._consumer.lost:
                await self._drop()
                fresh = _Consumer(self._link, self._stream, self._news.set)
                self._consumer = fresh
                await fresh.begin(self._next, max(1.0, deadline - now))
            await self._consumer.keep_asking(self._batch, now)
        except Unavailable as error:
            if isinstance(error.__cause__, ApiError) and not self._refused:
                _log.warning("not read, and asked for again: %s", error)
                self._refused = True
            return False
        self._refused = False
        return True

    async def _drop(self) -> None:
        if self._consumer is not None:
            await self._consumer.end()
            self._consumer = None


class _Consumer:
    """A consumer at the server, as long as the connection lasts and no delivery is missing."""

    def __init__(self, link: Link, stream: str, on_arrival: Callable[[], None]) -> None:
        self._link = link
        self._stream = stream
        self._on_arrival = on_arrival
        self._name = f"read-{secrets.token_hex(8)}"
        self._inbox = link.new_inbox()
        self._epoch = link.epoch
        self._handle = 0
        self._begun = False
        self._broken = False
        self._arrived: deque[Msg] = deque()
        self._delivery = 1  # the consumer's own count; a jump means a lost message
        self._request = 0  # number of the latest request for messages
        self._open = 0  # messages that it may still bring
        self._open_until = 0.0
        self._heard = 0.0  # when the server last said anything to an open request

    @property
    def lost(self) -> bool:
        """Whether another consumer must be made."""
        return self._broken or not self._begun or self._epoch != self._link.epoch

    async def begin(self, first: int, timeout_s: float) -> None:
        """Make the consumer, to deliver from sequence `first` on; raises `Unavailable`."""
        self._handle = await self._link.subscribe(f"{self._inbox}.*", self._receive)
        config = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(_FORGET_S * _NS),
        }
        request = {"stream_name": self._stream, "config": config}
        try:
            await self._link.api(f"CONSUMER.CREATE.{self._stream}.{self._name}", request, timeout_s)
        except ApiError as error:
            raise Unavailable(f"stream {self._stream}: {error}") from error
        self._begun = True

    async def keep_asking(self, batch: int, now: float) -> None:
        """Ask for `batch` messages if no request is open."""
        if self._open > 0 and now < self._open_until:
            self._broken = self._broken or now - self._heard > _SILENT_S
            return
        self._request += 1
        self._open = batch
        self._open_until = now + _REQUEST_S + 1.0
        self._heard = now
        wanted = {
            "batch": batch,
            "max_bytes": _REQUEST_BYTES,
            "expires": int(_REQUEST_S * _NS),
            "idle_heartbeat": int(_BEAT_S * _NS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        await self._link.tell(subject, json.dumps(wanted).encode(), self._reply)

    def take(self, most: int) -> list[Message]:
        """What has arrived, in sequence; it ends before a gap, which breaks the consumer."""
        messages: list[Message] = []
        while self._arrived and len(messages) < most and not self._broken:
            message = self._arrived.popleft()
            seq, delivery = _sequences(message.reply)
            if delivery != self._delivery:
                self._broken = True
                break
            self._delivery += 1
            messages.append(Message(message.subject, seq, message.data))
        return messages

    async def end(self) -> None:
        """Forget the consumer, here and, if it can be told, at the server."""
        await self._link.unsubscribe(self._handle)
        if self._begun and self._epoch == self._link.epoch:
            with suppress(Unavailable):
                subject = f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}"
                await self._link.tell(subject, b"")

    @property
    def _reply(self) -> str:
        return f"{self._inbox}.{self._request}"

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if status_of(message) == "100":
            return
        if status_of(message) is None:
            self._open -= 1
            self._arrived.append(message)
        elif message.subject == self._reply:
            self._over(message)
        self._on_arrival()

    def _over(self, message: Msg) -> None:
        """The latest request will bring no more. 409 may also mean that the consumer is gone."""
        self._open = 0
        why = (message.headers or {}).get("Description", "")
        kept = status_of(message) in ("404", "408") or "Batch" in why or "MaxBytes" in why
        self._broken = self._broken or not kept


def _sequences(reply: str) -> tuple[int, int]:
    """Stream and consumer sequence in a delivery's reply subject.

    `$JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<time>.<pending>`, with
    `<domain>.<account>` after `ACK` in the longer form of clusters.
    """
    parts = reply.split(".")
    first = 5 if len(parts) == 9 else 7
    return int(parts[first]), int(parts[first + 1])
