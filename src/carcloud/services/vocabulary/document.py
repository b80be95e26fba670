"""An overlay's text, vspec as YAML or JSON, as entries with their lines.

JSON is read as the YAML that it is nearly always. Anchors, aliases, tags and includes are refused:
a small text must not become a large document, and reads nothing else.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from carcloud.services.vocabulary.types import Finding

MAX_BYTES: Final = 256_000
MAX_NODES: Final = 20_000  # of the document: mappings, lists and values
MAX_DEPTH: Final = 40
MOST_NUMBER: Final = 40  # characters; a longer one is a text
_INCLUDE = re.compile(r"^\s*#include\b")
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NoDocument(ValueError):
    """The text is no overlay at all."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Given:
    """One value of an entry: its text as written, what YAML takes it for, and its line."""

    value: Any  # str, int, float, bool, None, or a list of Given
    text: str
    line: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One node of an overlay: its full path and what is given of it."""

    path: str
    line: int
    keys: dict[str, Given]


def entries(text: str) -> tuple[list[Entry], list[Finding]]:
    """The nodes of an overlay in their order; raises `NoDocument` where it cannot be read."""
    root = composed(text)
    found: list[Entry] = []
    findings: list[Finding] = []
    if root is None:
        return found, findings
    if not isinstance(root, yaml.MappingNode):
        raise NoDocument(Finding(line_of(root), "", "an overlay is a mapping of paths to nodes"))
    _nodes("", root, found, findings)
    return found, findings


def _nodes(above: str, node: Any, found: list[Entry], findings: list[Finding]) -> None:
    for name, below in pairs(above, node, findings):
        path = f"{above}.{name.value}" if above else str(name.value)
        if not isinstance(below, yaml.MappingNode):
            findings.append(Finding(line_of(name), path, "a node is a mapping with a type"))
            continue
        keys: dict[str, Given] = {}
        children = None
        for key, value in pairs(path, below, findings):
            if key.value == "children" and isinstance(value, yaml.MappingNode):
                children = value
            elif isinstance(value, yaml.MappingNode):
                findings.append(Finding(line_of(key), path, f"{key.value} is no mapping"))
            else:
                keys[key.value] = given(value, line_of(key))
        found.append(Entry(path, line_of(name), keys))
        if children is not None:
            _nodes(path, children, found, findings)


def pairs(path: str, node: Any, findings: list[Finding]) -> Iterator[tuple[Any, Any]]:
    """Keys and values; a key that is no text or comes twice is a finding."""
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            findings.append(Finding(line_of(key), path, "a key is a text"))
        elif key.value in seen:
            first = seen[key.value]
            findings.append(
                Finding(line_of(key), path or key.value, f"{key.value} is on line {first} too")
            )
        else:
            seen[key.value] = line_of(key)
            yield key, value


def given(node: Any, line: int) -> Given:
    """A value or a list of values."""
    if isinstance(node, yaml.SequenceNode):
        return Given([given(one, line_of(one)) for one in node.value], "", line)
    return Given(_value(node), node.value, line_of(node), node.style in ("'", '"'))


def _value(node: Any) -> Any:
    kind = node.tag.removeprefix(_TAG)
    if kind == "bool":
        return node.value.lower() in ("true", "yes", "on", "y")
    if kind == "null":
        return None
    if kind in ("int", "float"):
        return _number(node)
    return node.value


def _number(node: Any) -> int | float | str:
    """A number; its text where it is too long, sexagesimal (1:30), infinite or none."""
    text = str(node.value)
    if len(text) > MOST_NUMBER or ":" in text:
        return text
    try:
        number: int | float = yaml.SafeLoader("").construct_object(node)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def composed(text: str, what: str = "an overlay") -> Any:
    """The nodes of a YAML text; None where it is empty. Raises `NoDocument`."""
    if len(text.encode()) > MAX_BYTES:
        raise NoDocument(Finding(1, "", f"{what} has at most {MAX_BYTES:,} bytes"))
    for number, line in enumerate(text.splitlines(), 1):
        if _INCLUDE.match(line):
            raise NoDocument(Finding(number, "", "#include is not supported: put it all in one"))
    try:
        _check_events(text)
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        detail = getattr(error, "problem", None) or str(error)
        raise NoDocument(Finding(mark.line + 1 if mark else 1, "", f"no YAML: {detail}")) from error


def _check_events(text: str) -> None:
    """No anchors, aliases or tags, and not too much of anything; before it is put together."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader), 1):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise NoDocument(Finding(line, "", "anchors and aliases are not supported"))
        if (tag := getattr(event, "tag", None)) and tag != "!" and tag not in _PLAIN:
            raise NoDocument(Finding(line, "", f"the tag {tag} is not supported"))
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise NoDocument(Finding(line, "", "too deep" if depth > MAX_DEPTH else "too long"))


def line_of(node: Any) -> int:
    """The line of a node, from 1."""
    return int(node.start_mark.line) + 1
