"""A first mapping from DBC files: what is surely a signal of the catalogue, and the rest as nodes
of the tenant's own under `Vehicle.Private`, so that nothing of a bus is lost.

Sure is a match of the name's words with a unit that converts (or a value table whose words are
the allowed values); everything else is for a person to move.
"""

import json
import re
from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from msgspec import Struct

from carcloud.codecs.dbc import Message, parse
from carcloud.codecs.dbc import Signal as DbcSignal
from carcloud.model.catalogue import INTEGERS, UNITS, branches
from carcloud.model.signals import Signal
from carcloud.services.vocabulary.errors import InvalidMapping
from carcloud.services.vocabulary.mapping_document import FILE_NAME, MAX_DBC_BYTES, MOST_SIGNALS
from carcloud.services.vocabulary.suggest_names import NAMES
from carcloud.services.vocabulary.types import Finding
from carcloud.services.vocabulary.units import canonical, conversion

PRIVATE: Final = "Vehicle.Private"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")
_NODE = re.compile(r"[^A-Za-z0-9]+")
MOST_OVERLAY: Final = 200_000  # bytes of new nodes; what is beyond is left out
_MOST_NAME: Final = 57  # characters: overlays take 60, and a number may follow


class Suggested(Struct, frozen=True):
    """A mapping, and the tenant's overlay with the nodes that its private paths need.

    `matched`: catalogue path -> message.signal. `private`: number of signals with private paths.
    `left_out`: signals that cannot be decoded, or for which there is no room.
    """

    mapping: str
    overlay: str
    matched: dict[str, str]
    private: int
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """What is put together."""

    names: Map[str, str]  # path by words
    catalogue: Map[str, Signal]
    rules: list[str] = field(default_factory=list)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    size: int = 0
    matched: dict[str, str] = field(default_factory=dict)
    private: int = 0
    left_out: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # paths, in lower case
    branches: dict[str, str] = field(default_factory=dict)  # by message
    known: dict[str, str] = field(default_factory=dict)  # paths of the catalogue by lower case

    def __post_init__(self) -> None:
        paths = (*self.catalogue, *branches(self.catalogue))
        self.known.update((path.lower(), path) for path in paths)

    def message(self, message: Message) -> None:
        """All signals of a message."""
        for signal in message.signals:
            source = f"{message.name}.{signal.name}"
            if not signal.decodable or len(self.rules) >= MOST_SIGNALS:
                self.left_out.append(source)
                continue
            path = self.names.get(_words(signal.name))
            if (
                path is not None
                and path not in self.matched
                and _sure(signal, self.catalogue[path])
            ):
                self.matched[path] = source
                self._rule(path, source)
            elif not self._put_private(message, signal, source):
                self.left_out.append(source)

    def _rule(self, path: str, source: str) -> None:
        self.rules.append(f"  {path}:\n    can: {json.dumps(source)}\n")

    def _put_private(self, message: Message, signal: DbcSignal, source: str) -> bool:
        """A node of the tenant's own; False where there is no room for it."""
        branch = self.branches.get(message.name)
        made: dict[str, dict[str, Any]] = {}
        if branch is None:
            branch = self._free(f"{PRIVATE}.{_name(message.name)}", leaf=False)
            text = f"Signals of the CAN message {message.name}."
            made[branch] = {"type": "branch", "description": text[:400]}
        path = self._free(f"{branch}.{_name(signal.name)}", leaf=True)
        made[path] = _node(message, signal)
        size = sum(len(_lines({one: node})) for one, node in made.items())
        if self.size + size > MOST_OVERLAY:
            return False
        self.branches[message.name] = branch
        self.used |= {branch.lower(), path.lower()}
        self.size += size
        self.nodes.update(made)
        self.private += 1
        self._rule(path, source)
        return True

    def _free(self, path: str, *, leaf: bool) -> str:
        """The path, with a number where another has it: case makes no difference. A node that
        the catalogue has already is taken as it is written there."""
        numbered = (path if number == 1 else f"{path}{number}" for number in count(1))
        return next(
            self.known.get(one.lower(), one)
            for one in numbered
            if one.lower() not in self.used and self._fits(one, leaf)
        )

    def _fits(self, path: str, leaf: bool) -> bool:
        there = self.known.get(path.lower())
        return there is None or (there in self.catalogue) == leaf

    def overlay(self, held: str) -> str:
        """The overlay that holds, with the nodes that the catalogue lacks."""
        known = branches(self.catalogue)
        lacking = {
            path: node
            for path, node in self.nodes.items()
            if path not in self.catalogue and path not in known
        }
        if not lacking:
            return held
        if PRIVATE not in known:
            text = "Signals of our vehicles that the standard has no node for."
            lacking = {PRIVATE: {"type": "branch", "description": text}, **lacking}
        if held.lstrip().startswith("{"):
            return json.dumps({**json.loads(held), **lacking}, indent=1, ensure_ascii=False)
        return f"{held.rstrip()}\n{_lines(lacking)}".lstrip()


def suggested(dbc: Map[str, str], catalogue: Map[str, Signal], held: str = "") -> Suggested:
    """The mapping of all signals of some DBC files; `held` is the overlay that holds.

    Raises `InvalidMapping`.
    """
    draft = _Draft(_by_words(catalogue), catalogue)
    seen: set[str] = set()
    for message in _messages(dbc):
        if message.name in seen:  # of two files: a mapping takes the first
            draft.left_out.append(message.name)
        else:
            seen.add(message.name)
            draft.message(message)
    files = ", ".join(json.dumps(name, ensure_ascii=False) for name in dbc)
    text = f"dbc: [{files}]\nsignals:\n{''.join(draft.rules)}"
    return Suggested(
        mapping=text,
        overlay=draft.overlay(held),
        matched=draft.matched,
        private=draft.private,
        left_out=tuple(draft.left_out),
    )


def _messages(dbc: Map[str, str]) -> Iterator[Message]:
    for name, text in dbc.items():
        if not FILE_NAME.fullmatch(name):
            raise InvalidMapping((Finding(1, name, "is no file name that a mapping can have"),))
        if len(text.encode()) > MAX_DBC_BYTES:
            most = f"a DBC file has at most {MAX_DBC_BYTES:,} bytes"
            raise InvalidMapping((Finding(1, name, most),))
        database, findings = parse(text.encode())
        if not database.messages:
            line = findings[0].line if findings else 1
            raise InvalidMapping((Finding(line, name, "has no message that can be read"),))
        yield from database.messages


def _by_words(catalogue: Map[str, Signal]) -> dict[str, str]:
    return {
        words: path
        for path, names in NAMES.items()
        if path in catalogue
        for words in names.split("|")
    }


def _words(name: str) -> str:
    return " ".join(word.lower() for word in _WORD.findall(name))


def _sure(signal: DbcSignal, known: Signal) -> bool:
    """Whether its unit is one of the same quantity."""
    unit = canonical(signal.unit)
    if not signal.unit.strip() or unit is None or known.unit is None:
        return False
    return conversion(unit, known.unit) is not None


def _name(text: str) -> str:
    """A name of a node: ASCII letters and digits, the first a capital letter."""
    bare = _NODE.sub("", text)[:_MOST_NAME]
    return bare[0].upper() + bare[1:] if bare[:1].isalpha() else f"N{bare}"


def _node(message: Message, signal: DbcSignal) -> dict[str, Any]:
    datatype = _datatype(signal)
    unit = canonical(signal.unit) if signal.unit.strip() and datatype != "boolean" else None
    if unit is not None and unit not in UNITS:  # bar: as the unit of VSS for its quantity
        unit = next((one for one in UNITS if conversion(unit, one) is not None), None)
        datatype = "double"
    text = signal.comment.strip() or f"{signal.name} of the CAN message {message.name}."
    if unit is None and signal.unit.strip():
        text = f"{text} In {signal.unit.strip()}."
    node = {"type": "sensor", "datatype": datatype, "description": " ".join(text.split())[:400]}
    return node | ({"unit": unit} if unit is not None else {})


def _datatype(signal: DbcSignal) -> str:
    """The smallest whole-number type that holds every value, else double."""
    if signal.length == 1 and signal.factor == 1 and signal.offset == 0:
        return "boolean"
    if not signal.integral:
        return "double"
    half = 1 << (signal.length - 1)
    raws = (-half, half - 1) if signal.signed else (0, 2 * half - 1)
    ends = [raw * int(signal.factor) + int(signal.offset) for raw in raws]
    for name, (least, most) in sorted(INTEGERS.items(), key=lambda one: one[1][1]):
        if least <= min(ends) and max(ends) <= most:
            return name
    return "double"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _lines(nodes: Map[str, dict[str, Any]]) -> str:
    """Nodes as YAML."""
    return "".join(
        f"{path}:\n"
        + "".join(
            f"  {key}: {json.dumps(text, ensure_ascii=False)}\n" for key, text in node.items()
        )
        for path, node in nodes.items()
    )
