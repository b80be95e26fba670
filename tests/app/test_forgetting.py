"""Copies of a deleted tenant's files go from a machine that did not delete it; old commands go."""

import asyncio
import time
from pathlib import Path

import pytest

from carcloud.app.commands import CommandCare
from carcloud.app.forgetting import forget_once
from carcloud.engines.lake_delta.files_s3 import Cache, S3Place
from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Unavailable
from carcloud.services.commands.api import Commands
from carcloud.services.tenancy.api import Tenancy, TenantState, mark_tenant


def test_copies_of_deleted_tenants_go_and_others_stay(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    tenancy = Tenancy(records)
    copies = {}
    for name in ("leaver", "stayer"):
        tenancy.tenants.ensure(name)
        copies[name] = tmp_path / "cache" / name / "lake" / "trips" / "a.parquet"
        copies[name].parent.mkdir(parents=True)
        copies[name].write_bytes(b"rows")
    lake = DeltaLake(S3Place("s3://bucket/lake", {}, Cache(tmp_path / "cache", 10**9)))
    forget_once(records, lake)
    assert all(copy.exists() for copy in copies.values())
    with records.transaction() as db:
        mark_tenant(db, Tenant("leaver"), TenantState.DELETED)
    forget_once(records, lake)
    assert (copies["leaver"].exists(), copies["stayer"].exists()) == (False, True)
    records.close()


def test_copies_that_cannot_be_removed_hold_up_no_others(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    tenancy = Tenancy(records)
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    for name in ("a-stuck", "b-leaver", "c-stuck"):
        tenancy.tenants.ensure(name)
        with records.transaction() as db:
            mark_tenant(db, Tenant(name), TenantState.DELETED)
    (cache / "b-leaver" / "lake").mkdir(parents=True)
    elsewhere.mkdir()
    for name in ("a-stuck", "c-stuck"):  # a link is not followed, and is no folder to remove
        (cache / name).mkdir()
        (cache / name / "lake").symlink_to(elsewhere)
    lake = DeltaLake(S3Place("s3://bucket/lake", {}, Cache(cache, 10**9)))
    with pytest.raises(Unavailable, match="a-stuck"):
        forget_once(records, lake)
    assert not (cache / "b-leaver" / "lake").exists()
    assert elsewhere.exists()
    records.close()


def test_old_commands_are_forgotten_also_when_the_machine_has_just_begun(tmp_path: Path) -> None:
    began = time.monotonic()

    class Young(asyncio.SelectorEventLoop):
        """Its clock is that of a machine that began with it."""

        def time(self) -> float:
            return super().time() - began

    class Noting(Commands):
        def forget_ended(self, keep_days: float) -> int:
            kept.append(keep_days)
            return super().forget_ended(keep_days)

    async def scene() -> None:
        records = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
        Tenancy(records)
        caring = asyncio.create_task(CommandCare(Noting(records), lambda: 30.0).run())
        async with asyncio.timeout(60):
            while not kept:
                await asyncio.sleep(0.02)
        caring.cancel()
        await asyncio.gather(caring, return_exceptions=True)
        records.close()

    kept: list[float] = []
    with asyncio.Runner(loop_factory=Young) as runner:
        runner.run(scene())
    assert kept == [30.0]
