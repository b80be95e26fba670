"""What a DBC file says, as frozen values: messages, signals, nodes, and what was odd in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Level = Literal["info", "warning", "error"]
Number = int | float
Attribute = int | float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the file that is not as it should be.

    `info`: odd, read as meant. `warning`: mended, or left out by a rule. `error`: an item is lost.
    `line` counts from 1. `code` is stable; `text` tells what stands there, `action` what was done.
    """

    line: int
    code: str
    level: Level
    text: str
    action: str


@dataclass(frozen=True, slots=True)
class Signal:
    """A range of bits of a message.

    `start` is in DBC numbering: the least significant bit for Intel order, the most significant
    one for Motorola. `factor` and `offset` are int where the file writes integers. `labels` are by
    raw value. `parent` is the switch that selects this signal when its raw value lies in one of
    `ranges` (inclusive). A signal that is not `decodable` is known by name only.
    """

    name: str
    start: int
    length: int
    little_endian: bool = True
    signed: bool = False
    kind: Literal["int", "float32", "float64"] = "int"
    factor: Number = 1
    offset: Number = 0
    minimum: Number | None = None
    maximum: Number | None = None
    unit: str = ""
    receivers: tuple[str, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    switch: bool = False
    parent: str | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    decodable: bool = True
    comment: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    spn: int | None = None
    start_value: Number | None = None
    """Raw."""

    @property
    def first_bit(self) -> int:
        """Position of the first bit: counted from weight 2^0 of byte 0 upwards for Intel order,
        in order of the wire for Motorola."""
        return self.start if self.little_endian else network_bit(self.start)

    @property
    def needed_bytes(self) -> int:
        """The shortest payload that holds the signal."""
        return (self.first_bit + self.length + 7) // 8

    @property
    def integral(self) -> bool:
        """Whether physical values are exact integers."""
        return self.kind == "int" and is_integral(self.factor) and is_integral(self.offset)

    def label(self, raw: Number) -> str | None:
        """The text of a raw value, where the file has one."""
        return self.labels.get(raw) if isinstance(raw, int) else None


@dataclass(frozen=True, slots=True)
class Message:
    """A frame of a bus. `id` is the CAN id without flag bits; `name` is unique in its database."""

    id: int
    extended: bool
    name: str
    length: int
    signals: tuple[Signal, ...] = ()
    senders: tuple[str, ...] = ()
    comment: str = ""
    frame_format: str = ""
    fd: bool = False
    j1939: bool = False
    cycle_ms: Number | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    signal_by_name: Mapping[str, Signal] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {signal.name: signal for signal in self.signals}
        object.__setattr__(self, "signal_by_name", names)


@dataclass(frozen=True, slots=True)
class Database:
    """One DBC file."""

    messages: tuple[Message, ...] = ()
    nodes: tuple[str, ...] = ()
    version: str = ""
    comment: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    tables: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Named label tables; no signal refers to them."""
    by_id: Mapping[tuple[int, bool], Message] = field(init=False, repr=False, compare=False)
    by_name: Mapping[str, Message] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {(message.id, message.extended): message for message in self.messages}
        object.__setattr__(self, "by_id", by_id)
        object.__setattr__(self, "by_name", {one.name: one for one in self.messages})


def told_apart(databases: Sequence[Database]) -> list[Database]:
    """The databases with names that are unique in all of them: as in one file, messages of one
    name and several identifiers get theirs behind it."""
    keys: dict[str, set[tuple[int, bool]]] = {}
    for database in databases:
        for one in database.messages:
            keys.setdefault(one.name, set()).add((one.id, one.extended))
    return [
        replace(
            database,
            messages=tuple(
                replace(one, name=f"{one.name}_{one.id:X}") if len(keys[one.name]) > 1 else one
                for one in database.messages
            ),
        )
        for database in databases
    ]


def network_bit(bit: int) -> int:
    """DBC bit number to place on the wire (0 is the first bit sent), and back."""
    return 8 * (bit // 8) + 7 - bit % 8


def is_integral(number: Number) -> bool:
    """Whether a factor or offset keeps integers integers."""
    return isinstance(number, int) or number.is_integer()
