"""Frames of JT/T 808 (2011, 2013, 2019): cut a byte stream, read headers, build frames.

Clauses are those of the 2019 edition where it has them; "4.4" is the same in all editions.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from carcloud.codecs.checks import bcc
from carcloud.codecs.errors import FrameError

FLAG: Final = b"\x7e"
MAX_BODY: Final = 1023  # bytes of one packet's body, before escaping (4.4.3, attribute bits 0-9)
MAX_PLAIN: Final = 21 + MAX_BODY + 1  # header with packet item, body, checksum
MAX_WIRE: Final = 2 * MAX_PLAIN + 2  # every byte escaped, and two flags

_WRONG_ESCAPE: Final = re.compile(rb"\x7d(?![\x01\x02])")
_HEADER = {2011: 12, 2013: 12, 2019: 17}  # bytes without the packet item
_PHONE = {2011: 6, 2013: 6, 2019: 10}  # bytes of BCD
_PACKETS: Final = 1 << 13
_VERSION: Final = 1 << 14
_ENCRYPTION: Final = 0x1C00


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it stood on the wire, or a message joined from its packets.

    Layout of the header (4.4.3), `2013 | 2019`: message u16, attributes u16, - | version u8,
    phone bcd[6] | bcd[10], serial u16, and with attribute bit 13: packets u16, packet u16.
    """

    edition: int  # 2019, or 2013 for both older editions: their headers are the same
    message: int  # message id
    version: int  # protocol version of 2019, from 1; 0 in the older editions
    encryption: int  # attribute bits 10-12: 0 none, 1 RSA
    phone: str  # terminal phone number, without leading zeros; see `has_phone`
    serial: int  # serial number; of a joined message that of its first packet
    packets: int  # packets of the message, 1 without a packet item
    packet: int  # number of this packet from 1; 0: all of them, joined
    body: bytes  # without escapes
    raw: bytes  # as on the wire, flags and escapes included; of a joined message all its packets

    @property
    def has_phone(self) -> bool:
        """False where `phone` is "0" or has hexadecimal digits, as `any_phone` admits."""
        return self.phone.isdecimal() and self.phone != "0"

    @property
    def last_serial(self) -> int:
        """The serial number that a reply names: that of the last packet."""
        return (self.serial + self.packets - 1) & 0xFFFF if self.packet == 0 else self.serial


class Garbage(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no frame, and why."""

    raw: bytes
    error: FrameError


def escape(plain: bytes) -> bytes:
    """4.4.2: 0x7D becomes 7D 01 and 0x7E becomes 7D 02."""
    return plain.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def unescape(escaped: bytes) -> bytes:
    """The bytes between two flags as they were meant. Raises `FrameError`.

    A last byte 0x7D without its second half is a checksum that was sent as it is.
    """
    if b"\x7d" not in escaped:
        return escaped
    wrong = _WRONG_ESCAPE.search(escaped)
    if wrong is not None and wrong.start() != len(escaped) - 1:
        at = wrong.start()
        detail = f"7d is followed by {escaped[at + 1]:02x}, neither 01 nor 02"
        raise FrameError("escape", at + 1, "4.4.2", detail)
    return escaped.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def build(
    edition: int,
    message: int,
    phone: str,
    serial: int,
    body: bytes = b"",
    *,
    packets: int = 1,
    packet: int = 1,
    version: int = 1,
) -> bytes:
    """A whole frame as it goes over the wire.

    Raises ValueError for an edition, phone number or body that no header can carry.
    """
    if edition not in _HEADER:
        raise ValueError(f"edition {edition} is none of 2011, 2013 and 2019")
    if len(body) > MAX_BODY:
        raise ValueError(f"a body of {len(body)} bytes, a packet has at most {MAX_BODY}")
    digits = 2 * _PHONE[edition]
    if not (phone.isascii() and phone.isdigit() and len(phone) <= digits):
        raise ValueError(f"phone {phone!r} is not 1 to {digits} digits")
    attributes = len(body) | (_PACKETS if packets > 1 else 0)
    attributes |= _VERSION if edition == 2019 else 0
    plain = (
        message.to_bytes(2)
        + attributes.to_bytes(2)
        + (bytes((version,)) if edition == 2019 else b"")
        + bytes.fromhex(phone.zfill(digits))
        + (serial & 0xFFFF).to_bytes(2)
        + (packets.to_bytes(2) + packet.to_bytes(2) if packets > 1 else b"")
        + body
    )
    return FLAG + escape(plain + bytes((bcc(plain),))) + FLAG


def build_message(
    edition: int, message: int, phone: str, serial: int, body: bytes, *, packet_bytes: int = 1000
) -> list[bytes]:
    """The frames of a message of any length: as many packets as it needs, serials from `serial`.

    Raises ValueError like `build`, and for more than 65535 packets.
    """
    parts = [body[at : at + packet_bytes] for at in range(0, len(body), packet_bytes)] or [b""]
    if len(parts) > 0xFFFF:
        raise ValueError(f"{len(parts)} packets, a message has at most 65535")
    return [
        build(edition, message, phone, serial + number, part, packets=len(parts), packet=number + 1)
        for number, part in enumerate(parts)
    ]


def parse(raw: bytes) -> Frame:
    """Exactly one whole frame with both its flags. Raises `FrameError`."""
    if len(raw) < 2 or raw[:1] != FLAG or raw[-1:] != FLAG:
        raise FrameError("flag", 0, "4.4.1", "a frame begins and ends with 7e")
    if FLAG in raw[1:-1]:
        raise FrameError("flag", raw.index(FLAG, 1), "4.4.1", "7e inside the frame")
    return _parse(raw[1:-1], raw)


def header_of(raw: bytes) -> tuple[int, int, str, int] | None:
    """(edition, message, phone, serial) that damaged bytes seem to have; None: they tell none."""
    try:
        plain = unescape(raw.strip(FLAG))
    except FrameError:
        return None
    if len(plain) < 13:
        return None
    edition = 2019 if plain[2] & 0x40 and len(plain) >= 18 else 2013
    size, at = _HEADER[edition], 5 if edition == 2019 else 4
    phone = plain[at : at + _PHONE[edition]].hex().lstrip("0")
    if not phone.isdigit():
        return None
    serial = int.from_bytes(plain[size - 2 : size])
    return edition, int.from_bytes(plain[:2]), phone, serial


class Splitter:
    """Cuts a byte stream into frames, without input or output.

    Frames may follow each other with two flags or share one; empty frames are ignored. Between
    two calls it holds less than one frame of the largest size. `any_phone`: phone numbers that are
    all zero or no BCD are no error.
    """

    __slots__ = ("_any_phone", "_buffer", "_inside")

    def __init__(self, *, any_phone: bool = False) -> None:
        self._any_phone = any_phone
        self._buffer = bytearray()
        self._inside = False  # a flag came before what the buffer holds

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame | Garbage]:
        """Add bytes; return the frames completed by them and the bytes skipped, in order."""
        if FLAG not in data:
            self._buffer += data
            return list(self._too_much())
        if self._buffer:
            data = bytes(self._buffer) + data
            self._buffer.clear()
        first, *parts = data.split(FLAG)
        rest = parts.pop()
        pieces: list[Frame | Garbage] = []
        if first:
            pieces.append(self._piece(first) if self._inside else _outside(first))
        pieces += [self._piece(part) for part in parts if part]
        self._inside = True
        self._buffer += rest
        pieces += self._too_much()
        return pieces

    def expire(self) -> list[Frame | Garbage]:
        """Give up the frame that is not complete: its end is lost."""
        return list(self._rest("stuck", "the rest of the frame did not come"))

    def finish(self) -> list[Garbage]:
        """The stream has ended: what is left of an incomplete frame, if anything."""
        return self._rest("truncated", "the stream ended inside a frame")

    def _rest(self, code: str, detail: str) -> list[Garbage]:
        if not self._buffer:
            return []
        raw = (FLAG if self._inside else b"") + bytes(self._buffer)
        self._buffer.clear()
        self._inside = False
        return [Garbage(raw, FrameError(code, len(raw), "4.4.1", f"{detail}, {len(raw)} bytes"))]

    def _too_much(self) -> Iterator[Garbage]:
        while len(self._buffer) > MAX_WIRE:
            raw = bytes(self._buffer[:MAX_WIRE])
            del self._buffer[:MAX_WIRE]
            self._inside = False
            detail = f"{MAX_WIRE} bytes without an end flag, no frame is so long"
            yield Garbage(raw, FrameError("length", MAX_WIRE, "4.4.3", detail))

    def _piece(self, part: bytes) -> Frame | Garbage:
        raw = b"\x7e%b\x7e" % part
        try:
            return _parse(part, raw, any_phone=self._any_phone)
        except FrameError as error:
            return Garbage(raw, error)


def _outside(part: bytes) -> Garbage:
    return Garbage(part, FrameError("flag", 0, "4.4.1", "bytes before the first 7e"))


def _parse(escaped: bytes, raw: bytes, *, any_phone: bool = False) -> Frame:
    plain = unescape(escaped)
    if len(plain) > MAX_PLAIN:
        detail = f"{len(plain)} bytes, at most {MAX_PLAIN}"
        raise FrameError("length", 1 + MAX_PLAIN, "4.4.3", detail)
    if len(plain) < 13:
        detail = f"{len(plain)} bytes, a header and checksum have 13"
        raise FrameError("truncated", 1 + len(plain), "4.4.3", detail)
    if bcc(plain):  # the checksum cancels the bytes before it
        computed = bcc(plain[:-1])
        detail = f"0x{plain[-1]:02x} found, 0x{computed:02x} computed"
        raise FrameError("bcc", len(plain), "4.4.4", detail)
    return _frame(plain, raw, any_phone=any_phone)


def _frame(plain: bytes, raw: bytes, *, any_phone: bool) -> Frame:
    attributes = plain[2] << 8 | plain[3]
    edition = _edition(plain, attributes)
    size, at = (17, 5) if edition == 2019 else (12, 4)
    phone = plain[at : size - 2].hex().lstrip("0")
    if any_phone:
        phone = phone or "0"
    elif not phone.isdigit():
        detail = f"{plain[at : size - 2].hex()} is no phone number in BCD"
        raise FrameError("phone", 1 + at, "4.4.3", detail)
    packets = packet = 1
    serial = plain[size - 2] << 8 | plain[size - 1]
    if attributes & _PACKETS:
        packets, packet = int.from_bytes(plain[size : size + 2]), plain[size + 2] << 8
        packet |= plain[size + 3]
        size += 4
        if not 1 <= packet <= packets:
            detail = f"packet {packet} of {packets}"
            raise FrameError("packet", size - 3, "4.4.3.4", detail)
    return Frame(
        edition,
        plain[0] << 8 | plain[1],
        plain[4] if edition == 2019 else 0,
        (attributes & _ENCRYPTION) >> 10,
        phone,
        serial,
        packets,
        packet,
        plain[size:-1],
        raw,
    )


def _edition(plain: bytes, attributes: int) -> int:
    """The edition whose header fits the length; some terminals set bit 14 on a 2013 header."""
    told = attributes & MAX_BODY
    found = len(plain) - 1 - (4 if attributes & _PACKETS else 0) - told
    if attributes & _VERSION and found == 17:
        return 2019
    if found == 12:
        return 2013
    wanted = 17 if attributes & _VERSION else 12
    here = found - wanted + told
    detail = f"the header tells a body of {told} bytes, "
    detail += f"{here} are here" if here >= 0 else "the frame ends inside the header"
    raise FrameError("length", 3, "4.4.3", detail)
