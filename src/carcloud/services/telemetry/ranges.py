"""The check of values against type, range and allowed values of their signals; of every protocol.

A value outside is kept: its row is marked `out_of_range`, and `flagged` names the path. Columns
that cannot hold a value outside (an int16 for an int16 without a range) are not looked at.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.catalogue import INTEGERS, NUMBERS
from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE, Signal

OUT_OF_RANGE: Final = "out_of_range"
FLAGGED: Final = "flagged"
FLAGGED_TYPE: Final = pa.list_(pa.string())

Mask = npt.NDArray[np.bool_]
_Check = Callable[[Any], "pa.Array | None"]
"""Which values of an array are outside, null where there is no value; None = not one."""


class Ranges:
    """The checks of one catalogue."""

    def __init__(self, catalogue: Mapping[str, Signal]) -> None:
        self.catalogue = catalogue
        self._checks: dict[str, _Check | None] = {}
        self._sizes: dict[str, int] = {}

    def flag(self, rows: pa.Table) -> pa.Table:
        """The same rows with `out_of_range` and `flagged` for the values that are outside.

        What rows have of both already stays. Without a value outside nothing is copied, and the
        column `flagged` does not come.
        """
        found = {}
        for at, path in enumerate(rows.column_names):
            check = self._check(path)
            if check is not None and (mask := _outside(check, rows.column(at))) is not None:
                found[path] = mask
            if (size := self._sizes.get(path)) is not None:
                odd = _of_other_size(size, rows.column(at))
                if odd.any():
                    found[path] = found[path] | odd if path in found else odd
        return marked(rows, found) if found else rows

    def _check(self, path: str) -> _Check | None:
        if path not in self._checks:
            signal = self.catalogue.get(path) if "." in path else None
            self._checks[path] = None if signal is None else _check_of(signal)
            if signal is not None and signal.array_size is not None:
                self._sizes[path] = signal.array_size
        return self._checks[path]


def marked(rows: pa.Table, found: Mapping[str, Mask]) -> pa.Table:
    """Rows whose values of these paths are outside where a mask (n,) says so."""
    count = rows.num_rows
    has = FLAGGED in rows.column_names
    lists: list[list[str] | None] = rows[FLAGGED].to_pylist() if has else [None] * count
    outside = np.zeros(count, np.bool_)
    for path, mask in found.items():
        outside |= mask
        for row in np.flatnonzero(mask).tolist():
            lists[row] = [*(lists[row] or ()), path]
    if OUT_OF_RANGE in rows.column_names:
        outside |= pc.fill_null(rows[OUT_OF_RANGE], False).to_numpy()
    rows = _put(rows, OUT_OF_RANGE, pa.array(outside))
    return _put(rows, FLAGGED, pa.array(lists, FLAGGED_TYPE))


def _put(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)


def _outside(check: _Check, column: pa.ChunkedArray) -> Mask | None:
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if len(values) == 0:
        return None
    listed = pa.types.is_list(values.type)
    mask = check(values.flatten() if listed else values)
    if mask is None:
        return None
    bad: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    if not bad.any():
        return None
    if not listed:
        return bad
    rows = np.zeros(len(values), np.bool_)
    rows[pc.list_parent_indices(values).to_numpy()[bad]] = True
    return rows


def _of_other_size(size: int, column: pa.ChunkedArray) -> Mask:
    """Arrays that have another number of elements."""
    if not pa.types.is_list(column.type):
        return np.zeros(len(column), np.bool_)
    other = pc.not_equal(pc.list_value_length(column), size)
    mask: Mask = pc.fill_null(other, False).to_numpy()
    return mask


def _check_of(signal: Signal) -> _Check | None:
    if signal.allowed and signal.scalar in NUMBERS:
        number = int if signal.scalar in INTEGERS else float
        return partial(_no_such_number, tuple(map(number, signal.allowed)))
    if signal.allowed:
        return partial(_not_allowed, frozenset(signal.allowed))
    if signal.scalar not in NUMBERS:
        return None
    least, most = signal.minimum, signal.maximum
    if signal.scalar in INTEGERS:
        of_type = INTEGERS[signal.scalar]
        return partial(
            _whole_beyond,
            of_type[0] if least is None else least,
            of_type[1] if most is None else most,
        )
    return None if least is most is None else partial(_beyond, least, most)


def _not_allowed(allowed: frozenset[str], values: Any) -> pa.Array | None:
    if pa.types.is_dictionary(values.type):
        words = values.dictionary.to_pylist()
        if allowed.issuperset(words):
            return None
        return pa.array([word not in allowed for word in words]).take(values.indices)
    if not pa.types.is_string(values.type):
        return None
    known = pc.is_in(values, value_set=pa.array(sorted(allowed), pa.string()))
    return pc.and_(values.is_valid(), pc.invert(known))


def _no_such_number(allowed: tuple[float, ...], values: Any) -> pa.Array | None:
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    held = values.type.to_pandas_dtype()
    if pa.types.is_integer(values.type):
        least, most = INTEGERS[str(values.type)]
        allowed = tuple(one for one in allowed if least <= one <= most and one == int(one))
    known = np.isin(pc.fill_null(values, 0).to_numpy(), np.array(allowed, held))
    return pc.and_(values.is_valid(), pa.array(~known))


def _whole_beyond(least: float, most: float, values: Any) -> pa.Array | None:
    """Least and greatest first: they are quickly found, and nearly always inside."""
    if not pa.types.is_integer(values.type):
        return _beyond(least, most, values) if pa.types.is_floating(values.type) else None
    held = INTEGERS[str(values.type)]
    if least <= held[0] and held[1] <= most:
        return None
    ends = pc.min_max(values)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is None or (least <= low and high <= most):
        return None
    return _beyond(
        None if least <= held[0] else least, None if most >= held[1] else most, values
    )  # a bound that the column cannot hold says nothing


def _beyond(least: float | None, most: float | None, values: Any) -> pa.Array | None:
    """NaN is outside every range."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    inside = None if least is None else pc.greater_equal(values, _as(least, values.type))
    if most is not None:
        below = pc.less_equal(values, _as(most, values.type))
        inside = below if inside is None else pc.and_(inside, below)
    return pc.invert(inside)


def _as(bound: float, kind: pa.DataType) -> Any:
    """A bound as the column holds it: 0.1 of a signal is 0.1 of a float32 too."""
    if pa.types.is_float32(kind):
        return pa.scalar(np.float32(bound), kind)
    return pa.scalar(bound)


class RangesByTenant:
    """The checks of each tenant's own catalogue, made anew where that changes."""

    def __init__(self, catalogue: Callable[[Tenant], Mapping[str, Signal]] | None = None) -> None:
        self._catalogue = catalogue
        self._known: dict[Tenant, Ranges] = {}
        self._usual = Ranges(CATALOGUE)

    def of(self, tenant: Tenant) -> Ranges:
        """The checks for a tenant; raises what the catalogue raises, `EngineError`."""
        catalogue = CATALOGUE if self._catalogue is None else self._catalogue(tenant)
        if catalogue is CATALOGUE:
            self._known.pop(tenant, None)
            return self._usual
        known = self._known.get(tenant)
        if known is None or known.catalogue is not catalogue:
            known = self._known[tenant] = Ranges(catalogue)
        return known
