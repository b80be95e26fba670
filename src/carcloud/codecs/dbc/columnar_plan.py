"""How the signals of a message are read by the kernels: windows of bytes, shifts, masks, scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.dbc import columnar_kernel as kernel
from carcloud.codecs.dbc.database import Message, Signal
from carcloud.codecs.dbc.j1939 import missing_from

_EXACT = 2**53  # integers up to here are exact in a float64
_WORD = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """Some signals that the kernels can read, by window.

    windows: int64 [window, OFFSET..LAST]; specs: uint64 [signal, KIND..FLIP];
    reals: float64 [signal, BIAS..ADDEND]. Rows are in the order of `signals`.
    """

    signals: tuple[Signal, ...]
    windows: NDArray[np.int64]
    specs: NDArray[np.uint64]
    reals: NDArray[np.float64]


def plan(signals: Sequence[Signal], message: Message | None = None) -> Plan:
    """A plan for signals of up to 64 bits; of a J1939 `message`, whose values may be none."""
    ordered = sorted(signals, key=_window)
    windows: list[tuple[int, ...]] = []
    at = 0
    for window, some in groupby(ordered, key=_window):
        count = len(list(some))
        windows.append((*window, at, at + count))
        at += count
    specs = np.array([_spec(one) for one in ordered], np.uint64).reshape(-1, 4)
    reals = np.array([_reals(one, message) for one in ordered], np.float64).reshape(-1, 4)
    return Plan(tuple(ordered), np.array(windows, np.int64).reshape(-1, 5), specs, reals)


def is_direct(signal: Signal, message: Message | None = None) -> bool:
    """Whether the kernel's float64 arithmetic gives what exact integers would, rounded once, and
    finds all values that mean none; `message` as in `plan`."""
    limit = None if message is None else missing_from(message, signal)
    if limit is not None and signal.length > kernel.SMALL_BITS:
        return False
    if signal.length > _WORD or (abs(signal.factor) > _EXACT and isinstance(signal.factor, int)):
        return False
    if signal.kind != "int":
        return True
    largest = 1 << (signal.length - 1 if signal.signed else signal.length)
    if signal.integral and (signal.factor, signal.offset) != (1, 0):
        return largest * abs(int(signal.factor)) + abs(int(signal.offset)) <= _EXACT
    return largest <= _EXACT or signal.factor == 1 or isinstance(signal.factor, float)


def _window(signal: Signal) -> tuple[int, int, int]:
    """Offset, whether Motorola, and bits of a ninth byte; as many signals as can share one."""
    first, big = signal.first_bit, int(not signal.little_endian)
    if first + signal.length <= _WORD:
        return 0, big, 0
    offset, inside = divmod(first, 8)
    return offset, big, inside if inside + signal.length > _WORD else 0


def _spec(signal: Signal) -> tuple[int, int, int, int]:
    offset, big, bits = _window(signal)
    inside = 0 if bits else signal.first_bit - 8 * offset
    shift = _WORD - inside - signal.length if big else inside
    flip = 1 << (signal.length - 1) if signal.signed and signal.kind == "int" else 0
    return _kind(signal), shift, (1 << signal.length) - 1, flip


def _kind(signal: Signal) -> int:
    if signal.kind != "int":
        return kernel.FLOAT32 if signal.kind == "float32" else kernel.FLOAT64
    if signal.length <= kernel.SMALL_BITS:
        return kernel.SMALL
    return kernel.SIGNED if signal.signed else kernel.UNSIGNED


def _reals(signal: Signal, message: Message | None) -> tuple[float, float, float, float]:
    limit = None if message is None else missing_from(message, signal)
    bias = 2.0**52 + (2.0 ** (signal.length - 1) if signal.signed else 0.0)
    return (
        bias if signal.kind == "int" else 0.0,
        np.inf if limit is None else float(limit),
        float(signal.factor),
        float(signal.offset),
    )
