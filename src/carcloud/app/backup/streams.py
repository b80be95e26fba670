"""Durable streams in a backup: messages that are still there, under their own sequences."""

from collections.abc import AsyncIterator
from typing import Any

from carcloud.app.backup.folder import BrokenBackup, Reader, StreamKept, Writer, packed, unpacked
from carcloud.app.metering import READER as METERING
from carcloud.model.streams import EVENTS, FRAMES, USAGE
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.ingest import WRITER as INGEST

READERS = {FRAMES.name: (INGEST,), USAGE.name: (METERING,), EVENTS.name: ()}
_NOBODY = "backup"  # a reader that never confirms


async def save(stream: Stream, name: str, into: Writer) -> StreamKept:
    """Write what the stream holds now; what comes later is not waited for."""
    extent = await stream.info(name)
    messages: list[bytes] = []
    first, last = extent.last_seq + 1, extent.last_seq
    async for seq, subject, data in _messages(stream, name, extent.last_seq):
        first = min(first, seq)
        messages.extend(packed([[seq, subject, data]]))
    into.write(f"streams/{name}.messages", messages)
    positions = {reader: await stream.confirmed(name, reader) for reader in READERS[name]}
    return StreamKept(first, last, positions)


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


async def load(stream: Stream, name: str, source: Reader, reached: int) -> None:
    """Put the messages back under their sequences, and let the next one come after `reached`.

    Sequences that are missing in the backup had been dealt with while it was made.
    """
    kept = source.manifest.streams[name]
    position = (await stream.info(name)).last_seq
    for message in unpacked(source.pieces(f"streams/{name}.messages")):
        seq, subject, data = _message(message)
        if seq <= reached:
            continue
        if seq != position + 1:
            await stream.release(name, seq - 1)
        position = await stream.publish(subject, data, f"restored-{name}-{seq}")
        if position != seq:
            raise BrokenBackup(f"stream {name}: message {seq} became {position}")
    if position < max(kept.last, reached):
        await stream.release(name, max(kept.last, reached))
    for reader, confirmed in kept.positions.items():
        await stream.confirm(name, reader, max(confirmed, reached))


def _message(packed: Any) -> tuple[int, str, bytes]:
    seq, subject, data = packed
    return int(seq), str(subject), bytes(data)
