"""Column types: Arrow, Delta's JSON, and what may be appended to what."""

import json
import re
from typing import Any

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
KEYS: dict[str, pa.DataType] = {"vehicle": pa.string(), "time": TIME, "seq": pa.int64()}
PARTITION = "date"

_NAMES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": TIME,
}
_DELTA = {kind: name for name, kind in _NAMES.items()}
# Delta without column mapping: characters that Parquet readers of the ecosystem refuse.
_FORBIDDEN = re.compile(r"[ ,;{}()\n\t=\"]")
_STORED_AS = (
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_timestamp, TIME),
)
_WIDER = {
    pa.int8(): (pa.int16(), pa.int32(), pa.int64()),
    pa.int16(): (pa.int32(), pa.int64()),
    pa.int32(): (pa.int64(),),
    pa.float32(): (pa.float64(),),
}


def from_delta(schema_json: str) -> pa.Schema:
    """A Delta `schemaString` as Arrow, without the partition column."""
    fields = json.loads(schema_json)["fields"]
    return pa.schema(
        [pa.field(f["name"], _arrow(f["type"])) for f in fields if f["name"] != PARTITION]
    )


def to_delta(schema: pa.Schema) -> str:
    """The `schemaString` of a table with these columns and the partition column."""
    fields = [_field(f.name, _delta(f.type)) for f in schema]
    return json.dumps({"type": "struct", "fields": [*fields, _field(PARTITION, "date")]})


def evolve(old: pa.Schema, rows: pa.Schema) -> pa.Schema:
    """`old` with the columns of `rows` that it lacks, at its end.

    Raises `ValueError`, naming the column, where `rows` cannot be stored.
    """
    merged = old if len(old) else pa.schema(list(KEYS.items()))
    missing = [name for name in KEYS if rows.get_field_index(name) < 0]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing: every table has vehicle, time, seq")
    known = {field.name.lower(): field for field in merged}
    count = len(known)
    for field in rows:
        there = known.get(field.name.lower())
        _check_name(field.name, there)
        if pa.types.is_null(field.type):
            continue
        kind = plain(field.name, field.type)
        if there is None:
            known[field.name.lower()] = pa.field(field.name, kind)
        elif not _fits(kind, want := there.type):
            raise ValueError(f"column {field.name!r} holds {want}, and {field.type} was appended")
    return merged if len(known) == count else pa.schema(list(known.values()))


def plain(name: str, kind: pa.DataType) -> pa.DataType:
    """The type a column is stored as; raises `ValueError` for one that Delta cannot hold."""
    if kind in _DELTA:
        return kind
    if pa.types.is_dictionary(kind):
        return plain(name, kind.value_type)
    for is_kind, stored in _STORED_AS:
        if is_kind(kind) and (stored != TIME or _zoned(kind)):
            return stored
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(plain(name, kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, plain(name, f.type)) for f in kind])
    raise ValueError(f"column {name!r} has type {kind}, which a table cannot hold")


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with exactly the columns of `schema`, in its order; missing ones are null."""
    columns = []
    for field in schema:
        at = rows.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(at)
        try:
            columns.append(column if column.type == field.type else column.cast(field.type))
        except pa.ArrowInvalid as error:
            raise ValueError(f"column {field.name!r}: {error}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _check_name(name: str, there: Any) -> None:
    """`there`: the field of that name that the table has, whatever its case."""
    if name.lower() == PARTITION:
        raise ValueError("column 'date' is computed from 'time': do not pass it")
    if not name or _FORBIDDEN.search(name):
        raise ValueError(f"column {name!r}: a name has no blanks, quotes, nor any of ,;{{}}()=")
    if there is not None and there.name != name:
        raise ValueError(f"column {name!r} differs only in case from {there.name!r}")


def _zoned(kind: Any) -> bool:
    return kind.tz is not None


def _fits(kind: pa.DataType, want: pa.DataType) -> bool:
    if pa.types.is_list(kind) and pa.types.is_list(want):
        return _fits(kind.value_type, want.value_type)
    return kind == want or want in _WIDER.get(kind, ())


def _field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}


def _delta(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _delta(kind.value_type), "containsNull": True}
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": [_field(f.name, _delta(f.type)) for f in kind]}
    return _DELTA[kind]


def _arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, str):
        if kind not in _NAMES:
            raise ValueError(f"the table holds a column of Delta type {kind}, unknown here")
        return _NAMES[kind]
    if kind["type"] == "array":
        return pa.list_(_arrow(kind["elementType"]))
    if kind["type"] == "struct":
        return pa.struct([pa.field(f["name"], _arrow(f["type"])) for f in kind["fields"]])
    raise ValueError(f"the table holds a column of Delta type {kind['type']}, unknown here")
