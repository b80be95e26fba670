"""Records on their way to the cloud: encoded, kept in the spool, and given out in their order."""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carcloud.agent.spool import Bounds, Kept, Spool
from carcloud.codecs.campaign.document import ON_REQUEST, Campaign
from carcloud.codecs.campaign.record import Record, RecordTooLarge, messages

log = logging.getLogger(__name__)

SIGNALS = "signals~"  # the stream of plain reports; ~ is in no id
_LAST = 2**31  # plain reports go after every campaign
_LOOSE = 256  # messages of campaigns that do not spool
_SWEEP_S = 60.0


@dataclass(slots=True)
class Tally:
    """What became of records since the start."""

    kept: int = 0  # on disk, synced
    reports: int = 0  # plain ones, rows
    sent: int = 0  # acknowledged by the cloud
    dropped: int = 0  # not spooled, and nobody took them
    too_large: int = 0
    rejected: int = 0  # that the cloud will never take


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to send: where it goes, and where it is kept. `number` None: in memory only."""

    topic: str
    payload: bytes
    content_type: str
    stream: str
    number: int | None


def stream_of(campaign: str, partition: str) -> str:
    """The name of the stream of a campaign's partition."""
    return f"{campaign}~{partition}"


@dataclass(slots=True)
class Keeper:
    """Owns the spool: one task appends and syncs, so that no lock is needed."""

    spool: Spool
    message_bytes: int
    clock: Callable[[], int]
    is_open: Callable[[str, str], bool]
    landed: Callable[[Parcel], None] = lambda _: None  # told of what the cloud has
    settled: Callable[[], None] = lambda: None  # told that something asked for has all been sent
    tally: Tally = field(default_factory=Tally)
    _pending: list[tuple[Campaign, Record]] = field(default_factory=list)
    _reports: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    _loose: deque[Parcel] = field(default_factory=deque)
    _priorities: dict[str, int] = field(default_factory=dict)
    _cursors: dict[str, int] = field(default_factory=dict)
    _on_request: set[str] = field(default_factory=set)  # streams that wait for the cloud to ask
    asked: dict[str, int] = field(default_factory=dict)  # stream to the time up to which it asked
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, campaign: Campaign, record: Record) -> None:
        """A record of the engine; it is kept soon."""
        self._pending.append((campaign, record))
        self._wake.set()

    def report(self, time_us: int, values: Mapping[str, Any]) -> None:
        """Latest values; they are kept soon."""
        self._reports.append((time_us, values))
        self._wake.set()

    def campaigns(self, known: Iterable[Campaign], listed: Collection[str] | None = ()) -> None:
        """The campaigns from now on; the data of others are removed, and counted as dropped.

        `listed`: ids of campaigns whose data stay until they are sent, also where this version
        cannot be read; None = nobody can tell which, so that nothing is removed.
        """
        before, self._priorities = self._priorities, {}
        rested, self._on_request = self._on_request, set()
        for campaign in known:
            for part in campaign.partitions:
                name = stream_of(campaign.id, part.id)
                self._priorities[name] = campaign.priority
                if part.upload == ON_REQUEST:
                    self._on_request.add(name)
                self.spool.limit(name, Bounds(part.max_bytes, part.keep_us))
        for name in list(self.spool.streams):
            if name == SIGNALS or name in self._priorities:
                continue
            if listed is None or name.split("~", 1)[0] in listed:
                self._priorities[name] = before.get(name, _LAST - 1)
                self._on_request |= rested & {name}
            else:
                self.asked.pop(name, None)
                self.spool.remove(name)
                self._cursors.pop(name, None)

    async def run(self) -> None:
        """Keep what comes, for ever."""
        loop, before_us = asyncio.get_running_loop(), self.clock()
        swept_s = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(swept_s + _SWEEP_S):
                    await self._wake.wait()
            if loop.time() >= swept_s + _SWEEP_S:
                # A clock that is far ahead for a moment makes nothing old.
                now_us, swept_s = self.clock(), loop.time()
                self.spool.sweep(min(now_us, before_us + round(2e6 * _SWEEP_S)))
                before_us = now_us
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Keep what is there; when this returns, it is safe on disk."""
        pending, self._pending = self._pending, []
        reports, self._reports = self._reports, []
        touched: dict[str, int] = {}
        for campaign, record in pending:
            self._keep(campaign, record, touched)
        if reports and self.spool.append(SIGNALS, _report(reports), self.clock()) is not None:
            self.tally.reports += len(reports)
            touched[SIGNALS] = 0  # synced, counted above
        self.work.set()
        for name, count in touched.items():
            stream = self.spool.streams.get(name)
            try:
                if stream is not None:
                    await asyncio.to_thread(stream.sync)
            except (OSError, ValueError) as error:  # ValueError: closed meanwhile, as data removed
                log.warning("records of %s may not be safe: %s", name, error)
                continue
            self.tally.kept += count

    def _keep(self, campaign: Campaign, record: Record, touched: dict[str, int]) -> None:
        compressed = campaign.compression == "zlib"
        try:
            parts = messages(record, self.message_bytes, compressed=compressed)
        except RecordTooLarge as error:
            self.tally.too_large += 1
            log.warning("%s", error)
            return
        name = stream_of(campaign.id, record.partition)
        for payload in parts:
            if campaign.spooling == "disk":
                if self.spool.append(name, payload, self.clock()) is not None:
                    touched[name] = touched.get(name, 0) + 1
            else:
                self._loose.append(Parcel("collected", payload, _PROTOBUF, name, None))
                if len(self._loose) > _LOOSE:
                    self._loose.popleft()
                    self.tally.dropped += 1

    # What is to be sent

    def rewind(self) -> None:
        """The connection is new: everything that is not acknowledged is sent again."""
        self._cursors.clear()

    def next(self) -> Parcel | None:
        """The most urgent message that may be sent now and is not under way."""
        if self._loose:
            return self._loose.popleft()
        names = sorted(
            self.spool.streams, key=lambda each: (self._priorities.get(each, _LAST), each)
        )
        for name in names:
            until = None if self._is_open(name) else self.asked.get(name, 0)
            if until == 0:
                continue
            kept = self.spool.streams[name].peek(self._cursors.get(name, 0))
            if kept is not None and (until is None or kept.time_us <= until):
                self._cursors[name] = kept.number + 1
                return _parcel(name, kept)
        return None

    def _is_open(self, name: str) -> bool:
        if name == SIGNALS:
            return True
        return name not in self._on_request and self.is_open(*name.split("~", 1))

    def forwarding(self) -> list[dict[str, Any]]:
        """What the cloud asked for and has not all of yet, as JSON values."""
        found, now = [], self.clock()
        for name, until in self.asked.items():
            stream = self.spool.streams.get(name)
            oldest = None if stream is None else stream.peek(0)
            if now < until or (oldest is not None and oldest.time_us <= until):
                campaign, partition = name.split("~", 1)
                found.append({"campaign": campaign, "partition": partition, "until": until / 1000})
        return found

    def arrived(self, parcel: Parcel, *, rejected: bool = False) -> None:
        """The cloud has a message, or will never take it."""
        if rejected:
            self.tally.rejected += 1
        else:
            self.tally.sent += 1
            self.landed(parcel)
        stream = self.spool.streams.get(parcel.stream)
        if stream is not None and parcel.number is not None:
            stream.acknowledge(parcel.number)
            if self._is_settled(parcel.stream):
                del self.asked[parcel.stream]
                self.settled()

    def save(self) -> None:
        """Write the positions of all streams down."""
        for stream in self.spool.streams.values():
            stream.save()

    @property
    def waiting(self) -> int:
        """Messages that the cloud does not have."""
        return self.spool.waiting + len(self._loose)

    @property
    def resting(self) -> int:
        """Messages among them that may not be sent now: nobody has asked for them, or the
        condition of their partition does not hold."""
        return sum(self._resting(name) for name in self.spool.streams if not self._is_open(name))

    def _resting(self, name: str) -> int:
        """Of one stream: from the first record on that is newer than what was asked for."""
        stream, until = self.spool.streams[name], self.asked.get(name)
        if until is None:
            return stream.waiting
        kept = stream.peek(self._cursors.get(name, 0))
        if kept is None or kept.time_us <= until:
            return 0
        return stream.waiting_from(kept.number)

    def _is_settled(self, name: str) -> bool:
        """Whether the cloud has all of a stream that it asked for, and no more can come."""
        stream, until = self.spool.streams.get(name), self.asked.get(name)
        if until is None or self.clock() < until:
            return False
        return stream is None or stream.waiting == self._resting(name)

    def settle(self) -> None:
        """Forget what was asked for and has all been sent."""
        for name in [each for each in self.asked if self._is_settled(each)]:
            del self.asked[name]


_PROTOBUF = "application/x-protobuf"


def _parcel(name: str, kept: Kept) -> Parcel:
    if name == SIGNALS:
        return Parcel("signals", kept.payload, "application/json", name, kept.number)
    return Parcel("collected", kept.payload, _PROTOBUF, name, kept.number)


def _report(rows: list[tuple[int, Mapping[str, Any]]]) -> bytes:
    batch = [{"time": time_us / 1000, "values": values} for time_us, values in rows]
    return json.dumps(batch, separators=(",", ":")).encode()
