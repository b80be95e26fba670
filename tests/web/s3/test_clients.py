"""obstore and rclone, unchanged, against the S3 interface."""

import os
import shutil
import subprocess
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store
from tests.ports.test_blobs import (
    test_a_blob_written_in_pieces_is_read_in_pieces as written_in_pieces,
)
from tests.web.s3.conftest import Store

from carcloud.engines.blobs_object import ObjectBlobs


def options(store: Store) -> dict[str, str]:
    key = store.keys["a" * 16]
    return {
        "endpoint": store.url,
        "access_key_id": key.id,
        "secret_access_key": key.secret,
        "region": "us-east-1",
        "virtual_hosted_style_request": "false",
    }


@pytest.fixture
def remote(store: Store, bucket: str) -> S3Store:
    return S3Store(bucket, config=options(store), client_options={"allow_http": True})


def test_obstore_puts_gets_lists_copies_and_deletes(remote):
    data = os.urandom(3_000_000)
    obstore.put(remote, "a/b c", data, attributes={"Content-Type": "x/y", "m": "1"})
    got = obstore.get(remote, "a/b c")
    assert bytes(got.bytes()) == data
    assert got.attributes["Content-Type"] == "x/y"
    assert bytes(obstore.get_range(remote, "a/b c", start=5, end=70_000)) == data[5:70_000]
    ranges = obstore.get_ranges(remote, "a/b c", starts=[0, 2_000_000], ends=[3, 2_000_009])
    assert [bytes(r) for r in ranges] == [data[:3], data[2_000_000:2_000_009]]
    obstore.copy(remote, "a/b c", "a/copy")
    obstore.rename(remote, "a/copy", "z/moved")
    for number in range(5):
        obstore.put(remote, f"n/{number}", b"x")
    assert {m["path"] for page in obstore.list(remote) for m in page} == {
        "a/b c", "z/moved", *(f"n/{n}" for n in range(5)),
    }  # fmt: skip
    folders = obstore.list_with_delimiter(remote)
    assert sorted(folders["common_prefixes"]) == ["a", "n", "z"]
    obstore.delete(remote, [f"n/{number}" for number in range(5)])
    assert [m["path"] for page in obstore.list(remote, "n") for m in page] == []
    with pytest.raises(FileNotFoundError):
        obstore.get(remote, "n/1")


def test_obstore_writes_under_conditions_and_in_parts(remote):
    obstore.put(remote, "once", b"1", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(remote, "once", b"2", mode="create")
    meta = obstore.head(remote, "once")
    obstore.put(remote, "once", b"2", mode={"e_tag": meta["e_tag"]})
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(remote, "once", b"3", mode={"e_tag": meta["e_tag"]})
    data = os.urandom(17_000_000)
    obstore.put(remote, "big", data, use_multipart=True, chunk_size=5 << 20)
    assert bytes(obstore.get(remote, "big").bytes()) == data


def test_carcloud_keeps_its_own_blobs_in_carcloud(store, bucket):
    """The blobs port over our own interface: one carcloud can be the store of another."""
    blobs = ObjectBlobs(f"s3://{bucket}/p", options(store), attempts=1)
    written_in_pieces(blobs, 12_000_003)
    blobs.put_if_absent("a/once", b"1")
    assert [blob.key for blob in blobs.list("a/")] == ["a/once", "a/pieces/new"]


@pytest.fixture
def rclone(store: Store, tmp_path: Path):
    """`rclone(words)` runs it against a remote called `cc`."""
    program = shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (Debian package rclone)")
    key = store.keys["a" * 16]
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[cc]\ntype = s3\nprovider = Other\naccess_key_id = {key.id}\n"
        f"secret_access_key = {key.secret}\nendpoint = {store.url}\n"
    )

    def run(*words: str) -> str:
        command = [program, "--config", str(config), "--retries", "1", *words]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=100, check=False, env=plain
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_rclone_syncs_there_and_back(rclone, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    for name, size in (
        ("a.bin", 1_000_000),
        ("d/ä b.txt", 10),
        ("d/e/empty", 0),
        ("big", 12 << 20),
    ):
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    chunked = ("--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M")
    rclone("sync", str(source), f"cc:{bucket}/p", *chunked)
    rclone("check", str(source), f"cc:{bucket}/p", "--download")
    rclone("check", str(source), f"cc:{bucket}/p")  # by MD5
    assert "d/ä b.txt" in rclone("lsf", "-R", f"cc:{bucket}/p")
    (source / "a.bin").unlink()
    (source / "d" / "new").write_bytes(b"new")
    rclone("sync", str(source), f"cc:{bucket}/p", *chunked)
    assert sorted(rclone("lsf", f"cc:{bucket}/p").split()) == ["big", "d/"]
    rclone("copyto", f"cc:{bucket}/p/big", f"cc:{bucket}/q/server-side")
    rclone("moveto", f"cc:{bucket}/q/server-side", f"cc:{bucket}/q/moved")
    rclone("sync", f"cc:{bucket}/p", str(back))
    rclone("check", str(source), str(back))
    assert (back / "big").read_bytes() == (source / "big").read_bytes()
    rclone("purge", f"cc:{bucket}/q")
    rclone("mkdir", f"cc:{bucket}-made")
    assert f"{bucket}-made" in rclone("lsd", "cc:")
    rclone("rmdir", f"cc:{bucket}-made")


def test_rclone_streams_and_lists_many(rclone, bucket, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(60):
        (many / f"{number:03}").write_bytes(b"x" * number)
    rclone("copy", str(many), f"cc:{bucket}", "--transfers", "8")
    assert len(rclone("lsf", f"cc:{bucket}", "--s3-list-chunk", "7").split()) == 60
    assert rclone("cat", f"cc:{bucket}/007") == "xxxxxxx"
    rclone("delete", f"cc:{bucket}")
    assert rclone("lsf", f"cc:{bucket}") == ""
