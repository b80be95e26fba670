"""Reads files that a stranger wrote, in a sandbox of their own: no more than this runs there.

The job's process, which could reach every tenant, never parses them. It gets plain Arrow data of
bounded size. Nothing but pyarrow and the standard library is imported: carcloud is not in there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

IN, OUT, ARGUMENTS = Path("/job/in"), Path("/job/out"), Path("/sandbox/arguments.json")
_BATCH = 16_384  # rows
_PARQUET, _ARROW = b"PAR1", b"ARROW1"


class _Refused(Exception):
    """The file cannot become a table; the message says why."""


def read_all(inputs: Path, outputs: Path, given: dict[str, Any]) -> None:
    """For each name of `files`, write `<name>.arrow`; or `refused` with the first reason."""
    left = {"rows": given["rows"], "bytes": given["bytes"]}
    for name, file in given["files"].items():
        try:
            _copy(inputs / file, outputs / f"{name}.arrow", left, given["columns"])
        except (_Refused, pa.ArrowException, OSError, ValueError, TypeError) as error:
            (outputs / "refused").write_text(f"table {name}: {file}: {error}")
            return


def _copy(source: Path, target: Path, left: dict[str, int], most_columns: int) -> None:
    schema, batches = _open(source)
    if len(schema) > most_columns:
        raise _Refused(f"{len(schema)} columns, at most {most_columns} are allowed")
    plain = pa.schema([pa.field(f.name, _plain(f.type)) for f in schema])
    with pa.ipc.new_file(str(target), plain) as writer:
        for batch in batches:
            columns = [_decoded(column) for column in batch.columns]
            ready = pa.RecordBatch.from_arrays(columns, schema=plain)
            left["rows"] -= ready.num_rows
            left["bytes"] -= ready.nbytes
            if left["rows"] < 0:
                raise _Refused("more rows than are allowed at once")
            if left["bytes"] < 0:
                raise _Refused("larger as Arrow data than is allowed (compute.table_mb)")
            writer.write_batch(ready)


def _open(source: Path) -> tuple[pa.Schema, Iterator[Any]]:
    """Columns and rows of a Parquet file, an Arrow file or an Arrow stream."""
    with source.open("rb") as file:
        start = file.read(len(_ARROW))
    if start.startswith(_PARQUET):
        parquet = pq.ParquetFile(source)
        return parquet.schema_arrow, parquet.iter_batches(_BATCH)
    if start == _ARROW:
        arrow = pa.ipc.open_file(str(source))
        return arrow.schema, (arrow.get_batch(i) for i in range(arrow.num_record_batches))
    if not start:
        raise _Refused("the file is empty")
    try:
        stream = pa.ipc.open_stream(str(source))
    except pa.ArrowInvalid as error:
        raise _Refused("neither Parquet nor Arrow") from error
    return stream.schema, iter(stream)


def _plain(kind: Any) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    return _plain(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _decoded(column: Any) -> Any:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


if __name__ == "__main__":
    read_all(IN, OUT, json.loads(ARGUMENTS.read_text()))
