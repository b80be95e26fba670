"""Where the objects of a tenant lie, over HTTP and from the command line, on a real S3 server."""

import json
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner
from tests.ports.s3_server import BUCKET, s3_options, seaweed

from carcloud.cli.root import main
from carcloud.engines.blobs_object import ObjectBlobs

PLACE = "/v1/tenants/placed/storage"
OBJECT = "/v1/buckets/placed-box/object"


def test_an_administrator_gives_a_tenant_a_bucket_of_its_own(
    cloud: Any, client: httpx.Client, tmp_path: Path
) -> None:
    cloud.settle("placed", "placed-owner")
    assert client.patch(PLACE, json={"sealed": True}).status_code == 403
    (tmp_path / "weed").mkdir()
    with seaweed(tmp_path / "weed") as endpoint, cloud.administering():
        options = s3_options(endpoint)
        theirs = ObjectBlobs(f"s3://{BUCKET}", options)
        for wrong in (
            {"url": "file:///etc", "options": {}},
            {"url": f"s3://{BUCKET}", "options": {**options, "access_key_id": "wrong"}},
        ):
            refused = client.patch(PLACE, json=wrong)
            assert refused.status_code == 400, refused.text
            assert refused.json()["errors"][0]["field"] == "url"
        file = tmp_path / "s3.json"
        file.write_text(json.dumps(options))
        words = ("--bucket", f"s3://{BUCKET}", "--options-file", str(file), "--sealed", "--json")
        access = ("--url", cloud.url, "--token", client.cookies["carcloud_session"])
        told = CliRunner().invoke(main, ("tenants", "storage", "placed", *access, *words))
        assert told.exit_code == 0, told.output
        assert json.loads(told.output) == {
            "tenant": "placed", "url": f"s3://{BUCKET}", "sealed": True,
        }  # fmt: skip
        assert list(theirs.list("placed/")) == []  # nothing of the trial is left
        with cloud.client("placed-owner") as owner:
            assert owner.post("/v1/buckets", json={"name": "placed-box"}).status_code == 201
            put = owner.put(OBJECT, params={"key": "k"}, content=b"secret words")
            assert put.status_code == 200, put.text
            assert owner.get(OBJECT, params={"key": "k"}).content == b"secret words"
            (blob,) = theirs.list("placed/")
            assert b"secret words" not in theirs.get(blob.key)
            old = owner.post("/v1/storage/keys").json()["id"]
            assert owner.post("/v1/storage/keys").json()["id"] != old
            assert owner.patch("/v1/storage", json={"sealed": False}).json()["sealed"] is False
            owner.put(OBJECT, params={"key": "open"}, content=b"open words")
            assert owner.get(OBJECT, params={"key": "k"}).content == b"secret words"
            assert owner.get("/v1/storage").json()["own_place"] is True
            told = [theirs.get(each.key) for each in theirs.list("placed/")]
            assert sorted(b"open words" in data for data in told) == [False, True]
        moved = client.patch(PLACE, json={"url": ""})
        assert (moved.status_code, "keeps no bytes" in moved.text) == (400, True)
        assert client.get("/v1/tenants/nobody/storage").status_code == 404
        assert options["secret_access_key"] not in client.get("/v1/audit?limit=200").text
