"""The lake: Delta tables of vehicle signals, read by slice and by SQL.

A table of days of 1,157 vehicles that report every 10 s: 18 columns, signals quantised as their
protocol does, positions as random walks, and a random 64-bit digest in every row. The first day is
appended in commits of 50,000 rows in order of time and then sorted by upkeep; the other days are
written straight in the layout that upkeep leaves, by the engine's own writer. The table is kept
in a folder for the next run (`python -m bench.lake --folder`). Files are in the page cache; every
read is a whole call of the port, with a new random vehicle and day. A commit is one synced
`append`.
"""

import argparse
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.row import Row
from carcloud.engines.lake_delta import Care, DeltaLake
from carcloud.engines.lake_delta.log import Log, commit_info, create_actions
from carcloud.engines.lake_delta.parquet import tried_encoding
from carcloud.engines.lake_delta.schema import evolve
from carcloud.engines.lake_delta.snapshot import add_action
from carcloud.engines.lake_delta.upkeep import WHOLE
from carcloud.engines.lake_delta.write import Placed, write_file
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import DAY, SECOND, iso, to_us
from carcloud.ports.lake import QueryLimits, Slice, TableInfo, TableRef
from carcloud.services.telemetry.tables import TABLES

VEHICLES = 1157
PERIOD = 10 * SECOND
STEPS = DAY // PERIOD  # reports of a vehicle in a day
DAY_ROWS = VEHICLES * STEPS  # 9,996,480
FIRST_DAY = to_us(datetime(2026, 3, 1, tzinfo=UTC))
SIGNALS = TableRef(DEFAULT_TENANT, "signals")
CARE = Care(settle=0)
SHOWN = ["time", "Vehicle.Speed", "Vehicle.Powertrain.TractionBattery.CurrentCurrent"]
LIMITS = QueryLimits(rows=100_000, seconds=120)


def rows(
    small: bool = False, scale_rows: int = 100_000_000, folder: Path | None = None
) -> list[Row]:
    """Build the table where it is missing, then measure."""
    if small and folder is None:
        with tempfile.TemporaryDirectory(prefix="carcloud-bench-") as made:
            return rows(small, folder=Path(made))
    scale = 400_000 if small else scale_rows
    root = (folder or Path(tempfile.gettempdir()) / "carcloud-bench-lake") / str(scale)
    days = max(1, round(scale / DAY_ROWS))
    vehicles = VEHICLES if scale >= DAY_ROWS else max(2, scale // STEPS)
    found = _build(root, days, vehicles)
    lake = DeltaLake(root, CARE, TABLES)
    try:
        return found + _figures(lake, days, vehicles, 20 if small else 200) + _commits(small)
    finally:
        lake.close()


def _figures(lake: DeltaLake, days: int, vehicles: int, times: int) -> list[Row]:
    info = _info(lake)
    what = f"{info.rows / 1e6:,.1f} M rows"
    chance = np.random.default_rng(5)

    def pick() -> tuple[str, int]:
        return vin(int(chance.integers(vehicles))), FIRST_DAY + int(chance.integers(days)) * DAY

    def read(columns: list[str] | None) -> Callable[[], int]:
        vehicle, start = pick()
        wanted = Slice(columns=columns, start_us=start, end_us=start + DAY, vehicles=[vehicle])
        return lambda: lake.read(SIGNALS, wanted).num_rows

    def sql_day() -> Callable[[], int]:
        vehicle, start = pick()
        where = f"vehicle = '{vehicle}' AND date = '{iso(start)[:10]}'"
        sql = f'SELECT time, "Vehicle.Speed" FROM signals WHERE {where} ORDER BY 1'  # noqa: S608
        return lambda: lake.query(SIGNALS.tenant, sql, LIMITS).table.num_rows

    def hourly() -> Callable[[], int]:
        sql = (
            'SELECT time_bucket(INTERVAL 1 hour, time) h, avg("Vehicle.Speed") FROM signals '  # noqa: S608
            f"WHERE date = '{iso(pick()[1])[:10]}' GROUP BY 1 ORDER BY 1"
        )
        return lambda: lake.query(SIGNALS.tenant, sql, LIMITS).table.num_rows

    sql_day()()  # the first query starts its process
    few = max(5, times // 10)
    day, every = "one vehicle's day", f"{len(info.columns)} columns"
    return [
        *_timed(f"{day}, 3 columns, read, {what}", lambda: read(SHOWN), times, STEPS, "<= 50"),
        *_timed(f"{day}, {every}, read, {what}", lambda: read(None), times, STEPS, "<= 50"),
        *_timed(f"{day}, 2 columns, SQL, {what}", sql_day, few, STEPS, ""),
        *_timed(f"fleet hourly mean over a day, SQL, {what}", hourly, few, 24, "<= 500"),
        Row(f"stored, all columns, {what}", info.bytes / info.rows, "bytes/row"),
        Row(
            f"stored, all columns, {what}",
            info.bytes / info.rows / (len(info.columns) - 1),
            "bytes/value",
        ),
    ]


def _timed(
    what: str, prepare: Callable[[], Callable[[], int]], times: int, rows_wanted: int, target: str
) -> list[Row]:
    """Median and 95th percentile of calls that must give so many rows."""
    taken = []
    for _ in range(times):
        call = prepare()
        started = time.perf_counter()
        found = call()
        taken.append((time.perf_counter() - started) * 1000)
        if found != rows_wanted:
            raise AssertionError(f"{what}: {found} rows instead of {rows_wanted}")
    p95 = statistics.quantiles(taken, n=20)[-1]
    return [
        Row(f"{what}: median", statistics.median(taken), "ms", target),
        Row(f"{what}: p95", p95, "ms", target),
    ]


# --- commits ------------------------------------------------------------------------------------


def _commits(small: bool) -> list[Row]:
    """Rows stored a second at two sizes of commit, in a table of its own."""
    found = []
    for size in (10_000, 50_000):
        root = Path(tempfile.mkdtemp(prefix="carcloud-bench-"))
        lake = DeltaLake(root)
        taken = []
        for seq, batch in enumerate(_in_time(0, VEHICLES, size, 6 if small else 60), 1):
            started = time.perf_counter()
            lake.append(SIGNALS, batch, writer="bench", seq=seq)
            taken.append(time.perf_counter() - started)
        shutil.rmtree(root)
        what = f"append, {size:,} rows x 18 columns a commit"
        found.append(Row(f"{what}: median", statistics.median(taken) * 1000, "ms"))
        found.append(Row(what, size * len(taken) / sum(taken), "rows/s"))
    return found


# --- the table ----------------------------------------------------------------------------------


def _info(lake: DeltaLake) -> TableInfo:
    return next(one for one in lake.tables(SIGNALS.tenant) if one.name == SIGNALS.name)


def _build(root: Path, days: int, vehicles: int) -> list[Row]:
    lake = DeltaLake(root, CARE, TABLES)
    if _info(lake).rows == days * vehicles * STEPS:
        return []
    shutil.rmtree(root, ignore_errors=True)
    lake = DeltaLake(root, CARE, TABLES)
    _write_sorted(lake, days, vehicles)
    started = time.perf_counter()
    for seq, batch in enumerate(_in_time(0, vehicles, 50_000, None), 1):
        lake.append(SIGNALS, batch, writer="bench", seq=seq)
    appended = time.perf_counter()
    time.sleep(0.01)
    lake.upkeep(SIGNALS, keep_days=None)
    merged = time.perf_counter()
    count = vehicles * STEPS
    return [
        Row(
            "a day appended and made, 50,000 rows a commit", count / (appended - started), "rows/s"
        ),
        Row("a day sorted by upkeep", count / (merged - appended), "rows/s"),
    ]


def _write_sorted(lake: DeltaLake, days: int, vehicles: int) -> None:
    """All days but the first, as upkeep leaves them: one commit a day."""
    log: Log = lake._log(SIGNALS)  # the writer below the port is what is wanted here
    for day in range(1, days):
        place = Placed(iso(FIRST_DAY + day * DAY)[:10], WHOLE, uuid.uuid4().hex)
        files = []
        for first in range(0, vehicles, 115):
            block = generate(day, (first, min(vehicles, first + 115)), (0, STEPS))
            files.append(write_file(log, place, block, tried_encoding(block)))
        table = create_actions(evolve(pa.schema([]), block.schema), CARE) if day == 1 else []
        adds = [{"add": add_action(replace(file, level=WHOLE))} for file in files]
        log.commit(lambda _, a=(*table, *adds): [commit_info("WRITE"), *a])


def _in_time(day: int, vehicles: int, size: int, commits: int | None) -> Iterator[pa.Table]:
    """A day's rows in order of time, in batches of about `size`; at most so many."""
    steps = max(1, size // vehicles)
    for at, first in enumerate(range(0, STEPS, steps)):
        if at == commits:
            return
        yield generate(day, (0, vehicles), (first, min(STEPS, first + steps)))


def vin(index: int) -> str:
    """A synthetic VIN of 17 characters (without a check digit: nothing here looks at it)."""
    return f"LTEST0000{index:08d}"


def generate(day: int, vehicles: tuple[int, int], steps: tuple[int, int]) -> pa.Table:
    """Rows of some vehicles and steps of a day, by vehicle and time; deterministic."""
    chance = np.random.default_rng((day, *vehicles, *steps))
    index = np.arange(*vehicles)
    shape = (len(index), steps[1] - steps[0])
    clock = np.arange(*steps) * 10  # s of the day
    at = FIRST_DAY + day * DAY + clock * SECOND + (index * 7919 % 10 * SECOND)[:, None]
    speed, travelled = _motion(chance, index, clock, shape)
    received = at + chance.integers(80_000, 400_000, shape)
    seq = (day * STEPS + np.arange(*steps))[None, :] * 4 + index[:, None] // 300 + 1
    load = np.where(speed > 0, speed * 0.6, -1.0)
    current = load + chance.normal(0, 8, shape) * (speed > 0)
    charge = 90 - (travelled - travelled[:, :1]) / 4 - clock / 3600
    position = np.cumsum(chance.normal(0, 1, shape) * speed / 4e4, axis=1)
    columns = {
        "time": pa.array(at.ravel(), pa.timestamp("us", tz="UTC")),
        "received": pa.array(received.ravel(), pa.timestamp("us", tz="UTC")),
        "seq": pa.array(seq.ravel(), pa.int64()),
        "digest": pa.array(chance.integers(-(2**63), 2**63 - 1, shape).ravel(), pa.int64()),
        **_flags(chance, shape),
        "Vehicle.Speed": _quantised(speed, 0.1),
        "Vehicle.TraveledDistance": _quantised(travelled, 0.1),
        "Vehicle.Powertrain.TractionBattery.CurrentVoltage": _quantised(
            380 - current / 20 + chance.normal(0, 0.2, shape), 0.1
        ),
        "Vehicle.Powertrain.TractionBattery.CurrentCurrent": _quantised(current, 0.1),
        "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed": _quantised(charge, 1),
        "Vehicle.Powertrain.TractionBattery.InsulationResistance": pa.array(
            (2000 + index[:, None] % 50 + chance.integers(0, 12, shape)).astype("i4").ravel()
        ),
        "Vehicle.CurrentLocation.Latitude": pa.array(_micro(31 + index[:, None] / 900 + position)),
        "Vehicle.CurrentLocation.Longitude": pa.array(
            _micro(121 + index[:, None] / 700 - position)
        ),
    }
    names = pa.array([vin(i) for i in index]).take(
        pa.array(np.repeat(np.arange(*shape[:1]), shape[1]))
    )
    source = pa.array(["gbt32960.2016.realtime"]).take(pa.array(np.zeros(at.size, "i4")))
    return pa.table({"vehicle": names, **columns, "source": source})


def _motion(
    chance: np.random.Generator, index: np.ndarray, clock: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Speed (km/h) with stops, parked at night; distance travelled (km)."""
    phase = index[:, None] * 0.37
    wave = 45 + 40 * np.sin(clock / 311 + phase) + 15 * np.sin(clock / 37 + 2 * phase)
    driving = np.sin(clock / 5400 + phase) > 0.2
    speed = np.where(driving, np.clip(wave + chance.normal(0, 1.5, shape), 0, 120), 0.0)
    start = 20_000 + index[:, None] * 37 + clock[0] / 86_400 * 300
    return speed, start + np.cumsum(speed / 360, axis=1)


def _flags(chance: np.random.Generator, shape: tuple[int, int]) -> dict[str, pa.Array]:
    rare = {"correction": 1e-5, "partial": 1e-4, "out_of_range": 1e-3}
    return {name: pa.array((chance.random(shape) < odds).ravel()) for name, odds in rare.items()}


def _quantised(values: np.ndarray, step: float) -> pa.Array:
    return pa.array((np.round(values / step) * step).astype("f4").ravel())


def _micro(degrees: np.ndarray) -> np.ndarray:
    return np.round(degrees.ravel(), 6)


def main() -> None:
    """`python -m bench.lake --scale ROWS --folder FOLDER`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scale", type=int, default=100_000_000, help="rows, in whole days")
    parser.add_argument("--folder", type=Path, help="where the table is kept between runs")
    given = parser.parse_args()
    for row in rows(scale_rows=given.scale, folder=given.folder):
        met = {None: "", True: "met", False: "NOT MET"}[row.met]
        print(f"{row.what:74} {row.value:14,.2f} {row.unit:12} {row.target:10} {met}")


if __name__ == "__main__":
    main()
