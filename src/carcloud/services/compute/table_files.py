"""Files that a script left, as rows for tables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from carcloud.ports.sandbox import Limits, Sandbox, Script
from carcloud.services.compute import table_reading
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.table_rows import MOST_COLUMNS, MOST_ROWS

_MB = 1_000_000
_SPARE_MB = 32  # of disk, besides the rows themselves
_SOURCE = Path(table_reading.__file__)


@contextmanager
def read_files(
    sandbox: Sandbox,
    folder: Path,
    files: Mapping[str, Path],
    limits: Limits,
    most_bytes: int,
) -> Iterator[dict[str, pa.Table]]:
    """Rows by the names of `files`; they stay readable within the block.

    `folder` is for files on the way. Raises `JobFailed` with the name of the table.
    """
    inputs, outputs = folder / "in", folder / "out"
    inputs.mkdir(parents=True)
    outputs.mkdir()
    for name, path in files.items():
        (inputs / name).hardlink_to(path)
    given = {
        "files": {name: name for name in files},
        "rows": MOST_ROWS,
        "columns": MOST_COLUMNS,
        "bytes": most_bytes,
    }
    printed: list[str] = []
    script = Script(_SOURCE.read_text(), given, inputs, outputs, limits)
    end = sandbox.run(script, printed.append, lambda _message: None)
    if end.error is not None:
        raise JobFailed(f"the tables could not be read: {end.error}", limit=end.limit)
    if "refused" in end.files:
        raise JobFailed((outputs / "refused").read_text(errors="replace")[:500], again=False)
    yield {name: _rows(outputs / f"{name}.arrow", name) for name in files}


def reading_limits(limits: Limits, seconds: float, most_bytes: int) -> Limits:
    """What reading may take: what the script might, in the time that is left."""
    return Limits(
        seconds=max(1.0, seconds),
        memory_mb=limits.memory_mb,
        cpu_seconds=max(5.0, limits.cpu_seconds),
        disk_mb=most_bytes // _MB + _SPARE_MB,
        processes=max(32, limits.processes),
        open_files=limits.open_files,
    )


def _rows(path: Path, name: str) -> pa.Table:
    """The rows, every offset and text of them checked: who wrote them may have been taken over."""
    try:
        reader: Any = pa.ipc.open_file(pa.memory_map(str(path)))
        if any(not _is_plain(field.type) for field in reader.schema):
            raise pa.ArrowInvalid("a type that was not asked for")
        rows = reader.read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise JobFailed(f"table {name}: {str(error)[:200]}", again=False) from error
    return rows


def _is_plain(kind: Any) -> bool:
    return not isinstance(kind, pa.BaseExtensionType) and not pa.types.is_dictionary(kind)
