"""What is S3's alone in the lake: lost answers, copies, other readers of the bucket."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.ports import s3_server
from tests.ports.s3_server import ACCESS, BUCKET, SECRET, seaweed

from carcloud.app.engines import open_lake, s3_options
from carcloud.config import InvalidSetting, Settings
from carcloud.engines.lake_delta import Cache, Care, DeltaLake, S3Place
from carcloud.engines.lake_delta.files import Unsure
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import QueryLimits, Slice, TableRef

TENANT = Tenant("fleet-a")
SIGNALS = TableRef(TENANT, "signals")
COUNT = "SELECT count(*) AS n FROM signals"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with seaweed(tmp_path_factory.mktemp("weed")) as url:
        yield url


def place(endpoint: str, folder: Path, *, attempts: int = 2) -> S3Place:
    cache = Cache(folder / "cache", 10**9)
    where = f"s3://{BUCKET}/{folder.name}"
    return S3Place(where, s3_server.s3_options(endpoint), cache, attempts=attempts)


def row(second: int) -> pa.Table:
    at = pa.array([1_772_323_200_000_000 + second * 1_000_000], pa.timestamp("us", "UTC"))
    return pa.table({"vehicle": ["a"], "time": at, "seq": pa.array([second], pa.int64())})


def test_a_name_that_is_taken_by_us_is_ours(endpoint: str, tmp_path: Path) -> None:
    """An answer that is lost makes the client ask again, and find the name taken."""
    files = place(endpoint, tmp_path).at("x")
    assert files.put_if_absent("log/1.json", b"ours")
    assert files.put_if_absent("log/1.json", b"ours")
    assert not files.put_if_absent("log/1.json", b"theirs")
    assert files.read("log/1.json") == b"ours"


def test_without_an_answer_nobody_knows(tmp_path: Path) -> None:
    files = place("http://127.0.0.1:9", tmp_path, attempts=1).at("x")
    with pytest.raises(Unsure):
        files.put_if_absent("log/1.json", b"ours")
    lake = DeltaLake(place("http://127.0.0.1:9", tmp_path, attempts=1))
    with pytest.raises(Unavailable):
        lake.append(SIGNALS, row(1), writer="w", seq=1)
    with pytest.raises(Unavailable):
        lake.query(TENANT, COUNT, QueryLimits())


def test_a_bucket_that_is_not_there_is_an_error(endpoint: str, tmp_path: Path) -> None:
    wrong = {**s3_server.s3_options(endpoint), "secret_access_key": "wrong"}
    files = S3Place(f"s3://{BUCKET}/x", wrong, Cache(tmp_path, 1), attempts=1).at("x")
    with pytest.raises(Unavailable):
        files.put("a", b"1")
    with pytest.raises(Unavailable):
        files.read("a")


def test_others_read_the_table_in_the_bucket(endpoint: str, tmp_path: Path) -> None:
    at = place(endpoint, tmp_path)
    lake = DeltaLake(at, Care(checkpoint_every=3, log_keep=0))
    for seq in range(1, 9):
        assert lake.append(SIGNALS, row(seq), writer="ingest", seq=seq)
    table = at.at(f"{TENANT}/lake/signals").delta()
    assert table.transaction_version("ingest") == 8
    assert sorted(table.to_pyarrow_table()["seq"].to_pylist()) == list(range(1, 9))
    names = [e.path for e in at.at(f"{TENANT}/lake/signals").entries("_delta_log")]
    assert any(name.endswith(".checkpoint.parquet") for name in names)
    assert not any(name.endswith(f"{1:020d}.json") for name in names)  # cleaned away


def test_copies_that_are_lost_are_fetched_again(endpoint: str, tmp_path: Path) -> None:
    at = place(endpoint, tmp_path)
    lake = DeltaLake(at)
    for seq in range(1, 4):
        lake.append(SIGNALS, row(seq), writer="w", seq=seq)
    copies = list(at.cache.folder.rglob("*.parquet"))
    assert len(copies) == 3
    for copy in copies:
        copy.unlink()
    assert lake.query(TENANT, COUNT, QueryLimits()).table.to_pylist() == [{"n": 3}]
    assert lake.read(SIGNALS, Slice()).num_rows == 3
    assert len(list(at.cache.folder.rglob("*.parquet"))) == 3
    assert not list(at.cache.folder.rglob(".draft-*"))
    lake.close()


def test_a_table_in_a_bucket_is_replaced_and_dropped_for_all(endpoint: str, tmp_path: Path) -> None:
    at = place(endpoint, tmp_path)
    lake, other = DeltaLake(at, Care(orphan_keep=0, removed_keep=0)), DeltaLake(at)
    made = TableRef(TENANT, "trip_stats")
    assert lake.append(made, row(1), writer="job-1", seq=1)
    assert other.append(made, row(2), writer="job-2", seq=1, replace=True)
    assert lake.read(made, Slice())["seq"].to_pylist() == [2]
    assert lake.drop(made)
    assert other.tables(TENANT) == []
    assert lake.upkeep(made, keep_days=None).bytes_freed > 0
    assert other.append(made, row(3), writer="job-3", seq=1)
    assert not lake.append(made, row(3), writer="job-2", seq=1)
    assert lake.read(made, Slice())["seq"].to_pylist() == [3]


def test_the_least_used_copies_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)
    for name, hours in (("a", 3), ("b", 2), ("c", 1), ("d", 0)):
        path = cache.keep(f"t/{name}", bytes(100))
        os.utime(path, (time.time() - hours * 3600,) * 2)
    assert cache.find("t/a")  # used now
    cache.trim()
    assert sorted(path.name for path in tmp_path.rglob("?") if path.is_file()) == ["a", "d"]


def test_copies_in_use_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10)
    cache.keep("t/a", bytes(100))
    cache.trim()
    assert cache.find("t/a")


def test_the_settings_lead_to_the_bucket(endpoint: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    settings = Settings(
        {
            "data": str(tmp_path / "data"),
            "lake.url": f"s3://{BUCKET}/{tmp_path.name}",
            "s3.endpoint": endpoint,
            "s3.access_key": ACCESS,
            "s3.secret_key_file": str(secret),
        }
    )
    lake = open_lake(settings)
    assert lake.append(SIGNALS, row(1), writer="w", seq=1)
    other = open_lake(settings.with_values({"data": str(tmp_path / "elsewhere")}))
    assert other.query(TENANT, COUNT, QueryLimits()).table.to_pylist() == [{"n": 1}]
    assert not (tmp_path / "data" / "tenants").exists()
    with pytest.raises(InvalidSetting, match="secret_key_file"):
        s3_options(settings.with_values({"s3.secret_key_file": str(tmp_path / "none")}))
