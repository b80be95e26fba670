"""An overlay put on a catalogue: nodes added, narrowed, deprecated, deleted; with findings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carcloud.model.catalogue import KINDS, ROOT, Signal, branches
from carcloud.model.signals import arrow_type
from carcloud.services.vocabulary.document import Entry, Given, NoDocument, entries
from carcloud.services.vocabulary.instances import instances
from carcloud.services.vocabulary.leaves import KEYS, Say, changed_leaf, new_leaf
from carcloud.services.vocabulary.types import Effect, Finding

MOST_SIGNALS: Final = 5_000  # that one overlay adds or changes
MOST_FINDINGS: Final = 200
_PATH = re.compile(r"Vehicle(\.[A-Z][A-Za-z0-9]{0,59}){0,15}")
_MOST_PATH: Final = 180  # characters


@dataclass(frozen=True, slots=True)
class Overlaid:
    """A catalogue with an overlay on it, and what that did."""

    catalogue: Mapping[str, Signal]
    effect: Effect


def overlaid(
    base: Mapping[str, Signal],
    text: str,
    *,
    held: Mapping[str, str] | None = None,
    before: Mapping[str, Signal] | None = None,
) -> Overlaid:
    """Put an overlay on `base`; entries that are wrong are left out and named in the findings.

    `held`: columns that have data, by path, with their Arrow types; `before`: the catalogue that
    held when they came. What they hold must stay true.
    """
    try:
        nodes, findings = entries(text)
    except NoDocument as error:
        return Overlaid(base, Effect((), (), (), (error.finding,)))
    work = _Work(base, findings)
    for entry in nodes:
        work.take(entry)
    work.check_base()
    work.check_data(held or {}, before or base)
    return work.done()


@dataclass(slots=True)
class _Work:
    """The catalogue while entries are put on it."""

    base: Mapping[str, Signal]
    findings: list[Finding]
    put: dict[str, tuple[Signal, int]] = field(default_factory=dict)  # with the line
    gone: set[str] = field(default_factory=set)
    branches: set[str] = field(default_factory=set)
    instances: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)  # lower case -> path

    def __post_init__(self) -> None:
        self.branches |= {ROOT, *branches(self.base)}
        self.cases.update((path.lower(), path) for path in (*self.base, *self.branches))

    def take(self, entry: Entry) -> None:
        """Put one entry on."""
        at = len(self.findings)

        def say(where: Given | Entry, text: str) -> None:
            self.findings.append(Finding(where.line, entry.path, text))

        if not _PATH.fullmatch(entry.path) or len(entry.path) > _MOST_PATH:
            say(entry, "a path begins with Vehicle; its names are letters and digits, CamelCase")
            return
        for name in sorted(set(entry.keys) - KEYS):
            say(entry.keys[name], f"the key {name!r} is not known here")
        if "delete" in entry.keys:
            self._delete(entry, say)
        elif "type" not in entry.keys:
            say(entry, "type is missing: branch, sensor, actuator or attribute")
        elif entry.keys["type"].text == "branch":
            self._branch(entry, say)
        elif entry.keys["type"].text not in KINDS:
            kind = entry.keys["type"]
            say(kind, f"type {kind.text!r}: branch, sensor, actuator or attribute")
        else:
            self._leaf(entry, say, at)

    def _delete(self, entry: Entry, say: Say) -> None:
        if entry.keys["delete"].value is not True:
            say(entry.keys["delete"], "delete is true, or not there")
            return
        inside = f"{entry.path}."
        leaves = [
            path
            for path in (*self.base, *self.put)
            if (path == entry.path or path.startswith(inside)) and path not in self.gone
        ]
        if not leaves or entry.path == ROOT:
            say(entry, "there is no such node to delete")
            return
        for path in leaves:
            self.put.pop(path, None)
            if path in self.base:
                self.gone.add(path)
        self.branches -= {one for one in self.branches if f"{one}.".startswith(inside)}

    def _branch(self, entry: Entry, say: Say) -> None:
        if entry.path in self.base and entry.path not in self.gone:
            say(entry, "is a signal, not a branch")
            return
        if entry.path not in self.branches:
            if not self._place_is_free(entry, say):
                return
            if "description" not in entry.keys:
                say(entry, "a new branch needs a description")
            self.branches.add(entry.path)
            self.cases[entry.path.lower()] = entry.path
        if "instances" in entry.keys:
            try:
                self.instances[entry.path] = instances(entry.keys["instances"])
            except ValueError as error:
                say(entry.keys["instances"], str(error))

    def _leaf(self, entry: Entry, say: Say, at: int) -> None:
        if "instances" in entry.keys:
            say(entry.keys["instances"], "only a branch has instances")
        if entry.path in self.branches:
            say(entry, "is a branch, not a signal")
            return
        known = self._known(entry.path)
        if known is not None:
            changed = changed_leaf(known, entry, say)
            self._keep(entry, {entry.path: changed}, at)
            return
        if not self._place_is_free(entry, say):
            return
        made: dict[str, Signal] = {}
        for path in self._expanded(entry):
            signal = new_leaf(path, entry, say if not made else _silent)
            if signal is None:
                return
            made[path] = signal
        self._keep(entry, made, at)

    def _known(self, path: str) -> Signal | None:
        if path in self.put:
            return self.put[path][0]
        return self.base.get(path) if path not in self.gone else None

    def _keep(self, entry: Entry, made: dict[str, Signal], at: int) -> None:
        if len(self.findings) > at:
            return
        for path, signal in made.items():
            self.put[path] = signal, entry.line
            self.cases[path.lower()] = path
            self.branches |= branches([path])
        if len(self.put) > MOST_SIGNALS:
            text = f"an overlay adds or changes at most {MOST_SIGNALS:,} signals"
            self.put = {}
            self.findings.append(Finding(entry.line, entry.path, text))

    def _place_is_free(self, entry: Entry, say: Say) -> bool:
        above = entry.path.rpartition(".")[0]
        if above not in self.branches:
            say(entry, f"there is no branch {above or ROOT}: declare it first, with type branch")
            return False
        other = self.cases.get(entry.path.lower(), entry.path)
        if other != entry.path:
            say(entry, f"differs only in case from {other}")
            return False
        return True

    def _expanded(self, entry: Entry) -> list[str]:
        """The path once an instance of the branches above that this overlay gives instances."""
        given = entry.keys.get("instantiate")
        if given is not None and given.value is False:
            return [entry.path]
        paths = [ROOT]
        names = entry.path.split(".")
        for number, name in enumerate(names[1:], 1):
            above = ".".join(names[:number])
            parts = self.instances.get(above, [()])
            if any(part and part[0] == name for part in parts):
                parts = [()]  # the path names an instance itself
            paths = [".".join((path, *part, name)) for path in paths for part in parts]
        return paths

    def check_base(self) -> None:
        """A path of the base catalogue keeps its column, also where it is deleted and made anew:
        every protocol writes into it, and one column has one type and one unit."""
        for path, (signal, line) in list(self.put.items()):
            was = self.base.get(path)
            if was is None:
                continue
            if arrow_type(was.datatype) != arrow_type(signal.datatype):
                text = f"is {was.datatype} in the catalogue: it cannot become {signal.datatype}"
            elif was.unit != signal.unit:
                text = f"is in {was.unit or 'no unit'} in the catalogue: its unit cannot change"
            else:
                continue
            del self.put[path]
            self.gone.discard(path)
            self.findings.append(Finding(line, path, text))

    def check_data(self, held: Mapping[str, str], before: Mapping[str, Signal]) -> None:
        """What columns with data hold must stay true."""
        for path, (signal, line) in list(self.put.items()):
            if path not in held:
                continue
            kind = str(arrow_type(signal.datatype))
            was = before.get(path)
            if held[path] != kind:
                text = f"has data as {held[path]}: its datatype cannot become {signal.datatype}"
            elif was is not None and was.unit != signal.unit:
                text = f"has data in {was.unit or 'no unit'}: its unit cannot change"
            else:
                continue
            del self.put[path]
            self.findings.append(Finding(line, path, text))

    def done(self) -> Overlaid:
        """The catalogue with what is right of the overlay."""
        put = {path: signal for path, (signal, _) in self.put.items()}
        added = tuple(path for path in put if path not in self.base)
        changed = tuple(path for path in put if path in self.base)
        gone = self.gone - set(put)
        findings = tuple(sorted(self.findings, key=lambda one: one.line)[:MOST_FINDINGS])
        effect = Effect(added, changed, tuple(sorted(gone)), findings)
        if not put and not gone:
            return Overlaid(self.base, effect)
        kept = {path: signal for path, signal in self.base.items() if path not in gone}
        return Overlaid({**kept, **put}, effect)


def _silent(_where: Given | Entry, _text: str) -> None:
    """The same was said of the first instance."""
