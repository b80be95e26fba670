"""`carcloud decode jt808`: a capture in, one JSON object a message out."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from carcloud.codecs.errors import FrameError
from carcloud.codecs.hex_lines import from_hex
from carcloud.codecs.jt808.decode import decode, edition_of, header_size
from carcloud.codecs.jt808.frame import FLAG, Frame, Garbage, Splitter, escape
from carcloud.codecs.jt808.gather import Gatherer, Lone
from carcloud.codecs.jt808.reading import Diagnosis
from carcloud.codecs.jt808.signals import report_signals, signals

_REGISTRATION: Final = 0x0100
_MOST_REGISTERED: Final = 100_000  # terminals whose edition is remembered
_OLD: Final = "the body has the layout of 2011"


class Capture:
    """Frames in the order in which they came, of any number of terminals.

    Packets are joined wherever they stand. Bodies are read in `edition`; None: as the header tells
    it, and where that is of 2011 and 2013 alike, as the terminal has registered before. Nothing
    here raises, whatever the bytes are: what cannot be decoded is `{"error": {code, offset, …}}`.
    """

    def __init__(self, edition: int | None = None, *, registered: int = 2013) -> None:
        self._edition = edition
        self._before = registered  # of terminals that have not registered here
        self._registered: OrderedDict[str, int] = OrderedDict()
        self._gatherer = Gatherer()
        self._splitter = Splitter(any_phone=True)

    def line(self, line: str, *, unescaped: bool = False) -> Iterator[dict[str, Any]]:
        """What becomes known by a line of hexadecimal digits; spaces between bytes are allowed.

        `unescaped`: the line is one frame whose bytes between the flags are plain.
        """
        try:
            raw = from_hex(line, "frames, 7e to 7e,")
        except FrameError as error:
            yield _error(error)
            return
        if unescaped:
            raw = FLAG + escape(raw.removeprefix(FLAG).removesuffix(FLAG)) + FLAG
        splitter = Splitter(any_phone=True)
        pieces = [*splitter.feed(raw), *splitter.finish()]
        if not pieces:
            yield _error(FrameError("truncated", len(raw), "4.4.1", "no frame"))
        yield from self._pieces(pieces)

    def feed(self, raw: bytes) -> Iterator[dict[str, Any]]:
        """The same for bytes as on the wire, cut anywhere."""
        return self._pieces(self._splitter.feed(raw))

    def finish(self) -> Iterator[dict[str, Any]]:
        """The input has ended: the frame that is cut, and the packets that stayed alone."""
        yield from self._pieces(self._splitter.finish())
        yield from map(self._described, self._gatherer.finish())

    def _pieces(self, pieces: Iterable[Frame | Garbage]) -> Iterator[dict[str, Any]]:
        for piece in pieces:
            if isinstance(piece, Garbage):
                yield _error(piece.error)
            elif piece.packets == 1:
                yield self._described(piece)
            else:
                yield from map(self._described, self._gatherer.add(piece))

    def _described(self, found: Frame | Lone) -> dict[str, Any]:
        frame = found.frame if isinstance(found, Lone) else found
        year = self._year(found)
        try:
            message = decode(frame, year)
        except FrameError as error:
            if year == 2013 and self._edition is None and _fits_2011(frame):
                error = FrameError(
                    error.code, error.offset, error.clause, f"{error.detail}; {_OLD}"
                )
            return _error(error)
        notes = [note for note in message.diagnoses if note.code != "packet"]
        if isinstance(found, Lone):
            detail = f"packet {frame.packet} of {frame.packets}: {found.why}"
            notes.insert(0, Diagnosis(found.code, 0, "4.4.3.4", detail))
        notes += _odd_phone(frame)
        if message.partial and year == 2013 and self._edition is None and _fits_2011(frame):
            notes.append(Diagnosis("edition", header_size(frame), "8", _OLD))
        document = msgspec.structs.replace(message, diagnoses=tuple(notes)).to_json()
        records = message.fields.get("positions")
        if isinstance(records, list):
            shown = document["fields"]["positions"]
            for record, place in zip(records, shown, strict=True):
                report = record.get("position") if isinstance(record, dict) else None
                if isinstance(report, dict):
                    place["signals"] = report_signals(report, message.edition)
        return document | {"signals": signals(message)}

    def _year(self, found: Frame | Lone) -> int:
        """The edition of a body; that of a whole registration is remembered."""
        if self._edition is not None:
            return self._edition
        frame = found.frame if isinstance(found, Lone) else found
        year = edition_of(frame)
        if frame.edition == 2019 or isinstance(found, Lone):
            return year
        if frame.message == _REGISTRATION:
            self._registered[frame.phone] = year
            self._registered.move_to_end(frame.phone)
            if len(self._registered) > _MOST_REGISTERED:
                self._registered.popitem(last=False)
            return year
        return self._registered.get(frame.phone, self._before) if year == 2013 else year


def decode_line(
    line: str, *, unescaped: bool = False, edition: int | None = None
) -> list[dict[str, Any]]:
    """A capture of one line, see `Capture`."""
    capture = Capture(edition)
    return [*capture.line(line, unescaped=unescaped), *capture.finish()]


def decode_bytes(raw: bytes, *, registered: int = 2013) -> list[dict[str, Any]]:
    """A capture of bytes as on the wire, see `Capture`; at least one object.

    `registered`: the edition that its terminals have registered with.
    """
    capture = Capture(registered=registered)
    found = [*capture.feed(raw), *capture.finish()]
    return found or [_error(FrameError("truncated", len(raw), "4.4.1", "no frame"))]


def _fits_2011(frame: Frame) -> bool:
    """Whether the layout of 2011 ends where the body does."""
    try:
        message = decode(frame, 2011)
    except FrameError:
        return False
    return not message.partial and not message.diagnoses


def _odd_phone(frame: Frame) -> Iterator[Diagnosis]:
    if frame.has_phone:
        return
    size, at = (20, 5) if frame.edition == 2019 else (12, 4)
    what = "is all zero" if frame.phone == "0" else "is no phone number in BCD"
    yield Diagnosis("phone", 1 + at, "4.4.3", f"{frame.phone.zfill(size)} {what}")


def _error(error: FrameError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code,
            "offset": error.offset,
            "clause": error.clause,
            "detail": error.detail,
        }
    }
