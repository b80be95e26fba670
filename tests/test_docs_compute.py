"""The examples of docs/compute.md do what the page says."""

import json
import re
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carcloud.app.job_kinds import job_kinds
from carcloud.engines.sandbox_bwrap import BwrapSandbox
from carcloud.ports.sandbox import Limits, NoSandbox, Script
from carcloud.services.compute.api import NewJob
from carcloud.services.compute.table_files import read_files
from carcloud.services.compute.table_rows import as_rows

PAGE = (Path(__file__).parent.parent / "docs" / "compute.md").read_text()


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def test_the_job_is_one_that_the_api_takes() -> None:
    job = msgspec.json.decode(example("job"), type=NewJob)
    job_kinds().checked(job.kind, job.params)


def test_the_script_does_what_it_says(tmp_path: Path) -> None:
    params = json.loads(example("script params"))
    job_kinds().checked("script", {"source": example("script"), **params})
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    out.mkdir()
    pq.write_table(pa.table({"speed": [80.0, 120.0, 130.0]}), inputs / "speeds.parquet")
    limits = Limits(300, 512, 300, 64, 32, 256)
    script = Script(example("script"), params["arguments"], inputs, out, limits)
    printed: list[str] = []
    try:
        end = BwrapSandbox(tmp_path / "data").run(script, printed.append, lambda _told: None)
    except NoSandbox as error:
        pytest.skip(str(error))
    assert (end.error, "".join(printed)) == (None, "2 of 3 rows are fast\n")
    assert pq.read_table(out / "fast.parquet").num_rows == 2


def test_the_script_of_a_table_does_what_it_says(tmp_path: Path) -> None:
    params = json.loads(example("table params"))
    job_kinds().checked("script", {"source": example("table script"), **params})
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    out.mkdir()
    given = duckdb.sql(params["inputs"][0]["sql"]).to_arrow_table()
    pq.write_table(given, inputs / "trips.parquet")
    limits = Limits(300, 512, 300, 64, 32, 256)
    script = Script(example("table script"), {}, inputs, out, limits)
    sandbox = BwrapSandbox(tmp_path / "data")
    (wanted,) = params["tables"].values()
    try:
        end = sandbox.run(script, print, lambda _told: None)
    except NoSandbox as error:
        pytest.skip(str(error))
    assert end.error is None
    files = {"trip_stats": out / wanted["file"]}
    with read_files(sandbox, tmp_path / "read", files, limits, 1_000_000) as rows:
        (row,) = as_rows(rows["trip_stats"]).to_pylist()
    assert (row["vehicle"], row["trips"], row["km"]) == ("CAR-1", 2, 16.0)


def test_every_limit_of_a_script_is_told() -> None:
    from carcloud.engines.sandbox_bwrap.verdict import WORDS

    for name in WORDS:
        told = "timeout_s" if name == "seconds" else name
        assert f"| `{told}` |" in PAGE
