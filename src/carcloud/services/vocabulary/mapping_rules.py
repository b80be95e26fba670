"""One entry of a mapping: its source found, its unit converted, its values checked."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from carcloud.codecs.can.obd_pids import PARTS, PIDS
from carcloud.codecs.dbc import Database, Message
from carcloud.model.catalogue import INTEGERS
from carcloud.model.signals import Signal
from carcloud.services.vocabulary.document import Given
from carcloud.services.vocabulary.mapping_types import (
    CODES,
    PROTOCOLS,
    CanList,
    CanSource,
    FieldSource,
    Number,
    ObdCodeSource,
    ObdSource,
    Rule,
    Source,
)
from carcloud.services.vocabulary.units import SAME, Conversion, canonical, conversion

SOURCES: Final = ("can", "obd", "field")
KEYS: Final = (*SOURCES, "unit", "scale", "offset", "values", "valid")
MOST_VALUES: Final = 500
MOST_ELEMENTS: Final = 1_000
_MOST_NAME: Final = 200  # characters of a name that is compared
_HEX = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,2})(?:\.([2-9]))?")
_RANGE = re.compile(r"\{(\d{1,4})\.\.(\d{1,4})\}")
_NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,2})?")

MOST_HINTS: Final = 20  # of one document: each compares a name with all there are

Say = Callable[[int, str, str], None]
"""Tell of something wrong: line, path, text."""


class Hints:
    """What a wrong name may mean, for the first of a document."""

    def __init__(self) -> None:
        self._left = MOST_HINTS

    def near(self, name: str, among: Iterable[str], likeness: float = 0.75) -> str:
        """The end of a sentence, with the name of these that is most like it; or nothing."""
        if not self._left or len(name) > _MOST_NAME:
            return ""
        self._left -= 1
        close = difflib.get_close_matches(name, list(among), 1, likeness)
        return f"; do you mean {close[0]}?" if close else ""


@dataclass(frozen=True, slots=True)
class Keys:
    """What an entry gives; a mapping below it (`values`) as pairs."""

    path: str
    line: int
    given: dict[str, Given | list[tuple[Given, Given]]]

    def one(self, name: str) -> Given | None:
        """A value, or a list of them."""
        found = self.given.get(name)
        return found if isinstance(found, Given) else None

    def line_of(self, name: str) -> int:
        """The line of a key."""
        found = self.given.get(name)
        if isinstance(found, Given):
            return found.line
        return found[0][0].line if found else self.line


class RuleReader:
    """Reads entries of one mapping."""

    def __init__(self, databases: Sequence[Database], say: Say, hints: Hints) -> None:
        self._say = say
        self._hints = hints
        self._messages: dict[str, Message] = {}
        for database in databases:  # the first that has a name decides
            for message in database.messages:
                self._messages.setdefault(message.name, message)

    def rule(self, signal: Signal, keys: Keys, line: int) -> Rule | None:
        """The rule of an entry; None, or something said, where it cannot be."""
        for name in keys.given:
            if name not in KEYS:
                self._say(keys.line_of(name), keys.path, f"no such key as {name}")
        listed = signal.datatype.endswith("[]")
        source = self._list(signal, keys, line) if listed else self._source(keys, line)
        if source is None:
            return None
        if isinstance(source, ObdCodeSource):
            for name in keys.given.keys() - {"obd"}:
                self._say(keys.line_of(name), keys.path, f"codes of OBD-II have no {name}")
            return Rule(signal, source, line, None)
        if "values" in keys.given:
            labels = self._labels(signal, source, keys)
            return Rule(signal, source, line, None, labels=labels)
        return self._numeric(signal, source, keys, line)

    def _source(self, keys: Keys, line: int) -> Source | None:
        named_sources = [name for name in SOURCES if name in keys.given]
        if len(named_sources) != 1:
            self._say(line, keys.path, "needs one source: can, obd or field")
            return None
        (kind,) = named_sources
        given = keys.one(kind)
        if given is None or isinstance(given.value, list) or not given.text:
            self._say(keys.line_of(kind), keys.path, f"{kind} is one text")
            return None
        find = {"can": self._can, "obd": _obd, "field": self._field}[kind]
        found = find(given.text)
        if isinstance(found, str):
            self._say(given.line, keys.path, found)
            return None
        return found

    def _list(self, signal: Signal, keys: Keys, line: int) -> CanList | ObdCodeSource | None:
        """The elements of a list: texts, each one signal or a pattern of many; or codes."""
        codes = keys.one("obd")
        if codes is not None and codes.text in CODES and signal.scalar == "string":
            return ObdCodeSource(codes.text)
        given = keys.one("can")
        if given is None or [name for name in SOURCES if name in keys.given] != ["can"]:
            text = f"is a list ({signal.datatype}): it needs can, with a pattern or a list"
            self._say(line, keys.path, text)
            return None
        texts = given.value if isinstance(given.value, list) else [given]
        elements: dict[str, CanSource] = {}
        for one in texts:
            for name in expanded(one.text):
                found = self._can(name)
                if isinstance(found, str) or name in elements:
                    why = found if isinstance(found, str) else f"{name} is an element twice"
                    self._say(one.line, keys.path, why)
                    return None
                elements[name] = found
        return self._of_one_unit(elements, keys, given.line)

    def _of_one_unit(self, elements: dict[str, CanSource], keys: Keys, line: int) -> CanList | None:
        units = {one.unit.strip(): one for one in elements.values()}
        if not 0 < len(elements) <= MOST_ELEMENTS:
            self._say(line, keys.path, f"a list has 1 to {MOST_ELEMENTS:,} elements")
        elif len(units) > 1 and "unit" not in keys.given and "values" not in keys.given:
            told = ", ".join(f"{one.name} in {unit or 'none'}" for unit, one in units.items())
            self._say(line, keys.path, f"the elements have several units ({told}): say unit")
        else:
            return CanList(tuple(elements.values()))
        return None

    def _can(self, text: str) -> CanSource | str:
        name, dot, signal_name = text.partition(".")
        if not dot:
            return f"{text!r} is not message.signal"
        message = self._messages.get(name)
        if message is None:
            return f"no DBC has a message {name}{self._hints.near(name, self._messages)}"
        signal = message.signal_by_name.get(signal_name)
        if signal is None:
            near = self._hints.near(signal_name, message.signal_by_name)
            return f"{name} has no signal {signal_name}{near}"
        if not signal.decodable:
            return f"{text} cannot be decoded: see what is told of the DBC file"
        return CanSource(message, signal)

    def _field(self, text: str) -> Source | str:
        protocol, _, name = text.partition(".")
        if protocol not in PROTOCOLS:
            return f"no protocol {protocol!r} has fields: {', '.join(PROTOCOLS)}"
        found = PROTOCOLS[protocol].find(name)
        if found is None:
            near = self._hints.near(name, PROTOCOLS[protocol].table())
            return f"{protocol} has no field {name!r}{near}"
        return FieldSource(protocol, found)

    def _numeric(self, signal: Signal, source: Source, keys: Keys, line: int) -> Rule | None:
        path = keys.path
        if signal.scalar == "string":
            self._say(line, path, "is a text: say by values which number is which text")
            return None
        unit, way = self._conversion(signal, source, keys, line)
        scale, offset = self._number(keys, "scale", 1), self._number(keys, "offset", 0)
        if scale == 0:
            self._say(keys.line_of("scale"), path, "scale is not 0")
        if signal.scalar == "boolean" and "valid" in keys.given:
            self._say(keys.line_of("valid"), path, "true or false has no range")
        return Rule(
            signal,
            source,
            line,
            unit,
            scale=_plain(scale * way.factor),
            offset=_plain(offset * way.factor + way.offset),
            valid=self._valid(keys, way),
        )

    def _conversion(
        self, signal: Signal, source: Source, keys: Keys, line: int
    ) -> tuple[str | None, Conversion]:
        given = keys.one("unit")
        text = source.unit if given is None else given.text
        if signal.scalar == "boolean":
            if given is not None:
                self._say(given.line, keys.path, "true or false has no unit")
            return None, SAME
        if not text.strip():
            return signal.unit, SAME  # the source does not say: it is taken for the signal's
        at = line if given is None else given.line
        if signal.unit is None:
            if given is not None:
                self._say(at, keys.path, f"has no unit: {text} cannot be converted")
            return None, SAME
        found = canonical(text)
        if found is None:
            who = "the source's unit" if given is None else "the unit"
            self._say(at, keys.path, f"{who} {text!r} is not known: say unit")
        elif (way := conversion(found, signal.unit)) is not None:
            return found, way
        else:
            hint = "" if given else f" of {source.name}: say unit"
            self._say(at, keys.path, f"is in {signal.unit}: no way there from {text}{hint}")
        return found, SAME

    def _number(self, keys: Keys, name: str, default: int) -> Fraction:
        if name not in keys.given:
            return Fraction(default)
        given = keys.one(name)
        found = None if given is None else _fraction(given)
        if found is None:
            self._say(keys.line_of(name), keys.path, f"{name} is a number")
            return Fraction(default or 1)
        return found

    def _valid(self, keys: Keys, way: Conversion) -> tuple[float, float] | None:
        """The range in the unit of the signal."""
        if "valid" not in keys.given:
            return None
        given = keys.one("valid")
        items = given.value if given is not None and isinstance(given.value, list) else []
        bounds = [_fraction(one) for one in items]
        if len(bounds) != 2 or None in bounds or bounds[0] > bounds[1]:  # type: ignore[operator]
            self._say(keys.line_of("valid"), keys.path, "valid is [least, most]")
            return None
        low, high = (float(one * way.factor + way.offset) for one in bounds if one is not None)
        return (low, high) if low <= high else (high, low)

    def _labels(self, signal: Signal, source: Source, keys: Keys) -> dict[int, Any]:
        for name in ("unit", "scale", "offset", "valid"):
            if name in keys.given:
                self._say(keys.line_of(name), keys.path, f"{name} and values exclude each other")
        found = keys.given["values"]
        if isinstance(found, Given) or not found or len(found) > MOST_VALUES:
            text = f"values has 1 to {MOST_VALUES} pairs: raw value and value"
            self._say(keys.line_of("values"), keys.path, text)
            return {}
        elements = source.elements if isinstance(source, CanList) else (source,)
        for one in elements:
            if isinstance(one, CanSource) and one.signal.kind != "int":
                self._say(keys.line_of("values"), keys.path, f"{one.name} is no whole number")
        labels: dict[int, Any] = {}
        for raw, meaning in found:
            number = _fraction(raw)
            if number is None or number.denominator != 1:
                self._say(raw.line, keys.path, f"{raw.text!r} is no raw value: a whole number")
                continue
            value = _meaning(signal, meaning)
            if isinstance(value, _Refused):
                self._say(meaning.line, keys.path, value.why)
            elif int(number) in labels:
                self._say(raw.line, keys.path, f"raw value {int(number)} stands here twice")
            else:
                labels[int(number)] = value
        return labels


@dataclass(frozen=True, slots=True)
class _Refused:
    why: str


def _meaning(signal: Signal, given: Given) -> Any:
    """What a raw value means, as the signal's type."""
    if signal.scalar == "string":
        return _meant_text(signal, given)
    if signal.scalar == "boolean":
        if not isinstance(given.value, bool):
            return _Refused(f"{given.text!r} is not true or false")
        return given.value
    return _meant_number(signal, given)


def _meant_text(signal: Signal, given: Given) -> Any:
    if isinstance(given.value, list):
        return _Refused("a value is one text")
    if signal.allowed and given.text not in signal.allowed:
        told = ", ".join(signal.allowed[:10])
        more = ", …" if len(signal.allowed) > 10 else ""
        return _Refused(f"{given.text!r} is not allowed: {told}{more}")
    return given.text


def _meant_number(signal: Signal, given: Given) -> Any:
    number = _fraction(given)
    if number is None:
        return _Refused(f"{given.text!r} is no number")
    whole = signal.scalar in INTEGERS
    if whole and number.denominator != 1:
        return _Refused(f"{given.text} is no whole number")
    least, most = INTEGERS.get(signal.scalar, (-math.inf, math.inf))
    least = least if signal.minimum is None else max(least, signal.minimum)
    most = most if signal.maximum is None else min(most, signal.maximum)
    if not least <= number <= most:
        return _Refused(f"{given.text} is outside {least} to {most}")
    return int(number) if whole else float(number)


def expanded(text: str) -> list[str]:
    """The names of a pattern: `Cell_{1..96}` are 96, `Cell_{01..96}` have two digits each. A text
    without one is itself; of a pattern that is too long, more than `MOST_ELEMENTS`."""
    found = _RANGE.search(text)
    if found is None:
        return [text]
    first, last = int(found[1]), int(found[2])
    step = 1 if first <= last else -1
    digits = len(found[1]) if found[1].startswith("0") else 0
    numbers = range(first, last + step, step)[: MOST_ELEMENTS + 1]
    before, after = text[: found.start()], text[found.end() :]
    return [f"{before}{number:0{digits}d}{after}" for number in numbers]


def _obd(text: str) -> Source | str:
    match = _HEX.fullmatch(text.strip())
    pid = int(match[1], 16) if match else -1
    part = int(match[2]) - 1 if match and match[2] else 0
    if part < len(PARTS.get(pid, ())):
        return ObdSource(pid, part)
    if pid in PARTS:
        return f"{text!r}: PID {pid:02X} has no value {part + 1}"
    return f"{text!r} is no PID that can be read: {', '.join(f'{one:02X}' for one in PIDS)}"


def _fraction(given: Given) -> Fraction | None:
    if given.value is None or isinstance(given.value, bool | list):
        return None
    text = given.text.strip().replace("_", "")
    if isinstance(given.value, int) and text[:2].lower() == "0x":
        return Fraction(given.value)
    return Fraction(text) if _NUMBER.fullmatch(text) else None


def _plain(number: Fraction) -> Number:
    return int(number) if number.denominator == 1 else float(number)
