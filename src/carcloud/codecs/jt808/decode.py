"""The reference decoder: a frame in, a `Message` out.

Strict about the body as a whole, lenient about each additional item and parameter: vendors reuse
ids with other lengths, and what has another length is kept as bytes. A list that has fewer entries
than its count says gives those, and what is left in `rest`.
"""

import zlib
from typing import Final

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.layout import Fields, Table
from carcloud.codecs.jt808.message import Message
from carcloud.codecs.jt808.reading import Diagnosis, Overrun, Reader, answer_at, read_table
from carcloud.codecs.jt808.tables import MESSAGES, otherwise
from carcloud.codecs.jt808.tables_areas import AREA_BODIES
from carcloud.codecs.jt808.tables_position import ANSWER, REPORT
from carcloud.codecs.jt808.tables_session import (
    DRIVER_CARD,
    DRIVER_IDENTITY,
    DRIVER_READ,
)

MAX_INFLATED: Final = 1 << 20  # bytes of a 0x0901 when it is no longer compressed

_SHORTEST_2013: Final = 37  # bytes of a registration body (sheet 6.3)
_REGISTRATION, _ANSWER, _DRIVER = 0x0100, 0x0201, 0x0702
_MEDIA, _AREAS, _COMPRESSED = 0x0801, 0x0608, 0x0901
_MEDIA_FIELDS: Final = 36  # bytes before the data, in the first packet only
_IDENTITY: Final = 20  # bytes
_UNFINISHED: Final = frozenset({"overrun", "item"})  # diagnoses after which something was not read


def decode(frame: Frame, edition: int | None = None) -> Message:
    """Read a message's body. `edition` is known from elsewhere; None tells it by header and body.

    An encrypted body and one of several packets stay in `rest`. Raises `FrameError` where the
    body is shorter than its fields.
    """
    year = edition_of(frame) if edition is None else edition
    reader = Reader(frame.body, header_size(frame))
    fields = _read(frame, year, reader)
    rest = reader.data[reader.at :]
    return Message(
        edition=year,
        message=frame.message,
        vehicle=frame.phone,
        serial=frame.serial,
        packets=frame.packets,
        packet=frame.packet,
        encryption=frame.encryption,
        fields=fields,
        partial=bool(rest) or any(note.code in _UNFINISHED for note in reader.diagnoses),
        rest=rest,
        diagnoses=tuple(reader.diagnoses),
    )


def decode_body(message: int, edition: int, body: bytes) -> tuple[Fields, tuple[Diagnosis, ...]]:
    """The fields of a body alone, with offsets from its first byte. Raises `FrameError`.

    An id that no edition has gives no fields.
    """
    reader = Reader(body, 0)
    return _fields(message, edition, reader), tuple(reader.diagnoses)


def header_size(frame: Frame) -> int:
    """Bytes before the body, the flag counted, without escapes."""
    return 1 + (17 if frame.edition == 2019 else 12) + (4 if frame.packets > 1 else 0)


def edition_of(frame: Frame) -> int:
    """2019 by its header; 2011 where the body shows it; else 2013."""
    if frame.edition == 2019:
        return 2019
    if frame.message == _REGISTRATION and len(frame.body) < _SHORTEST_2013:
        return 2011
    if frame.message == _DRIVER and frame.body and frame.body[0] not in (1, 2):
        return 2011  # a length of the name, where 2013 has a state
    return 2013


def _read(frame: Frame, edition: int, reader: Reader) -> Fields:
    if frame.encryption:
        reader.note("encrypted", 0, "4.4.3", "the body is encrypted")
        return {}
    if frame.packets > 1 and frame.packet:
        reader.note("packet", 0, "4.4.3.4", f"packet {frame.packet} of {frame.packets} alone")
        if frame.message != _MEDIA or frame.packet != 1 or len(frame.body) < _MEDIA_FIELDS:
            return {}
    return _fields(frame.message, edition, reader)


def _fields(message: int, edition: int, reader: Reader) -> Fields:
    if message not in MESSAGES:
        reader.note("message", 0, "4.3", f"message 0x{message:04X} is in no edition")
        return {}
    table = MESSAGES[message].table(edition)
    try:
        fields = _layout(message, edition, table, reader)
    except Overrun as error:
        raise FrameError("overrun", error.at, error.clause, str(error)) from None
    if reader.left and not reader.stopped:
        reader.note("trailing", reader.at, table.clause, f"{reader.left} bytes after the body")
    return fields


def _layout(message: int, edition: int, table: Table, reader: Reader) -> Fields:
    if message == _ANSWER:
        place = answer_at(reader.data, edition)
        return read_table(reader, REPORT if place == 0 else ANSWER)
    other = otherwise(message, edition)
    if other is not None:
        return _either(reader, table, other)
    fields = read_table(reader, table)
    if message == _DRIVER and edition != 2011:
        return fields | _driver(reader, fields)
    if message == _AREAS:
        return fields | _areas(reader, fields)
    if message == _COMPRESSED:
        return fields | _inflated(reader, fields)
    return fields


def _either(reader: Reader, table: Table, other: Table) -> Fields:
    """The layout that ends with the body; the first one where neither does."""
    for candidate in (table, other):
        trial = Reader(reader.data, reader.base)
        try:
            fields = read_table(trial, candidate)
        except Overrun:
            continue
        if trial.left == 0:
            reader.at = trial.at
            reader.diagnoses += trial.diagnoses
            return fields
    return read_table(reader, table)


def _driver(reader: Reader, fields: Fields) -> Fields:
    """0x0702 from 2013 on: groups that some terminals send though the state says otherwise."""
    if fields["state"] != 1 and not reader.left:
        return {}
    found = read_table(reader, DRIVER_READ)
    if found["read_result"] != 0 and not reader.left:
        return found
    found |= read_table(reader, DRIVER_CARD)
    if reader.left >= _IDENTITY:
        found |= read_table(reader, DRIVER_IDENTITY)
    return found


def _areas(reader: Reader, fields: Fields) -> Fields:
    """0x0608: the set messages that `data` holds, up to one that cannot be read."""
    data, kind = fields["data"], fields["kind"]
    table = AREA_BODIES.get(kind) if isinstance(kind, int) else None
    if table is None or not isinstance(data, bytes):
        return {}
    inner, bodies = Reader(data, reader.base + reader.at - len(data)), []
    try:
        while inner.left and not inner.stopped:
            bodies.append(read_table(inner, table))
    except Overrun as error:
        reader.note("areas", reader.at - len(data), table.clause, str(error))
    reader.diagnoses += inner.diagnoses
    return {"bodies": bodies} if bodies else {}


def _inflated(reader: Reader, fields: Fields) -> Fields:
    """0x0901: the content, at most `MAX_INFLATED` bytes of it."""
    data = fields["data"]
    at = reader.at - len(data) if isinstance(data, bytes) else reader.at
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(data if isinstance(data, bytes) else b"", MAX_INFLATED)
    except zlib.error as error:
        reader.note("gzip", at, "0x0901", str(error))
        return {}
    if not stream.eof:
        reader.note("gzip", at, "0x0901", f"not complete, or above {MAX_INFLATED} bytes")
    return {"content": content}
