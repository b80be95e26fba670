"""Fields of reports that a model's mapping gives a signal: what has no fixed column, makers' own.

Only reports of vehicles whose models map such fields are looked at, one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant
from carcloud.model.signals import arrow_type
from carcloud.services.telemetry.ranges import Mask, marked
from carcloud.services.vocabulary.api import FieldSource, ModelMapping, Rule, converted

MappingsOf = Callable[[Tenant, Sequence[str]], Mapping[str, ModelMapping]]
"""The mappings of the models of vehicles, where they have one; quick where no model has."""


def with_fields(
    rows: pa.Table,
    names: pa.Array,
    mappings: Mapping[str, ModelMapping],
    protocol: str,
    report: Callable[[int], Any],
) -> pa.Table:
    """Rows with the fields that mappings name; what a mapping gives wins over the fixed columns.

    names: text (r,), the vehicle of each row. mappings: by vehicle. report: of a row, as the
    fields of the protocol read it.
    """
    flags: dict[str, Mask] = {}
    for mapping, which in _groups(names, mappings):
        rules = mapping.fields(protocol)
        if not rules:
            continue
        reports = [report(row) for row in which.tolist()]
        for rule in rules:
            values, flagged = _read(rule, reports)
            rows = _put(rows, rule, values, which)
            if flagged.any():
                mask = flags.setdefault(rule.path, np.zeros(rows.num_rows, np.bool_))
                mask[which] |= flagged
    return marked(rows, flags) if flags else rows


def _groups(
    names: pa.Array, mappings: Mapping[str, ModelMapping]
) -> list[tuple[ModelMapping, npt.NDArray[np.intp]]]:
    """The rows of each mapping."""
    coded = names.dictionary_encode()
    numbers: dict[int, int] = {}
    known: list[ModelMapping] = []
    of_name = []
    for name in coded.dictionary.to_pylist():
        mapping = mappings.get(name)
        if mapping is None:
            of_name.append(-1)
            continue
        number = numbers.setdefault(id(mapping), len(known))
        if number == len(known):
            known.append(mapping)
        of_name.append(number)
    of_row = np.array(of_name, np.int64)[coded.indices.to_numpy()]
    return [(mapping, np.flatnonzero(of_row == number)) for number, mapping in enumerate(known)]


def _read(rule: Rule, reports: Sequence[Any]) -> tuple[pa.Array, Mask]:
    if not isinstance(rule.source, FieldSource):
        raise TypeError(f"{rule.path} has no field as its source")
    field = rule.source.field
    read: Callable[[Any], int | float | None] = field.raw if rule.labels else field.value
    found = [read(one) for one in reports]
    missing = np.array([one is None for one in found], np.bool_)
    kind = np.float64 if any(isinstance(one, float) for one in found) else np.int64
    numbers = np.array([0 if one is None else one for one in found], kind)
    return converted(rule, numbers, missing)


def _put(rows: pa.Table, rule: Rule, values: pa.Array, which: npt.NDArray[np.intp]) -> pa.Table:
    """A column with these values in some rows; elsewhere what is there stays."""
    place = np.full(rows.num_rows, -1, np.int64)
    place[which] = np.arange(len(which))
    column = values.take(pa.array(place, mask=place < 0))
    if rule.path not in rows.column_names:
        if values.null_count == len(values):
            return rows
        return rows.append_column(rule.path, column)
    at = rows.column_names.index(rule.path)
    held = rows.column(at).cast(arrow_type(rule.signal.datatype))
    return rows.set_column(at, rule.path, pc.coalesce(column, held))
