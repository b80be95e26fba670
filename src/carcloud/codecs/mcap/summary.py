"""The summary at the end of an MCAP file: channels, schemas, counts, times.

Source: the MCAP file format specification, version 0. All numbers are little-endian.

    file    = magic, records, data end, [summary section], footer, magic
    record  = opcode u8, length u64, content
    footer  = opcode 0x02, length u64 = 20, summary start u64, offsets start u64, CRC u32
"""

import struct
from dataclasses import dataclass, field

MAGIC = b"\x89MCAP0\r\n"
TAIL = 1 + 8 + 20 + len(MAGIC)  # bytes: the footer and the magic behind it
MOST_SUMMARY = 16_000_000  # bytes
_MOST_RECORDS = 200_000
_MOST_CHANNELS = 5_000
_HEADER, _FOOTER, _SCHEMA, _CHANNEL = 0x01, 0x02, 0x03, 0x04
_CHUNK_INDEX, _STATISTICS = 0x08, 0x0B


class NotMcap(ValueError):
    """The bytes are no MCAP file, or a damaged one; the message says what is wrong."""


class NoSummary(NotMcap):
    """The file has no summary, as when the recording was cut off."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A stream of messages of one kind."""

    id: int
    topic: str
    encoding: str
    schema: str = ""
    schema_encoding: str = ""
    messages: int | None = None  # None = the file does not say


@dataclass(frozen=True, slots=True)
class Summary:
    """What a file holds. Times are ns since 1970, as the recorder had them."""

    channels: tuple[Channel, ...] = ()
    messages: int | None = None
    attachments: int | None = None
    chunks: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    compressions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    channels: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    schemas: dict[int, tuple[str, str]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    statistics: tuple[int, ...] | None = None
    compressions: set[str] = field(default_factory=set)


def summary_span(head: bytes, tail: bytes, size: int) -> tuple[int, int]:
    """(start, end) of the summary section in a file of `size` bytes.

    `head` = its first 8 bytes, `tail` = its last `TAIL`; raises `NotMcap`, `NoSummary`.
    """
    if head[: len(MAGIC)] != MAGIC or len(tail) != TAIL or tail[-len(MAGIC) :] != MAGIC:
        if head[: len(MAGIC)] == MAGIC:
            raise NoSummary("the file has no end: the recording was cut off")
        raise NotMcap("the file does not begin as MCAP files do")
    opcode, length, start, offsets, _crc = struct.unpack_from("<BQQQI", tail)
    if opcode != _FOOTER or length != 20:
        raise NotMcap("the footer is not well formed")
    if start == 0:
        raise NoSummary("the file was written without a summary")
    end = offsets or size - TAIL
    if not len(MAGIC) <= start <= end <= size - TAIL:
        raise NotMcap("the summary lies outside the file")
    if end - start > MOST_SUMMARY:
        raise NotMcap(f"the summary has more than {MOST_SUMMARY} bytes")
    return start, end


def read_summary(data: bytes) -> Summary:
    """The summary from the bytes of `summary_span`; raises `NotMcap`."""
    found = _Found()
    at = count = 0
    while at < len(data):
        if at + 9 > len(data):
            raise NotMcap("a record of the summary is cut off")
        opcode, length = struct.unpack_from("<BQ", data, at)
        at += 9
        count += 1
        if at + length > len(data) or count > _MOST_RECORDS:
            raise NotMcap("a record of the summary is longer than the summary")
        _record(found, opcode, data[at : at + length])
        at += length
    return _made(found)


def _record(found: _Found, opcode: int, content: bytes) -> None:
    try:
        if opcode == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            name, at = _text(content, 2)
            encoding, _ = _text(content, at)
            found.schemas[number] = (name, encoding)
        elif opcode == _CHANNEL and len(found.channels) < _MOST_CHANNELS:
            number, schema = struct.unpack_from("<HH", content)
            topic, at = _text(content, 4)
            encoding, _ = _text(content, at)
            found.channels[number] = (schema, topic, encoding)
        elif opcode == _STATISTICS:
            found.statistics = struct.unpack_from("<QHIIIIQQ", content)
            found.counts = _counts(content, struct.calcsize("<QHIIIIQQ"))
        elif opcode == _CHUNK_INDEX:
            found.compressions.add(_compression(content))
    except (struct.error, UnicodeDecodeError) as error:
        raise NotMcap(f"a record of the summary is damaged: {error}") from error


def _counts(content: bytes, at: int) -> dict[int, int]:
    """Messages by channel."""
    (length,) = struct.unpack_from("<I", content, at)
    if length % 10 or at + 4 + length > len(content):
        raise NotMcap("the counts of messages are damaged")
    return {
        number: messages
        for number, messages in struct.iter_unpack("<HQ", content[at + 4 : at + 4 + length])
    }


def _compression(content: bytes) -> str:
    """Of a chunk index: behind four numbers and a map of offsets."""
    (length,) = struct.unpack_from("<I", content, 32)
    name, _ = _text(content, 36 + length + 8)
    return name


def _text(content: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", content, at)
    end = at + 4 + length
    if end > len(content):
        raise NotMcap("a text of the summary is cut off")
    return content[at + 4 : end].decode(), end


def _made(found: _Found) -> Summary:
    channels = []
    for number, (schema, topic, encoding) in sorted(found.channels.items()):
        name, kind = found.schemas.get(schema, ("", ""))
        told = found.counts.get(number, 0) if found.statistics is not None else None
        channels.append(Channel(number, topic, encoding, name, kind, told))
    compressions = tuple(sorted(name for name in found.compressions if name))
    if found.statistics is None:
        return Summary(tuple(channels), compressions=compressions)
    messages, _, _, attachments, _, chunks, start, end = found.statistics
    return Summary(tuple(channels), messages, attachments, chunks, start, end, compressions)
