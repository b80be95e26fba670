"""What a trigger collected, as bytes: protobuf, so that any language can read it.

    message Batch   { repeated Record records = 1; bytes zlib = 2; }  // 2: another Batch, deflated
    message Record  { string campaign = 1; uint32 version = 2; uint64 event = 3;
                      sint64 time_us = 4; uint32 part = 5; uint32 parts = 6;
                      repeated Series series = 7; repeated Frame frames = 8;
                      repeated Dimension dimensions = 9; string partition = 10; }
    message Series  { string path = 1; repeated sint64 offsets = 2;   // one kind of values:
                      repeated double doubles = 3; repeated sint64 integers = 4;
                      repeated bool booleans = 5; repeated string strings = 6;
                      repeated string json = 7; }                     // arrays, mixed types
    message Frame   { sint64 offset_us = 1; uint32 id = 2; bool extended = 3; string bus = 4;
                      bytes payload = 5; }
    message Dimension { string name = 1; string value = 2; }

`offsets` are microseconds from the trigger, the first as it is, each further as the difference
from the one before. Numbers and offsets are packed.
"""

import json
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carcloud.codecs.campaign.wire import (
    WireError,
    fields,
    in_zigzag,
    packed_varints,
    put_bytes,
    put_packed,
    put_varint,
    signed,
    zigzag,
)

MOST_INFLATED = 16 << 20  # bytes of a batch before compression
_LEVEL = 6
_INT64 = range(-(2**63), 2**63)
_UINT64 = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one signal, oldest first; `offsets_us` count from the trigger."""

    path: str
    offsets_us: Sequence[int]
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One CAN frame as it was on the bus."""

    offset_us: int
    can_id: int
    extended: bool
    bus: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What one trigger of a campaign collected, or the `part` of `parts` of it, from 0."""

    campaign: str
    version: int
    event: int
    time_us: int
    series: tuple[Series, ...] = ()
    frames: tuple[RawFrame, ...] = ()
    dimensions: tuple[tuple[str, str], ...] = ()
    partition: str = "default"
    part: int = 0
    parts: int = 1


class RecordError(ValueError):
    """Bytes that are no batch of records."""


class RecordTooLarge(ValueError):
    """A single sample or frame that does not fit into a message."""


def encode(records: Sequence[Record], *, compressed: bool = True) -> bytes:
    """One message; compressed only where that makes it smaller."""
    plain = bytearray()
    for record in records:
        put_bytes(plain, 1, _record(record))
    if compressed:
        deflated = bytearray()
        put_bytes(deflated, 2, zlib.compress(bytes(plain), _LEVEL))
        if len(deflated) < len(plain):
            return bytes(deflated)
    return bytes(plain)


def messages(record: Record, limit: int, *, compressed: bool = True) -> list[bytes]:
    """A record as messages of at most `limit` bytes each, by their real encoded size.

    Raises `RecordTooLarge` where one sample alone is larger.
    """
    whole = encode((record,), compressed=compressed)
    if len(whole) <= limit:
        return [whole]
    parts = _fitting(record, limit, compressed)
    return [
        encode((replace(part, part=at, parts=len(parts)),), compressed=compressed)
        for at, part in enumerate(parts)
    ]


def _fitting(record: Record, limit: int, compressed: bool) -> list[Record]:
    # Numbers of parts are not known yet: the largest stand for them.
    trial = replace(record, part=_MOST_PARTS, parts=_MOST_PARTS)
    if len(encode((trial,), compressed=compressed)) + _MARGIN <= limit:
        return [record]
    first, second = _halves(record)
    return [*_fitting(first, limit, compressed), *_fitting(second, limit, compressed)]


_MOST_PARTS = 2**28 - 1
_MARGIN = 16  # other numbers may compress a little worse


def _halves(record: Record) -> tuple[Record, Record]:
    series, frames = record.series, record.frames
    if series and frames:
        return replace(record, frames=()), replace(record, series=())
    if len(frames) > 1:
        half = len(frames) // 2
        return replace(record, frames=frames[:half]), replace(record, frames=frames[half:])
    if len(series) > 1:
        half = len(series) // 2
        return replace(record, series=series[:half]), replace(record, series=series[half:])
    if series and len(series[0].offsets_us) > 1:
        one, half = series[0], len(series[0].offsets_us) // 2
        return (
            replace(record, series=(Series(one.path, one.offsets_us[:half], one.values[:half]),)),
            replace(record, series=(Series(one.path, one.offsets_us[half:], one.values[half:]),)),
        )
    raise RecordTooLarge(f"a single sample of {record.campaign} is larger than a message")


def _record(record: Record) -> bytes:
    out = bytearray()
    put_bytes(out, 1, record.campaign.encode())
    put_varint(out, 2, record.version)
    put_varint(out, 3, record.event & _UINT64)
    put_varint(out, 4, zigzag(record.time_us))
    put_varint(out, 5, record.part)
    put_varint(out, 6, record.parts)
    for series in record.series:
        put_bytes(out, 7, _series(series))
    for frame in record.frames:
        put_bytes(out, 8, _frame(frame))
    for name, value in record.dimensions:
        inner = bytearray()
        put_bytes(inner, 1, name.encode())
        put_bytes(inner, 2, value.encode())
        put_bytes(out, 9, inner)
    put_bytes(out, 10, record.partition.encode())
    return bytes(out)


def _series(series: Series) -> bytes:
    out = bytearray()
    put_bytes(out, 1, series.path.encode())
    before, differences = 0, []
    for offset in series.offsets_us:
        differences.append(zigzag(offset - before))
        before = offset
    put_packed(out, 2, differences)
    _values(out, series.values)
    return bytes(out)


def _values(out: bytearray, values: Sequence[Any]) -> None:
    kinds = {float} if isinstance(values, array) else set(map(type, values))
    if kinds == {float}:
        put_bytes(out, 3, _doubles(values))
    elif kinds == {bool}:
        put_packed(out, 5, list(map(int, values)))
    elif kinds == {int} and all(value in _INT64 for value in values):
        put_packed(out, 4, list(map(zigzag, values)))
    elif kinds == {str}:
        for value in values:
            put_bytes(out, 6, value.encode("utf-8", "replace"))
    elif kinds == {int, float} and all(type(one) is float or one in _INT64 for one in values):
        put_bytes(out, 3, _doubles(list(map(float, values))))
    else:
        for value in values:
            put_bytes(out, 7, json.dumps(value, separators=(",", ":")).encode())


def _doubles(values: Sequence[float]) -> bytes:
    packed = array("d", values)
    if _BIG:
        packed.byteswap()
    return packed.tobytes()


_BIG = array("H", [1]).tobytes() == b"\0\1"


def _frame(frame: RawFrame) -> bytes:
    out = bytearray()
    put_varint(out, 1, zigzag(frame.offset_us))
    put_varint(out, 2, frame.can_id)
    put_varint(out, 3, int(frame.extended))
    put_bytes(out, 4, frame.bus.encode())
    put_bytes(out, 5, frame.payload)
    return bytes(out)


def decode(message: bytes) -> list[Record]:
    """The records of a message; raises `RecordError`."""
    try:
        return list(_batch(message, inflated=False))
    except (WireError, UnicodeDecodeError, zlib.error, ValueError, RecursionError) as error:
        raise RecordError(f"no batch of records: {error}") from error


def _batch(message: bytes, *, inflated: bool) -> Iterator[Record]:
    for number, value in fields(message):
        if number == 1:
            yield _read_record(_bytes(value))
        elif number == 2:
            if inflated:
                raise WireError("a compressed batch inside another")
            yield from _batch(_inflate(_bytes(value)), inflated=True)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    plain = inflater.decompress(data, MOST_INFLATED)
    if not inflater.eof:
        raise WireError(f"does not end within {MOST_INFLATED:,} bytes")
    return plain


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("a number where bytes belong")
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise WireError("bytes where a number belongs")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _read_record(data: bytes) -> Record:
    known: dict[str, Any] = {"campaign": "", "version": 0, "event": 0, "time_us": 0}
    series, frames, dimensions = [], [], []
    for number, value in fields(data):
        match number:
            case 1 | 10:
                known["campaign" if number == 1 else "partition"] = _text(value)
            case 2 | 3 | 5 | 6:
                name = {2: "version", 3: "event", 5: "part", 6: "parts"}[number]
                known[name] = _number(value)
            case 4:
                known["time_us"] = in_zigzag(_number(value))
            case 7:
                series.append(_read_series(_bytes(value)))
            case 8:
                frames.append(_read_frame(_bytes(value)))
            case 9:
                parts = dict(fields(_bytes(value)))
                dimensions.append((_text(parts.get(1, b"")), _text(parts.get(2, b""))))
    if known.get("part", 0) >= known.get("parts", 1):
        raise WireError("a part beyond the number of parts")
    return Record(**known, series=tuple(series), frames=tuple(frames), dimensions=tuple(dimensions))


def _read_series(data: bytes) -> Series:
    path = ""
    offsets: list[int] = []
    values: list[Any] = []
    for number, value in fields(data):
        inner = _bytes(value)
        match number:
            case 1:
                path = inner.decode()
            case 2:
                at = offsets[-1] if offsets else 0
                for difference in packed_varints(inner):
                    at = signed(at + in_zigzag(difference))
                    offsets.append(at)
            case 3:
                values += _read_doubles(inner)
            case 4:
                values += map(in_zigzag, packed_varints(inner))
            case 5:
                values += map(bool, packed_varints(inner))
            case 6:
                values.append(inner.decode())
            case 7:
                values.append(_read_json(inner))
    if len(values) != len(offsets):
        raise WireError(f"{len(offsets)} offsets and {len(values)} values")
    return Series(path, tuple(offsets), tuple(values))


def _read_json(data: bytes) -> Any:
    value = json.loads(data.decode())
    if b"\\u" in data:
        json.dumps(value, ensure_ascii=False).encode()  # no half of a surrogate pair
    return value


def _read_doubles(data: bytes) -> "array[float]":
    packed = array("d")
    if len(data) % packed.itemsize:
        raise WireError("doubles of 8 bytes each")
    packed.frombytes(data)
    if _BIG:
        packed.byteswap()
    return packed


def _read_frame(data: bytes) -> RawFrame:
    known = dict(fields(data))
    return RawFrame(
        offset_us=in_zigzag(_number(known.get(1, 0))),
        can_id=_number(known.get(2, 0)),
        extended=bool(_number(known.get(3, 0))),
        bus=_text(known.get(4, b"")),
        payload=_bytes(known.get(5, b"")),
    )
