"""Durable streams in a backup: messages that are still there, under their own sequences."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from carcloud.app.backup.folder import BrokenBackup, Reader, StreamKept, Writer, packed, unpacked
from carcloud.app.metering import READER as METERING
from carcloud.model import blocks
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.streams import EVENTS, FRAMES, USAGE, frames_subject
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.ingest_position import WRITER as INGEST

READERS = {FRAMES.name: (INGEST,), USAGE.name: (METERING,), EVENTS.name: ()}
_TOGETHER = 256  # messages whose acknowledgements are waited for together
_NOBODY = "backup"  # a reader that never confirms


async def save(stream: Stream, name: str, into: Writer) -> StreamKept:
    """Write what the stream holds now; what comes later is not waited for.

    Messages that are dealt with meanwhile may be missing at the beginning. The positions are read
    afterwards, so that they are beyond these.
    """
    extent = await stream.info(name)
    first = extent.last_seq + 1
    with into.file(f"streams/{name}.messages") as file:
        async for seq, subject, data in _messages(stream, name, extent.last_seq):
            first = min(first, seq)
            for piece in packed([[seq, subject, data]]):
                file.add(piece)
    positions = {reader: await stream.confirmed(name, reader) for reader in READERS[name]}
    return StreamKept(first, extent.last_seq, positions)


async def _messages(stream: Stream, name: str, last: int) -> AsyncIterator[tuple[int, str, bytes]]:
    if last == 0 or (await stream.info(name)).messages == 0:
        return
    reading = stream.read(name, _NOBODY, batch=64, wait_s=1.0)
    async for messages in reading:
        for message in messages:
            if message.seq <= last:
                yield message.seq, message.subject, message.data
        if messages and messages[-1].seq >= last:
            return
        if not messages and (await stream.info(name)).first_seq > last:
            return  # what was left has been dealt with meanwhile


async def load(stream: Stream, name: str, source: Reader, reached: int, counted: int = 0) -> None:
    """Put back, under their sequences, the messages that nobody has dealt with.

    Lake or records have something up to `reached`, and everything up to `counted`. The next
    message comes after `reached`. Raises `BrokenBackup`.
    """
    kept = source.manifest.streams[name]
    last = max(kept.last, reached)
    dealt = max(kept.first - 1, counted, *kept.positions.values(), 0)
    position = await _put_back(stream, name, source, dealt)
    if position is None:
        position = dealt = max(dealt, last)
        await stream.release(name, last)
    elif READERS[name] and position < kept.last:
        raise BrokenBackup(f"stream {name}: messages from {position + 1} on are missing")
    if READERS[name] and position < last:
        await _fill(stream, name, range(position + 1, last + 1))
    for reader in kept.positions:
        await stream.confirm(name, reader, dealt)


async def _put_back(stream: Stream, name: str, source: Reader, dealt: int) -> int | None:
    """Publish the messages after `dealt`; returns the sequence of the last, None without any."""
    position: int | None = None
    for message in unpacked(source.pieces(f"streams/{name}.messages")):
        seq, subject, data = _message(message)
        if seq <= dealt:
            continue
        expected = (dealt if position is None else position) + 1
        if seq != expected and READERS[name]:
            raise BrokenBackup(f"stream {name}: messages {expected} to {seq - 1} are missing")
        if position is None or seq != expected:
            await stream.release(name, seq - 1)
        position = await stream.publish(subject, data, f"restored-{name}-{seq}")
        if position != seq:
            raise BrokenBackup(f"stream {name}: message {seq} became {position}")
    return position


async def _fill(stream: Stream, name: str, seqs: range) -> None:
    """Blocks without frames under sequences that were not copied.

    The lake has some rows of these, so that new frames must come later; and the numbering of a
    stream that has messages moves on by messages alone.
    """
    subject, data = frames_subject(DEFAULT_TENANT, "gbt32960"), blocks.pack([], [], [], [])
    for start in range(seqs.start, seqs.stop, _TOGETHER):
        some = range(start, min(start + _TOGETHER, seqs.stop))
        ids = (f"restored-{name}-{seq}" for seq in some)
        found = await asyncio.gather(*(stream.publish(subject, data, each) for each in ids))
        if sorted(found) != list(some):
            raise BrokenBackup(f"stream {name}: others write to it while it is restored")


def _message(packed: Any) -> tuple[int, str, bytes]:
    seq, subject, data = packed
    return int(seq), str(subject), bytes(data)
