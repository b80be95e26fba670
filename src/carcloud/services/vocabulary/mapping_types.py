"""A model's mapping, read and checked: which raw field becomes which signal, and how."""

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from carcloud.codecs.can.obd_pids import PARTS, Pid
from carcloud.codecs.dbc import Database, Message
from carcloud.codecs.dbc import Signal as DbcSignal
from carcloud.codecs.gbt32960 import named as gbt32960
from carcloud.codecs.jt808 import named as jt808
from carcloud.model.signals import Signal
from carcloud.services.vocabulary.types import Finding

Number = int | float
Field = gbt32960.Field | jt808.Field

PROTOCOLS: Final = {"gbt32960": gbt32960, "jt808": jt808}
"""Those whose fields have names: `table()` of the standard's, `find(name)` of all."""


@dataclass(frozen=True, slots=True)
class CanSource:
    """A signal of a message of one of the mapping's DBC files."""

    message: Message
    signal: DbcSignal

    @property
    def name(self) -> str:
        return f"{self.message.name}.{self.signal.name}"

    @property
    def unit(self) -> str:
        return self.signal.unit


@dataclass(frozen=True, slots=True)
class CanList:
    """Signals of messages, of one unit: the elements of a list, in order."""

    elements: tuple[CanSource, ...]

    @property
    def name(self) -> str:
        return f"{self.elements[0].name} … {self.elements[-1].name}"

    @property
    def unit(self) -> str:
        return self.elements[0].unit


@dataclass(frozen=True, slots=True)
class ObdSource:
    """A value of a parameter of OBD-II, mode 01."""

    pid: int
    part: int = 0  # which of its values

    @property
    def parameter(self) -> Pid:
        return PARTS[self.pid][self.part]

    @property
    def name(self) -> str:
        """The PID, and from the second value on which it is: 14, 14.2."""
        return f"{self.pid:02X}.{self.part + 1}" if self.part else f"{self.pid:02X}"

    @property
    def unit(self) -> str:
        return self.parameter.unit


CODES: Final = {"stored-codes": 3, "pending-codes": 7, "permanent-codes": 10}
"""Trouble codes by the mode of OBD-II that tells them."""


@dataclass(frozen=True, slots=True)
class ObdCodeSource:
    """Trouble codes of OBD-II, a list of texts; `name` is one of `CODES`."""

    name: str

    @property
    def mode(self) -> int:
        return CODES[self.name]

    @property
    def unit(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class FieldSource:
    """A named field of a protocol; `field` says how it is read."""

    protocol: str
    field: Field

    @property
    def name(self) -> str:
        return f"{self.protocol}.{self.field.name}"

    @property
    def unit(self) -> str:
        return self.field.unit


Source = CanSource | CanList | ObdSource | ObdCodeSource | FieldSource


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry: a value of `signal` is `scale` times the source's physical value plus `offset`,
    conversion of units included; or, with `labels`, the entry of the raw value, and nothing where
    there is none. Of a list all this holds for each element. `valid` is in the unit of the signal:
    what is outside is kept and flagged.
    """

    signal: Signal
    source: Source
    line: int
    unit: str | None  # of the source, canonical
    scale: Number = 1
    offset: Number = 0
    labels: Map[int, Any] = field(default_factory=dict)
    valid: tuple[float, float] | None = None

    @property
    def path(self) -> str:
        return self.signal.path

    @property
    def can(self) -> tuple[CanSource, ...]:
        """The CAN signals that it reads."""
        if isinstance(self.source, CanList):
            return self.source.elements
        return (self.source,) if isinstance(self.source, CanSource) else ()


@dataclass(frozen=True, slots=True)
class DbcFile:
    """A DBC kept with the mapping: its text as given, what it says, and on which bus it holds."""

    name: str
    text: str
    database: Database
    bus: str | None = None  # such as can0; None = all

    @property
    def bus_number(self) -> int | None:
        """The number of the bus in a log: that at the end of its name."""
        digits = "" if self.bus is None else self.bus.lstrip("abcdefghijklmnopqrstuvwxyz")
        return int(digits) if digits else None


@dataclass(frozen=True)
class Mapping:
    """A version of a model's mapping, with one rule for a signal."""

    model: str
    version: int
    dbc: tuple[DbcFile, ...]
    j1939: bool
    rules: tuple[Rule, ...]

    @property
    def can(self) -> list[Rule]:
        return [rule for rule in self.rules if rule.can]

    @property
    def obd(self) -> list[Rule]:
        return [rule for rule in self.rules if isinstance(rule.source, ObdSource | ObdCodeSource)]

    def fields(self, protocol: str) -> Sequence[Rule]:
        """The rules whose sources are fields of a protocol."""
        return self._fields.get(protocol, ())

    @cached_property
    def _fields(self) -> Map[str, Sequence[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if isinstance(rule.source, FieldSource):
                found.setdefault(rule.source.protocol, []).append(rule)
        return found

    @property
    def databases(self) -> list[Database | tuple[Database, int]]:
        """As `codecs.dbc.columnar.LogDecoder` takes them."""
        return [
            one.database if one.bus_number is None else (one.database, one.bus_number)
            for one in self.dbc
        ]


class DbcFinding(Struct, frozen=True):
    """Something odd in a DBC file; `level` is info, warning (mended) or error (an item is lost)."""

    file: str
    line: int
    level: str
    text: str
    action: str


class RawField(Struct, frozen=True):
    """A raw field of a model, and the signals it becomes; `kind` is can, obd or field.

    `place`: message, id and bits of a CAN signal, else what the field is.
    """

    kind: str
    name: str
    place: str
    unit: str
    paths: tuple[str, ...]


class MappingVersion(Struct, frozen=True):
    """One version of a model's mapping; version 0 with an empty text = there is none yet.

    `dbc`: names of its DBC files.
    """

    version: int
    created_us: int
    actor: str
    note: str
    text: str
    dbc: tuple[str, ...]


class Checked(Struct, frozen=True):
    """What is wrong with a mapping (then it cannot be saved), what its DBC files have that is
    odd, and where each raw field lands."""

    signals: int
    findings: tuple[Finding, ...]
    dbc_findings: tuple[DbcFinding, ...]
    fields: tuple[RawField, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A mapping as far as it is right, and what was found."""

    mapping: Mapping
    checked: Checked
