"""The way from sockets to the stream: frames go out in blocks, replies come back in order.

A reply waits in the outbox until the frame it answers, and every frame its session sent before,
is durable in the stream. That is the whole meaning of an acknowledgement in carcloud, and it
holds for every protocol because every gateway session replies through here.
"""

import asyncio
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from carcloud.model import blocks
from carcloud.model.figures import Histogram
from carcloud.model.ids import Tenant
from carcloud.model.streams import frames_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError, Full
from carcloud.ports.stream import Stream
from carcloud.ports.tracing import NO_TRACER, Span, Tracer, part

log = logging.getLogger(__name__)

_FRAME_OVERHEAD = 120  # bytes a waiting frame costs besides its own, for the back-pressure limit
_IN_FLIGHT = 8  # blocks published at the same time, a tenant and protocol
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_ACK_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)  # s


class NoRoom(Full):
    """The disk is below its reserve: the stream must not be filled further."""

    engine = "disk"


class Session(Protocol):
    """What the outbox knows of the sender of a frame."""

    unconfirmed: int  # answers to this session that wait for its frames to be durable

    def send(self, data: bytes) -> None:
        """Write replies to the peer; a closed peer is ignored."""


@dataclass(frozen=True, slots=True)
class While:
    """What is sent only if it is still wanted when its turn has come: that may be long after, where
    the stream is away."""

    data: bytes
    wanted: Callable[[], bool]

    def __len__(self) -> int:
        return len(self.data)


Reply = bytes | While


@dataclass(slots=True)
class _Block:
    """Frames that travel in one stream message, and the replies that wait for it."""

    vehicles: list[str] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    faults: list[str | None] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    replies: list[tuple[Session, Reply | None]] = field(default_factory=list)
    bytes: int = 0
    durable: bool = False
    span: Span | None = None


@dataclass(slots=True)
class OutboxFigures:
    """Counters since the start, for the process's status."""

    frames: int = 0
    acked: int = 0
    blocks: int = 0
    blocks_full: int = 0  # published because of their size
    pauses: int = 0  # times that reading stopped
    retries: Counter[str] = field(default_factory=Counter)  # by reason
    ack_seconds: Histogram = field(default_factory=lambda: Histogram(_ACK_BOUNDS))


class Outbox:
    """Collects frames of one protocol; one queue per tenant, each strictly in order."""

    def __init__(
        self,
        stream: Stream,
        protocol: str,
        instance: str,
        *,
        block_bytes: int,
        block_s: float,
        pending_bytes: int,
        on_pressure: Callable[[bool], None],
        room: Callable[[], bool] = lambda: True,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._instance = instance
        self._block_bytes = block_bytes
        self._block_s = block_s
        self._pending_limit = pending_bytes
        self._on_pressure = on_pressure
        self._room = room
        self._tracer = tracer
        self._queues: dict[Tenant, _Queue] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending_bytes = 0
        self.pressed = False
        self.problem: str | None = None
        self.figures = OutboxFigures()

    def add(
        self,
        tenant: Tenant,
        vehicle: str,
        received: int,
        frame: bytes,
        session: Session,
        reply: bytes | None,
        fault: str | None = None,
    ) -> None:
        """Keep a frame; send `reply` to the session once it is durable."""
        queue = self._queues.get(tenant) or self._queue(tenant)
        block = queue.opened or queue.open()
        block.vehicles.append(vehicle)
        block.received.append(received)
        block.faults.append(fault)
        block.frames.append(frame)
        block.replies.append((session, reply))
        session.unconfirmed += 1
        self.figures.frames += 1
        self._grow(tenant, block, len(frame) + _FRAME_OVERHEAD)

    def add_all(
        self,
        tenant: Tenant,
        vehicle: str,
        received: int,
        frames: list[bytes],
        session: Session,
        replies: bytes,
    ) -> None:
        """Keep frames that came together; send `replies` once all of them are durable."""
        queue, count = self._queues.get(tenant) or self._queue(tenant), len(frames)
        block = queue.opened or queue.open()
        block.vehicles += [vehicle] * count
        block.received += [received] * count
        block.faults += [None] * count
        block.frames += frames
        block.replies.append((session, replies))
        session.unconfirmed += 1
        self.figures.frames += count
        self._grow(tenant, block, sum(map(len, frames)) + count * _FRAME_OVERHEAD)

    def after_earlier(self, tenant: Tenant, session: Session, reply: Reply) -> None:
        """Send `reply` once every earlier frame of the session is durable."""
        if session.unconfirmed:
            self._send_with_open(tenant, session, reply)
        elif isinstance(reply, bytes):
            session.send(reply)
        elif reply.wanted():
            session.send(reply.data)

    def after_all(self, tenant: Tenant, session: Session, reply: bytes) -> None:
        """Send `reply` once every earlier frame of the tenant is durable, whoever sent it."""
        if session.unconfirmed == 0 and self._queue(tenant).idle:
            session.send(reply)
        else:
            self._send_with_open(tenant, session, reply)

    def _send_with_open(self, tenant: Tenant, session: Session, reply: Reply) -> None:
        session.unconfirmed += 1
        block = self._queue(tenant).open()
        block.replies.append((session, reply))
        self._grow(tenant, block, len(reply) + _FRAME_OVERHEAD)

    def _grow(self, tenant: Tenant, block: _Block, size: int) -> None:
        block.bytes += size
        self.pending_bytes += size
        if block.bytes >= self._block_bytes:
            self.figures.blocks_full += 1
            self._flush(tenant)
        if self.pending_bytes > self._pending_limit and not self.pressed:
            self.pressed = True
            self.figures.pauses += 1
            self._on_pressure(True)

    def _queue(self, tenant: Tenant) -> "_Queue":
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = _Queue(lambda: self._schedule(tenant))
        return queue

    def _schedule(self, tenant: Tenant) -> None:
        asyncio.get_running_loop().call_later(self._block_s, self._flush_due, tenant)

    def _flush_due(self, tenant: Tenant) -> None:
        queue = self._queues[tenant]
        if len(queue.in_flight) < _IN_FLIGHT:
            self._flush(tenant)
        else:
            queue.due = True  # goes out as soon as one in flight is durable

    def _flush(self, tenant: Tenant) -> None:
        queue = self._queues[tenant]
        block = queue.close()
        if block is None:
            return
        queue.in_flight.append(block)
        task = asyncio.create_task(self._publish(tenant, queue, block))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, tenant: Tenant, queue: "_Queue", block: _Block) -> None:
        if block.frames:
            block.span = self._tracer.begin("gateway block", block.received[0])
            number = f"{self._instance}-{self._protocol}-{next(self._numbers)}"
            await self._until_kept(tenant, block, number)
        block.durable = True
        while queue.in_flight and queue.in_flight[0].durable:
            self._confirm(queue.in_flight.popleft())
        if queue.due:
            queue.due = False
            self._flush(tenant)

    async def _until_kept(self, tenant: Tenant, block: _Block, message_id: str) -> None:
        with part(block.span, "gateway pack"):
            trace = block.span.context if block.span else None
            data = blocks.pack(
                block.vehicles, block.received, block.faults, block.frames, trace=trace
            )
        with part(block.span, "gateway publish"):
            await self._publish_until_kept(frames_subject(tenant, self._protocol), data, message_id)

    async def _publish_until_kept(self, subject: str, data: bytes, message_id: str) -> None:
        for attempt in itertools.count():
            try:
                if not self._room():
                    raise NoRoom("the disk is nearly full: see disk.reserve_mb")
                await self._stream.publish(subject, data, message_id)
            except EngineError as error:
                self._trouble(error)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            else:
                self._well()
                return

    def _trouble(self, error: EngineError) -> None:
        self.figures.retries[_reason(error)] += 1
        if self.problem is None:
            log.warning("frames wait, vehicles are not acknowledged: %s", error)
        self.problem = f"frames wait, vehicles are not acknowledged: {error}"

    def _well(self) -> None:
        if self.problem is not None:
            log.info("the stream takes frames again")
            self.problem = None

    def _confirm(self, block: _Block) -> None:
        if block.frames:
            self.figures.blocks += 1
            self.figures.acked += len(block.frames)
            self.figures.ack_seconds.observe_ages(block.received, now_us())
        replies: dict[Session, list[bytes]] = {}
        for session, reply in block.replies:
            session.unconfirmed -= 1
            if isinstance(reply, While):
                # Where it is not, its sender may send something else at once: behind the others.
                if session in replies:
                    session.send(b"".join(replies.pop(session)))
                if reply.wanted():
                    session.send(reply.data)
            elif reply is not None:
                replies.setdefault(session, []).append(reply)
        for session, parts in replies.items():
            session.send(parts[0] if len(parts) == 1 else b"".join(parts))
        if block.span is not None:
            block.span.fact("frames", len(block.frames))
            block.span.end()
        self.pending_bytes -= block.bytes
        if self.pressed and self.pending_bytes < self._pending_limit // 2:
            self.pressed = False
            self._on_pressure(False)

    async def drain(self, timeout_s: float) -> bool:
        """Flush everything and wait until it is durable; False when time ran out."""
        for tenant in list(self._queues):
            self._flush(tenant)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        return not self._tasks


def _reason(error: EngineError) -> str:
    if isinstance(error, NoRoom):
        return "disk.reserve_mb"
    return "stream.max_gb" if isinstance(error, Full) else "unavailable"


class _Queue:
    """The open block of a tenant and those on their way."""

    def __init__(self, on_open: Callable[[], None]) -> None:
        self._on_open = on_open
        self.opened: _Block | None = None
        self.in_flight: deque[_Block] = deque()
        self.due = False

    @property
    def idle(self) -> bool:
        """Nothing waits to become durable."""
        return self.opened is None and not self.in_flight

    def open(self) -> _Block:
        """The block that takes frames now."""
        if self.opened is None:
            self.opened = _Block()
            self._on_open()
        return self.opened

    def close(self) -> _Block | None:
        """Take the open block away; None when there is none."""
        block, self.opened = self.opened, None
        return block
