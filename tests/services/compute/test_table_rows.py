"""What becomes rows of a table, and what cannot."""

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.ids import Tenant
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.compute.table_reading import read_all
from carcloud.services.compute.table_rows import MOST_COLUMNS, as_rows

TABLE = TableRef(Tenant("mine"), "made")
GIVEN = {"rows": 5_000, "columns": MOST_COLUMNS, "bytes": 2_000_000}
DAY = dt.datetime(2026, 5, 1)  # noqa: DTZ001 - as scripts have it


def test_rows_of_any_type_that_a_table_can_hold_come_back_from_it(tmp_path: Path) -> None:
    given = pa.table(
        {
            "time": pa.array([DAY, DAY], pa.timestamp("ns")),  # no zone: UTC
            "vehicle": pa.array(["a", "b"]).dictionary_encode(),
            "small": pa.array([1, 255], pa.uint8()),
            "count": pa.array([1, 2**32 - 1], pa.uint32()),
            "nothing": pa.nulls(2),
            "flag": [True, None],
            "day": pa.array([DAY.date()] * 2, pa.date64()),
            "list": pa.array([[1], None], pa.large_list(pa.uint16())),
            "struct": [{"x": 1.5, "name": "n"}, None],
            "text": pa.array(["é", "中"], pa.large_string()),
            "price": [Decimal("1.25"), None],
            "when": pa.array([DAY, DAY], pa.timestamp("ms", "Asia/Shanghai")),
        }
    )
    rows = as_rows(given)
    lake = DeltaLake(tmp_path)
    assert lake.append(TABLE, rows, writer="job-1", seq=1)
    found = lake.read(TABLE, Slice()).sort_by("seq").to_pylist()
    assert found[1] == {
        "vehicle": "b",
        "time": DAY.replace(tzinfo=dt.UTC),
        "seq": 2,
        "small": 255,
        "count": 2**32 - 1,
        "flag": None,
        "day": DAY.date(),
        "list": None,
        "struct": None,
        "text": "中",
        "price": None,
        "when": DAY.replace(tzinfo=dt.UTC),
    }
    assert (found[0]["list"], found[0]["price"]) == ([1], 1.25)


def test_what_is_missing_of_the_keys_is_filled_in() -> None:
    before = dt.datetime.now(dt.UTC)
    rows = as_rows(pa.table({"n": [5, 6]})).to_pylist()
    assert [(row["vehicle"], row["seq"], row["n"]) for row in rows] == [("", 1, 5), ("", 2, 6)]
    assert before <= rows[0]["time"] <= dt.datetime.now(dt.UTC)


def test_an_empty_table_has_its_columns() -> None:
    assert as_rows(pa.table({"n": pa.array([], pa.int64())})).num_rows == 0


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"d": pa.array([1], pa.duration("s"))}, "column 'd' has type duration"),
        ({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}, "column 'm' has type"),
        ({"n": pa.array([2**63], pa.uint64())}, "column 'n': "),
        ({"vehicle": pa.array([None], pa.string())}, "column 'vehicle' has a null"),
        ({"vehicle": [1]}, "column 'vehicle' has type int64: ids are text"),
        ({"time": ["now"]}, "column 'time' has type string: it must be a timestamp"),
        ({"time": [DAY.replace(year=1600)]}, "column 'time' has a value before 1970"),
        ({"time": pa.array([2**62], pa.timestamp("s"))}, "column 'time': "),
        ({"seq": ["1"]}, "column 'seq' has type string"),
        ({f"c{i}": [1] for i in range(MOST_COLUMNS + 1)}, "more than 500 columns"),
        ({"s": [{f"c{i}": 1 for i in range(MOST_COLUMNS)}]}, "more than 500 columns"),
        ({"d": [deep(9)]}, "column 'd' is more than 6 levels deep"),
        ({"x\n": [1]}, "column 'x\\n': a name"),
        ({"x" * 129: [1]}, "a name has 1 to 128 characters"),
        ({"time": [DAY - dt.timedelta(days=d) for d in range(4001)]}, "more than 4000 days"),
    ],
)
def test_the_column_that_does_not_fit_is_named(columns: Any, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        as_rows(pa.table(columns))
    assert told in str(refused.value)


def test_a_column_that_is_there_twice_is_named() -> None:
    with pytest.raises(ValueError, match="column 'x' is there twice"):
        as_rows(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]))


def reading(folder: Path, data: bytes) -> str | pa.Table:
    """What is read of a file, or why it is refused."""
    inputs, outputs = folder / "in", folder / "out"
    for one in (inputs, outputs):
        one.mkdir(exist_ok=True)
    for old in outputs.iterdir():
        old.unlink()
    (inputs / "file").write_bytes(data)
    read_all(inputs, outputs, {**GIVEN, "files": {"made": "file"}})
    if (outputs / "refused").exists():
        return (outputs / "refused").read_text()
    return pa.ipc.open_file(str(outputs / "made.arrow")).read_all()


def parquet(columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def arrow(columns: Any, new: Any) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with new(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_parquet_and_both_forms_of_arrow_are_read(tmp_path: Path) -> None:
    columns = {"n": [1, 2], "word": pa.array(["a", "b"]).dictionary_encode()}
    for data in (
        parquet(columns),
        arrow(columns, pa.ipc.new_file),
        arrow(columns, pa.ipc.new_stream),
    ):
        found = reading(tmp_path, data)
        assert isinstance(found, pa.Table)
        assert found.to_pydict() == {"n": [1, 2], "word": ["a", "b"]}
        assert found.schema.field("word").type == pa.string()


def test_files_that_are_no_tables_or_too_large_are_refused(tmp_path: Path) -> None:
    whole = parquet({"n": [1]})
    for data, told in (
        (b"", "the file is empty"),
        (b"a,b\n1,2\n", "neither Parquet nor Arrow"),
        (b"PAR1" + bytes(range(256)) * 40 + b"PAR1", "table made: file: "),
        (whole[:-20], "table made: file: "),
        (parquet({"text": ["x" * 1000] * 3000}), "compute.table_mb"),  # 3 MB, a few KB in the file
        (parquet({"n": pa.nulls(5_001, pa.bool_())}), "more rows than are allowed"),
        (parquet({f"c{i}": [1] for i in range(MOST_COLUMNS + 1)}), "501 columns"),
    ):
        assert told in str(reading(tmp_path, data))


def test_a_file_with_bytes_changed_is_read_or_refused(tmp_path: Path) -> None:
    """Whatever the bytes say, an error ends as a reason; what is read holds together."""
    chance = random.Random(20261129)
    columns = {"n": list(range(200)), "s": [f"text {i}" for i in range(200)], "l": [[1, 2]] * 200}
    sources = [parquet(columns), arrow(columns, pa.ipc.new_file)]
    refused = 0
    for _ in range(150):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        found = reading(tmp_path, bytes(data))
        refused += isinstance(found, str)
    assert refused > 10
