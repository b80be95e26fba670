"""What the statements of a DBC file say, one by one, before they are put together.

Sections may come in any order, so that everything is collected first (`collect`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from carcloud.codecs.dbc.database import Attribute, Number
from carcloud.codecs.dbc.statements import Findings, Statement

MAX_MESSAGES = 100_000
MAX_SIGNALS = 4_096  # of one message
MAX_LABELS = 65_536  # of one table
MAX_LENGTH = 65_535  # bytes of a message
UNATTACHED = "VECTOR__INDEPENDENT_SIG_MSG"
NO_NODE = "Vector__XXX"

# A file may be hostile: whatever can be taken in two ways has a possessive quantifier (`*+`, `++`),
# so that a line that does not match costs no more than its length.
NUMBER = r"[-+]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][-+]?\d{1,4})?"
_TEXT = r'"((?:\\"|[^"])*)"'
_MESSAGE = re.compile(r"BO_\s+(\d{1,10})\s+(\w+)\s*:\s*(\d{1,5})(?:\s+(\w+))?\s*$")
_SIGNAL = re.compile(
    r"SG_\s+(\w+)(?:\s+(M|m\d{0,10}M?))?\s*:\s*(\d{1,6})\s*\|\s*(\d{1,6})\s*@\s*([01])\s*([-+])"
    rf"\s*\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)\s*+(?:\[([^|\]]*)\|([^|\]]*)\]\s*+)?"
    r'(?:"((?:\\"|[^"])*)"\s*+)?([^"]*)$'
)
_SIGNAL_NAME = re.compile(r"SG_\s+(\w+)")
_COMMENT = re.compile(
    rf"CM_\s*+(?:(BU_|BO_|SG_|EV_)\s++)?(\w++)?(?:\s++(\w++))?\s*+{_TEXT}\s*$", re.DOTALL
)
_LABELS = re.compile(r"VAL_\s+(\d{1,10})\s+(\w+)\s")
_NODE_LABELS = re.compile(r"VAL_\s+(\w+)\s")
_TABLE = re.compile(r"VAL_TABLE_\s+(\w+)\s?")
_PAIR = re.compile(rf"\s*({NUMBER})\s*{_TEXT}", re.DOTALL)
_TYPE = re.compile(r"SIG_VALTYPE_\s+(\d{1,10})\s+(\w+)\s*+:?\s*+(\d)$")
_SELECTION = re.compile(r"SG_MUL_VAL_\s+(\d{1,10})\s+(\w+)\s+(\w+)\s++([-\d,\s]+)$")
_RANGE = re.compile(r"(-?\d{1,20})\s*-\s*(-?\d{1,20})")
_SENDERS = re.compile(r"BO_TX_BU_\s+(\d{1,10})\s*+:?\s*+([\w,\s]*)$")
_DEFINITION = re.compile(
    r'BA_DEF_\s+(?:(?:BU_|BO_|SG_|EV_)\s+)?"([^"]*)"\s*(INT|HEX|FLOAT|STRING|ENUM)\b(.*)$',
    re.DOTALL,
)
_DEFAULT = re.compile(rf'BA_DEF_DEF_\s+"([^"]*)"\s*(?:{_TEXT}|({NUMBER}))\s*$', re.DOTALL)
_VALUE = re.compile(
    rf'BA_\s+"([^"]*)"\s*(?:(BU_|BO_|SG_|EV_)\s*(\w+)\s+(?:((?!\d+\b)\w++)\s+)?)?'
    rf"(?:{_TEXT}|({NUMBER}))\s*$",
    re.DOTALL,
)
_QUOTED = re.compile(_TEXT, re.DOTALL)
_SKIPPED = frozenset(
    (
        "NS_", "NS_DESC_", "BS_", "CAT_DEF_", "CAT_", "FILTER", "EV_", "EV_DATA_", "ENVVAR_DATA_",
        "SGTYPE_", "SGTYPE_VAL_", "BA_DEF_SGTYPE_", "BA_SGTYPE_", "SIG_TYPE_REF_", "SIG_GROUP_",
        "SIGTYPE_VALTYPE_", "BA_DEF_REL_", "BA_REL_", "BA_DEF_DEF_REL_", "BU_SG_REL_",
        "BU_EV_REL_", "BU_BO_REL_",
    )
)  # fmt: skip

Key = tuple[int, bool]
"""CAN id without flag bits, and whether it has 29 bits."""
Target = tuple[str, Key | str, str]
"""Kind (`BO_`, `SG_`, `BU_` or empty), message key or node name, signal name."""


@dataclass(slots=True)
class SignalDraft:
    """An `SG_` line as it stands."""

    line: int
    name: str
    mark: str
    start: int = 0
    length: int = 0
    little_endian: bool = True
    signed: bool = False
    factor: Number = 1
    offset: Number = 0
    limits: tuple[str, str] = ("", "")
    unit: str = ""
    receivers: tuple[str, ...] = ()
    readable: bool = True


@dataclass(slots=True)
class MessageDraft:
    """A `BO_` line and its signals."""

    line: int
    key: Key
    name: str
    length: int
    sender: str
    signals: list[SignalDraft] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """Something that the file says about an object elsewhere in it."""

    line: int
    target: Target
    value: object


@dataclass(slots=True)
class Draft:
    """All that a file says."""

    version: str = ""
    nodes: tuple[str, ...] = ()
    messages: dict[Key, MessageDraft] = field(default_factory=dict)
    tables: dict[str, dict[int, str]] = field(default_factory=dict)
    comments: list[Said] = field(default_factory=list)
    labels: list[Said] = field(default_factory=list)
    types: list[Said] = field(default_factory=list)
    selections: list[Said] = field(default_factory=list)
    senders: list[Said] = field(default_factory=list)
    values: list[Said] = field(default_factory=list)
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: dict[str, Attribute] = field(default_factory=dict)


def number(text: str) -> Number:
    """An int where an integer is written, else a float."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def key_of(file_id: int) -> Key | None:
    """The identity of a message from the id in the file; None where it is no CAN id."""
    if file_id & 0x80000000:
        bits = file_id & 0x7FFFFFFF
        return (bits, True) if bits <= 0x1FFFFFFF else None
    if file_id <= 0x7FF:
        return (file_id, False)
    return (file_id & 0x1FFFFFFF, True) if file_id <= 0xFFFFFFFF else None


class Collector:
    """Takes statements in any order; `draft` is what they say."""

    def __init__(self, findings: Findings) -> None:
        self.draft = Draft()
        self._findings = findings
        self._message: MessageDraft | None = None
        self._skipping = False  # signals of a message that is not taken
        self._later = self._told = False
        self._readers: dict[str, Callable[[Statement], bool]] = {
            "VERSION": self._version,
            "BU_": self._nodes,
            "BO_": self._take_message,
            "SG_": self._take_signal,
            "CM_": self._comment,
            "VAL_": self._labels,
            "VAL_TABLE_": self._table,
            "SIG_VALTYPE_": self._type,
            "SG_MUL_VAL_": self._selection,
            "BO_TX_BU_": self._senders,
            "BA_DEF_": self._definition,
            "BA_DEF_DEF_": self._default,
            "BA_": self._value,
        }

    def take(self, statement: Statement) -> None:
        """Understand one statement, or note that it is not understood."""
        reader = self._readers.get(statement.keyword)
        if reader is None:
            if statement.keyword not in _SKIPPED:
                self._lost(statement, "unknown-statement")
        elif not reader(statement):
            self._lost(statement, "unreadable")

    def _lost(self, statement: Statement, code: str) -> None:
        self._findings.add(statement.line, code, "error", statement.text, "skipped")

    def _warn(self, statement: Statement, code: str, action: str) -> None:
        self._findings.add(statement.line, code, "warning", statement.text, action)

    def _version(self, statement: Statement) -> bool:
        text = _QUOTED.search(statement.text)
        self.draft.version = _plain(text.group(1)) if text else ""
        return True

    def _nodes(self, statement: Statement) -> bool:
        names = statement.text[len("BU_") :].replace(":", " ").replace(",", " ").split()
        self.draft.nodes += tuple(name for name in names if name != NO_NODE)
        return True

    def _take_message(self, statement: Statement) -> bool:
        self._message, self._skipping = None, True
        found = _MESSAGE.match(statement.text)
        if found is None:
            return False
        if self._later and not self._told:
            self._told = True
            self._findings.add(
                statement.line, "section-order", "info", statement.text, "read in any order"
            )
        name = found.group(2)
        if name == UNATTACHED:
            return True
        file_id, length = int(found.group(1)), int(found.group(3))
        key = key_of(file_id)
        if key is None or length > MAX_LENGTH or len(self.draft.messages) >= MAX_MESSAGES:
            code = "id-width" if key is None else "limit"
            self._findings.add(
                statement.line, code, "error", statement.text, "the message was left out"
            )
            return True
        if key in self.draft.messages:
            self._warn(statement, "duplicate-id", "the first message of this id is kept")
            return True
        if key[1] and not file_id & 0x80000000:
            self._warn(statement, "extended-flag", "taken as an extended id")
        if name[0].isdigit():
            self._warn(statement, "digit-name", "the name is kept")
        sender = found.group(4) or ""
        self._message = MessageDraft(
            statement.line, key, name, length, "" if sender == NO_NODE else sender
        )
        self._skipping = False
        self.draft.messages[key] = self._message
        return True

    def _take_signal(self, statement: Statement) -> bool:
        if self._message is None:
            return self._skipping
        if len(self._message.signals) >= MAX_SIGNALS:
            if len(self._message.signals) == MAX_SIGNALS:
                self._lost(statement, "limit")
                self._skipping, self._message = True, None
            return True
        found = _SIGNAL.match(statement.text)
        if found is None:
            named = _SIGNAL_NAME.match(statement.text)
            if named is not None:  # kept by name
                self._keep(SignalDraft(statement.line, named.group(1), "", readable=False))
            return False
        if any(text.lstrip("+-").startswith(".") for text in found.group(7, 8)):
            self._warn(statement, "bare-point", "read as a number below one")
        name, mark, start, length, order, sign, factor, offset, low, high, unit, nodes = (
            found.groups()
        )
        if name[0].isdigit():
            self._warn(statement, "digit-name", "the name is kept")
        receivers = tuple(one for one in nodes.replace(",", " ").split() if one != NO_NODE)
        self._keep(
            SignalDraft(
                statement.line, name, mark or "", int(start), int(length), order == "1",
                sign == "-", number(factor), number(offset), (low or "", high or ""),
                _plain(unit or ""), receivers,
            )
        )  # fmt: skip
        return True

    def _keep(self, signal: SignalDraft) -> None:
        message = self._message
        if message is not None:
            message.signals.append(signal)

    def _comment(self, statement: Statement) -> bool:
        found = _COMMENT.match(statement.text)
        if found is None:
            return False
        kind, first, second, text = found.groups()
        if kind == "EV_":
            return True
        self._later = self._later or first is not None
        kind = kind or ""
        if not kind and first and first.isdigit():
            self._warn(statement, "comment-kind", "taken for the message's comment")
            kind = "BO_"
        if kind == "SG_" and first and second is None:
            self._warn(statement, "comment-signal", "taken for the message's comment")
            kind = "BO_"
        return self._say(self.draft.comments, statement, (kind, first, second), _plain(text))

    def _say(
        self,
        place: list[Said],
        statement: Statement,
        named: tuple[str, str | None, str | None],
        value: object,
    ) -> bool:
        """Note a value for the object that a statement names."""
        kind, first, second = named
        target: Target = (kind, first or "", second or "")
        if kind in ("BO_", "SG_"):
            if first is None or not first.isdigit() or len(first) > 10:
                return False
            # -1 is the id of no message: the object is told as missing.
            target = (kind, key_of(int(first)) or (-1, False), second or "")
        place.append(Said(statement.line, target, value))
        return True

    def _labels(self, statement: Statement) -> bool:
        self._later = True
        found = _LABELS.match(statement.text + " ")
        if found is None:  # labels of an environment variable
            return _NODE_LABELS.match(statement.text + " ") is not None
        table = self._pairs(statement, found.end())
        if table is None:
            return False
        return self._say(
            self.draft.labels, statement, ("SG_", found.group(1), found.group(2)), table
        )

    def _table(self, statement: Statement) -> bool:
        found = _TABLE.match(statement.text)
        table = None if found is None else self._pairs(statement, found.end())
        if found is None or table is None:
            return False
        self.draft.tables[found.group(1)] = table
        return True

    def _pairs(self, statement: Statement, at: int) -> dict[int, str] | None:
        """Raw values and texts; None where something else stands there."""
        table: dict[int, str] = {}
        text = statement.text
        while at < len(text):
            pair = _PAIR.match(text, at)
            if pair is None:
                return None
            raw = number(pair.group(1))
            if isinstance(raw, int) or raw.is_integer():
                table[int(raw)] = _plain(pair.group(2))
            at = pair.end()
            if len(table) > MAX_LABELS:
                return None
        return table

    def _type(self, statement: Statement) -> bool:
        found = _TYPE.match(statement.text)
        if found is None:
            return False
        named = ("SG_", found.group(1), found.group(2))
        return self._say(self.draft.types, statement, named, int(found.group(3)))

    def _selection(self, statement: Statement) -> bool:
        found = _SELECTION.match(statement.text)
        if found is None:
            return False
        ranges = tuple((int(low), int(high)) for low, high in _RANGE.findall(found.group(4)))
        named = ("SG_", found.group(1), found.group(2))
        return bool(ranges) and self._say(
            self.draft.selections, statement, named, (found.group(3), ranges)
        )

    def _senders(self, statement: Statement) -> bool:
        found = _SENDERS.match(statement.text)
        if found is None:
            return False
        names = tuple(one for one in found.group(2).replace(",", " ").split() if one != NO_NODE)
        return self._say(self.draft.senders, statement, ("BO_", found.group(1), None), names)

    def _definition(self, statement: Statement) -> bool:
        found = _DEFINITION.match(statement.text)
        if found is None:
            return False
        if found.group(2) == "ENUM":
            texts = tuple(_plain(text) for text in _QUOTED.findall(found.group(3)))
            self.draft.choices[found.group(1)] = texts
        return True

    def _default(self, statement: Statement) -> bool:
        found = _DEFAULT.match(statement.text)
        if found is not None:
            name, text, digits = found.groups()
            self.draft.defaults[name] = _plain(text) if text is not None else number(digits)
        return found is not None

    def _value(self, statement: Statement) -> bool:
        self._later = True
        found = _VALUE.match(statement.text)
        if found is None:
            return False
        name, kind, first, second, text, digits = found.groups()
        if kind == "EV_":
            return True
        value: Attribute = _plain(text) if text is not None else number(digits)
        return self._say(self.draft.values, statement, (kind or "", first, second), (name, value))


def _plain(text: str) -> str:
    return text.replace('\\"', '"')
