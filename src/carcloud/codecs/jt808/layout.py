"""How a field table is written: one row per field, in wire order, as in the standard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Raw:
    """Digits on the wire that are no time."""

    digits: str


Value: TypeAlias = "int | float | str | bytes | datetime | Raw | Sequence[Value] | Fields | None"
Fields: TypeAlias = dict[str, Value]

Wire = Literal[1, 2, 4]  # bytes of an unsigned big-endian integer
U8: Final[Wire] = 1
U16: Final[Wire] = 2
U32: Final[Wire] = 4

TENTH: Final = Fraction(1, 10)
MICRO: Final = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class When:
    """A row is there only if an earlier number, masked, equals a value (None: is not zero).

    The empty key stands for the bytes that are left in the body.
    """

    key: str
    mask: int = -1
    equal: int | None = None

    def holds(self, codes: Mapping[str, int], left: int) -> bool:
        """`codes` are the raw numbers before the row."""
        code = (codes.get(self.key, 0) if self.key else left) & self.mask
        return code != 0 if self.equal is None else code == self.equal


Whens = tuple[When, ...]
ALWAYS: Final[Whens] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned integer, or a list of them; physical value = raw * scale."""

    key: str
    wire: Wire
    meaning: str
    scale: Fraction | int = 1
    unit: str = ""
    count: str = ""  # a list of so many; see `Row`
    when: Whens = ALWAYS


@dataclass(frozen=True, slots=True)
class Text:
    """GBK text, zero bytes stripped on both sides; fixed widths are padded with them (sheet 2)."""

    key: str
    count: str  # bytes; see `Row`
    meaning: str
    when: Whens = ALWAYS


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes without further layout."""

    key: str
    count: str  # bytes; see `Row`
    meaning: str
    when: Whens = ALWAYS


@dataclass(frozen=True, slots=True)
class Digits:
    """8421 BCD, given as text of decimal digits."""

    key: str
    size: int  # bytes, two digits each
    meaning: str
    when: Whens = ALWAYS


@dataclass(frozen=True, slots=True)
class Time:
    """bcd[6] YYMMDDhhmmss, GMT+8 unless `utc`; see `times.read` for what zeros mean."""

    key: str
    meaning: str
    when: Whens = ALWAYS
    utc: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one table, one after another."""

    key: str
    table: "Table"
    count: str
    meaning: str
    when: Whens = ALWAYS
    may_stop: bool = False  # fewer are read where the body ends


@dataclass(frozen=True, slots=True)
class Position:
    """A body of 0x0200, of `count` bytes: the basic part of 28 bytes and additional items."""

    key: str
    count: str
    meaning: str
    when: Whens = ALWAYS


@dataclass(frozen=True, slots=True)
class Parameters:
    """Terminal parameters (u32 id, u8 length, value); see `parameters`."""

    key: str
    count: str
    meaning: str
    when: Whens = ALWAYS


Row: TypeAlias = Number | Text | Opaque | Digits | Time | Records | Position | Parameters
"""`count` is a number, names an earlier number of the same table, or is `rest`: to the end."""


@dataclass(frozen=True, slots=True)
class Table:
    """One body or record: its name, where the standard has it, its rows in wire order."""

    name: str
    clause: str
    rows: tuple[Row, ...]
