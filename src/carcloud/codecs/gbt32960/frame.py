"""Frames of GB/T 32960.3 (2016 and 2025): cut a byte stream, build and answer frames."""

import re
from collections.abc import Iterator
from itertools import accumulate
from operator import xor
from typing import Final, Literal

import msgspec

from carcloud.codecs.checks import bcc
from carcloud.codecs.gbt32960.constants import (
    EDITION,
    HEADER_SIZE,
    MAX_DATA,
    MIN_FRAME,
    START,
    UNIQUE_ID_SIZE,
    Command,
    Encryption,
    Flag,
)
from carcloud.codecs.gbt32960.errors import EncodeError, FrameError

__all__ = ["BodyReading", "Frame", "Garbage", "Splitter", "bcc", "build", "parse", "reply"]

BodyReading = Literal["time", "echo"]

_START_PAIR: Final = re.compile(rb"##|\$\$")
_UNIQUE_ID: Final = re.compile(rb"[\x20-\x7e\x00]{17}")
_TIME_SIZE: Final = 6


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it stood on the wire (6.2 table 2)."""

    edition: int  # 2016 or 2025, from the start bytes
    command: int  # table 3; see constants.Command
    flag: int  # table 4; see constants.Flag
    unique_id: str  # VIN or other code, without trailing NULs
    encryption: int  # table 5; see constants.Encryption
    data: bytes  # data unit as sent
    raw: bytes  # the whole frame, start bytes to BCC

    @property
    def is_command(self) -> bool:
        """True for a command; a reply must not be answered (6.3.2)."""
        return self.flag == Flag.COMMAND


class Garbage(msgspec.Struct, frozen=True, gc=False):
    """Bytes skipped on the way to the next frame, and the first reason for it."""

    raw: bytes
    error: FrameError


def build(
    edition: int,
    command: int,
    flag: int,
    unique_id: str,
    data: bytes = b"",
    *,
    encryption: int = Encryption.NONE,
) -> bytes:
    """A whole frame; `data` is the data unit as sent. Raises `EncodeError`."""
    if edition not in START:
        raise EncodeError("edition", f"{edition} is neither 2016 nor 2025")
    if len(data) > MAX_DATA:
        raise EncodeError("data", f"{len(data)} bytes, at most {MAX_DATA}")
    checked = (
        bytes((command, flag))
        + _unique_id_bytes(unique_id)
        + bytes((encryption,))
        + len(data).to_bytes(2, "big")
        + data
    )
    return START[edition] + checked + bytes((bcc(checked),))


def parse(raw: bytes, *, check_bcc: bool = True) -> Frame:
    """Exactly one whole frame. Raises `FrameError`, also for bytes after the frame."""
    if len(raw) >= 2 and raw[:2] not in EDITION:
        raise _bad_start(raw)
    if len(raw) < HEADER_SIZE:
        raise FrameError("truncated", len(raw), "6.2 table 2", f"{len(raw)} bytes, no header")
    _check_header(raw, 0)
    size = _frame_size(raw, 0)
    if len(raw) < size:
        raise FrameError("truncated", len(raw), "6.2 table 2", f"{len(raw)} of {size} bytes")
    if len(raw) > size:
        raise FrameError("trailing", size, "6.2 table 2", f"{len(raw) - size} bytes too many")
    if check_bcc:
        _check_bcc(bcc(raw[2:-1]), raw[-1], size)
    return _frame(raw)


def reply(request: Frame, flag: int, body_reading: BodyReading, now_time6: bytes) -> bytes:
    """The reply frame to a command frame, with the data unit in clear.

    `time` keeps the request's time and drops the rest (S16 6.3.2, S25 6.3.2 and B.3.3.2), `echo`
    returns the request's body with the time replaced (S16 B.3.3.2). A time sync always gets
    `now_time6`, the present as 6 bytes of Beijing time; a heartbeat has an empty body. Give a
    decrypted request; one that could not be decrypted is answered with `now_time6`.
    """
    return build(
        request.edition,
        request.command,
        flag,
        request.unique_id,
        _reply_body(request, body_reading, now_time6),
    )


class Splitter:
    """Cuts a byte stream into frames, without input or output.

    Between two calls it holds less than one frame of the largest size. Work is linear in the
    bytes fed, whatever they are: once a checksum failed, running XORs are kept so that every
    further candidate is checked in constant time.
    """

    __slots__ = ("_buffer", "_check_bcc", "_xors")

    def __init__(self, *, check_bcc: bool = True) -> None:
        self._check_bcc = check_bcc
        self._buffer = bytearray()
        self._xors: bytearray | None = None  # _xors[i] = XOR of all bytes up to and with i

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame | Garbage]:
        """Add bytes; return the frames completed by them and the bytes skipped, in order."""
        if not self._buffer:
            frame = self._exact(data)
            if frame is not None:
                return [frame]
        self._buffer += data
        if self._xors is not None:
            self._extend_xors(data)
        return list(self._cut())

    def expire(self) -> list[Frame | Garbage]:
        """Give up the frame that is not complete: its length was wrong, or its end is lost.

        Frames that its announced length had swallowed come out.
        """
        if not self._buffer:
            return []
        detail = f"the rest of the frame did not come, {len(self._buffer)} bytes are here"
        error = FrameError("stuck", len(self._buffer), "6.2 table 2", detail)
        return list(self._cut(self._next_start(1), error))

    def finish(self) -> list[Garbage]:
        """The stream has ended: what is left of an incomplete frame, if anything."""
        rest = bytes(self._buffer)
        self._drop(len(rest))
        if not rest:
            return []
        detail = f"the stream ended inside a frame after {len(rest)} bytes"
        return [Garbage(rest, FrameError("truncated", len(rest), "6.2 table 2", detail))]

    def _exact(self, data: bytes) -> Frame | None:
        """The usual case: the packet is one good frame."""
        size = len(data)
        if (
            size < MIN_FRAME
            or data[:2] not in EDITION
            or _frame_size(data, 0) != size
            or _UNIQUE_ID.match(data, 4) is None
            or size > MIN_FRAME + MAX_DATA
            or (self._check_bcc and bcc(data[2:-1]) != data[-1])
        ):
            return None
        return _frame(data)

    def _cut(self, at: int = 0, error: FrameError | None = None) -> Iterator[Frame | Garbage]:
        """Go through the buffer from `at`; what stands before it is bad because of `error`."""
        buffer, bad_from = self._buffer, 0
        while at < len(buffer):
            step = self._step(at)
            if step is None:
                break
            if isinstance(step, FrameError):
                error = error or step
                at = self._next_start(at + 1)
                continue
            if error is not None:
                yield Garbage(bytes(buffer[bad_from:at]), error)
                error = None
            yield step
            at = bad_from = at + len(step.raw)
        if error is not None:
            yield Garbage(bytes(buffer[bad_from:at]), error)
        self._drop(at)

    def _step(self, at: int) -> Frame | FrameError | None:
        """The frame at `at`, what is wrong there, or None when more bytes are needed."""
        buffer = self._buffer
        start = bytes(buffer[at : at + 2])
        if start not in EDITION and not (len(start) == 1 and start in b"#$"):
            return _bad_start(start)
        if len(buffer) - at < HEADER_SIZE:
            return None
        try:
            _check_header(buffer, at)
            size = _frame_size(buffer, at)
            if len(buffer) - at < size:
                return None
            if self._check_bcc:
                _check_bcc(self._sum(at + 2, at + size - 1), buffer[at + size - 1], size)
        except FrameError as error:
            return error
        return _frame(bytes(buffer[at : at + size]))

    def _next_start(self, at: int) -> int:
        """Where a frame may start at or after `at`; a lone last start byte counts (6.2)."""
        found = _START_PAIR.search(self._buffer, at)
        if found is not None:
            return found.start()
        end = len(self._buffer)
        return end - 1 if at < end and self._buffer[-1] in b"#$" else end

    def _sum(self, begin: int, end: int) -> int:
        """XOR of buffer[begin:end]."""
        if self._xors is not None:
            return self._xors[end - 1] ^ self._xors[begin - 1]
        total = bcc(self._buffer[begin:end])
        if total != self._buffer[end]:
            self._xors = bytearray()
            self._extend_xors(bytes(self._buffer))
        return total

    def _extend_xors(self, data: bytes) -> None:
        if self._xors is None:
            return
        last = self._xors[-1] if self._xors else 0
        self._xors += bytes(accumulate(data, xor, initial=last))[1:]

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        if not self._buffer:
            self._xors = None
        elif self._xors is not None:
            del self._xors[:count]


def _frame(raw: bytes) -> Frame:
    return Frame(
        EDITION[raw[:2]],
        raw[2],
        raw[3],
        raw[4:21].rstrip(b"\x00").decode("ascii"),
        raw[21],
        raw[24:-1],
        raw,
    )


def _frame_size(data: bytes | bytearray, at: int) -> int:
    return MIN_FRAME + ((data[at + 22] << 8) | data[at + 23])


def _check_header(data: bytes | bytearray, at: int) -> None:
    """Refuse headers that no sender can mean: they start inside something else."""
    if _UNIQUE_ID.match(data, at + 4) is None:
        found = bytes(data[at + 4 : at + 21]).hex()
        raise FrameError("unique-id", 4, "6.2 table 2", f"not ASCII text: {found}")
    if _frame_size(data, at) > MIN_FRAME + MAX_DATA:
        length = _frame_size(data, at) - MIN_FRAME
        raise FrameError("length", 22, "6.2 table 2", f"data unit of {length}, at most {MAX_DATA}")


def _check_bcc(computed: int, found: int, size: int) -> None:
    if computed != found:
        detail = f"0x{found:02x} found, 0x{computed:02x} computed"
        raise FrameError("bcc", size - 1, "6.2 table 2", detail)


def _bad_start(data: bytes) -> FrameError:
    return FrameError("start", 0, "6.2 table 2", f"{data[:2].hex()} is neither 2323 nor 2424")


def _unique_id_bytes(text: str) -> bytes:
    try:
        encoded = text.encode("ascii").ljust(UNIQUE_ID_SIZE, b"\x00")
    except UnicodeEncodeError:
        raise EncodeError("unique_id", "not ASCII") from None
    if not _UNIQUE_ID.fullmatch(encoded):
        raise EncodeError("unique_id", f"not {UNIQUE_ID_SIZE} printable characters or fewer")
    return encoded


def _reply_body(request: Frame, reading: BodyReading, now_time6: bytes) -> bytes:
    if request.command == Command.TIME_SYNC:
        return now_time6
    if not request.data:
        return b""
    if request.encryption != Encryption.NONE:
        return now_time6
    if reading == "echo":
        return now_time6 + request.data[_TIME_SIZE:]
    return request.data[:_TIME_SIZE]
