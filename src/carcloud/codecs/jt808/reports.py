"""The position reports of a message: the plain reference of the columnar decoder."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import header_size
from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.layout import Fields
from carcloud.codecs.jt808.reading import Reader, answer_at, read_report
from carcloud.codecs.jt808.tables_position import BASIC_SIZE, CLAUSE, HIGHEST
from carcloud.codecs.jt808.vss import MAX_ODOMETER

_POSITION, _ANSWER, _CONTROLLED, _BATCH, _MEDIA = 0x0200, 0x0201, 0x0500, 0x0704, 0x0801
_MEDIA_HEAD: Final = 8  # bytes before the position


@dataclass(frozen=True, slots=True)
class Report:
    """One position report: its time (UTC), its bytes as a body of 0x0200, and its fields."""

    time: datetime
    content: bytes
    fields: Fields

    @property
    def partial(self) -> bool:
        """Its items do not end where it ends."""
        return "rest" in self.fields

    @property
    def out_of_range(self) -> bool:
        """A position, direction or odometer outside its range; the value is kept."""
        basic = (
            round(number * (1_000_000 if key.endswith("tude_deg") else 1)) > highest
            for key, highest in HIGHEST.items()
            if isinstance(number := self.fields[key], (int, float))
        )
        return any(basic) or any(metres > MAX_ODOMETER * 100 for metres in _odometers(self.fields))


def reports(frame: Frame) -> tuple[list[Report], FrameError | None]:
    """The reports that can be read, in order, and what is wrong with the first that cannot."""
    if frame.encryption:
        return [], FrameError("encrypted", 0, "4.4.3", "the body is encrypted")
    found: list[Report] = []
    fault: FrameError | None = None
    for at, content in _contents(frame):
        report = _read(content, header_size(frame) + at)
        if isinstance(report, Report):
            found.append(report)
        elif frame.message != _MEDIA:  # 2011 has no position there
            fault = fault or report
    return found, fault


def _contents(frame: Frame) -> Iterator[tuple[int, bytes]]:
    """Where each report begins in the body, and its bytes; cut ones as far as they are there."""
    body = frame.body
    if frame.message == _POSITION:
        yield 0, body
    elif frame.message in (_ANSWER, _CONTROLLED):
        at = answer_at(body, frame.edition) if frame.message == _ANSWER else 2
        yield at, body[at:]
    elif frame.message == _MEDIA and len(body) >= _MEDIA_HEAD + BASIC_SIZE:
        yield _MEDIA_HEAD, body[_MEDIA_HEAD : _MEDIA_HEAD + BASIC_SIZE]
    elif frame.message == _BATCH:
        yield from _batch(body)


def _batch(body: bytes) -> Iterator[tuple[int, bytes]]:
    if len(body) < 3:
        yield 0, b""
        return
    at = 3
    for _ in range(int.from_bytes(body[:2])):
        size = int.from_bytes(body[at : at + 2])
        if len(body) - at < 2 or at + 2 + size > len(body):
            yield at, b""
            return
        yield at + 2, body[at + 2 : at + 2 + size]
        at += 2 + size


def _read(content: bytes, offset: int) -> Report | FrameError:
    if len(content) < BASIC_SIZE:
        detail = f"a report of {len(content)} bytes, its basic part has {BASIC_SIZE}"
        return FrameError("overrun", offset, CLAUSE, detail)
    fields = read_report(Reader(content, offset))
    time = fields["time"]
    if not isinstance(time, datetime):
        return FrameError("time", offset, CLAUSE, f"{content[22:28].hex()} is no time")
    return Report(time, content, fields)


def _odometers(fields: Fields) -> Iterator[int]:
    items = fields["items"]
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(km := item.get("odometer_km"), (int, float)):
            yield round(km * 1000)
