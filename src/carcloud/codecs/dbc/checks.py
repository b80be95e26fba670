"""Whether the signals of a message fit into it and leave each other's bits alone."""

from collections.abc import Mapping, Sequence

from carcloud.codecs.dbc.database import Signal, network_bit
from carcloud.codecs.dbc.drafts import MessageDraft
from carcloud.codecs.dbc.statements import Findings

_MAX_COMPARED = 200_000  # pairs of signals of one message


def check_layout(
    draft: MessageDraft, signals: Sequence[tuple[Signal, int]], findings: Findings
) -> None:
    """Note signals beyond the message's end, and once per message that signals share bits."""
    for signal, line in signals:
        if signal.decodable and signal.needed_bytes > draft.length:
            findings.add(
                line, "does-not-fit", "warning",
                f"{signal.name} needs {signal.needed_bytes} bytes, {draft.name} has {draft.length}",
                "decoded in longer frames only",
            )  # fmt: skip
    pair = _overlap([signal for signal, _ in signals if signal.decodable])
    if pair is not None:
        findings.add(
            draft.line, "overlap", "warning", f"{draft.name}: {pair[0]} and {pair[1]} share bits",
            "both are decoded",
        )  # fmt: skip


def _bits(signal: Signal) -> int:
    """The signal's bits of the payload, in the order of the wire."""
    if not signal.little_endian:
        return ((1 << signal.length) - 1) << signal.first_bit
    if signal.length > 64 * 8:  # long texts: whole bytes are near enough
        first, last = signal.start // 8, (signal.start + signal.length - 1) // 8
        return ((1 << 8 * (last - first + 1)) - 1) << 8 * first
    bits = 0
    for bit in range(signal.start, signal.start + signal.length):
        bits |= 1 << network_bit(bit)
    return bits


def _overlap(signals: Sequence[Signal]) -> tuple[str, str] | None:
    """Two signals that share bits and can be in one frame."""
    by_name = {signal.name: signal for signal in signals}
    always: list[tuple[Signal, int]] = []
    selected: list[tuple[Signal, int]] = []
    taken = 0
    for signal in signals:
        bits = _bits(signal)
        if signal.parent is not None:
            selected.append((signal, bits))
            continue
        if bits & taken:
            other = next(one for one, held in always if held & bits)
            return other.name, signal.name
        taken |= bits
        always.append((signal, bits))
    compared = 0
    for at, (signal, bits) in enumerate(selected):
        if bits & taken:
            other = next(one for one, held in always if held & bits)
            return other.name, signal.name
        compared += at
        if compared > _MAX_COMPARED:
            return None
        for other, held in selected[:at]:
            if held & bits and _together(signal, other, by_name):
                return other.name, signal.name
    return None


def _together(one: Signal, other: Signal, by_name: Mapping[str, Signal]) -> bool:
    """Whether some frame can hold both: no switch above them must differ."""
    conditions = {}
    for signal, ranges in _chain(one, by_name):
        conditions[signal] = ranges
    for signal, ranges in _chain(other, by_name):
        mine = conditions.get(signal)
        if mine is not None and not any(
            low <= last and first <= high for low, high in mine for first, last in ranges
        ):
            return False
    return True


def _chain(
    signal: Signal, by_name: Mapping[str, Signal]
) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    chain = []
    while signal.parent is not None:
        chain.append((signal.parent, signal.ranges))
        signal = by_name[signal.parent]
    return chain
