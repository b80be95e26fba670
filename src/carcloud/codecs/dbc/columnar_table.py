"""Decoded logs as one Arrow table in long form."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.dbc.columnar import Decoded
from carcloud.codecs.dbc.columnar_values import Column

_NONE = -1


def table(decoded: Decoded, *, by_time: bool = False) -> pa.Table:
    """One row a value: time, message, signal, value, unit, label, bus, can_id.

    time: timestamp[ns, UTC], or duration[ns] since the log's start where its clock is relative.
    value: float64, null where J1939 says that there is none. unit and label: null where there is
    none; label is the text of the raw value. Rows go signal by signal, or `by_time`.
    """
    columns = decoded.columns
    counts = np.array([len(one.time) for one in columns], np.int64)
    time = _joined([one.time for one in columns], np.int64)
    value = _joined([one.value for one in columns], np.float64)
    missing = _joined([one.missing for one in columns], np.bool_)
    labels, codes = _labels(columns)
    order = np.argsort(time, kind="stable") if by_time else None

    def rows(array: NDArray[np.generic]) -> NDArray[np.generic]:
        return array if order is None else array[order]

    def texts(of: Callable[[Column], str]) -> pa.Array:
        return _dictionary([of(one) for one in columns], counts, rows)

    clock = pa.duration("ns") if decoded.clock == "relative" else pa.timestamp("ns", "UTC")
    coded = rows(codes)
    return pa.table(
        {
            "time": pa.array(rows(time), pa.int64()).cast(clock),
            "message": texts(lambda one: one.message.name),
            "signal": texts(lambda one: one.signal.name),
            "value": pa.array(rows(value), pa.float64(), mask=rows(missing)),
            "unit": texts(lambda one: one.signal.unit),
            "label": pa.DictionaryArray.from_arrays(
                pa.array(coded, pa.int32(), mask=coded == _NONE), pa.array(labels, pa.string())
            ),
            "bus": pa.array(rows(_each([one.bus for one in columns], counts, np.uint8))),
            "can_id": pa.array(rows(_each([one.can_id for one in columns], counts, np.uint32))),
        }
    )


def _joined(parts: Sequence[NDArray[np.generic]], kind: type) -> NDArray[np.generic]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _each(values: Sequence[int], counts: NDArray[np.int64], kind: type) -> NDArray[np.generic]:
    return np.repeat(np.array(values, kind), counts)


def _dictionary(
    texts: Sequence[str],
    counts: NDArray[np.int64],
    rows: Callable[[NDArray[np.generic]], NDArray[np.generic]],
) -> pa.DictionaryArray:
    """Texts, each so many times; an empty one is null."""
    known = {text: at for at, text in enumerate(dict.fromkeys(filter(None, texts)))}
    codes = rows(_each([known.get(text, _NONE) for text in texts], counts, np.int32))
    indices = pa.array(codes, pa.int32(), mask=codes == _NONE)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(known), pa.string()))


def _labels(columns: Sequence[Column]) -> tuple[list[str], NDArray[np.generic]]:
    """All texts, and for each row which one it has."""
    known: dict[str, int] = {}
    parts = []
    for column in columns:
        table = {
            raw: known.setdefault(text, len(known)) for raw, text in column.signal.labels.items()
        }
        parts.append(_codes(column, table))
    return list(known), _joined(parts, np.int32)


def _codes(column: Column, table: Mapping[int, int]) -> NDArray[np.int32]:
    """The code of each raw value; _NONE where there is none."""
    codes = np.full(len(column.time), _NONE, np.int32)
    raw = column.raw() if table and column.signal.kind == "int" else None
    if raw is None:
        return codes
    if raw.dtype == object:
        return np.array([table.get(one, _NONE) for one in raw], np.int32)
    low, high = (0, 2**64 - 1) if raw.dtype == np.uint64 else (-(2**63), 2**63 - 1)
    held = sorted(one for one in table if low <= one <= high)
    if held:
        keys = np.array(held, raw.dtype)
        place = np.minimum(np.searchsorted(keys, raw), len(keys) - 1)
        found = np.array([table[one] for one in held], np.int32)
        np.copyto(codes, found[place], where=keys[place] == raw)
    return codes
