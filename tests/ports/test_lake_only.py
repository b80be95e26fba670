"""SQL of a caller who may see some vehicles only: nothing tells of the rows of others."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ports.test_lake import ATTACKS

from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.lake_delta import worker as sql_worker
from carcloud.engines.lake_delta.passed import Among
from carcloud.engines.lake_delta.snapshot import Bounds, DataFile
from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, to_us
from carcloud.ports.errors import QueryLimit, QueryRefused
from carcloud.ports.lake import QueryLimits, QueryResult, TableRef

TENANT = Tenant("fleet-a")
TIME = pa.timestamp("us", "UTC")
DAY_0 = to_us(datetime(2026, 3, 1, tzinfo=UTC))
MINE, THEIRS = ("LTESTMINE00000001", "LTESTMINE00000002"), ("AHIDDEN0", "ZHIDDEN9")
SECRET = 7654321  # a speed of theirs, above and below all of mine in absolute value
MARKS = ("HIDDEN", str(SECRET))

HOSTILE = [
    # conditions that an engine could look at before the vehicle is
    "SELECT * FROM signals WHERE error(vehicle) IS NULL",
    "SELECT * FROM signals WHERE error(concat(vehicle, speed)) IS NOT NULL OR true",
    "SELECT * FROM signals WHERE vehicle::INTEGER > 0",
    "SELECT CASE WHEN vehicle LIKE '%IDDE%' THEN error(note) END FROM signals",
    "SELECT * FROM signals WHERE strptime(note, '%Y') IS NULL",
    "SELECT * FROM signals WHERE CASE WHEN speed > 7654320 THEN error(note) ELSE true END",
    "SELECT CAST(note AS DATE) FROM signals",
    "SELECT 1 // (speed::INTEGER - 7654320), speed::TINYINT FROM signals",
    "SELECT count(*) FROM signals WHERE note::INTEGER = 1 AND speed > 100",
    # statistics of files, which tell of all rows
    "SELECT stats(vehicle), stats(speed), stats(note) FROM signals",
    "SELECT min(vehicle), max(vehicle), min(speed), max(speed), max(note) FROM signals",
    "SUMMARIZE signals",
    "SELECT * FROM (SUMMARIZE signals)",
    "SELECT approx_top_k(vehicle, 9), histogram(vehicle), list(DISTINCT note) FROM signals",
    # other ways to a table, and other tables under its name
    "FROM main.signals",
    "TABLE signals",
    "WITH signals AS (SELECT * FROM signals) FROM signals",
    "WITH s AS MATERIALIZED (FROM signals) SELECT * FROM s ANTI JOIN trips USING (vehicle)",
    "WITH RECURSIVE r AS (SELECT vehicle FROM signals UNION SELECT vehicle FROM r) FROM r",
    "SELECT signals FROM signals",
    "SELECT s.* FROM signals s FULL JOIN trips t ON s.vehicle != t.vehicle",
    "SELECT COLUMNS('.*') FROM signals",
    "SELECT UNNEST(s) FROM signals s",
    "SELECT * FROM signals NATURAL JOIN trips",
    "SELECT * FROM signals POSITIONAL JOIN trips",
    "SELECT * FROM signals ASOF JOIN trips USING (seq)",
    "FROM signals TABLESAMPLE 100%",
    "FROM signals UNION ALL BY NAME FROM trips",
    "FROM trips WHERE vehicle NOT IN (FROM (SELECT vehicle FROM signals))",
    "SELECT * FROM signals, LATERAL (SELECT count(*) FROM trips t WHERE t.vehicle < note)",
    "SELECT (SELECT string_agg(note, ',') FROM signals)",
    "SELECT * FROM (UNPIVOT signals ON speed)",
    "PIVOT signals ON vehicle USING max(note)",
    "SELECT rowid, * FROM signals",
    "SELECT filename, * FROM signals",
    "SELECT file_row_number FROM signals",
    "SELECT json_object('s', s) FROM signals s",
    # names that only we know
    "FROM allowed",
    "FROM given",
    "SELECT * FROM memory.main.allowed",
    "SELECT * FROM temp.main.signals",
    "SELECT * FROM temp.signals",
    "FROM system.main.duckdb_tables",
    "SELECT * FROM information_schema.columns",
    "SELECT view_definition FROM information_schema.views",
    "SELECT * FROM duckdb_columns()",
    "SELECT * FROM pragma_table_info('signals')",
    "SELECT * FROM query_table(['signals'])",
    "SELECT * FROM arrow_scan_dumb(1, 2, 3)",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM parquet_scan('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM glob('{root}/**')",
    "WITH \"{file}\" AS (SELECT 1) FROM '{file}'",
    "SELECT * FROM python_map_function()",
    "CREATE MACRO m() AS TABLE FROM signals",
    "CREATE VIEW v AS FROM signals",
    "SELECT * FROM (DESCRIBE signals)",
    "SET VARIABLE x = 1; SELECT getvariable('x')",
    "EXPLAIN ANALYZE FROM signals",
    "PREPARE q AS FROM signals",
    "COPY signals TO '{root}/out.csv'",
    "ATTACH '{root}/x.db' AS x",
]


def _table(*vehicles: str) -> pa.Table:
    """Six rows a vehicle, over two days; of all of them in order, those of `vehicles`."""
    rows = [(vehicle, hour) for hour in range(6) for vehicle in MINE + THEIRS]
    table = pa.table(
        {
            "vehicle": [vehicle for vehicle, _ in rows],
            "time": pa.array([DAY_0 + hour * DAY // 3 for _, hour in rows], TIME),
            "seq": list(range(1, len(rows) + 1)),
            "speed": [float(SECRET if vehicle in THEIRS else hour) for vehicle, hour in rows],
            "note": [f"of {vehicle}" for vehicle, _ in rows],
        }
    )
    return table.filter(pc.is_in(table["vehicle"], pa.array(vehicles)))


def _filled(root: Path, *vehicles: str) -> DeltaLake:
    lake = DeltaLake(root)
    for name in ("signals", "trips"):
        lake.append(TableRef(TENANT, name), _table(*vehicles), writer="w", seq=1)
    some = _table(*vehicles).select(["vehicle", "time", "seq"])
    degrees = pa.array([float("nan") if n % 2 else 1.5 for n in range(some.num_rows)], pa.float32())
    temps = some.append_column("Vehicle.Cabin.Temperature", degrees)
    lake.append(TableRef(TENANT, "temps"), temps, writer="w", seq=1)
    return lake


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DeltaLake, DeltaLake, Path]]:
    """A lake of all vehicles, and one that never had others than mine."""
    root = tmp_path_factory.mktemp("both")
    every, mine = _filled(root / "every", *MINE, *THEIRS), _filled(root / "mine", *MINE)
    yield every, mine, root / "every"
    every.close()
    mine.close()


def ask(lake: DeltaLake, sql: str, only: tuple[str, ...] = MINE) -> QueryResult:
    return lake.query(TENANT, sql, QueryLimits(seconds=20), only=only)


@pytest.mark.parametrize("sql", HOSTILE)
def test_no_sql_tells_of_vehicles_outside(
    both: tuple[DeltaLake, DeltaLake, Path], sql: str
) -> None:
    every, _, root = both
    file = next(root.rglob("*.parquet"))
    try:
        told = str(ask(every, sql.format(file=file, root=root)).table.to_pylist())
    except QueryRefused as refused:
        told = str(refused).replace(sql, "")
    assert not any(mark in told for mark in MARKS), told
    assert not list(root.rglob("out.csv"))


def test_attacks_on_the_sandbox_fail_as_they_do_for_others(
    both: tuple[DeltaLake, DeltaLake, Path],
) -> None:
    every, _, root = both
    file = next(root.rglob("*.parquet"))
    for attack in ATTACKS:
        with pytest.raises(QueryRefused):
            ask(every, attack.format(secret=file, root=root))


def _passed(lake: DeltaLake, root: Path, sql: str) -> sql_worker.Message:
    """What the worker's session says, without a look at the SQL before."""
    files = [str(file) for file in root.rglob("*.parquet") if "signals" in file.parts]
    select = f"FROM read_parquet({files}) WHERE vehicle IN (FROM allowed)"
    head = {"sql": sql, "views": {"signals": select}, "paths": files, "rows": 100, "threads": 1}
    head |= {"memory_mb": 256, "seconds": 20}
    return sql_worker._select_passed(head, Among.of(MINE).arrow())


def test_even_what_slips_through_reads_no_file(both: tuple[DeltaLake, DeltaLake, Path]) -> None:
    """The second wall, without the first: a session that knows the name of a file."""
    every, _, root = both
    file = next(file for file in root.rglob("*.parquet") if "signals" in file.parts)
    good = _passed(every, root, "SELECT DISTINCT vehicle FROM signals ORDER BY 1")
    assert pa.ipc.open_stream(good.body).read_all()["vehicle"].to_pylist() == list(MINE)
    for sql in (f"FROM read_parquet('{file}')", f"FROM '{file}'", "FROM given", "FROM allowed"):
        with pytest.raises(duckdb.Error):
            _passed(every, root, sql)


SAME = [
    "FROM signals ORDER BY ALL",
    "SELECT count(*) FROM signals",
    "SELECT vehicle, avg(speed), count(DISTINCT date) FROM signals GROUP BY 1 ORDER BY 1",
    "SELECT s FROM signals AS s ORDER BY s",
    "SELECT #1, #3 FROM signals ORDER BY ALL",
    "SELECT count(*), sum(a.speed) FROM signals a JOIN trips b USING (vehicle, time)",
    "SELECT * EXCLUDE (seq) FROM signals NATURAL JOIN trips ORDER BY ALL",
    "SELECT q.v FROM signals AS q(v, t) ORDER BY 1",
    "SELECT date, note FROM signals WHERE time >= '2026-03-02' ORDER BY ALL",
    "SELECT max(speed) FROM signals WHERE vehicle IN ('LTESTMINE00000002', 'ZHIDDEN9')",
    "SELECT count(*) FROM signals WHERE vehicle = 'ZHIDDEN9'",
    'SELECT count(*) FROM temps WHERE "Vehicle.Cabin.Temperature" > 1',  # above it is NaN, in SQL
    "WITH s AS (SELECT vehicle, speed FROM signals) SELECT vehicle FROM s ORDER BY speed, vehicle",
    "SELECT vehicle, lag(speed) OVER (PARTITION BY vehicle ORDER BY time) FROM trips ORDER BY ALL",
    "SELECT DISTINCT ON (vehicle) vehicle, \"NOTE\" FROM signals ORDER BY vehicle, time DESC",
]  # fmt: skip


@pytest.mark.parametrize("sql", SAME)
def test_answers_are_those_of_a_lake_without_the_others(
    both: tuple[DeltaLake, DeltaLake, Path], sql: str
) -> None:
    every, mine, _ = both
    right = mine.query(TENANT, sql, QueryLimits()).table
    found = ask(every, sql).table
    assert found.schema == right.schema
    assert found.to_pylist() == right.to_pylist()


@settings(max_examples=8, deadline=None)
@given(only=st.sets(st.sampled_from([*MINE, *THEIRS, "UNKNOWN", "", "o'hara"])))
def test_any_set_of_vehicles_holds(both: tuple[DeltaLake, DeltaLake, Path], only: set[str]) -> None:
    every, _, _ = both
    sql = "SELECT DISTINCT vehicle FROM signals JOIN trips USING (vehicle) ORDER BY 1"
    found = ask(every, sql, tuple(only)).table["vehicle"].to_pylist()
    assert found == sorted(only & {*MINE, *THEIRS})


def test_a_table_without_vehicles_is_refused_by_name(tmp_path: Path) -> None:
    """Somebody else wrote them; the lake itself takes no rows without a vehicle."""
    lake = _filled(tmp_path, *MINE)
    named: dict[str, list[object]] = {"name": ["north"], "date": ["2026-03-01"]}
    for table, columns in (("depots", named), ("counts", {**named, "vehicle": [1]})):
        place = str(tmp_path / TENANT / "lake" / table)
        write_deltalake(place, pa.table(columns), partition_by=["date"])
        with pytest.raises(QueryRefused, match=f"the table {table} has no text column vehicle"):
            ask(lake, f"SELECT name FROM {table}")  # noqa: S608
    assert ask(lake, "SELECT count(*) AS n FROM trips").table["n"].to_pylist() == [12]
    lake.close()


def test_time_runs_out_for_a_limited_caller_too(both: tuple[DeltaLake, DeltaLake, Path]) -> None:
    every, _, _ = both
    with pytest.raises(QueryLimit):
        endless = "SELECT count(*) FROM signals, range(100000000000)"
        every.query(TENANT, endless, QueryLimits(seconds=0.5), only=MINE)
    assert ask(every, "SELECT count(*) AS n FROM signals").table["n"].to_pylist() == [12]


def _file(low: str, high: str) -> DataFile:
    bounds = Bounds((low, high), (0, 1), (0, 1))
    return DataFile("x", "2026-03-01", 1, 1, 0, bounds)


@given(st.sets(st.text("ABC", max_size=3)), st.text("ABC", max_size=3), st.text("ABC", max_size=3))
def test_files_are_left_out_by_their_bounds(vehicles: set[str], one: str, other: str) -> None:
    low, high = sorted((one, other))
    right = any(low <= vehicle <= high for vehicle in vehicles)
    assert Among.of(vehicles).may_lie_in(_file(low, high)) is right


def test_files_of_others_are_not_opened(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    for seq, vehicle in enumerate(MINE + THEIRS, 1):
        lake.append(TableRef(TENANT, "signals"), _table(vehicle), writer="w", seq=seq)
    sql = "SELECT count(*) FROM signals"
    whole = lake.query(TENANT, sql, QueryLimits()).bytes
    mine, one = ask(lake, sql).bytes, ask(lake, f"{sql} WHERE vehicle = '{MINE[0]}'").bytes
    assert 0 < one < mine < whole
    assert ask(lake, sql, ()).bytes == 0
    lake.close()
