"""One function per signal that takes its samples: written for what the campaigns ask of it.

A vehicle has thousands of samples a second, so what is not asked for is not even tested.
"""

from collections.abc import Callable, Sequence
from typing import Any

from carcloud.codecs.campaign.buffers import Ring

_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})

Sink = Callable[[int, Any], None]
"""Takes time in microseconds and value."""


def sink(
    values: list[Any],
    slot: int,
    rings: Sequence[Ring],
    readers: Sequence[Any],
    mark: Callable[[Any], None],
    windows: Sequence[Callable[[int, Any], None]],
    counts: list[int] | None,
) -> Sink:
    """The function of one signal.

    `readers` are conditions to `mark` when the value changes; `windows` take every sample;
    `counts[slot]` counts samples where somebody asks for isNull.
    """
    names: dict[str, Any] = {"__builtins__": {}, "V": values, "mark": mark}
    lines = ["def take(t, x):"]
    if readers:
        lines += [f"    if V[{slot}] != x:", f"        V[{slot}] = x"]
        for at, reader in enumerate(readers):
            names[f"c{at}"] = reader
            lines += [f"        if not c{at}.dirty:", f"            mark(c{at})"]
    else:
        lines.append(f"    V[{slot}] = x")
    if counts is not None:
        names["N"] = counts
        lines.append(f"    N[{slot}] += 1")
    for at, window in enumerate(windows):
        names[f"w{at}"] = window
        lines.append(f"    w{at}(t, x)")
    for at, ring in enumerate(rings):
        names |= {f"b{at}": ring, f"t{at}": ring.times.append, f"x{at}": ring.values.append}
        if ring.interval_us:
            lines += [
                f"    if t >= b{at}.next_us:",
                f"        b{at}.next_us = t + {ring.interval_us}",
                f"        x{at}(x)",
                f"        t{at}(t)",
            ]
        else:
            lines += [f"    x{at}(x)", f"    t{at}(t)"]
    exec("\n".join(lines), names)  # noqa: S102 - every part is written above
    take: Sink = names["take"]
    return take


def typed(value: Any, datatype: str) -> Any:
    """A value as its signal's type; raises `ValueError` or `TypeError`."""
    if datatype in ("float", "double"):
        return float(value)
    if datatype in _INTEGERS:
        return value if type(value) is int else round(value)
    if datatype == "boolean":
        return bool(value)
    return value
