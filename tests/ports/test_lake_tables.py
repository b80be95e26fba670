"""Tables that come and go: replaced whole, dropped, made again. In a bucket: test_lake_s3.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.ports.test_lake import EAGER, TENANT, Opened, keys_of, rows, select

from carcloud.engines.lake_delta import Care, DeltaLake
from carcloud.engines.lake_delta.log import Log
from carcloud.ports.errors import QueryRefused
from carcloud.ports.lake import KnownTable, Lake, Slice, TableRef

STATS = TableRef(TENANT, "trip_stats")
DAYS = 86_400 * 1_000_000


@pytest.fixture
def again(tmp_path: Path) -> Iterator[Opened]:
    opened: list[DeltaLake] = []

    def another() -> Lake:
        opened.append(DeltaLake(tmp_path, EAGER))
        return opened[-1]

    yield another
    for engine in opened:
        engine.close()


@pytest.fixture
def lake(again: Opened) -> Lake:
    return again()


def test_rows_replace_all_that_were_there_once(lake: Lake, again: Opened) -> None:
    other = again()
    old = rows(("a", 0, 1), ("a", DAYS, 2), km=pa.array([1.0, 2.0]))
    assert lake.append(STATS, old, writer="job-1", seq=1)
    assert other.count(STATS, Slice()) == 2
    new = rows(("b", 5, 1), text=["x"])
    assert other.append(STATS, new, writer="job-2", seq=1, replace=True)
    assert not other.append(STATS, new, writer="job-2", seq=1, replace=True)
    assert not lake.append(STATS, old, writer="job-1", seq=1)
    for one in (lake, other, again()):
        assert select(one, "SELECT vehicle, text FROM trip_stats") == [
            {"vehicle": "b", "text": "x"}
        ]
        (info,) = one.tables(TENANT)
        assert [name for name, _ in info.columns] == ["vehicle", "time", "seq", "text", "date"]
        assert (info.rows, info.files, info.known) == (1, 1, False)
    assert lake.append(STATS, rows(("c", 6, 1), text=["y"]), writer="job-3", seq=1)
    assert sorted(v for v, _, _ in keys_of(other.read(STATS, Slice()))) == ["b", "c"]


def test_a_dropped_table_is_gone_for_all_and_can_be_made_again(lake: Lake, again: Opened) -> None:
    other = again()
    for seq in range(1, 13):  # so many that a checkpoint falls in between
        lake.append(STATS, rows(("a", seq, seq), km=[1.0]), writer=f"job-{seq}", seq=1)
    assert other.count(STATS, Slice()) == 12
    assert lake.drop(STATS)
    assert not other.drop(STATS)
    for one in (lake, other, again()):
        assert one.tables(TENANT) == []
        assert list(one.copies(TENANT)) == []
        assert one.names(TENANT) == ["trip_stats"]
        assert one.count(STATS, Slice()) == 0
        with pytest.raises(Exception, match="there is no table trip_stats"):
            select(one, "SELECT * FROM trip_stats")
    again_written = rows(("a", 1, 1), km=["now a text"])
    assert not other.append(STATS, again_written, writer="job-3", seq=1)  # it went with the rest
    other.check(STATS, again_written.schema)
    assert other.append(STATS, again_written, writer="job-13", seq=1)
    for one in (lake, other, again()):
        assert select(one, "SELECT km FROM trip_stats") == [{"km": "now a text"}]
        assert len(list(one.copies(TENANT))) == 1
    other.upkeep(STATS, keep_days=None)
    assert lake.count(STATS, Slice()) == 1


def test_nobody_can_drop_what_is_not_there(lake: Lake) -> None:
    assert not lake.drop(STATS)
    assert lake.names(TENANT) == []


def test_what_does_not_fit_is_told_before_it_is_written(lake: Lake) -> None:
    lake.append(STATS, rows(("a", 0, 1), km=[1.0]), writer="job-1", seq=1)
    text = rows(("a", 0, 1), km=["far"])
    with pytest.raises(ValueError, match="column 'km' holds double"):
        lake.check(STATS, text.schema)
    lake.check(STATS, text.schema, replace=True)
    lake.check(TableRef(TENANT, "another"), text.schema)


def test_a_known_table_cannot_be_dropped(tmp_path: Path) -> None:
    known = KnownTable("signals", rows().schema)
    engine = DeltaLake(tmp_path, None, [known])
    with pytest.raises(ValueError, match="signals"):
        engine.drop(TableRef(TENANT, "signals"))
    assert engine.tables(TENANT)[0].known


def test_upkeep_frees_a_dropped_table_and_forgets_what_its_log_told(tmp_path: Path) -> None:
    care = Care(checkpoint_every=50, log_keep=0, removed_keep=0, orphan_keep=0)
    engine = DeltaLake(tmp_path, care)
    for seq in range(1, 4):
        engine.append(STATS, rows(("VIN-OF-SOMEBODY", seq, seq)), writer="w", seq=seq)
    engine.drop(STATS)
    assert engine.upkeep(STATS, keep_days=None).bytes_freed > 0
    engine.upkeep(STATS, keep_days=None)
    folder = tmp_path / TENANT / "lake" / "trip_stats"
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix == ".parquet" and "date=" in str(path)]
    assert not [path for path in left if b"VIN-OF-SOMEBODY" in path.read_bytes()]
    assert DeltaLake(tmp_path, care).tables(TENANT) == []  # from the checkpoint alone
    assert engine.append(STATS, rows(("b", 1, 1)), writer="w", seq=4)
    assert DeltaLake(tmp_path, care).count(STATS, Slice()) == 1


def test_others_read_a_replaced_and_a_dropped_table(tmp_path: Path) -> None:
    engine = DeltaLake(tmp_path, EAGER)
    folder = str(tmp_path / TENANT / "lake" / "trip_stats")
    engine.append(STATS, rows(("a", 0, 1), km=[1.0]), writer="w", seq=1)
    engine.append(STATS, rows(("b", 0, 1), text=["x"]), writer="w", seq=2, replace=True)
    found = DeltaTable(folder).to_pyarrow_table()
    assert found["text"].to_pylist() == ["x"]
    assert "km" not in found.column_names
    engine.drop(STATS)
    assert DeltaTable(folder).to_pyarrow_table().num_rows == 0


def test_large_files_of_one_vehicle_are_not_merged_into_one_piece(tmp_path: Path) -> None:
    large = rows(*(("", at, at) for at in range(4000)))
    size = large.nbytes
    care = Care(fan_in=2, settle=0, whole_bytes=int(size * 2.5))
    engine = DeltaLake(tmp_path, care)
    for seq in range(1, 6):
        engine.append(STATS, large, writer="w", seq=seq)
    engine.upkeep(STATS, keep_days=None)
    log = tmp_path / TENANT / "lake" / "trip_stats" / "_delta_log"
    adds = [
        json.loads(line) for path in log.glob("*.json") for line in path.read_text().split("\n")
    ]
    sizes = [int(a["add"]["tags"]["carcloud.bytes"]) for a in adds if "add" in a]
    assert max(sizes) <= care.whole_bytes
    assert engine.tables(TENANT)[0].files < 5  # some were
    assert engine.count(STATS, Slice()) == 20_000


def test_many_tables_are_listed_and_sql_looks_only_at_those_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeltaLake(tmp_path)
    for number in range(12):
        table = TableRef(TENANT, f"made_{number}")
        assert engine.append(table, rows(("a", number, 1)), writer="w", seq=1)
    other = DeltaLake(tmp_path)
    assert len(other.tables(TENANT)) == 12
    looked: list[str] = []
    monkeypatch.setattr(
        Log, "refresh", lambda log, _real=Log.refresh: looked.append(log.files.root) or _real(log)
    )
    assert select(other, 'SELECT count(*) AS n FROM "Made_11"') == [{"n": 1}]
    assert {str(root).rsplit("/", 1)[1] for root in looked} == {"made_1", "made_11"}
    with pytest.raises(QueryRefused, match=r"Tables: .*made_7"):
        select(DeltaLake(tmp_path), "SELECT * FROM nothing")


def test_what_was_sorted_as_a_whole_is_not_merged_again(tmp_path: Path) -> None:
    """Else upkeep of a day of more than may be merged at once would find work without end."""
    words = ["short" if at % 8 < 4 else "long" * 20 for at in range(80)]
    few = rows(*((f"v{at % 8}", at, at) for at in range(80)), text=words)
    care = Care(fan_in=2, settle=0, piece_rows=400, whole_bytes=int(few.nbytes * 10.5))
    engine = DeltaLake(tmp_path, care)

    def files(appended: range) -> set[str]:
        for seq in appended:
            engine.append(STATS, few, writer="w", seq=seq)
        engine.upkeep(STATS, keep_days=None)
        assert engine.upkeep(STATS, keep_days=None).notes == []
        return set(engine._log(STATS).refresh().files)

    before = files(range(1, 41))
    assert len(before) < 10
    after = files(range(41, 44))
    assert before < after
    assert engine.count(STATS, Slice()) == 43 * 80
