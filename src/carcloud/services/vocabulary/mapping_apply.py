"""What a mapping makes of decoded values: series of the catalogue's signals."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.codecs.can.obd import ObdCodes, ObdSeries
from carcloud.model.catalogue import INTEGERS
from carcloud.model.signals import arrow_type
from carcloud.services.vocabulary.mapping_types import (
    CanSource,
    Mapping,
    ObdCodeSource,
    ObdSource,
    Rule,
)

if TYPE_CHECKING:
    from carcloud.codecs.dbc.columnar_values import Column

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Values of one signal.

    time: int64 (n,), ns, as the source has them. values: Arrow (n,) of the signal's column type,
    null where there is none (no value, no meaning of a raw value, or the type cannot hold it).
    flagged: bool (n,), outside the rule's `valid`, or of what the type can hold. The signal's own
    range is checked where rows are stored.
    """

    rule: Rule
    time: npt.NDArray[np.int64]
    values: pa.Array
    flagged: Mask

    @property
    def path(self) -> str:
        return self.rule.path


def apply(
    mapping: Mapping,
    columns: "Iterable[Column]" = (),
    obd: Iterable[ObdSeries] = (),
    codes: Iterable[ObdCodes] = (),
) -> list[Series]:
    """Series of decoded CAN columns (made with `mapping.databases`) and of OBD-II answers, without
    lists of CAN signals, which `mapping_lists.Lists` puts together.

    A signal that several buses, senders or control units report gives one series of each.
    """
    by_signal: dict[tuple[int, bool, str], list[Rule]] = {}
    for rule in mapping.can:
        if isinstance(rule.source, CanSource):
            message, name = rule.source.message, rule.source.signal.name
            by_signal.setdefault((message.id, message.extended, name), []).append(rule)
    by_pid: dict[tuple[int, int], list[Rule]] = {}
    for rule in mapping.obd:
        if isinstance(rule.source, ObdSource):
            by_pid.setdefault((rule.source.pid, rule.source.part), []).append(rule)
    return [*_can(by_signal, columns), *_obd(by_pid, obd), *_codes(mapping.obd, codes)]


def _can(
    rules: dict[tuple[int, bool, str], list[Rule]], columns: "Iterable[Column]"
) -> Iterator[Series]:
    for column in columns:
        key = column.message.id, column.message.extended, column.signal.name
        for rule in rules.get(key, ()):
            yield Series(rule, column.time, *of_column(rule, column))


def of_column(rule: Rule, column: "Column") -> tuple[pa.Array, Mask]:
    """A CAN signal's values as `converted` gives them."""
    if rule.labels:
        source: Numbers = column.raw()
    elif _whole(rule) and column.signal.integral:
        source = column.exact()
    else:
        source = column.value
    return converted(rule, source, column.missing)


def _obd(
    rules: dict[tuple[int, int], list[Rule]], answers: Iterable[ObdSeries]
) -> Iterator[Series]:
    for one in answers:
        for rule in rules.get((one.pid, one.part), ()):
            source: Numbers = one.value
            if rule.labels:
                known = one.parameter
                source = np.rint((one.value - known.offset) * known.divisor / known.factor)
            values, flagged = converted(rule, source, np.zeros(len(source), np.bool_))
            yield Series(rule, one.time, values, flagged)


def _codes(rules: Iterable[Rule], told: Iterable[ObdCodes]) -> Iterator[Series]:
    """An answer is one list, also an empty one."""
    by_mode: dict[int, list[Rule]] = {}
    for one in rules:
        if isinstance(one.source, ObdCodeSource):
            by_mode.setdefault(one.source.mode, []).append(one)
    for answer in told:
        for rule in by_mode.get(answer.mode, ()):
            values = pa.array([list(answer.codes)], arrow_type(rule.signal.datatype))
            yield Series(rule, np.array([answer.time]), values, np.zeros(1, np.bool_))


def converted(rule: Rule, source: Numbers, missing: Mask) -> tuple[pa.Array, Mask]:
    """A source's physical values (raw ones for rules with labels) as the signal's column, of a
    list as that of its elements, and which are flagged. source: (n,), numbers; missing: bool
    (n,), there is no value."""
    kind = arrow_type(rule.signal.scalar)
    if rule.labels:
        return _meant(rule, source, missing, kind), np.zeros(len(source), np.bool_)
    value = _scaled(rule, source)
    number = value.astype(np.float64)
    nothing = missing | ~np.isfinite(number)
    if rule.signal.scalar == "boolean":
        return pa.array(number != 0, kind, mask=nothing), np.zeros(len(source), np.bool_)
    flagged = np.zeros(len(source), np.bool_)
    if rule.valid is not None:
        flagged = ((number < rule.valid[0]) | (number > rule.valid[1])) & ~nothing
    if rule.signal.scalar not in INTEGERS:
        beyond = ~nothing & (np.abs(number) > _LARGEST) & (kind == pa.float32())
        held = pa.array(number, pa.float64(), mask=nothing | beyond)
        return held.cast(kind, safe=False), flagged | beyond
    return _integers(kind, value, number, nothing, flagged)


def _meant(rule: Rule, source: Numbers, missing: Mask, kind: pa.DataType) -> pa.Array:
    """What the raw numbers stand for; of each that there is, it is looked up once."""
    coded = pa.array(source, mask=missing).dictionary_encode()
    known = pa.array(map(rule.labels.get, coded.dictionary.to_pylist()), kind)
    return known.take(coded.indices)


def _scaled(rule: Rule, source: Numbers) -> Numbers:
    """Of whole numbers that int64 cannot hold, Python's."""
    if rule.scale == 1 and rule.offset == 0:
        return source
    if source.dtype.kind in "iu" and len(source) and _exact(rule):
        largest = max(abs(int(source.min())), abs(int(source.max())), 1)
        if largest * abs(rule.scale) + abs(rule.offset) >= 1 << 63:
            source = source.astype(np.object_)
    return source * rule.scale + rule.offset


def _integers(
    kind: pa.DataType, value: Numbers, number: Numbers, nothing: Mask, flagged: Mask
) -> tuple[pa.Array, Mask]:
    """Rounded to the nearest whole number, half to even; null where the column cannot hold it."""
    low, high = INTEGERS[str(kind)]
    if value.dtype.kind not in "iuO":
        value = np.rint(number)
    beyond = ~nothing & ((value < low) | (value > high))
    if kind == pa.int64() and value.dtype.kind == "f":
        beyond |= ~nothing & (value >= float(1 << 63))
    empty = nothing | beyond
    held = np.where(empty, 0, value).astype(np.int64)
    return pa.array(held, pa.int64(), mask=empty).cast(kind), flagged | beyond


def _whole(rule: Rule) -> bool:
    return _exact(rule) and rule.signal.scalar in INTEGERS


def _exact(rule: Rule) -> bool:
    return isinstance(rule.scale, int) and isinstance(rule.offset, int)
