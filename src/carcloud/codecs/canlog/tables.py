"""Decoded values as Arrow tables: long, a row for each value, or wide, a row for each frame."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.can.frames import Clock
from carcloud.codecs.canlog.decoding import Values

_TEXT = pa.dictionary(pa.int32(), pa.string())


def time_type(clock: Clock) -> pa.DataType:
    """UTC where the log has a clock, else a duration since the log's start."""
    return pa.duration("ns") if clock == "relative" else pa.timestamp("ns", "UTC")


def long_schema(clock: Clock) -> pa.Schema:
    return pa.schema(
        [
            ("time", time_type(clock)),
            ("message", _TEXT),
            ("signal", _TEXT),
            ("value", pa.float64()),
            ("unit", _TEXT),
            ("label", _TEXT),
            ("bus", pa.uint8()),
            ("can_id", pa.uint32()),
        ]
    )


def long_table(values: Sequence[Values], clock: Clock) -> pa.Table:
    """Rows in order of time; value is null where a frame says that it has none."""
    schema = long_schema(clock)
    if not values:
        return schema.empty_table()
    sizes = [len(each.time) for each in values]
    time = np.concatenate([each.time for each in values])
    order = np.argsort(time, kind="stable")
    number = np.concatenate([each.value for each in values])[order]
    missing = np.concatenate([each.missing for each in values])[order]

    def repeated(texts: Iterable[str]) -> pa.Array:
        names, which = np.unique(np.array(list(texts), object), return_inverse=True)
        index = np.repeat(which.astype(np.int32), sizes)[order]
        return pa.DictionaryArray.from_arrays(index, pa.array(names.tolist(), pa.string()))

    def numbers(each: Iterable[int], kind: type) -> NDArray[np.generic]:
        return np.repeat(np.array(list(each), kind), sizes)[order]

    return pa.table(
        [
            pa.array(time[order]).cast(pa.int64()).cast(schema.field("time").type),
            repeated(each.message for each in values),
            repeated(each.signal for each in values),
            pa.array(number, mask=missing),
            repeated(each.unit for each in values),
            _labels(values, order),
            numbers((each.bus for each in values), np.uint8),
            numbers((each.can_id for each in values), np.uint32),
        ],
        schema=schema,
    )


def _labels(values: Sequence[Values], order: NDArray[np.int64]) -> pa.Array:
    texts: dict[str, int] = {}
    parts = []
    for each in values:
        if each.label_of is None:
            parts.append(np.full(len(each.time), -1, np.int32))
            continue
        numbers = [texts.setdefault(text, len(texts)) for text in each.labels]
        parts.append(np.array([*numbers, -1], np.int32)[each.label_of])
    index = np.concatenate(parts)[order]
    return pa.DictionaryArray.from_arrays(
        pa.array(index, mask=index < 0), pa.array(list(texts), pa.string())
    )


def wide_names(values: Iterable[Values]) -> set[str]:
    """The columns that these values need."""
    return {f"{each.message}.{each.signal}" for each in values}


def wide_schema(names: Iterable[str], clock: Clock) -> pa.Schema:
    fixed = [("time", time_type(clock)), ("bus", pa.uint8()), ("can_id", pa.uint32())]
    return pa.schema([*fixed, *((name, pa.float64()) for name in sorted(names))])


def wide_table(values: Sequence[Values], schema: pa.Schema) -> pa.Table:
    """A row for each frame in order of time; null where a frame does not have a signal."""
    if not values:
        return schema.empty_table()
    frame = np.concatenate([each.frame for each in values])
    _, first, row = np.unique(frame, return_index=True, return_inverse=True)
    time = np.concatenate([each.time for each in values])[first]
    sizes = [len(each.time) for each in values]
    bus = np.repeat(np.array([each.bus for each in values], np.uint8), sizes)[first]
    can_id = np.repeat(np.array([each.can_id for each in values], np.uint32), sizes)[first]
    order = np.argsort(time, kind="stable")
    columns: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    at = 0
    for each, size in zip(values, sizes, strict=True):
        number, empty = columns.setdefault(
            f"{each.message}.{each.signal}",
            (np.zeros(len(first)), np.ones(len(first), np.bool_)),
        )
        rows = row[at : at + size]
        number[rows], empty[rows] = each.value, each.missing
        at += size
    nothing = pa.nulls(len(first), pa.float64())
    arrays = [
        pa.array(columns[name][0][order], mask=columns[name][1][order])
        if name in columns
        else nothing
        for name in schema.names[3:]
    ]
    times = pa.array(time[order]).cast(schema.field("time").type)
    return pa.table([times, bus[order], can_id[order], *arrays], schema=schema)
