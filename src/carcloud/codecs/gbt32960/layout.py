"""How a field table is written: one row per field, in wire order, as in the standard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fractions import Fraction
from math import prod
from typing import Final, Literal, TypeAlias


class Marker(Enum):
    """What a sentinel code says in place of a value (tables of clause 7: 异常, 无效)."""

    ABNORMAL = "abnormal"  # the measurement is at fault; highest code minus 1
    INVALID = "invalid"  # there is no such value; highest code


ABNORMAL: Final = Marker.ABNORMAL
INVALID: Final = Marker.INVALID


@dataclass(frozen=True, slots=True)
class Raw:
    """A code on the wire that is no value: outside its valid range and no sentinel."""

    code: int


Value: TypeAlias = (
    "int | float | str | bytes | datetime | Marker | Raw | Sequence[Value] | dict[str, Value]"
)
Fields: TypeAlias = dict[str, Value]

Wire = Literal[1, 2, 4]  # bytes of an unsigned big-endian integer
U8: Final[Wire] = 1
U16: Final[Wire] = 2
U32: Final[Wire] = 4

TENTH: Final = Fraction(1, 10)
HUNDREDTH: Final = Fraction(1, 100)
MILLI: Final = Fraction(1, 1000)
TEN_THOUSANDTH: Final = Fraction(1, 10_000)
MICRO: Final = Fraction(1, 1_000_000)

Sentinels = Literal["std", "none", "bits"]
STD: Final = "std"  # the text gives the field both sentinels
NONE: Final = "none"  # the text is silent; vehicles send the sentinels nevertheless
BITS: Final = "bits"  # bits, vendor codes and byte lengths: every code is itself


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned integer, or a list of them; physical value = raw * scale + offset."""

    key: str
    wire: Wire
    valid: tuple[int, int] | None  # lowest and highest valid raw code
    scale: Fraction | int
    offset: int  # in units of the physical value
    unit: str
    sentinels: Sentinels
    meaning: str
    count: str = ""  # a list of so many; see `Row`

    @property
    def zero(self) -> int:
        """Raw counts to add before scaling; exact in every table."""
        return int(self.offset / Fraction(self.scale))

    def marker(self, code: int) -> Marker | None:
        """The sentinel that `code` is in this width, if it is one."""
        if self.sentinels == BITS:
            return None
        highest = (1 << 8 * self.wire) - 1
        if code == highest:
            return INVALID
        return ABNORMAL if code == highest - 1 else None


@dataclass(frozen=True, slots=True)
class Text:
    """Fixed-width text, padded with `pad`; GB 18030, of which ASCII is a part (clause 6.1)."""

    key: str
    size: int  # bytes
    pad: bytes
    meaning: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes without further layout."""

    key: str
    count: str  # bytes; see `Row`
    meaning: str
    text: bool = False  # GB 18030


@dataclass(frozen=True, slots=True)
class Time:
    """Six binary bytes of Beijing time: year - 2000, month, day, hour, minute, second."""

    key: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one table, one after another."""

    key: str
    table: "Table"
    count: str
    meaning: str


Row: TypeAlias = Number | Text | Opaque | Time | Records
"""`count` names an earlier field of the same table; factors are joined by `*`, a factor may be a
number or `sum(name)`; `rest` means all bytes to the end of the data unit."""


@dataclass(frozen=True, slots=True)
class Table:
    """One body or record: its name, where the standard has it, its rows in wire order."""

    name: str
    clause: str
    rows: tuple[Row, ...]


def evaluate(count: str, codes: dict[str, list[int]]) -> int:
    """The value of a `count` (except `rest`) from the raw codes of earlier fields."""
    return prod(_factor(factor, codes) for factor in count.split("*"))


def _factor(factor: str, codes: dict[str, list[int]]) -> int:
    if factor.isdecimal():
        return int(factor)
    if factor.startswith("sum("):
        return sum(codes[factor[4:-1]])
    return codes[factor][0]
