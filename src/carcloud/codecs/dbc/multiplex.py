"""Which switch selects which signals: `M` and `m` marks, and `SG_MUL_VAL_`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carcloud.codecs.dbc.drafts import MessageDraft, SignalDraft
from carcloud.codecs.dbc.statements import Findings

Ranges = tuple[tuple[int, int], ...]
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Selection:
    """One `SG_MUL_VAL_`: `child` is there when the raw value of `switch` is in a range."""

    line: int
    child: str
    switch: str
    ranges: Ranges


@dataclass(slots=True)
class Place:
    """Where a signal hangs. `parent` None and decodable: it is in every frame."""

    parent: str | None = None
    ranges: Ranges = ()
    decodable: bool = True


@dataclass(slots=True)
class _Message:
    draft: MessageDraft
    signals: Mapping[str, SignalDraft]
    selections: dict[str, list[Selection]]
    findings: Findings
    switches: list[str] = field(default_factory=list)
    orphans: list[SignalDraft] = field(default_factory=list)


def resolve(
    draft: MessageDraft,
    signals: Mapping[str, SignalDraft],
    selections: Iterable[Selection],
    findings: Findings,
) -> dict[str, Place]:
    """The place of every signal of a message, by the name in the file."""
    chosen: dict[str, list[Selection]] = {}
    for one in selections:
        if one.switch in signals:
            chosen.setdefault(one.child, []).append(one)
        else:
            findings.add(one.line, "unused-selection", "warning", one.switch, "left out")
    message = _Message(draft, signals, chosen, findings)
    message.switches = [name for name, one in signals.items() if one.mark.endswith("M")]
    places = {name: _place(message, one) for name, one in signals.items()}
    if message.orphans:
        names = ", ".join(one.name for one in message.orphans)
        findings.add(
            message.orphans[0].line, "unknown-switch", "warning", names, "kept as not decodable"
        )
    _check_chains(message, places)
    return places


def _place(message: _Message, signal: SignalDraft) -> Place:
    selected = message.selections.get(signal.name, [])
    digits = signal.mark.strip("mM")
    if signal.mark.startswith("m") and not digits:
        message.findings.add(
            signal.line, "mark-number", "warning", f"{signal.name} {signal.mark}",
            "kept as not decodable",
        )  # fmt: skip
        return Place(decodable=False)
    if not signal.mark.startswith("m") and not selected:
        return Place()
    own = ((int(digits), int(digits)),) if digits else ()
    if selected:
        return _selected(message, signal, selected, own)
    if len(message.switches) == 1 and _is_plain(message, message.switches[0]):
        return _alive(message, signal, message.switches[0], own)
    message.orphans.append(signal)
    return Place(decodable=False)


def _is_plain(message: _Message, switch: str) -> bool:
    return message.signals[switch].mark == "M"


def _selected(
    message: _Message, signal: SignalDraft, selected: list[Selection], own: Ranges
) -> Place:
    """By `SG_MUL_VAL_`; the mark counts besides where there is one switch only."""
    parent = selected[0].switch
    for other in selected[1:]:
        if other.switch != parent:
            message.findings.add(
                other.line, "two-switches", "warning", signal.name, f"{parent} is taken"
            )
    ranges = tuple(one for each in selected if each.switch == parent for one in each.ranges)
    if message.switches == [parent]:
        ranges += tuple(one for one in own if one not in ranges)
    return _alive(message, signal, parent, ranges)


def _alive(message: _Message, signal: SignalDraft, parent: str, ranges: Ranges) -> Place:
    """The place, unless the switch cannot hold any of the values."""
    switch = message.signals[parent]
    bits = min(switch.length, 64)
    low = -(1 << bits - 1) if switch.signed else 0
    high = low + (1 << bits) - 1
    held = tuple(
        (max(first, low), min(last, high))
        for first, last in ranges
        if first <= high and last >= low and first <= last
    )
    if not held:
        text = f"{signal.name}: {parent} has {switch.length} bits"
        message.findings.add(signal.line, "dead-child", "warning", text, "never selected")
    return Place(parent, held, decodable=bool(held))


def _check_chains(message: _Message, places: dict[str, Place]) -> None:
    """Signals below a switch that is not decodable, or below themselves, are not decodable."""
    for name, place in places.items():
        above, depth = place.parent, 0
        while above is not None and depth < _MAX_DEPTH:
            if not places[above].decodable or message.signals[above].length > 64:
                place.decodable = False
            above, depth = places[above].parent, depth + 1
        if depth == _MAX_DEPTH:
            place.decodable = False
            message.findings.add(
                message.signals[name].line, "switch-circle", "warning", name,
                "kept as not decodable",
            )  # fmt: skip
