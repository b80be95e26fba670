"""From frame blocks to rows: decode, recognise repeats, append to the lake exactly once.

One commit a table a micro-batch carries the stream sequence it reaches. After a crash
the stream hands out everything that was not confirmed, and each table takes only what lies
beyond its own recorded sequence. So a frame is in the lake once, whatever is killed and when.
"""

import asyncio
import logging
import time as clock
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.streams import FRAMES, live_subject
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake
from carcloud.ports.stream import Message, Stream
from carcloud.ports.tracing import NO_TRACER, Tracer, part
from carcloud.services.telemetry.ingest_batch import BatchWriter, TooMuch
from carcloud.services.telemetry.ingest_figures import IngestFigures
from carcloud.services.telemetry.ingest_position import WRITER, lake_position
from carcloud.services.telemetry.progress import Progress
from carcloud.services.telemetry.protocols import Decoder
from carcloud.services.telemetry.ranges import RangesByTenant

log = logging.getLogger(__name__)

_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_PATIENCE_S = 20.0  # s without a commit after which frames that wait are a problem


class StreamReplaced(EngineError):
    """The stream does not go on where the lake is."""


class Ingest:
    """Reads the frames stream and writes the lake.

    One at a time does the work of an installation; where two do for a moment, each commit of the
    one makes the other begin its batch anew, and every frame is still stored once.
    """

    def __init__(
        self,
        stream: Stream,
        lake: Lake,
        decoders: Mapping[str, Decoder],
        *,
        commit_s: float,
        commit_rows: int,
        future_s: float,
        dedup_entries: int,
        tenants: Callable[[], Sequence[Tenant]] = lambda: (DEFAULT_TENANT,),
        ranges: RangesByTenant | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """`tenants` names those that may have rows, to see that stream and lake belong together.

        `ranges`: the check of values against each tenant's catalogue; None = the usual one.
        """
        self.figures = IngestFigures()
        self._stream = stream
        self._lake = lake
        self._writer = BatchWriter(
            lake,
            decoders,
            self.figures,
            future_us=int(future_s * 1e6),
            dedup_entries=dedup_entries,
            ranges=ranges,
            tracer=tracer,
        )
        self._commit_s = commit_s
        self._commit_rows = commit_rows
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._reached = 0  # sequence up to which messages are read
        self._stopping = asyncio.Event()
        self._progress = Progress(_PATIENCE_S + 2 * commit_s)
        self._running = False
        self._hopeless: set[int] = set()  # messages that become dead letters as they are
        self._tenants = tenants

    def stop(self) -> None:
        """Finish the micro-batch at hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Ingest until `stop`; raises `StreamReplaced`, `EngineError`."""
        await self._check_until_done()
        self._running = True
        batch: list[Message] = []
        frames, deadline = 0, clock.monotonic() + self._commit_s
        reading = self._stream.read(FRAMES.name, WRITER, batch=64, wait_s=self._commit_s / 4)
        async for messages in reading:
            batch += messages
            frames += sum(len(message.data) for message in messages) // 300
            if (now := clock.monotonic()) >= deadline or frames >= self._commit_rows:
                if batch:
                    self.figures.commits_full += frames >= self._commit_rows
                    await self._commit_until_done(batch)
                batch, frames = [], 0
                # Where a commit takes longer, what waits is gathered: it costs as much for little.
                deadline = max(now + self._commit_s, clock.monotonic() + self._commit_s / 2)
            if self._stopping.is_set():
                break
        if batch:
            await self._commit_until_done(batch)

    async def _check_until_done(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                await self._check_stream()
            except StreamReplaced:
                raise
            except EngineError as error:
                self.figures.problem = f"rows wait in the stream: {error}"
                log.warning("%s", self.figures.problem)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                self.figures.problem = None
                return

    async def _check_stream(self) -> None:
        """Sequences must go on where the lake is, or new frames would look like old ones.

        A stream that begins again is refused: nothing is lost while somebody looks at it.
        """
        position = await asyncio.to_thread(lambda: lake_position(self._lake, self._tenants()))
        extent = await self._stream.info(FRAMES.name)
        if extent.last_seq < position:
            raise StreamReplaced(
                f"the stream is at {extent.last_seq}, the lake has frames up to {position}: "
                "the stream was replaced; give back the old one, or begin with a new data folder"
            )

    async def measure(self) -> None:
        """Bring the lag behind the stream up to date; raises `EngineError`."""
        extent = await self._stream.info(FRAMES.name)
        behind = max(0, extent.last_seq - max(self._reached, extent.first_seq - 1))
        self.figures.lag_frames = round(behind * self._writer.mean)
        self.figures.stream_bytes = extent.bytes
        self._progress.look(self.figures.commits, behind * self._running, clock.monotonic())

    @property
    def stuck(self) -> str | None:
        """What is wrong when frames wait, no engine complains, and still nothing is committed."""
        seconds = self._progress.stuck_s(clock.monotonic())
        if seconds is None or self.figures.problem is not None:
            return None
        waiting = f"{self.figures.lag_frames:,} frames wait"
        return f"{waiting}, and nothing has been committed for {seconds:.0f} s"

    @property
    def dedup(self) -> tuple[int, int]:
        """(reports remembered, lookups in the lake since the start)."""
        return self._writer.dedup

    async def _commit_until_done(self, batch: list[Message]) -> None:
        """Try until the batch is in the lake; then confirm, release and tell the listeners."""
        loop = asyncio.get_running_loop()
        attempt, began = 0, clock.monotonic()
        while not self._stopping.is_set() or attempt == 0:
            counted = self.figures.of_attempt()
            try:
                live = await loop.run_in_executor(
                    self._thread, self._writer.commit, batch, self._hopeless
                )
                seq = batch[-1].seq
                await self._stream.confirm(FRAMES.name, WRITER, seq)
                await self._stream.release(FRAMES.name, seq)
            except EngineError as error:
                self._writer.forget()
                self.figures.put_back(counted)
                self.figures.retries += 1
                self.figures.problem = f"rows wait in the stream: {error}"
                log.warning("%s", self.figures.problem)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            except TooMuch:
                self._writer.forget()
                self.figures.put_back(counted)
                half = len(batch) // 2
                await self._commit_until_done(batch[:half])
                await self._commit_until_done(batch[half:])
                return
            except Exception:
                # Nobody thought of this one. It must not stop the frames of everybody else.
                self._writer.forget()
                if batch[0].seq in self._hopeless:
                    raise
                log.exception("a micro-batch of %d messages failed", len(batch))
                if len(batch) == 1:
                    self._hopeless.add(batch[0].seq)
                for message in batch:
                    await self._commit_until_done([message])
                return
            else:
                self.figures.problem = self.figures.waiting_since_us = None
                self._reached = seq
                self.figures.commit_seconds.observe(clock.monotonic() - began)
                with part(self._writer.span, "ingest tell"):
                    await self._tell(live)
                return
            finally:
                if self._writer.span is not None:
                    self._writer.span.end()

    async def _tell(self, live: Mapping[Tenant, list[bytes]]) -> None:
        for tenant, messages in live.items():
            try:
                for data in messages:
                    await self._stream.broadcast(live_subject(tenant), data)
            except EngineError as error:  # listeners notice the gap and read the lake
                log.info("live rows not told: %s", error)
