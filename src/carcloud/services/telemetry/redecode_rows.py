"""What the rows of some frames become when the frames are decoded anew: pure, table in, table out.

A frame's rows are those of its vehicle and stream sequence. Rows that another frame has given
already stay that one's: what was sent twice is stored once also after decoding anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
_CORRECTION: Final = "correction"

Key = tuple[str, int]  # vehicle, seq
Moment = tuple[str, int]  # vehicle, us
Report = tuple[str, int, int]  # vehicle, us, digest


@dataclass(frozen=True, slots=True)
class Replaced:
    """`rows` stand instead of those that were given; None where nothing changes.

    `now`: the rows of the frames as they are from now on, by seq.
    """

    rows: pa.Table | None
    now: pa.Table
    added: int = 0
    changed: int = 0
    removed: int = 0


def replaced(before: pa.Table, decoded: pa.Table, keys: set[Key], known: set[Report]) -> Replaced:
    """`before` with the rows of `keys` as `decoded` has them.

    before: whole rows of a slice. decoded: rows with vehicle, time, received, seq, digest and
    whatever they say. known: reports of the same vehicles that rows of no key hold.
    """
    mine = np.fromiter((key in keys for key in keys_of(before)), np.bool_, before.num_rows)
    old, others = before.filter(pa.array(mine)), before.filter(pa.array(~mine))
    new = _once(_as_stored(decoded, before.schema), known)
    places = {name: at for at, name in enumerate(_names(old))}
    found = np.array([places.get(name, -1) for name in _names(new)], np.int64)
    new = _corrections(new, old, found, {one[:2] for one in known})
    same = _same(new, old, found)
    matched = int((found >= 0).sum())
    changed, added = int((~same & (found >= 0)).sum()), int((found < 0).sum())
    removed = old.num_rows - matched
    if not (changed or added or removed):
        return Replaced(None, new)
    rows = pa.concat_tables([others, new], promote_options="default")
    return Replaced(rows, new, added, changed, removed)


def newest(rows: pa.Table) -> pa.Table:
    """Of each vehicle the last rows that have a value of each signal."""
    order = np.argsort(_times(rows), kind="stable")
    vehicles = rows["vehicle"].combine_chunks().dictionary_encode().indices.to_numpy()
    chosen: set[int] = set()
    for name in rows.column_names:
        if "." not in name:
            continue
        valid = rows[name].is_valid().to_numpy()
        there = order[valid[order]]
        last = dict(zip(vehicles[there].tolist(), there.tolist(), strict=True))
        chosen.update(last.values())
    return rows.take(pa.array(sorted(chosen), pa.int64()))


def reports(rows: pa.Table) -> list[Report]:
    """(vehicle, time, digest) of each row."""
    names, times = rows["vehicle"].to_pylist(), _times(rows).tolist()
    return list(zip(names, times, rows["digest"].to_pylist(), strict=True))


def keys_of(rows: pa.Table) -> list[Key]:
    """(vehicle, seq) of each row."""
    return list(zip(rows["vehicle"].to_pylist(), rows["seq"].to_pylist(), strict=True))


def _names(rows: pa.Table) -> list[tuple[str, int, int, int]]:
    seqs = rows["seq"].to_pylist()
    return [(*one, seq) for one, seq in zip(reports(rows), seqs, strict=True)]


def _times(rows: pa.Table) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = rows["time"].cast(pa.int64()).to_numpy()
    return times


def _as_stored(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of the types that the table has for them."""
    kinds = {field.name: field.type for field in schema}
    wanted = [field.with_type(kinds.get(field.name, field.type)) for field in rows.schema]
    return rows.cast(pa.schema(wanted))


def _once(rows: pa.Table, known: set[Report]) -> pa.Table:
    """Without what is known, and of what comes twice the first by seq."""
    rows = rows.take(pc.sort_indices(rows, sort_keys=[("seq", "ascending")]))
    seen, keep = set(known), np.zeros(rows.num_rows, np.bool_)
    for at, report in enumerate(reports(rows)):
        if report not in seen:
            seen.add(report)
            keep[at] = True
    return rows.filter(pa.array(keep))


def _corrections(
    new: pa.Table, old: pa.Table, found: npt.NDArray[np.int64], known: set[Moment]
) -> pa.Table:
    """The mark that a row had stays; a row without one has it where its moment has another."""
    had = old[_CORRECTION].to_pylist() if _CORRECTION in old.column_names else []
    seen, marks = set(known), []
    for report, at in zip(reports(new), found.tolist(), strict=True):
        moment = report[:2]
        marks.append(bool(had[at]) if at >= 0 and had else moment in seen)
        seen.add(moment)
    return new.append_column(_CORRECTION, pa.array(marks, pa.bool_()))


def _same(new: pa.Table, old: pa.Table, found: npt.NDArray[np.int64]) -> Mask:
    """Which new rows are as the old ones of the same name were, in every column."""
    same = found >= 0
    places = pa.array(found, mask=found < 0)
    for name in dict.fromkeys([*new.column_names, *old.column_names]):
        if name == "date":
            continue
        was = old[name].take(places) if name in old.column_names else None
        now = new[name] if name in new.column_names else None
        same &= _equal(now, was, new.num_rows)
    return same


def _equal(now: Any, was: Any, count: int) -> Mask:
    """Equal values, or none in both."""
    if now is None or was is None:
        there = now if now is not None else was
        alone: Mask = there.is_null().to_numpy()
        return alone
    if pa.types.is_dictionary(now.type):
        now = now.cast(now.type.value_type)
    if pa.types.is_nested(now.type) or pa.types.is_nested(was.type):
        pairs: Sequence[tuple[Any, Any]] = list(zip(now.to_pylist(), was.to_pylist(), strict=True))
        return np.fromiter((one == other for one, other in pairs), np.bool_, count)
    if now.type != was.type:
        now = now.cast(was.type)
    equal = pc.fill_null(pc.equal(now, was), False)
    neither = pc.and_(now.is_null(), was.is_null())
    result: Mask = pc.or_(equal, neither).to_numpy()
    return result
