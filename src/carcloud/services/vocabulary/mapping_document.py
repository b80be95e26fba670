"""A mapping's text, YAML or JSON, to a checked `Mapping`; what is wrong is told by line.

dbc: [drive.dbc, {name: body.dbc, bus: can1}]
j1939: false
signals:
  Vehicle.Speed: {can: Wheels.Speed, unit: mph, valid: [0, 300]}
"""

import re
from collections.abc import Mapping as Map
from typing import Any, Final

import yaml

from carcloud.codecs.dbc import Finding as FileFinding
from carcloud.codecs.dbc import parse
from carcloud.model.signals import Signal
from carcloud.services.vocabulary.document import (
    Given,
    NoDocument,
    composed,
    given,
    line_of,
    pairs,
)
from carcloud.services.vocabulary.mapping_rules import Hints, Keys, RuleReader
from carcloud.services.vocabulary.mapping_types import (
    CanList,
    Checked,
    DbcFile,
    DbcFinding,
    Mapping,
    Read,
    Rule,
)
from carcloud.services.vocabulary.raw_fields import raw_fields
from carcloud.services.vocabulary.types import Finding

MOST_SIGNALS: Final = 2_000
MOST_LISTED: Final = 5_000  # elements of all lists: each is worked on with each upload
MOST_DBC: Final = 20
MAX_DBC_BYTES: Final = 4_000_000  # of one file
MOST_FINDINGS: Final = 100
MOST_FILE_FINDINGS: Final = 200
_KEYS: Final = ("dbc", "j1939", "signals")
FILE_NAME = re.compile(r"\w[\w. -]{0,99}")
_BUS = re.compile(r"[a-z]{0,15}[0-9]{1,2}")


def read_mapping(
    text: str,
    dbc: Map[str, str],
    catalogue: Map[str, Signal],
    *,
    model: str = "",
    version: int = 0,
) -> Read:
    """The mapping as far as it is right; `dbc` holds texts by file name."""
    reader = _Reader(dbc, catalogue)
    try:
        reader.take(composed(text, "a mapping"))
    except NoDocument as error:
        reader.findings.append(error.finding)
    mapping = Mapping(model, version, tuple(reader.files), reader.j1939, tuple(reader.rules))
    findings = sorted(reader.findings, key=lambda one: one.line)[:MOST_FINDINGS]
    checked = Checked(
        len(mapping.rules), tuple(findings), tuple(reader.file_findings), raw_fields(mapping)
    )
    return Read(mapping, checked)


def file_names(text: str) -> list[str]:
    """The DBC files that a mapping names, also where something else in it is wrong."""
    reader = _Reader({}, {})
    try:
        reader.take(composed(text, "a mapping"))
    except NoDocument:
        return []
    return reader.named


class _Reader:
    """What has been read so far."""

    def __init__(self, dbc: Map[str, str], catalogue: Map[str, Signal]) -> None:
        self._dbc = dbc
        self._catalogue = catalogue
        self._folded: dict[str, str] | None = None
        self._hints = Hints()
        self._listed = 0  # elements of lists
        self.findings: list[Finding] = []
        self.file_findings: list[DbcFinding] = []
        self.named: list[str] = []
        self.files: list[DbcFile] = []
        self.rules: list[Rule] = []
        self.j1939 = False

    def say(self, line: int, node: str, text: str) -> None:
        """Something is wrong."""
        self.findings.append(Finding(line, node, text))

    def take(self, root: Any) -> None:
        """The whole document."""
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            self.say(line_of(root), "", "a mapping has the keys dbc, j1939 and signals")
            return
        found = {key.value: (key, value) for key, value in pairs("", root, self.findings)}
        for name, (key, _) in found.items():
            if name not in _KEYS:
                self.say(line_of(key), name, f"no such key: there are {', '.join(_KEYS)}")
        if "dbc" in found:
            self._files(*found["dbc"])
        if "j1939" in found:
            key, value = found["j1939"]
            self.j1939 = given(value, line_of(key)).value is True
            if not isinstance(given(value, 0).value, bool):
                self.say(line_of(key), "j1939", "true or false")
        if "signals" in found:
            self._signals(*found["signals"])

    def _files(self, key: Any, node: Any) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self.say(line_of(key), "dbc", "a list of file names")
            return
        for one in node.value[:MOST_DBC]:
            self._file(one)
        if len(node.value) > MOST_DBC:
            self.say(line_of(node.value[MOST_DBC]), "dbc", f"at most {MOST_DBC} files")

    def _file(self, node: Any) -> None:
        name, bus = node, None
        if isinstance(node, yaml.MappingNode):
            keys = {key.value: value for key, value in pairs("dbc", node, self.findings)}
            name, bus = keys.pop("name", None), keys.pop("bus", None)
            if keys:
                self.say(line_of(node), "dbc", f"no such key: {next(iter(keys))}")
        if not isinstance(name, yaml.ScalarNode) or not FILE_NAME.fullmatch(name.value):
            self.say(line_of(node), "dbc", "a file name has up to 100 letters, digits, . _ -")
            return
        if bus is not None and (
            not isinstance(bus, yaml.ScalarNode) or not _BUS.fullmatch(bus.value)
        ):
            self.say(line_of(node), "dbc", "a bus is a name that ends in a number, such as can0")
            return
        if name.value in self.named:
            self.say(line_of(node), name.value, "stands here twice")
            return
        self.named.append(name.value)
        text = self._dbc.get(name.value)
        if text is None:
            self.say(line_of(node), name.value, "there is no such DBC file with this mapping")
        elif len(text.encode()) > MAX_DBC_BYTES:
            self.say(line_of(node), name.value, f"a DBC file has at most {MAX_DBC_BYTES:,} bytes")
        else:
            self._parsed(name.value, text, None if bus is None else bus.value, line_of(node))

    def _parsed(self, name: str, text: str, bus: str | None, line: int) -> None:
        database, findings = parse(text.encode())
        self.file_findings += [_of_file(name, one) for one in findings][:MOST_FILE_FINDINGS]
        if not database.messages:
            self.say(line, name, "has no message that can be read: is it a DBC file?")
        self.files.append(DbcFile(name, text, database, bus))

    def _signals(self, key: Any, node: Any) -> None:
        if isinstance(node, yaml.ScalarNode) and given(node, 0).value in (None, ""):
            return
        if not isinstance(node, yaml.MappingNode):
            self.say(line_of(key), "signals", "a mapping of paths to sources")
            return
        rules = RuleReader([one.database for one in self.files], self.say, self._hints)
        for name, value in pairs("signals", node, self.findings):
            if len(self.rules) >= MOST_SIGNALS:
                self.say(line_of(name), name.value, f"at most {MOST_SIGNALS:,} signals")
                return
            signal = self._signal(name)
            if signal is None:
                continue
            if not isinstance(value, yaml.MappingNode):
                self.say(line_of(name), signal.path, "needs a source: can, obd or field")
                continue
            at = len(self.findings)
            keys = self._keys(signal.path, value)
            rule = rules.rule(signal, keys, line_of(name))
            if rule is not None and len(self.findings) == at and self._has_room(rule):
                self.rules.append(rule)

    def _has_room(self, rule: Rule) -> bool:
        """Whether the elements of all lists are not too many with those of this one."""
        if not isinstance(rule.source, CanList):
            return True
        listed = self._listed + len(rule.source.elements)
        if listed > MOST_LISTED:
            text = f"the lists have at most {MOST_LISTED:,} elements together, {listed:,} with this"
            self.say(rule.line, rule.path, text)
            return False
        self._listed = listed
        return True

    def _signal(self, name: Any) -> Signal | None:
        signal = self._catalogue.get(name.value)
        if signal is not None or not self._catalogue:
            return signal
        if self._folded is None:
            self._folded = {path.lower(): path for path in self._catalogue}
        near = self._folded.get(name.value.lower())
        hint = f"; do you mean {near}?" if near else ""
        hint = hint or self._hints.near(name.value, self._catalogue, 0.85)
        self.say(line_of(name), name.value, f"the catalogue has no such signal{hint}")
        return None

    def _keys(self, path: str, node: Any) -> Keys:
        """The keys of an entry; `values` as pairs with their lines."""
        found: dict[str, Given | list[tuple[Given, Given]]] = {}
        for key, value in pairs(path, node, self.findings):
            line = line_of(key)
            if isinstance(value, yaml.MappingNode):
                found[key.value] = [
                    (given(raw, line_of(raw)), given(meaning, line_of(raw)))
                    for raw, meaning in pairs(path, value, self.findings)
                ]
            else:
                found[key.value] = given(value, line)
        return Keys(path, line_of(node), found)


def _of_file(name: str, one: FileFinding) -> DbcFinding:
    return DbcFinding(name, one.line, one.level, one.text, one.action)
