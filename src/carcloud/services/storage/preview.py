"""What is in an object, shown without downloading it: Parquet and MCAP.

Objects come from tenants, so nothing of what a file says about itself is believed: sizes are
bounded before anything is read, and what cannot be shown is said, not tried.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from carcloud.codecs.mcap.summary import TAIL, NotMcap, Summary, read_summary, summary_span
from carcloud.services.storage.errors import Invalid

MOST_ROWS = 20
MOST_COLUMNS = 100
_MOST_TEXT = 200  # characters of a value
_MOST_GROUP = 256_000_000  # bytes of a row group, unpacked, above which rows are not shown
_MOST_READ = 64_000_000  # bytes that a preview may read
PARQUET, MCAP = b"PAR1", b"\x89MCAP0\r\n"

Fetch = Callable[[int, int], bytes]  # (start, end)


@dataclass(frozen=True, slots=True)
class TablePreview:
    """A Parquet file: its columns, and its first rows as text. `note` says what is left out."""

    rows: int
    row_groups: int
    columns: tuple[tuple[str, str], ...]  # (name, type)
    written_by: str
    first: tuple[tuple[str | None, ...], ...]
    note: str = ""


def preview(fetch: Fetch, size: int) -> TablePreview | Summary:
    """What an object of `size` bytes holds; raises `Invalid` if there is no preview of it."""
    head = fetch(0, min(size, 8))
    if head[:4] == PARQUET:
        return _parquet(fetch, size)
    if head == MCAP:
        return _mcap(fetch, size, head)
    raise Invalid("key", "there are previews of Parquet and MCAP files only")


def _mcap(fetch: Fetch, size: int, head: bytes) -> Summary:
    try:
        start, end = summary_span(head, fetch(max(0, size - TAIL), size), size)
        return read_summary(fetch(start, end))
    except NotMcap as error:
        raise Invalid("key", str(error)) from error


def _parquet(fetch: Fetch, size: int) -> TablePreview:
    source = pa.PythonFile(_Source(fetch, size), mode="r")
    try:
        file = pq.ParquetFile(source, thrift_string_size_limit=10**7)
        meta, schema = file.metadata, file.schema_arrow
        columns = tuple((field.name, str(field.type)[:_MOST_TEXT]) for field in schema)
        first, note = _first_rows(file, [name for name, _ in columns[:MOST_COLUMNS]])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Invalid("key", f"the Parquet file cannot be read: {str(error)[:200]}") from error
    if len(columns) > MOST_COLUMNS:
        note = note or f"{len(columns)} columns, of which {MOST_COLUMNS} are shown"
    return TablePreview(
        meta.num_rows,
        meta.num_row_groups,
        columns[:MOST_COLUMNS],
        str(meta.created_by)[:_MOST_TEXT],
        first,
        note,
    )


def _first_rows(
    file: pq.ParquetFile, columns: list[str]
) -> tuple[tuple[tuple[str | None, ...], ...], str]:
    if file.metadata.num_row_groups == 0:
        return (), ""
    if file.metadata.row_group(0).total_byte_size > _MOST_GROUP:
        return (), "the first row group is too large to show rows of it"
    batches = file.iter_batches(MOST_ROWS, row_groups=[0], columns=columns, use_threads=False)
    batch = next(batches, None)
    if batch is None:
        return (), ""
    values = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
    return tuple(zip(*values, strict=True)), ""


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


class _Source(io.RawIOBase):
    """An object as a file that can be read anywhere; reads a bounded amount in all."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._at = 0
        self._left = _MOST_READ

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from here on; raises `OSError` when the file wants too many."""
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        self._left -= end - self._at
        if self._left < 0:
            raise OSError("showing rows of it would take reading too much")
        data = self._fetch(self._at, end)
        self._at += len(data)
        return data
