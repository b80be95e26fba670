"""A tenant deleted: asked for, cancelled, approved, and then found nowhere at all."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from carcloud.app.forgetting import forget_once
from carcloud.cli import main
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject, usage_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import Unavailable
from carcloud.services.storage import places
from carcloud.services.storage.api import Moved, Storage
from carcloud.services.tenancy.api import INSTALLATION
from carcloud.services.tenant_life.api import NotYet

MARK = "zqxplanted"
VEHICLE = "ZQXPLANTED0000001"
DAY_US = 86_400_000_000


@contextmanager
def operator(cloud: Any) -> Iterator[httpx.Client]:
    with cloud.administering(), cloud.client() as client:
        yield client


def asked(client: httpx.Client, tenant: str, confirm: str | None = None) -> httpx.Response:
    where = f"/v1/tenants/{tenant}/deletion"
    return client.post(where, json={"confirm": confirm or tenant})


def suspend(client: httpx.Client, tenant: str) -> None:
    client.patch(f"/v1/tenants/{tenant}", json={"state": "suspended"}).raise_for_status()


def state_of(client: httpx.Client, tenant: str) -> str:
    return str(client.get(f"/v1/tenants/{tenant}").json()["state"])


def deleted(cloud: Any, client: httpx.Client, tenant: str) -> dict[str, Any]:
    """The deletion at its end."""
    deadline = time.monotonic() + 60
    where = f"/v1/tenants/{tenant}/deletion"
    while (found := client.get(where).json())["state"] != "done":
        assert time.monotonic() < deadline, found
        cloud.run(cloud.deleter.work())
        time.sleep(0.05)
    return dict(found)


def plant(cloud: Any, make_frame: Any, tenant: str, client: httpx.Client) -> None:
    """Something with the mark in every place that keeps data."""

    def made(path: str, body: Any) -> dict[str, Any]:
        answer = client.post(path, json=body)
        assert answer.status_code == 201, (path, answer.text)
        return dict(answer.json())

    made("/v1/models", {"id": f"{MARK}-model", "name": MARK})
    made("/v1/vehicles", {"id": VEHICLE, "labels": {"fleet": MARK}})
    start = now_us() - 60_000_000
    cloud.send(VEHICLE, *(make_frame(start + n, speed=float(n)) for n in range(50)), tenant=tenant)
    cloud.send(VEHICLE, f"no JSON {MARK}".encode(), tenant=tenant)
    assert client.get(f"/v1/vehicles/{VEHICLE}/state").status_code in (200, 404)
    made("/v1/projects", {"id": f"{MARK}-lab", "name": MARK})
    made("/v1/roles", {"id": f"{MARK}-role", "name": MARK, "actions": ["vehicles:read"]})
    user = made("/v1/service-accounts", {"name": MARK, "role": "viewer", "note": MARK})
    made("/v1/keys", {"user": user["name"], "name": MARK})
    made("/v1/invitations", {"note": MARK, "role": "viewer"})
    link = {
        "name": f"{MARK}-link", "host": "127.0.0.1", "port": 9, "platform_id": "ZQXLINK0000000001",
        "user": "zqxplanted", "password": "kept between us", "enabled": False,
    }  # fmt: skip
    made("/v1/forwarding", link)
    sql = f"SELECT '{MARK}' AS x"
    job = {"kind": "query-export", "params": {"sql": sql, "format": "csv"}, "name": MARK}
    job_id = made("/v1/jobs", job)["id"]
    made("/v1/schedules", {"name": f"{MARK}-nightly", "cron": "0 3 * * *", "job": job})
    made("/v1/budgets", {"name": MARK, "amount": "10", "thresholds": [50]})
    made("/v1/buckets", {"name": f"{MARK}-box"})
    for key in ("a.txt", "b.txt"):
        where = f"/v1/buckets/{MARK}-box/object?key={MARK}/{key}"
        client.put(where, content=f"{MARK} object".encode()).raise_for_status()
    bucket = cloud.storage.buckets.find(Tenant(tenant), f"{MARK}-box")
    half = cloud.storage.objects.body(bucket)  # a put that broke off leaves such bytes
    half.write(f"{MARK} half".encode() * 1000)
    half.finish()
    event = json.dumps({"note": MARK}).encode()
    cloud.run(cloud.stream.publish(event_subject(Tenant(tenant), "t", "e"), event, f"{MARK}-e"))
    cloud.run(cloud.stream.publish(usage_subject(Tenant(tenant)), event, f"{MARK}-u"))
    deadline = time.monotonic() + 60
    while client.get(f"/v1/jobs/{job_id}").json()["state"] != "succeeded":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def found_in(folder: Path) -> list[str]:
    """Files whose name or content has the mark, in whatever case."""
    found = []
    for file in folder.rglob("*"):
        name = str(file.relative_to(folder))
        with suppress(FileNotFoundError):  # engines replace files at any time
            data = file.read_bytes() if file.is_file() else b""
            if MARK in name.lower() or MARK.encode() in data.lower():
                found.append(name)
    return sorted(found)


@pytest.mark.timeout(120)
def test_what_was_planted_everywhere_is_nowhere(cloud: Any, make_frame: Any) -> None:
    tenant = Tenant("leaver")
    cloud.settle(tenant, f"{MARK}-owner")
    with cloud.client(f"{MARK}-owner") as client:
        plant(cloud, make_frame, tenant, client)
        client.post("/v1/tenant/exports").raise_for_status()
        while cloud.maker.make_next(threading.Event()):  # those of other tests too
            pass
        rows = client.post("/v1/query", json={"sql": "FROM signals"}).json()["rows"]
    before = found_in(cloud.data)
    for part in ("blobs/leaver/objects", "blobs/leaver/exports", "blobs/leaver/artifacts", "nats/"):
        assert any(name.startswith(part) for name in before), (part, before)
    assert any(name.startswith("records.sqlite") for name in before)
    with operator(cloud) as client:
        suspend(client, tenant)
        cloud.run(cloud.telemetry.forget(tenant))
        assert asked(client, tenant).status_code == 201
        done = deleted(cloud, client, tenant)
        assert found_in(cloud.data) == []
        assert not (cloud.data / "tenants" / tenant).exists()
        assert not (cloud.data / "blobs" / tenant).exists()
        check_certificate(cloud, client, done, len(rows))
        assert client.get(f"/v1/tenants/{tenant}").status_code == 404
        listed = [one["id"] for one in client.get("/v1/tenants").json()["items"]]
        assert tenant not in listed
        again = {"id": tenant, "name": "x", "owner": {"name": "newer", "password": "x" * 20}}
        assert client.post("/v1/tenants", json=again).status_code == 409
    with httpx.Client(base_url=cloud.url) as anybody:
        answer = anybody.post("/v1/session", json={"user": f"{MARK}-owner", "password": "x" * 20})
        assert answer.status_code == 401


def check_certificate(cloud: Any, client: httpx.Client, done: dict[str, Any], rows: int) -> None:
    told = done["certificate"]
    before, after = told["before"], told["after"]
    assert (told["asked_by"], told["approved_by"], told["rounds"]) == ("tester", "tester", 1)
    assert before["lake"]["tables"]["signals"]["rows"] == rows == 50
    assert before["records"]["vehicles"] == 1 and before["records"]["storage_objects"] == 2
    assert before["blobs"]["kinds"]["objects"] == 3 and before["streams"]["EVENTS"] >= 1
    assert before["audit_chain"]["entries"] == before["records"]["audit"] > 10
    assert after["records"] == after["streams"] == after["blobs"]["kinds"] == {}
    assert after["lake"]["tables"] == {} and before["lake"]["sha256"] != after["lake"]["sha256"]
    noted = {INSTALLATION: [(done["entry"], done["entry_hash"])]}
    [chain] = cloud.tenancy.trail.verify(INSTALLATION, noted)
    assert not chain.faults
    [entry] = [
        one
        for one in cloud.tenancy.trail.page(INSTALLATION, limit=50).items
        if (one.action, one.subject) == ("tenant.deletion.done", done["tenant"])
    ]
    assert (entry.number, entry.hash) == (done["entry"], done["entry_hash"])
    assert entry.after == told


def test_it_takes_the_name_and_a_suspended_tenant_and_can_be_cancelled(cloud: Any) -> None:
    cloud.settle("zqxstays", "stays-owner")
    cloud.site["days"] = 3.0
    try:
        with cloud.client() as client:
            assert asked(client, "zqxstays").status_code == 403
        with operator(cloud) as client:
            assert client.get("/v1/tenants/zqxstays/deletion").status_code == 404
            assert asked(client, "zqxstays").status_code == 409  # it is active
            suspend(client, "zqxstays")
            wrong = asked(client, "zqxstays", "zqxstay")
            assert wrong.status_code == 400 and wrong.json()["errors"][0]["field"] == "confirm"
            assert asked(client, "zqxnever").status_code == 404
            assert asked(client, "default").status_code == 409
            assert asked(client, "zqxstays").status_code == 201
            assert asked(client, "zqxstays").status_code == 409  # already
            assert state_of(client, "zqxstays") == "deleting"
            resumed = client.patch("/v1/tenants/zqxstays", json={"state": "active"})
            assert resumed.status_code == 400
            cloud.run(cloud.deleter.work())
            cloud.site["ahead_us"] = 2 * DAY_US
            cloud.run(cloud.deleter.work())
            told = client.get("/v1/tenants/zqxstays/deletion").json()
            assert (told["state"], told["began"]) == ("waiting", None)
            cancelled = client.delete("/v1/tenants/zqxstays/deletion")
            assert cancelled.json()["cancelled_by"] == "tester"
            cloud.site["ahead_us"] = 4 * DAY_US
            cloud.run(cloud.deleter.work())
            assert state_of(client, "zqxstays") == "suspended"
            assert client.delete("/v1/tenants/zqxstays/deletion").status_code == 409
            client.patch("/v1/tenants/zqxstays", json={"state": "active"}).raise_for_status()
        with cloud.client("stays-owner") as client:
            assert client.get("/v1/tenant").json()["id"] == "zqxstays"
    finally:
        cloud.site.update(days=0.0, ahead_us=0)


def test_somebody_else_must_approve_where_it_is_set(cloud: Any) -> None:
    cloud.settle("zqxpair", "pair-owner")
    cloud.site["second_person"] = True
    try:
        with operator(cloud) as client:
            suspend(client, "zqxpair")
            token = client.cookies["carcloud_session"]
            access = ["--url", cloud.url, "--token", token]
            said = CliRunner().invoke(
                main, ["tenants", "delete", *access, "zqxpair"], input="zqxpair\n"
            )
            assert "somebody else must approve" in said.output, said.output
            own = client.post("/v1/tenants/zqxpair/deletion/approval")
            assert own.status_code == 400
            time.sleep(0.4)
            cloud.run(cloud.deleter.work())
            assert client.get("/v1/tenants/zqxpair/deletion").json()["state"] == "waiting"
            with cloud.administering("viewer"), cloud.client("viewer") as second:
                answer = second.post("/v1/tenants/zqxpair/deletion/approval")
                assert answer.status_code == 201, answer.text
            done = deleted(cloud, client, "zqxpair")
            assert (done["asked_by"], done["approved_by"]) == ("tester", "viewer")
            shown = CliRunner().invoke(main, ["tenants", "deletion", *access, "zqxpair"])
            assert shown.exit_code == 0 and str(done["entry_hash"]) in shown.output
            listed = CliRunner().invoke(main, ["tenants", "deletions", *access, "--json"])
            tenants = [json.loads(line)["tenant"] for line in listed.output.splitlines()]
            assert "zqxpair" in tenants
    finally:
        cloud.site["second_person"] = False


def test_what_comes_late_is_found_and_deleted_too(cloud: Any, make_frame: Any) -> None:
    tenant = Tenant("zqxlate")
    cloud.settle(tenant, "late-owner")
    with operator(cloud) as client:
        suspend(client, tenant)
        assert asked(client, tenant).status_code == 201
        where = f"/v1/tenants/{tenant}/deletion"
        deadline = time.monotonic() + 30
        while client.get(where).json()["step"] != "check":
            assert time.monotonic() < deadline
            cloud.run(cloud.deleter.work())
            time.sleep(0.02)
        late = make_frame(now_us(), speed=1.0)
        cloud.send("ZQXLATE0000000001", late, tenant=tenant)  # makes a table again
        done = deleted(cloud, client, tenant)
        assert done["certificate"]["rounds"] == 2
        assert not (cloud.data / "tenants" / tenant).exists()
        cloud.run(cloud.deleter.look_again())
        assert client.get(where).json()["state"] == "done"  # nothing came
        later = make_frame(now_us(), speed=2.0)  # from a process that was cut off
        cloud.send("ZQXLATE0000000001", later, tenant=tenant)
        assert (cloud.data / "tenants" / tenant).exists()
        cloud.run(cloud.deleter.look_again())
        assert client.get(where).json()["state"] == "running"
        again = deleted(cloud, client, tenant)
        assert again["certificate"]["rounds"] == 3 and again["entry"] > done["entry"]
        assert not (cloud.data / "tenants" / tenant).exists()


def test_it_waits_for_what_readers_have_not_dealt_with(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a reader that is behind would make something of the tenant's again."""
    steps, tenant = cloud.deleter._steps, Tenant("zqxbehind")
    monkeypatch.setattr(steps, "_readers", {"EVENTS": "slow"})
    subject = event_subject(tenant, "t", "e")
    cloud.run(cloud.stream.publish(subject, b"{}", f"behind-{time.time_ns()}"))
    ends = cloud.run(steps.ends_of_streams())
    with pytest.raises(NotYet, match="slow has"):
        cloud.run(steps.drain(tenant, ends))
    assert cloud.run(cloud.stream.holds("EVENTS", subject)) == 1
    cloud.run(cloud.stream.confirm("EVENTS", "slow", ends["EVENTS"]))
    cloud.run(steps.drain(tenant, ends))
    assert cloud.run(cloud.stream.holds("EVENTS", subject)) == 0


def test_the_last_count_looks_into_the_tenant_s_own_bucket(
    cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, own = Tenant("zqxplaced"), ObjectBlobs(tmp_path / "own")
    monkeypatch.setattr(cloud.storage.places, "_open_blobs", lambda _url, _options: own)
    cloud.settle(tenant, "placed-leaver")
    place = {"url": "s3://zqx-own", "options": {"secret_access_key": "zqxpassphrase"}}
    cloud.storage.places.change(tenant, **place, sealed=None, actor="test")
    records, blobs = cloud.tenancy._desk.records, cloud.storage.places._blobs
    another = Storage(  # as another process has it, in which puts are on their way all the time
        records, blobs, secret=bytes(32), open_blobs=lambda _url, _options: own
    )  # fmt: skip
    bucket = another.buckets.create(tenant, "zqx-placed", project="main", actor="test")
    puts = [another.kept.body(tenant, "exports/late.tar"), another.objects.body(bucket)]
    for put in puts:
        put.write(b"begun before")
    with operator(cloud) as client:
        suspend(client, tenant)
        assert asked(client, tenant).status_code == 201
        where = f"/v1/tenants/{tenant}/deletion"
        while client.get(where).json()["step"] != "check":
            cloud.run(cloud.deleter.work())
        own.put(f"{tenant}/objects/late", b"what was put late")
        cloud.storage.places._known.clear()  # as in a process that has just begun
        steps, breaks = cloud.deleter._steps, ["after the place was forgotten"]
        forget_place = steps.forget_place

        async def broken(tenant: Tenant) -> None:
            await forget_place(tenant)
            if breaks:
                raise Unavailable(breaks.pop())

        monkeypatch.setattr(steps, "forget_place", broken)
        done = deleted(cloud, client, tenant)
    assert list(own.list("")) == [] and not breaks
    monkeypatch.setattr(places, "REMEMBER_S", 0.0)  # a second later
    for put in (*puts, another.kept.body(tenant, "exports/new.tar"), another.objects.body(bucket)):
        for work in (lambda put=put: put.write(b"and late"), put.finish):
            with pytest.raises(Moved):
                work()
        put.abort()
    assert list(own.list("")) == []
    assert not [one.key for one in blobs.list(f"{tenant}/")]
    another.places._opened[tenant] = ("what opens it", own)
    forget_once(records, DeltaLake(tmp_path / "lake"), another)
    assert tenant not in another.places._opened and tenant not in another.places._known
    assert done["certificate"]["rounds"] == 2
    assert done["certificate"]["after"]["records"] == {}
