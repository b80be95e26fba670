"""Decoding and encoding single frames, in plain Python; the reference of the columnar decoder."""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from carcloud.codecs.dbc.database import Database, Message, Number, Signal
from carcloud.codecs.dbc.errors import EncodingError
from carcloud.codecs.dbc.j1939 import Finder, missing_from

_QUICK_BITS = 64
_FLOATS = {"float32": ("<I", "<f"), "float64": ("<Q", "<d")}


@dataclass(frozen=True, slots=True)
class Sample:
    """One signal in one frame. `value` is physical; `missing` is J1939's "no value"."""

    signal: Signal
    raw: Number
    value: Number
    label: str | None
    missing: bool


class MessageCodec:
    """Decodes and encodes frames of one message. `j1939` looks for raw values that mean none."""

    def __init__(self, message: Message, *, j1939: bool | None = None) -> None:
        self.message = message
        self._j1939 = message.j1939 if j1939 is None else j1939
        self._steps = [
            (signal, signal.first_bit, missing_from(message, signal) if self._j1939 else None)
            for signal in message.signals
            if signal.decodable
        ]
        plain = all(
            one.kind == "int" and one.parent is None and one.length <= _QUICK_BITS
            for one, _, _ in self._steps
        )
        self._quick = [_quick(*step) for step in self._steps] if plain else None

    def decode(self, payload: bytes) -> dict[str, Number]:
        """Physical values by signal: int where factor, offset and raw value are, else float.

        Left out: signals that the payload is too short for, that another value of their switch
        selects, and those that have no value (J1939).
        """
        if self._quick is not None:
            return _decode_quickly(self._quick, payload)
        return {one.signal.name: one.value for one in self.samples(payload) if not one.missing}

    def samples(self, payload: bytes) -> list[Sample]:
        """All signals that are in a payload."""
        raws = self._raw_values(payload)
        found = []
        for signal, _, limit in self._steps:
            raw = raws.get(signal.name)
            if raw is None or (signal.parent is not None and not self._selected(signal, raws)):
                continue
            missing = limit is not None and raw >= limit
            found.append(Sample(signal, raw, physical(signal, raw), signal.label(raw), missing))
        return found

    def _raw_values(self, payload: bytes) -> dict[str, Number]:
        """Raw values of all signals that fit, whether they are selected or not."""
        bits = 8 * len(payload)
        little, big = int.from_bytes(payload, "little"), int.from_bytes(payload, "big")
        raws: dict[str, Number] = {}
        for signal, first, _ in self._steps:
            unused = bits - first - signal.length
            if unused >= 0:
                word = little >> first if signal.little_endian else big >> unused
                raws[signal.name] = _raw(signal, word)
        return raws

    def _selected(self, signal: Signal, raws: Mapping[str, Number]) -> bool:
        """Whether every switch above a signal selects it."""
        while signal.parent is not None:
            raw = raws.get(signal.parent)
            if raw is None or not any(low <= raw <= high for low, high in signal.ranges):
                return False
            signal = self.message.signal_by_name[signal.parent]
        return True

    def encode(self, values: Mapping[str, Number | str], *, fill: int = 0) -> bytes:
        """The payload with these physical values or labels; bits of no signal are `fill`.

        Signals that are not given are 0, switches what a given signal below them needs. Raises
        EncodingError where a value does not fit, names are unknown, or signals share bits.
        """
        raws = self._raws_to_encode(values)
        size = 8 * self.message.length
        bits = used = 0
        for name, raw in raws.items():
            signal = self.message.signal_by_name[name]
            word = pack_raw(signal, raw)
            mask = _place(signal, (1 << signal.length) - 1, size)
            if mask & used:
                raise EncodingError(f"{self.message.name}: {name} shares bits with another signal")
            used |= mask
            bits |= _place(signal, word, size)
        if fill:
            bits |= ((1 << size) - 1) & ~used
        return bits.to_bytes(self.message.length, "big")

    def _raws_to_encode(self, values: Mapping[str, Number | str]) -> dict[str, Number]:
        raws: dict[str, Number] = {}
        for name, value in values.items():
            signal = self.message.signal_by_name.get(name)
            if signal is None or not signal.decodable:
                raise EncodingError(f"{self.message.name} has no signal {name!r} to encode")
            if signal.needed_bytes > self.message.length:
                raise EncodingError(f"{name} does not fit into {self.message.name}")
            raws[name] = to_raw(signal, value)
        for name in list(raws):
            signal = self.message.signal_by_name[name]
            while signal.parent is not None:
                ranges, parent = signal.ranges, signal.parent
                raw = raws.setdefault(parent, ranges[0][0])
                if not any(low <= raw <= high for low, high in ranges):
                    raise EncodingError(f"{parent} = {raw} does not select {signal.name}")
                signal = self.message.signal_by_name[parent]
        return raws


_Quick = tuple[str, bool, int, int, int, int, Number, Number, bool, int]
"""Name, byte order, first bit, bits, mask, half of a signed range, scale, no scale, limit."""


def _quick(signal: Signal, first: int, limit: int | None) -> _Quick:
    """A signal of integers without a switch, as the loop below wants it."""
    exact = signal.integral
    return (
        signal.name,
        signal.little_endian,
        first,
        signal.length,
        (1 << signal.length) - 1,
        1 << (signal.length - 1) if signal.signed else 1 << signal.length,
        int(signal.factor) if exact else signal.factor,
        int(signal.offset) if exact else signal.offset,
        signal.factor == 1 and signal.offset == 0,
        1 << signal.length if limit is None else limit,
    )


def _decode_quickly(steps: list[_Quick], payload: bytes) -> dict[str, Number]:
    """What `samples` finds, for messages without switches and floats: most of them."""
    bits = 8 * len(payload)
    little_word, big_word = int.from_bytes(payload, "little"), int.from_bytes(payload, "big")
    values: dict[str, Number] = {}
    for name, little, first, length, mask, half, factor, offset, plain, limit in steps:
        unused = bits - first - length
        if unused < 0:
            continue
        raw = (little_word >> first if little else big_word >> unused) & mask
        if raw >= half:
            raw -= mask + 1
        if raw >= limit:
            continue
        values[name] = raw if plain else raw * factor + offset
    return values


def _raw(signal: Signal, word: int) -> Number:
    """The raw value in the lowest bits of a word."""
    raw = word & ((1 << signal.length) - 1)
    if signal.kind != "int":
        whole, real = _FLOATS[signal.kind]
        return float(struct.unpack(real, struct.pack(whole, raw))[0])
    return raw - (1 << signal.length) if signal.signed and raw >> (signal.length - 1) else raw


def raw_of(signal: Signal, payload: bytes) -> Number:
    """The raw value of a signal that fits into a payload."""
    if signal.little_endian:
        return _raw(signal, int.from_bytes(payload, "little") >> signal.start)
    unused = 8 * len(payload) - signal.first_bit - signal.length
    return _raw(signal, int.from_bytes(payload, "big") >> unused)


def physical(signal: Signal, raw: Number) -> Number:
    """raw * factor + offset, not rounded; an exact int where all three are integers."""
    factor, offset = signal.factor, signal.offset
    if factor == 1 and offset == 0:
        return raw
    if signal.integral:
        return raw * int(factor) + int(offset)
    try:
        return raw * factor + offset
    except OverflowError:  # more than a thousand bits
        return math.copysign(math.inf, factor) if raw > 0 else -math.copysign(math.inf, factor)


def to_raw(signal: Signal, value: Number | str) -> Number:
    """The raw value nearest to a physical value, or that of a label. Raises EncodingError."""
    if isinstance(value, str):
        raws = [raw for raw, text in signal.labels.items() if text == value]
        if len(raws) != 1:
            raise EncodingError(f"{signal.name} has {len(raws)} raw values with label {value!r}")
        return raws[0]
    try:
        if signal.kind != "int":
            return (value - signal.offset) / signal.factor
        if signal.integral and isinstance(value, int):
            quotient, rest = divmod(value - int(signal.offset), int(signal.factor))
            if rest == 0:
                return quotient
        return round((value - signal.offset) / signal.factor)
    except (OverflowError, ValueError) as error:
        raise EncodingError(f"{signal.name} cannot be {value}") from error


def pack_raw(signal: Signal, raw: Number) -> int:
    """The bits of a raw value. Raises EncodingError where they do not fit."""
    length = signal.length
    if signal.kind != "int":
        whole, real = _FLOATS[signal.kind]
        try:
            return int(struct.unpack(whole, struct.pack(real, raw))[0])
        except OverflowError as error:
            raise EncodingError(f"{signal.name} cannot hold {raw}") from error
    low, high = (
        (-(1 << length - 1), (1 << length - 1) - 1) if signal.signed else (0, (1 << length) - 1)
    )
    if not isinstance(raw, int) or not low <= raw <= high:
        raise EncodingError(f"{signal.name}: raw value {raw} is not in {low}..{high}")
    return raw & ((1 << length) - 1)


def _place(signal: Signal, word: int, size: int) -> int:
    """Bits of a signal in a payload of `size` bits, as one big-endian number."""
    if not signal.little_endian:
        return word << (size - signal.first_bit - signal.length)
    return int.from_bytes((word << signal.start).to_bytes(size // 8, "little"), "big")


class FrameDecoder:
    """Decodes frames of a bus by several databases; the first that knows an id decides."""

    def __init__(self, databases: Iterable[Database], *, j1939: bool = False) -> None:
        self._finder = Finder(databases, j1939=j1939)
        self.codec = lru_cache(maxsize=65_536)(self._codec)

    def _codec(self, can_id: int, extended: bool) -> MessageCodec | None:
        """The codec for an id without flag bits; None where no database knows it."""
        found = self._finder.find(can_id, extended)
        return None if found is None else MessageCodec(found[0], j1939=found[1])

    def decode(self, can_id: int, extended: bool, payload: bytes) -> dict[str, Number] | None:
        """Physical values by signal; None where no database knows the id."""
        codec = self.codec(can_id, extended)
        return None if codec is None else codec.decode(payload)
