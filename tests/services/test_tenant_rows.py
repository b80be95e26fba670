"""Rows of a tenant are counted and deleted in every table, on both databases; others' stay."""

import asyncio
from pathlib import Path

from sqlalchemy import func, select

from carcloud.app.schema.tables import TABLES
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.storage.api import ObjectFacts, Storage
from carcloud.services.tenancy.api import SYSTEM, Tenancy
from carcloud.services.tenant_life.api import Census, Reach, Steps
from carcloud.services.vehicles.api import NewVehicle, Vehicles

ALPHA, BETA = Tenant("alpha"), Tenant("beta")


def fill(records: SqlRecords, folder: Path, tenant: Tenant) -> None:
    """Rows in tables of several services, with and without a column of the tenant."""
    tenancy = Tenancy(records, secret=bytes(32))
    tenancy.found(tenant, tenant, f"{tenant}-owner", "correct horse battery", actor="test")
    robot = tenancy.people.create_service(tenant, "robot", "viewer", note="", by=SYSTEM)
    tenancy.keys.create(tenant, robot.name, "key", by=SYSTEM)
    vehicle = f"ZQX{tenant.upper()}00001"
    Vehicles(records, secret=bytes(32)).create(
        tenant, NewVehicle(id=vehicle, labels={"a": "b"}), actor="t"
    )
    storage = Storage(records, ObjectBlobs(folder / "blobs"))
    bucket = storage.buckets.create(tenant, f"{tenant}-box", project="main", actor="t")
    for number in range(3):
        body = storage.objects.body(bucket)
        body.write(b"x")
        storage.objects.put(bucket, f"{number}", body.finish(), ObjectFacts())


def rows(records: SqlRecords, reach: Reach) -> dict[str, int]:
    with records.reading() as db:
        counts = {
            name: db.execute(select(func.count()).select_from(reach.tables[name])).scalar_one()
            for name in reach.names()
        }
    return {name: count for name, count in counts.items() if count}


def test_every_row_goes_and_no_other_tenant_s(records: SqlRecords, tmp_path: Path) -> None:
    for metadata in TABLES:
        records.create(metadata)
    reach = Reach(TABLES)
    fill(records, tmp_path, BETA)
    only_beta = rows(records, reach)
    fill(records, tmp_path, ALPHA)
    census = Census(records, None, None, reach)  # type: ignore[arg-type] - asked for rows alone
    steps = Steps(records, None, None, None, None, None, reach, {})  # type: ignore[arg-type]
    before = census.of_records(ALPHA)
    expected = {"users": 2, "vehicles": 1, "vehicle_labels": 1, "storage_objects": 3, "api_keys": 1}
    assert expected.items() <= before.items() and before["audit"] > 5
    for name in reach.names():
        if name != "tenants":
            steps._delete(name, ALPHA)
    assert census.of_records(ALPHA) == {}
    assert rows(records, reach) == {**only_beta, "tenants": 2}


def test_bytes_in_a_bucket_of_the_tenant_s_own_go_with_their_keys(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.sqlite'}")
    for metadata in TABLES:
        records.create(metadata)
    for tenant in (ALPHA, BETA):
        Tenancy(records).tenants.ensure(tenant)
    house, own = ObjectBlobs(tmp_path / "house"), ObjectBlobs(tmp_path / "own")
    storage = Storage(records, house, secret=bytes(32), open_blobs=lambda _url, _options: own)
    for tenant in (ALPHA, BETA):
        place = {"url": "s3://own", "options": {"key": "k"}, "sealed": True}
        storage.places.change(tenant, **place, actor="t")  # type: ignore[arg-type]
        house.put(f"{tenant}/artifacts/job/1/rows.csv", b"1")
        bucket = storage.buckets.create(tenant, f"{tenant}-box", project="main", actor="t")
        body = storage.objects.body(bucket)
        body.write(b"x")
        storage.objects.put(bucket, "x", body.finish(), ObjectFacts())
    steps = Steps(records, None, house, None, storage, None, Reach(TABLES), {})  # type: ignore[arg-type]
    before = Census(records, None, None, Reach(TABLES))  # type: ignore[arg-type]
    assert before.of_blobs(ALPHA, steps.places(ALPHA))["kinds"] == {"artifacts": 1, "objects": 1}
    asyncio.run(steps.blobs(ALPHA))
    asyncio.run(steps.blobs(ALPHA))
    for place_of in (house, own):
        assert {blob.key.split("/")[0] for blob in place_of.list("")} == {BETA}
    keys = Reach(TABLES).tables["storage_keys"]
    with records.reading() as db:
        assert list(db.execute(select(keys.c.tenant)).scalars()) == [BETA]
    records.close()
