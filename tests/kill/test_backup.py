"""A backup of a running cloud makes a second one with the same rows, which goes on from there."""

import shutil
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from carcloud.app.backup.folder import Reader, unpacked
from carcloud.app.engines import open_blobs, open_lake
from carcloud.app.first_start import prepare
from carcloud.app.records import open_any_records
from carcloud.cli.root import main
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import Slice, TableRef
from carcloud.simulator.options import SimulateOptions, SimulateResult
from carcloud.supervisor import Supervisor
from tests.kill.driving import drive, halted, settled
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak

SIGNALS = TableRef(DEFAULT_TENANT, "signals")


def run(settings: Settings, *words: str) -> str:
    answer = CliRunner().invoke(main, ["--set", f"data={settings.text('data')}", *words])
    assert answer.exit_code == 0, answer.output
    return answer.output


def driven(supervisor: Supervisor, seed: int) -> SimulateResult:
    """What came of ten vehicles that report until something of them is acknowledged."""
    port = supervisor.settings.whole("gateway.gbt32960.port")
    options = SimulateOptions(port=port, vehicles=10, seed=seed, drain_s=60)
    result = drive(supervisor, options, until=lambda now: now.acknowledged >= 30)
    assert result.acknowledged >= 30
    assert result.unconfirmed == 0
    return result


def reports(settings: Settings) -> set[tuple[str, int, int]]:
    lake = open_lake(settings)
    rows = lake.read(SIGNALS, Slice(columns=("vehicle", "time", "digest")))
    lake.close()
    times = rows["time"].cast(pa.int64()).to_pylist()
    return set(zip(rows["vehicle"].to_pylist(), times, rows["digest"].to_pylist(), strict=True))


def put_a_bucket(supervisor: Supervisor) -> None:
    """An object through the API, so that records and blobs refer to each other."""
    web, token = supervisor.run.facts("web"), supervisor.run.local_token()
    with httpx.Client(base_url=web["url"], headers={"Authorization": f"Bearer {token}"}) as http:
        http.post("/v1/buckets", json={"name": "maps"}).raise_for_status()
        http.put("/v1/buckets/maps/object?key=a.bin", content=b"\0\1" * 50_000).raise_for_status()


def in_rows(kept: Reader, records) -> None:
    """Every table of the new records has just the rows of the backup."""
    with records.reading() as db:
        found = sa.MetaData()
        found.reflect(db)
        names = {table.name for table in found.sorted_tables} - {"alembic_version"}
        assert names == set(kept.manifest.records)
        for name in sorted(names - {"record_versions"}):  # which goes on by itself
            rows = unpacked(kept.pieces(f"records/{name}.rows"))
            next(rows)
            there = db.execute(sa.select(found.tables[name])).all()
            assert sorted(map(repr, rows)) == sorted(repr(list(row)) for row in there), name
    assert sum(kept.manifest.records.values()) > 50


@pytest.mark.timeout(300)
def test_a_backup_of_a_running_cloud_makes_a_second_one(tmp_path: Path) -> None:
    first, copy = settings_for(tmp_path / "first"), tmp_path / "copy"
    prepare(first)
    supervisor = Supervisor(first)
    try:
        supervisor.start()
        put_a_bucket(supervisor)
        early = driven(supervisor, 1)
        assert settled(supervisor, early).missing == 0
        with halted(supervisor.pids()["ingest"]):  # what follows is in the stream alone
            late = driven(supervisor, 3)
            before = reports(first)
            run(first, "backup", str(copy))
        whole = settled(supervisor, late)
    finally:
        supervisor.stop()
    assert len(before) == early.acknowledged
    assert whole.stored == early.acknowledged + late.acknowledged
    kept = Reader.open(copy)
    assert kept.manifest.streams["FRAMES"].first <= kept.manifest.streams["FRAMES"].last
    shutil.move(tmp_path / "first", tmp_path / "gone")
    second = settings_for(tmp_path / "second")
    run(second, "restore", str(copy))
    records = open_any_records(second)
    in_rows(kept, records)
    records.close()
    assert reports(second) == before
    assert not (tmp_path / "second" / "restoring").exists()
    blobs = {blob.key: open_blobs(second).get(blob.key) for blob in open_blobs(second).list("")}
    assert b"\0\1" * 50_000 in blobs.values()
    assert len(blobs) == kept.manifest.blobs
    goes_on(second, late, whole.stored)


def goes_on(settings: Settings, late: SimulateResult, reported: int) -> None:
    """The second cloud stores what was in the stream, and what vehicles send now."""
    prepare(settings)
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        found = settled(supervisor, late)
        assert (found.missing, found.duplicates, found.stored) == (0, 0, reported)
        later = settled(supervisor, driven(supervisor, 2))
        assert (later.missing, later.duplicates) == (0, 0)
        web, token = supervisor.run.facts("web"), supervisor.run.local_token()
        got = httpx.get(
            f"{web['url']}/v1/buckets/maps/object?key=a.bin",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert got.content == b"\0\1" * 50_000
    finally:
        supervisor.stop()


def test_a_damaged_backup_and_a_full_target_are_refused(tmp_path: Path) -> None:
    first, copy = settings_for(tmp_path / "first"), tmp_path / "copy"
    prepare(first)
    run(first, "backup", str(copy))
    assert "whole" in run(first, "restore", str(copy), "--check")
    words = ["--set", f"data={tmp_path / 'first'}", "restore", str(copy)]
    full = CliRunner().invoke(main, words)
    assert full.exit_code == 1
    assert "not empty: the records have tables" in full.output.replace("\n", " ")
    secret = (tmp_path / "first" / "secret").read_bytes()
    (tmp_path / "first" / "secret").write_bytes(bytes(32))
    assert CliRunner().invoke(main, [*words, "--force"]).exit_code == 0
    assert (tmp_path / "first" / "secret").read_bytes() == secret
    aside = next((tmp_path / "first").glob("before-restore-*"))
    assert (aside / "secret").read_bytes() == bytes(32)
    again = CliRunner().invoke(main, [*words[:2], "backup", str(copy)])
    assert again.exit_code == 1
    assert "not empty" in again.output.replace("\n", " ")
    victim = copy / "records" / "users.rows"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    broken = CliRunner().invoke(main, ["--set", f"data={tmp_path / 'new'}", "restore", str(copy)])
    assert broken.exit_code == 1
    assert "users.rows is not what the manifest says" in broken.output.replace("\n", " ")
    (copy / "manifest.json").unlink()
    part = CliRunner().invoke(main, ["--set", f"data={tmp_path / 'new'}", "restore", str(copy)])
    assert "no manifest.json" in part.output.replace("\n", " ")
