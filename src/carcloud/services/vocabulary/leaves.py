"""What an overlay says of one signal, checked: types, units, ranges, allowed values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from carcloud.model.catalogue import DATATYPES, INTEGERS, NUMBERS, UNITS, Signal
from carcloud.services.vocabulary.document import MOST_NUMBER, Entry, Given

KEYS: Final = frozenset(
    {
        "type", "datatype", "arraysize", "unit", "min", "max", "allowed", "default", "pattern",
        "description", "comment", "deprecation", "delete", "instances", "instantiate",
    }
)  # fmt: skip
MOST_ALLOWED: Final = 500
MOST_ELEMENTS: Final = 100_000  # of an array
MOST_TEXT: Final = 500  # characters of a description or an allowed value

Say = Callable[[Given | Entry, str], None]
"""Tell of something wrong, at the line of a value or an entry."""


def new_leaf(path: str, entry: Entry, say: Say) -> Signal | None:
    """A signal that the catalogue lacks; None where it cannot be made."""
    datatype = _datatype(entry, say)
    if datatype is None:
        return None
    if "description" not in entry.keys:
        say(entry, "a new signal needs a description")
    bare = Signal(path, datatype, kind=entry.keys["type"].text, origin="tenant")
    return _with(bare, entry, say)


def changed_leaf(old: Signal, entry: Entry, say: Say) -> Signal:
    """A signal that the catalogue has, with what the overlay narrows of it."""
    keys = entry.keys
    for name, now in (("type", old.kind), ("datatype", old.datatype), ("unit", old.unit)):
        if name in keys and keys[name].text != (now or ""):
            say(keys[name], f"{name} of a signal of the catalogue stays {now or 'empty'}")
    new = _with(replace(old, origin="tenant"), entry, say, old)
    _narrower(old, new, entry, say)
    return new


def _with(signal: Signal, entry: Entry, say: Say, old: Signal | None = None) -> Signal:
    keys = entry.keys
    unit = _unit(signal, keys, say) if old is None else old.unit
    least = _bound("min", signal, keys, say)
    most = _bound("max", signal, keys, say)
    if least is not None and most is not None and least > most:
        say(keys.get("min") or keys["max"], f"min {least} is above max {most}")
    allowed = _allowed(signal, keys, say)
    if allowed and (least is not None or most is not None):
        say(keys.get("allowed", entry), "allowed values and a range cannot stand together")
    described = keys.get("description")
    if described is not None and not 1 <= len(described.text) <= MOST_TEXT:
        say(described, f"a description has 1 to {MOST_TEXT} characters")
    return replace(
        signal,
        unit=unit,
        minimum=least,
        maximum=most,
        allowed=allowed,
        array_size=_array_size(signal, keys, say),
        default=_default(signal, keys, say),
        pattern=_pattern(signal, keys, say),
        deprecated=signal.deprecated or "deprecation" in keys,
        description=signal.description if described is None else described.text,
    )


def _datatype(entry: Entry, say: Say) -> str | None:
    given = entry.keys.get("datatype")
    if given is None:
        say(entry, "a new signal needs a datatype")
        return None
    if given.text not in DATATYPES:
        say(given, f"there is no datatype {given.text!r}")
        return None
    return given.text


def _array_size(signal: Signal, keys: Mapping[str, Given], say: Say) -> int | None:
    given = keys.get("arraysize")
    if given is None:
        return signal.array_size
    if not signal.datatype.endswith("[]"):
        say(given, f"arraysize stands at arrays, not at a {signal.datatype}")
    elif type(given.value) is not int or not 1 <= given.value <= MOST_ELEMENTS:
        say(given, f"arraysize is a whole number from 1 to {MOST_ELEMENTS}")
    else:
        return given.value
    return None


def _unit(signal: Signal, keys: Mapping[str, Given], say: Say) -> str | None:
    given = keys.get("unit")
    if given is None:
        return None
    unit = UNITS.get(given.text)
    if unit is None:
        say(given, f"there is no unit {given.text!r}")
        return None
    if signal.scalar not in unit.datatypes:
        say(given, f"the unit {unit.name} does not stand at a {signal.datatype}")
    return unit.name


def _bound(name: str, signal: Signal, keys: Mapping[str, Given], say: Say) -> float | None:
    given = keys.get(name)
    if given is None:
        return signal.minimum if name == "min" else signal.maximum
    if signal.scalar not in NUMBERS:
        say(given, f"{name} does not stand at a {signal.datatype}")
        return None
    return _number(name, signal, given, say)


def _number(name: str, signal: Signal, given: Given, say: Say) -> float | None:
    value = given.value
    whole = signal.scalar in INTEGERS
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        kind = "whole number" if whole else "number"
        say(
            given, f"{name} of a {signal.datatype} is a {kind}, finite, of {MOST_NUMBER} characters"
        )
        return None
    if whole and not INTEGERS[signal.scalar][0] <= value <= INTEGERS[signal.scalar][1]:
        say(given, f"{name} {value} does not fit into {signal.scalar}")
        return None
    return float(value) if not whole else value


def _allowed(signal: Signal, keys: Mapping[str, Given], say: Say) -> tuple[str, ...]:
    given = keys.get("allowed")
    if given is None:
        return signal.allowed
    if signal.scalar != "string" and signal.scalar not in NUMBERS:
        say(given, f"allowed values stand at texts and numbers, not at a {signal.datatype}")
        return ()
    if not isinstance(given.value, list) or not 1 <= len(given.value) <= MOST_ALLOWED:
        say(given, f"allowed is a list of 1 to {MOST_ALLOWED} values")
        return ()
    values: list[str] = []
    for one in given.value:
        if signal.scalar in NUMBERS:
            number = _number("an allowed value", signal, one, say)
            if number is not None and str(number) in values:
                say(one, f"{number} is there twice")
            elif number is not None:
                values.append(str(number))
        elif not isinstance(one.value, str):
            say(one, f"{one.text or 'a list'} is no text here: put it in quotes")
        elif not 1 <= len(one.value) <= MOST_TEXT or one.value in values:
            say(one, f"{one.value!r} is empty, too long, or there twice")
        else:
            values.append(one.value)
    return tuple(values)


def _default(signal: Signal, keys: Mapping[str, Given], say: Say) -> Any:
    given = keys.get("default")
    if given is None:
        return signal.default
    if signal.kind != "attribute":
        say(given, "only an attribute has a default")
        return None
    value = given.value
    if isinstance(value, list):
        value = [one.value for one in value]
    of_kind: Any = {"boolean": bool, "string": str}.get(signal.scalar, int | float)
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, of_kind) or (of_kind is not bool and isinstance(one, bool)):
            say(given, f"{one!r} is no {signal.scalar}")
    if isinstance(value, list) != signal.datatype.endswith("[]"):
        say(given, f"the default is no {signal.datatype}")
    return value


def _pattern(signal: Signal, keys: Mapping[str, Given], say: Say) -> str | None:
    given = keys.get("pattern")
    if given is None:
        return signal.pattern
    if signal.scalar != "string":
        say(given, "a pattern stands at texts")
    try:
        re.compile(given.text[:MOST_TEXT])
    except (re.error, OverflowError, RecursionError) as error:
        say(given, f"no regular expression: {error}")
    return given.text[:MOST_TEXT]


def _narrower(old: Signal, new: Signal, entry: Entry, say: Say) -> None:
    keys = entry.keys
    if "min" in keys and None not in (old.minimum, new.minimum) and new.minimum < old.minimum:  # type: ignore[operator]
        say(keys["min"], f"{new.minimum} is below the catalogue's {old.minimum}: only narrower")
    if "max" in keys and None not in (old.maximum, new.maximum) and new.maximum > old.maximum:  # type: ignore[operator]
        say(keys["max"], f"{new.maximum} is above the catalogue's {old.maximum}: only narrower")
    if "allowed" in keys and old.allowed and (more := set(new.allowed) - set(old.allowed)):
        say(keys["allowed"], f"the catalogue does not allow {', '.join(sorted(more))}")
