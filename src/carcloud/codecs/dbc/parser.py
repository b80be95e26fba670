"""Reading a DBC file: `parse`. What real files contain is accepted, and told."""

import math
import re
from collections import Counter
from dataclasses import replace
from typing import Literal, cast

from carcloud.codecs.dbc.attributes import Attributes
from carcloud.codecs.dbc.checks import check_layout
from carcloud.codecs.dbc.database import (
    Attribute,
    Database,
    Finding,
    Level,
    Message,
    Number,
    Signal,
)
from carcloud.codecs.dbc.drafts import (
    MAX_LENGTH,
    NUMBER,
    Collector,
    Draft,
    Key,
    MessageDraft,
    Said,
    SignalDraft,
    number,
)
from carcloud.codecs.dbc.errors import StrictError
from carcloud.codecs.dbc.multiplex import Place, Selection, resolve
from carcloud.codecs.dbc.statements import Findings, statements, text_of

_NUMBER = re.compile(NUMBER)
_KINDS: dict[int, tuple[Literal["int", "float32", "float64"], int]] = {
    0: ("int", 0),
    1: ("float32", 32),
    2: ("float64", 64),
}  # SIG_VALTYPE_: kind and bits
_NETWORK = ("", "", "")


def parse(data: bytes, *, strict: bool = False) -> tuple[Database, tuple[Finding, ...]]:
    """The database in a DBC file, and everything odd about the file, by line.

    With `strict`, warnings and errors raise StrictError, which holds the findings.
    """
    findings = Findings()
    collector = Collector(findings)
    for statement in statements(text_of(data, findings), findings):
        collector.take(statement)
    database = _Builder(collector.draft, findings).database()
    found = tuple(sorted(findings.items, key=lambda one: one.line))
    if strict and any(one.level != "info" for one in found):
        raise StrictError(found)
    return database, found


class _Builder:
    """Puts together what the statements say."""

    def __init__(self, draft: Draft, findings: Findings) -> None:
        self._draft = draft
        self._findings = findings
        self._signals = {
            key: {signal.name for signal in message.signals}
            for key, message in draft.messages.items()
        }
        self._comments = self._of(draft.comments, "info", "missing-object")
        self._labels = self._of(draft.labels, "warning", "unused-labels")
        self._types = self._of(draft.types, "warning", "unused-type")
        self._senders = self._of(draft.senders, "info", "missing-object")
        self._attributes = Attributes(draft)
        for one in self._known(draft.values, "info", "missing-object"):
            name, value = cast(tuple[str, Attribute], one.value)
            self._attributes.set(one.target, name, value)
        self._selections: dict[object, list[Selection]] = {}
        for one in self._known(draft.selections, "warning", "unused-selection"):
            switch, ranges = cast(tuple[str, tuple[tuple[int, int], ...]], one.value)
            selection = Selection(one.line, one.target[2], switch, ranges)
            self._selections.setdefault(one.target[1], []).append(selection)

    def _of(self, said: list[Said], level: Level, code: str) -> dict[object, object]:
        return {one.target: one.value for one in self._known(said, level, code)}

    def _known(self, said: list[Said], level: Level, code: str) -> list[Said]:
        """What is said about objects that exist; the rest is told and left out."""
        known = []
        for one in said:
            kind, place, name = one.target
            signals = self._signals.get(cast(Key, place))
            if kind in ("BO_", "SG_") and (
                signals is None or (kind == "SG_" and name not in signals)
            ):
                shown = place if isinstance(place, str) else f"{max(place[0], 0):#x}"
                self._findings.add(one.line, code, level, f"{shown} {name}".strip(), "left out")
            else:
                known.append(one)
        return known

    def database(self) -> Database:
        """The whole of it."""
        drafts = self._draft.messages.values()
        names = Counter(self._long("BO_", one.key, "", one.name) for one in drafts)
        return Database(
            messages=tuple(self._message(one, names) for one in drafts),
            nodes=tuple(self._node(name) for name in self._draft.nodes),
            version=self._draft.version,
            comment=str(self._comments.get(_NETWORK, "")),
            attributes=self._attributes.of(_NETWORK),
            tables=self._draft.tables,
        )

    def _long(self, kind: str, place: Key | str, signal: str, short: str) -> str:
        """The name of an object, which may be longer than the 32 characters of the format."""
        what = {"BO_": "Message", "SG_": "Signal", "BU_": "Node"}[kind]
        long = self._attributes.of((kind, place, signal)).get(f"System{what}LongSymbol")
        return str(long) if long else short

    def _node(self, name: str) -> str:
        return self._long("BU_", name, "", name)

    def _message(self, draft: MessageDraft, names: Counter[str]) -> Message:
        attributes = self._attributes.of(("BO_", draft.key, ""))
        form = self._attributes.frame_format(draft.key, draft.length)
        can_id, extended = draft.key
        name = self._long("BO_", draft.key, "", draft.name)
        further = cast(tuple[str, ...], self._senders.get(("BO_", draft.key, ""), ()))
        cycle = self._attributes.get(("BO_", draft.key, ""), "GenMsgCycleTime")
        return Message(
            id=can_id,
            extended=extended,
            name=name if names[name] == 1 else f"{name}_{can_id:X}",
            length=draft.length,
            signals=self._signals_of(draft),
            senders=tuple(dict.fromkeys(map(self._node, filter(None, (draft.sender, *further))))),
            comment=str(self._comments.get(("BO_", draft.key, ""), "")),
            frame_format=form.name,
            fd=form.fd,
            j1939=form.j1939,
            cycle_ms=cycle if isinstance(cycle, int | float) and cycle > 0 else None,
            attributes=attributes,
        )

    def _signals_of(self, draft: MessageDraft) -> tuple[Signal, ...]:
        drafts: dict[str, SignalDraft] = {}
        for one in draft.signals:
            if one.name in drafts:
                self._warn(one, "duplicate-signal", "the first of this name is kept")
            else:
                drafts[one.name] = one
        places = resolve(draft, drafts, self._selections.get(draft.key, ()), self._findings)
        signals = {name: self._signal(draft.key, one, places[name]) for name, one in drafts.items()}
        for name, signal in signals.items():  # a switch may have turned out as not decodable
            if signal.decodable and not self._selectable(signal, signals):
                signals[name] = replace(signal, decodable=False)
        lined = [(signal, drafts[name].line) for name, signal in signals.items()]
        check_layout(draft, lined, self._findings)
        return self._renamed(draft.key, signals)

    def _selectable(self, signal: Signal, signals: dict[str, Signal]) -> bool:
        while signal.parent is not None:
            signal = signals[signal.parent]
            if not signal.decodable or signal.kind != "int":
                return False
        return True

    def _renamed(self, key: Key, signals: dict[str, Signal]) -> tuple[Signal, ...]:
        """With long names, where these are unique."""
        long = {name: self._long("SG_", key, name, name) for name in signals}
        counts = Counter(long.values())
        long = {name: one if counts[one] == 1 else name for name, one in long.items()}
        return tuple(
            replace(signal, name=long[name], parent=signal.parent and long[signal.parent])
            if long[name] != name or signal.parent
            else signal
            for name, signal in signals.items()
        )

    def _signal(self, key: Key, draft: SignalDraft, place: Place) -> Signal:
        target = ("SG_", key, draft.name)
        kind, sound = self._kind(draft, self._types.get(target, 0))
        low, high = self._limits(draft)
        spn = self._attributes.get(target, "SPN")
        start = self._attributes.get(target, "GenSigStartValue")
        labels = cast(dict[int, str] | None, self._labels.get(target))
        factor, scaled = self._scale(draft)
        return Signal(
            name=draft.name,
            start=draft.start,
            length=draft.length,
            little_endian=draft.little_endian,
            signed=draft.signed,
            kind=kind,
            factor=factor,
            offset=(draft.offset or abs(draft.offset)) if scaled else 0,  # -0.0 is 0.0
            minimum=low,
            maximum=high,
            unit=draft.unit,
            receivers=tuple(self._node(name) for name in draft.receivers),
            labels=labels or {},
            switch=draft.mark.endswith("M"),
            parent=place.parent,
            ranges=place.ranges,
            decodable=place.decodable and draft.readable and sound and scaled,
            comment=str(self._comments.get(target, "")),
            attributes=self._attributes.of(target),
            spn=spn if isinstance(spn, int) else None,
            start_value=start if isinstance(start, int | float) else None,
        )

    def _warn(self, draft: SignalDraft, code: str, action: str, text: str = "") -> None:
        self._findings.add(draft.line, code, "warning", f"{draft.name} {text}".strip(), action)

    def _kind(
        self, draft: SignalDraft, kind: object
    ) -> tuple[Literal["int", "float32", "float64"], bool]:
        """The kind of raw value, and whether the signal's bits can be one."""
        if not draft.readable:
            return "int", False
        name, bits = _KINDS.get(cast(int, kind), ("int", -1))
        last = draft.start + draft.length
        if not draft.length > 0 or last > MAX_LENGTH * 8 or bits not in (0, draft.length):
            text = f"{draft.start}|{draft.length}, {name}"
            self._warn(draft, "signal-length", "kept as not decodable", text)
            return name, False
        return name, True

    def _scale(self, draft: SignalDraft) -> tuple[Number, bool]:
        """The factor, and whether raw values can be scaled at all."""
        try:
            finite = math.isfinite(float(draft.factor)) and math.isfinite(float(draft.offset))
        except OverflowError:
            finite = False
        if not finite:
            self._warn(draft, "scale", "kept as not decodable", f"{draft.factor}, {draft.offset}")
            return 1, False
        if draft.factor == 0 and draft.readable:
            self._warn(draft, "factor-zero", "the factor is taken as 1")
            return 1, True
        return draft.factor, True

    def _limits(self, draft: SignalDraft) -> tuple[Number | None, Number | None]:
        """Physical limits; none where the file says [0|0] or nonsense."""
        low, high = (
            number(text.strip()) if _NUMBER.fullmatch(text.strip()) else None
            for text in draft.limits
        )
        if low is None or high is None or (low == 0 and high == 0):
            return None, None
        if low > high:
            self._warn(draft, "limits", "the limits are left out", f"[{low}|{high}]")
            return None, None
        return low, high
