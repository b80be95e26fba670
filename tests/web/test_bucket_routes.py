"""Buckets and objects through the console's own routes."""

import io
import os
import secrets

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mcap.writer import Writer


@pytest.fixture
def box(client: httpx.Client) -> str:
    name = f"box-{secrets.token_hex(6)}"
    made = client.post("/v1/buckets", json={"name": name})
    assert made.status_code == 201, made.text
    assert made.json()["versioning"] == "Off"
    return name


def test_a_bucket_is_made_changed_and_removed(client, box):
    assert box in [one["name"] for one in client.get("/v1/buckets").json()["items"]]
    again = client.post("/v1/buckets", json={"name": box})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "name")
    assert client.post("/v1/buckets", json={"name": "Upper.."}).status_code == 400
    seen = client.get(f"/v1/buckets/{box}")
    tag = {"if-match": seen.headers["etag"]}
    change = {
        "versioning": "Enabled",
        "tags": {"a": "b"},
        "lifecycle": [{"id": "x", "prefix": "tmp/", "days": 3, "tags": {"t": "1"}}],
    }
    assert client.patch(f"/v1/buckets/{box}", json=change).status_code == 428
    changed = client.patch(f"/v1/buckets/{box}", json=change, headers=tag)
    assert changed.status_code == 200, changed.text
    told = changed.json()
    assert (told["versioning"], told["tags"]) == ("Enabled", {"a": "b"})
    assert told["lifecycle"][0]["days"] == 3 and told["lifecycle"][0]["tags"] == {"t": "1"}
    assert client.patch(f"/v1/buckets/{box}", json=change, headers=tag).status_code == 412
    empty = {"lifecycle": [{"prefix": "x"}]}
    new = {"if-match": changed.headers["etag"]}
    assert client.patch(f"/v1/buckets/{box}", json=empty, headers=new).status_code == 400
    assert client.delete(f"/v1/buckets/{box}").status_code == 204
    assert client.get(f"/v1/buckets/{box}").status_code == 404


def test_objects_go_up_and_come_down_whole_and_in_parts(client, box):
    data = os.urandom(5_000_003)  # above web.max_body_mb of this cloud, which is 1
    where = f"/v1/buckets/{box}/object"
    key = {"key": "drive/../a b//ü.mcap"}
    put = client.put(where, params=key, content=data, headers={"content-type": "video/mp4"})
    assert put.status_code == 200, put.text
    assert put.json()["size"] == len(data)
    got = client.get(where, params=key)
    assert got.content == data
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == 'attachment; filename="_.mcap"'
    assert "sandbox" in got.headers["content-security-policy"]
    part = client.get(where, params=key, headers={"range": "bytes=100-1000099"})
    assert (part.status_code, part.content) == (206, data[100:1_000_100])
    facts = client.get(f"{where}/facts", params=key).json()
    assert facts["content_type"] == "video/mp4"
    assert client.put(f"{where}/tags", params=key, json={"a": "b"}).status_code == 204
    assert client.get(f"{where}/facts", params=key).json()["tags"] == {"a": "b"}
    kept = client.get("/v1/storage").json()
    assert kept["bytes"] >= len(data)
    assert kept["endpoint"] == ""  # no S3 interface listens beside this application
    assert client.delete(f"/v1/buckets/{box}").status_code == 409
    assert client.delete(where, params=key).status_code == 204
    assert client.get(where, params=key).status_code == 404


def test_only_harmless_images_are_shown_in_place(client, box):
    where = f"/v1/buckets/{box}/object"
    for kind, shown in (("image/png", True), ("image/svg+xml", False), ("text/html", False)):
        key = {"key": kind}
        client.put(where, params=key, content=b"<script>", headers={"content-type": kind})
        answer = client.get(where, params={**key, "show": "true"})
        assert answer.headers["content-disposition"].startswith("inline") is shown
        assert (answer.headers["content-type"] == kind) is shown
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_lists_have_folders_and_pages(client, box):
    for key in ("a/1", "a/2", "b/c/3", "top", "zz"):
        client.put(f"/v1/buckets/{box}/object", params={"key": key}, content=b"x")
    listed = client.get(f"/v1/buckets/{box}/objects", params={"delimiter": "/"}).json()
    assert [one["key"] for one in listed["items"]] == ["top", "zz"]
    assert listed["folders"] == ["a/", "b/"]
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/v1/buckets/{box}/objects", params=query).json()
        found += [one["key"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["a/1", "a/2", "b/c/3", "top", "zz"]
    assert client.get(f"/v1/buckets/{box}/objects", params={"cursor": "x"}).status_code == 400


def test_another_tenant_and_a_viewer(cloud, client, box):
    where, key = f"/v1/buckets/{box}/object", {"key": "k"}
    client.put(where, params=key, content=b"secret")
    with cloud.client("stranger") as other:
        for name in (box, "there-is-none"):
            answers = [
                other.get(f"/v1/buckets/{name}"),
                other.get(f"/v1/buckets/{name}/objects"),
                other.get(f"/v1/buckets/{name}/object", params=key),
                other.get(f"/v1/buckets/{name}/object/facts", params=key),
                other.put(f"/v1/buckets/{name}/object", params=key, content=b"x"),
                other.put(f"/v1/buckets/{name}/object/tags", params=key, json={}),
                other.delete(f"/v1/buckets/{name}/object", params=key),
                other.patch(f"/v1/buckets/{name}", json={}, headers={"if-match": "*"}),
                other.delete(f"/v1/buckets/{name}"),
            ]
            assert [answer.status_code for answer in answers] == [404] * 9
            told = {answer.json()["detail"].replace(name, "NAME") for answer in answers}
            assert told == {"there is no bucket 'NAME'"}
        assert box not in other.get("/v1/buckets").text
    with cloud.client("viewer") as viewer:
        assert viewer.get(where, params=key).content == b"secret"
        assert viewer.put(where, params=key, content=b"x").status_code == 403
        assert viewer.delete(where, params=key).status_code == 403
    assert client.get(where, params=key).content == b"secret"


def test_keys_that_cannot_be(client, box):
    where = f"/v1/buckets/{box}/object"
    assert client.put(where, content=b"x").status_code == 400
    assert client.put(where, params={"key": "é" * 600}, content=b"x").status_code == 400
    assert client.put(where, params={"key": "a\0b"}, content=b"x").status_code == 400
    assert client.get(where, params={"key": "none"}).status_code == 404


def put(client: httpx.Client, box: str, key: str, data: bytes) -> dict[str, str]:
    answer = client.put(f"/v1/buckets/{box}/object", params={"key": key}, content=data)
    assert answer.status_code == 200
    return {"key": key}


def test_a_parquet_file_is_looked_into(client, box):
    out = io.BytesIO()
    table = pa.table({"a": range(1000), "b": [None, "é" * 500] * 500, "c": [b"\0"] * 1000})
    pq.write_table(table, out)
    key = put(client, box, "t.parquet", out.getvalue())
    told = client.get(f"/v1/buckets/{box}/object/preview", params=key).json()
    assert (told["kind"], told["rows"]) == ("parquet", 1000)
    assert told["columns"] == [["a", "int64"], ["b", "string"], ["c", "binary"]]
    assert len(told["first"]) == 20
    assert told["first"][0] == ["0", None, "00"]
    assert len(told["first"][1][1]) == 201


def test_a_recording_is_looked_into(client, box):
    """A file as the makers of MCAP write it."""
    out = io.BytesIO()
    writer = Writer(out)
    writer.start()
    schema = writer.register_schema("nav/Fix", "jsonschema", b"{}")
    channel = writer.register_channel("/fix", "json", schema)
    for number in range(50):
        at = 1_700_000_000_000_000_000 + number * 10**9
        writer.add_message(channel, at, b"{}", at)
    writer.finish()
    key = put(client, box, "d.mcap", out.getvalue())
    told = client.get(f"/v1/buckets/{box}/object/preview", params=key).json()
    assert (told["kind"], told["messages"], told["compressions"]) == ("mcap", 50, ["zstd"])
    assert told["channels"] == [
        {"topic": "/fix", "encoding": "json", "schema": "nav/Fix", "messages": 50}
    ]
    assert told["start"].startswith("2023-11-14T22:13:20")
    cut = put(client, box, "cut.mcap", out.getvalue()[:-30])
    answer = client.get(f"/v1/buckets/{box}/object/preview", params=cut)
    assert (answer.status_code, "cut off" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize("data", [b"", b"hello", b"PAR1" + b"x" * 100, b"PAR1" * 5])
def test_what_cannot_be_shown_is_said(client, box, data):
    key = put(client, box, "x", data)
    assert client.get(f"/v1/buckets/{box}/object/preview", params=key).status_code == 400
