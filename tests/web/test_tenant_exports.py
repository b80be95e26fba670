"""A tenant exported whole: what is in the archive, what is not, and who gets it."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from tests.web.conftest import SPEED

from carcloud.cli import main
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

MINE, THEIRS = "zqxmineonly", "zqxtheirsonly"
PASSWORD_MARK = "kept between us and nobody"


@dataclass
class Owner:
    """A tenant full of data, and somebody who owns it."""

    tenant: str
    vehicle: str
    client: httpx.Client


def settle(cloud: Any, make_frame: Any, mark: str, client: httpx.Client) -> Owner:
    tenant, vehicle = Tenant(f"{mark}-tenant"), f"{mark.upper()[:12]}00001"
    cloud.register(vehicle, tenant=tenant, labels={"fleet": mark})
    start = now_us() - 60_000_000
    for block in range(3):  # three commits: the table has several files
        frames = [make_frame(start + (10 * block + n) * 1000, speed=10.0 + n) for n in range(10)]
        cloud.send(vehicle, *frames, tenant=tenant)
    cloud.send(vehicle, f"no JSON {mark}".encode(), tenant=tenant)
    client.post("/v1/buckets", json={"name": f"{mark}-box"}).raise_for_status()
    box = f"/v1/buckets/{mark}-box"
    client.patch(box, json={"versioning": "Enabled"}, headers={"If-Match": "*"}).raise_for_status()
    for content in (f"{mark} old", f"{mark} new"):
        where = f"{box}/object?key=../maps/a b.txt"
        client.put(where, content=content.encode()).raise_for_status()
    client.put(f"{box}/object?key=gone.txt", content=mark.encode()).raise_for_status()
    client.delete(f"{box}/object?key=gone.txt").raise_for_status()
    link = {
        "name": f"{mark}-link", "host": "127.0.0.1", "port": 9, "platform_id": "ZQXLINK0000000001",
        "user": "u", "password": PASSWORD_MARK, "enabled": False,
    }  # fmt: skip
    client.post("/v1/forwarding", json=link)
    client.post("/v1/budgets", json={"name": mark, "amount": "10", "thresholds": [50]})
    return Owner(tenant, vehicle, client)


@pytest.fixture(scope="module")
def owners(cloud: Any, make_frame: Any) -> Iterator[tuple[Owner, Owner]]:
    for mark in (MINE, THEIRS):
        cloud.settle(f"{mark}-tenant", f"{mark}-owner")
        cloud.storage.places.change(
            Tenant(f"{mark}-tenant"), url=None, options=None, sealed=True, actor="test"
        )
    with cloud.client(f"{MINE}-owner") as mine, cloud.client(f"{THEIRS}-owner") as theirs:
        yield settle(cloud, make_frame, MINE, mine), settle(cloud, make_frame, THEIRS, theirs)


@pytest.fixture(scope="module")
def archive(cloud: Any, owners: tuple[Owner, Owner]) -> bytes:
    """What the owner downloads, in two pieces."""
    client = owners[0].client
    asked = client.post("/v1/tenant/exports")
    assert asked.status_code == 201, asked.text
    again = client.post("/v1/tenant/exports")
    assert again.status_code == 409, again.text
    where = f"/v1/tenant/exports/{asked.json()['id']}"
    early = client.get(f"{where}/archive")
    assert early.status_code == 409, early.text
    while client.get(where).json()["state"] == "waiting":  # exports of other tests go first
        assert cloud.maker.make_next(threading.Event())
    told = client.get(where).json()
    assert (told["state"], told["progress"], told["error"]) == ("ready", 1.0, None), told
    first = client.get(f"{where}/archive", headers={"Range": "bytes=0-999"})
    rest = client.get(f"{where}/archive", headers={"Range": "bytes=1000-"})
    assert (first.status_code, rest.status_code) == (206, 206)
    whole = first.content + rest.content
    assert len(whole) == told["bytes"]
    assert hashlib.sha256(whole).hexdigest() == told["sha256"]
    return whole


def members(archive: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest, and every member after its sum was checked."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for one in tar.getmembers():
            opened = tar.extractfile(one)
            assert opened is not None and one.name not in found
            found[one.name] = opened.read()
    manifest = json.loads(found.pop("manifest.json"))
    assert [one["name"] for one in manifest["members"]] == list(found)
    for one in manifest["members"]:
        data = found[one["name"]]
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    return manifest, found


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_every_sum_holds_and_nothing_of_others_or_secret_is_inside(
    archive: bytes, owners: tuple[Owner, Owner], cloud: Any
) -> None:
    manifest, found = members(archive)
    assert manifest["tenant"] == owners[0].tenant and manifest["asked_by"] == f"{MINE}-owner"
    assert found["records/vehicles.jsonl"] and found["records/audit.jsonl"]
    assert lines(found["records/budgets.jsonl"])[0]["name"] == MINE
    for name, data in found.items():
        for other in (THEIRS, owners[1].vehicle, PASSWORD_MARK, "$argon2", "tester"):
            assert other not in name and other.encode() not in data, (name, other)
    columns = manifest["tables"]["users"]["columns_left_out"]
    assert columns == ["password", "totp", "totp_step"]
    assert "storage_keys" in manifest["left_out"] and "records/storage_keys.jsonl" not in found
    [user] = lines(found["records/users.jsonl"])
    assert user["name"] == f"{MINE}-owner" and "password" not in user


def test_any_delta_reader_finds_what_ingest_stored(
    archive: bytes, owners: tuple[Owner, Owner], tmp_path: Path
) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    table = DeltaTable(str(tmp_path / "lake" / "signals")).to_pyarrow_table()
    assert set(table["vehicle"].to_pylist()) == {owners[0].vehicle}
    assert sorted(table[SPEED].to_pylist()) == sorted([10.0 + n for n in range(10)] * 3)
    asked = {"sql": 'SELECT vehicle, time, "Vehicle.Speed" FROM signals ORDER BY time'}
    rows = owners[0].client.post("/v1/query", json=asked).json()["rows"]
    copied = table.sort_by("time").select(["vehicle", "time", SPEED]).to_pylist()
    assert [row[2] for row in rows] == [row[SPEED] for row in copied]
    letters = DeltaTable(str(tmp_path / "lake" / "dead_letters")).to_pyarrow_table()
    assert letters.num_rows == 1


def test_objects_are_there_unsealed_with_versions_and_metadata(archive: bytes) -> None:
    _, found = members(archive)
    versions = lines(found[f"buckets/{MINE}-box/objects.jsonl"])
    texts = [one for one in versions if one["key"] == "../maps/a b.txt"]
    assert [found[one["member"]].decode() for one in texts] == [f"{MINE} new", f"{MINE} old"]
    assert [one["latest"] for one in texts] == [True, False]
    assert all(one["etag"] and one["bytes"] == len(found[one["member"]]) for one in texts)
    gone = [one for one in versions if one["key"] == "gone.txt"]
    assert [one["delete_marker"] for one in gone] == [True, False]
    assert all(".." not in name for name in found)  # a key is never a path


def test_the_archive_is_sealed_where_the_objects_are_and_audited(
    archive: bytes, cloud: Any, owners: tuple[Owner, Owner]
) -> None:
    [file] = (cloud.data / "blobs" / owners[0].tenant / "exports").iterdir()
    assert file.stat().st_size > len(archive) and MINE.encode() not in file.read_bytes()
    entries = owners[0].client.get("/v1/audit?action=tenant.export*").json()["items"]
    assert [one["action"] for one in entries][-2:] == ["tenant.export.download", "tenant.export"]


def test_an_attempt_that_is_interrupted_leaves_nothing_and_the_next_one_is_whole(
    cloud: Any, owners: tuple[Owner, Owner]
) -> None:
    owner = owners[1]
    while cloud.maker.make_next(threading.Event()):  # those of other tests go first
        pass
    export = owner.client.post("/v1/tenant/exports").json()["id"]
    stop = threading.Event()
    stop.set()
    assert cloud.maker.make_next(stop)
    where = f"/v1/tenant/exports/{export}"
    assert owner.client.get(where).json()["state"] == "running"
    folder = cloud.data / "blobs" / owner.tenant / "exports"
    left = folder / f"{export}-1.tar"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"what a killed process left")
    assert cloud.maker.make_next(threading.Event())
    told = owner.client.get(where).json()
    assert (told["state"], told["attempt"]) == ("ready", 2)
    assert [file.name for file in folder.iterdir()] == [f"{export}-2.tar"]
    whole = owner.client.get(f"{where}/archive").content
    assert members(whole)[0]["tenant"] == owner.tenant
    assert owner.client.delete(where).status_code == 204
    assert list(folder.iterdir()) == []
    assert owner.client.get(where).status_code == 404


def test_an_operator_exports_a_suspended_tenant_by_command(
    cloud: Any, tmp_path: Path, client: httpx.Client
) -> None:
    cloud.settle("zqxquiet", "quiet-owner")
    cloud.register("ZQXQUIET00001", tenant=Tenant("zqxquiet"))
    refused = client.post("/v1/tenants/zqxquiet/exports")
    assert refused.status_code == 403
    with cloud.administering(), cloud.client() as client:
        client.patch("/v1/tenants/zqxquiet", json={"state": "suspended"}).raise_for_status()
        token = client.cookies["carcloud_session"]
        target, over = tmp_path / "quiet.tar", threading.Event()
        words = ["tenants", "export", "--url", cloud.url, "--token", token, "zqxquiet"]

        def work() -> None:
            while not over.wait(0.05):
                cloud.maker.make_next(threading.Event())

        making = threading.Thread(target=work)
        making.start()
        done = CliRunner().invoke(main, [*words, "--to", str(target)])
        over.set()
        making.join()
        assert done.exit_code == 0, done.output
        manifest, _ = members(target.read_bytes())
        assert manifest["tables"]["vehicles"]["rows"] == 1
        assert [path.name for path in tmp_path.iterdir()] == ["quiet.tar"]
        assert client.get("/v1/tenants/zqxnever/exports").json()["items"] == []
        assert client.post("/v1/tenants/zqxnever/exports").status_code == 404
        shown = CliRunner().invoke(
            main, ["tenants", "exports", "--url", cloud.url, "--token", token, "zqxquiet"]
        )
        assert manifest["export"] in shown.output and "ready" in shown.output
