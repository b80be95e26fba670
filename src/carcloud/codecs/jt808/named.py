"""Fields of a position report by name, for the mappings of models: those that have no fixed place
in the vocabulary, and whatever vendors put into items of their own.

    tyre_pressures[0]   door1_open   alarm.fatigue   lamp.neutral   analog[1]   io[3]
    item.0xE1.u16@0     item.0xE1.i16le@2     item.0xF3.bit@7

Integers are big-endian unless `le` follows. `bit` counts from the lowest of the whole item.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from carcloud.codecs.jt808.tables_position import ALARM_CODES, BASIC_SIZE, SIGNAL_BITS, STATUS_BITS

Form = Literal["unsigned", "signed", "magnitude"]

_ITEM = re.compile(
    r"item\.0x(?P<item>[0-9A-Fa-f]{2})\."
    r"(?:(?P<kind>[ui])(?P<bits>8|16|24|32)(?P<le>le)?|(?P<bit>bit))@(?P<at>\d{1,4})"
)
_BASIC: Final = -1  # the part before the items
_STATUS_AT, _ALARM_AT = 4, 0
_TYRES: Final = 30


@dataclass(frozen=True, slots=True)
class Field:
    """Where a number lies in a report and what it means: raw / divisor, in `unit`.

    item: id of the additional item, -1 = the basic part. at, size: bytes. sizes: lengths that the
    item must have, empty = any that is long enough. bit: of the number, None = all of it.
    none: the raw number that means that there is no value.
    """

    name: str
    item: int
    at: int
    size: int
    what: str = ""
    unit: str = ""
    divisor: int = 1
    form: Form = "unsigned"
    little_endian: bool = False
    bit: int | None = None
    none: int | None = None
    sizes: tuple[int, ...] = ()

    def raw(self, parts: dict[int, bytes]) -> int | None:
        """The raw number in a report of these parts; None where there is none."""
        data = parts.get(self.item)
        if data is None or (self.sizes and len(data) not in self.sizes):
            return None
        if self.bit is not None and self.size == 0:  # of the whole item
            word = int.from_bytes(data)
            return word >> self.bit & 1 if self.bit < 8 * len(data) else None
        if self.at + self.size > len(data):
            return None
        wire = data[self.at : self.at + self.size]
        order: Literal["little", "big"] = "little" if self.little_endian else "big"
        number = int.from_bytes(wire, order, signed=self.form == "signed")
        if number == self.none:
            return None
        if self.bit is not None:
            return number >> self.bit & 1
        half = 1 << (8 * self.size - 1)
        return half - number if self.form == "magnitude" and number >= half else number

    def value(self, parts: dict[int, bytes]) -> int | float | None:
        """The number in `unit`; None where there is none."""
        raw = self.raw(parts)
        return raw if raw is None or self.divisor == 1 else raw / self.divisor


def parts(content: bytes) -> dict[int, bytes]:
    """The basic part (-1) and the items of a body of 0x0200; of an item that comes twice the later.

    Ends where an item does not fit.
    """
    found = {_BASIC: content[:BASIC_SIZE]}
    at = BASIC_SIZE
    while at + 2 <= len(content):
        end = at + 2 + content[at + 1]
        if end > len(content):
            break
        found[content[at]] = content[at + 2 : end]
        at = end
    return found


def find(name: str) -> Field | None:
    """The field of a name; None where there is none."""
    known = table().get(name)
    if known is not None:
        return known
    match = _ITEM.fullmatch(name)
    if match is None:
        return None
    item, at = int(match["item"], 16), int(match["at"])
    if match["bit"]:
        return Field(name, item, 0, 0, bit=at) if at < 8 * 255 else None
    size = int(match["bits"]) // 8
    form: Form = "signed" if match["kind"] == "i" else "unsigned"
    if at + size > 255:
        return None
    return Field(name, item, at, size, form=form, little_endian=bool(match["le"]))


@cache
def table() -> dict[str, Field]:
    """The fields of the standard by name; those of items of vendors are without number."""
    return {field.name: field for field in _fields()}


def _fields() -> Iterator[Field]:
    for bit, name in STATUS_BITS.items():
        yield Field(name, _BASIC, _STATUS_AT, 4, f"status bit {bit}", bit=bit)
    for bit, name in enumerate(ALARM_CODES):
        yield Field(f"alarm.{name}", _BASIC, _ALARM_AT, 4, f"alarm bit {bit}", bit=bit)
    yield Field("altitude_m", _BASIC, 16, 2, "above sea level", "m", form="signed")
    yield Field("speed_kmh", _BASIC, 18, 2, "speed of the GNSS", "km/h", 10)
    yield Field("direction_deg", _BASIC, 20, 2, "clockwise from north", "degrees")
    yield Field("odometer_km", 0x01, 0, 4, "item 0x01", "km", 10, sizes=(4,))
    yield Field("fuel_l", 0x02, 0, 2, "item 0x02", "l", 10, sizes=(2,))
    yield Field("recorder_kmh", 0x03, 0, 2, "item 0x03", "km/h", 10, sizes=(2,))
    for place in range(_TYRES):
        name, what = f"tyre_pressures[{place}]", "item 0x05, in a unit of the vendor"
        yield Field(name, 0x05, place, 1, what, none=255, sizes=(_TYRES,))
    yield Field(
        "cabin_temp_c", 0x06, 0, 2, "item 0x06", "Celsius", form="magnitude", sizes=(2,)
    )  # fmt: skip
    for bit, name in enumerate(SIGNAL_BITS):
        yield Field(f"lamp.{name}", 0x25, 0, 4, f"item 0x25 bit {bit}", bit=bit, sizes=(4,))
    for bit in range(16):
        yield Field(f"io[{bit}]", 0x2A, 0, 2, f"item 0x2A bit {bit}", bit=bit, sizes=(2,))
    for channel, at in ((0, 2), (1, 0)):
        bits = f"bits {16 * channel} to {16 * channel + 15}"
        yield Field(f"analog[{channel}]", 0x2B, at, 2, f"item 0x2B {bits}", sizes=(4,))
    yield Field("signal_strength", 0x30, 0, 1, "item 0x30", sizes=(1,))
    yield Field("satellites", 0x31, 0, 1, "item 0x31", sizes=(1,))
