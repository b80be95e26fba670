"""Fields of reports that a model's mapping gives a signal: what has no fixed column, makers' own.

Only reports of vehicles whose models map such fields are looked at.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.codecs.fields import Fields
from carcloud.model.ids import Tenant
from carcloud.model.signals import arrow_type
from carcloud.services.telemetry.ranges import Mask, marked
from carcloud.services.vocabulary.api import FieldSource, ModelMapping, Rule, converted

MappingsOf = Callable[[Tenant, Sequence[str]], Mapping[str, ModelMapping]]
"""The mappings of the models of vehicles, where they have one; quick where no model has."""

Rows = npt.NDArray[np.intp]


def with_fields(
    rows: pa.Table,
    names: pa.Array,
    mappings: Mapping[str, ModelMapping],
    protocol: str,
    fields: Callable[[Rows], Fields],
) -> pa.Table:
    """Rows with the fields that mappings name; what a mapping gives wins over the fixed columns.

    names: text (r,), the vehicle of each row. mappings: by vehicle. fields: of the reports of
    some rows, as the protocol reads them.
    """
    flags: dict[str, Mask] = {}
    columns: dict[str, _Column] = {}
    known, of_row = _mappings_of(names, mappings)
    for numbers, rules in _shared(known, protocol).items():
        which = np.flatnonzero(np.isin(of_row, numbers))
        reports = fields(which)
        for rule in rules:
            values, flagged = _read(rule, reports)
            columns.setdefault(rule.path, _Column(rows.num_rows)).put(rule, values, which)
            if flagged.any():
                mask = flags.setdefault(rule.path, np.zeros(rows.num_rows, np.bool_))
                mask[which] |= flagged
    for path, column in columns.items():
        rows = column.into(rows, path)
    return marked(rows, flags) if flags else rows


def _mappings_of(
    names: pa.Array, mappings: Mapping[str, ModelMapping]
) -> tuple[list[ModelMapping], npt.NDArray[np.int64]]:
    """Those that there are, and the number of that of each row; -1 = none."""
    coded = names.dictionary_encode()
    given = list(map(mappings.get, coded.dictionary.to_pylist()))
    ids = list(map(id, given))
    known = dict(zip(ids, given, strict=True))
    known.pop(id(None), None)
    numbers = {**{one: number for number, one in enumerate(known)}, id(None): -1}
    of_name = np.array(list(map(numbers.get, ids)), np.int64)
    return [one for one in known.values() if one is not None], of_name[coded.indices.to_numpy()]


def _shared(known: Sequence[ModelMapping], protocol: str) -> dict[tuple[int, ...], list[Rule]]:
    """The rules by the mappings that have them alike, so that those are read together."""
    alike: dict[Hashable, tuple[Rule, list[int]]] = {}
    for number, mapping in enumerate(known):
        for rule in mapping.fields(protocol):
            key = (
                id(rule.signal), rule.source.name, rule.scale, rule.offset, rule.valid,
                tuple(rule.labels.items()),
            )  # fmt: skip
            alike.setdefault(key, (rule, []))[1].append(number)
    found: dict[tuple[int, ...], list[Rule]] = {}
    for rule, numbers in alike.values():
        found.setdefault(tuple(numbers), []).append(rule)
    return found


def _read(rule: Rule, reports: Fields) -> tuple[pa.Array, Mask]:
    if not isinstance(rule.source, FieldSource):
        raise TypeError(f"{rule.path} has no field as its source")
    read = reports.raw if rule.labels else reports.value
    return converted(rule, *read(rule.source.field))


class _Column:
    """What mappings give for one path, some rows each."""

    def __init__(self, count: int) -> None:
        self._place = np.full(count, -1, np.int64)  # of each row in all values; -1 = none
        self._values: list[pa.Array] = []
        self._held = 0
        self._kind = pa.null()

    def put(self, rule: Rule, values: pa.Array, which: Rows) -> None:
        """Values of these rows; those that are null leave what is there."""
        self._kind = arrow_type(rule.signal.datatype)
        if values.null_count == len(values):
            return
        place = np.arange(self._held, self._held + len(values))
        if values.null_count:
            there = values.is_valid().to_numpy(zero_copy_only=False)
            which, place = which[there], place[there]
        self._place[which] = place
        self._values.append(values)
        self._held += len(values)

    def into(self, rows: pa.Table, path: str) -> pa.Table:
        """The table with these values; elsewhere what is there stays."""
        held = path in rows.column_names
        if not held and not self._values:
            return rows
        parts = [one.cast(self._kind) for one in self._values]
        values = pa.concat_arrays(parts) if parts else pa.array([], self._kind)
        column = values.take(pa.array(self._place, mask=self._place < 0))
        if not held:
            return rows.append_column(path, column)
        at = rows.column_names.index(path)
        return rows.set_column(at, path, pc.coalesce(column, rows.column(at).cast(self._kind)))
