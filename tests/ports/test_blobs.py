"""One suite for the blobs port, run on a local folder and on an S3 server."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ports.s3_server import BUCKET, s3_options, seaweed

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.ports.errors import Conflict, NotFound, Unavailable


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with seaweed(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint


def s3(endpoint: str, prefix: str) -> ObjectBlobs:
    return ObjectBlobs(f"s3://{BUCKET}/{prefix}", s3_options(endpoint), attempts=1)


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectBlobs:
    if request.param == "folder":
        return ObjectBlobs(tmp_path / "blobs")
    return s3(request.getfixturevalue("s3_endpoint"), tmp_path.name)


def test_put_then_get(blobs: ObjectBlobs) -> None:
    blobs.put("a/b/c.bin", b"\x00hello\xff")
    assert blobs.get("a/b/c.bin") == b"\x00hello\xff"
    blobs.put("a/b/c.bin", b"new")
    assert blobs.get("a/b/c.bin") == b"new"
    assert blobs.info("a/b/c.bin").size == 3


def test_empty_and_large_blobs(blobs: ObjectBlobs) -> None:
    blobs.put("a/empty", b"")
    assert blobs.get("a/empty") == b""
    large = os.urandom(12_000_000)
    blobs.put("a/large", large)
    assert blobs.get("a/large") == large
    assert blobs.get("a/large", 5_999_999, 7) == large[5_999_999:6_000_006]


@pytest.mark.parametrize(
    ("start", "length", "wanted"),
    [(0, None, b"0123456789"), (3, 4, b"3456"), (7, None, b"789"), (8, 9, b"89"), (0, 0, b""),
     (10, 1, b""), (99, None, b"")],
)  # fmt: skip
def test_ranges_end_with_the_blob(
    blobs: ObjectBlobs, start: int, length: int | None, wanted: bytes
) -> None:
    blobs.put("a/digits", b"0123456789")
    assert blobs.get("a/digits", start, length) == wanted


def test_absent_blobs_are_not_found(blobs: ObjectBlobs) -> None:
    with pytest.raises(NotFound):
        blobs.get("a/none")
    with pytest.raises(NotFound):
        blobs.get("a/none", 3, 4)
    with pytest.raises(NotFound):
        blobs.info("a/none")
    blobs.delete("a/none")


def test_put_if_absent_keeps_the_first(blobs: ObjectBlobs) -> None:
    blobs.put_if_absent("a/once", b"first")
    with pytest.raises(Conflict):
        blobs.put_if_absent("a/once", b"second")
    assert blobs.get("a/once") == b"first"
    blobs.delete("a/once")
    blobs.put_if_absent("a/once", b"third")
    assert blobs.get("a/once") == b"third"


def test_put_if_absent_has_one_winner(blobs: ObjectBlobs) -> None:
    outcomes: list[str] = []

    def race(number: int) -> None:
        try:
            blobs.put_if_absent("a/race", b"%d" % number)
            outcomes.append(str(number))
        except Conflict:
            outcomes.append("lost")

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("lost") == 7
    assert blobs.get("a/race").decode() in outcomes


def test_list_is_by_prefix_and_in_order(blobs: ObjectBlobs) -> None:
    for key in ("t1/b/2", "t1/b/10", "t1/bb/1", "t1/a", "t2/b/1"):
        blobs.put(key, key.encode())
    assert [blob.key for blob in blobs.list("t1/")] == ["t1/a", "t1/b/10", "t1/b/2", "t1/bb/1"]
    assert [blob.key for blob in blobs.list("t1/b")] == ["t1/b/10", "t1/b/2", "t1/bb/1"]
    assert [blob.key for blob in blobs.list("t1/b/1")] == ["t1/b/10"]
    assert [blob.size for blob in blobs.list("t2/")] == [6]
    assert list(blobs.list("t3/")) == []


SIZES = [0, 1, 1 << 20, 20_000_003]


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_written_in_pieces_is_read_in_pieces(blobs: ObjectBlobs, size: int) -> None:
    data = os.urandom(size)
    writer = blobs.writer("a/pieces/new")
    for start in range(0, size, 700_001):
        writer.write(data[start : start + 700_001])
    writer.close()
    assert b"".join(blobs.read("a/pieces/new")) == data
    assert blobs.info("a/pieces/new").size == size
    for start, length in ((0, 1), (size // 2, 5_000_000), (size, 10), (size // 3, None)):
        end = size if length is None else start + length
        assert b"".join(blobs.read("a/pieces/new", start, length)) == data[start:end]
    file = blobs.file("a/pieces/new")
    assert file is None or file.read_bytes() == data


@pytest.mark.parametrize("size", SIZES)
def test_an_aborted_blob_leaves_nothing(blobs: ObjectBlobs, size: int) -> None:
    writer = blobs.writer("a/given-up")
    for _ in range(size // 1_000_000 + 1):
        writer.write(bytes(min(size, 1_000_000)))
    writer.abort()
    assert list(blobs.list("a/")) == []
    closed = blobs.writer("a/given-up")
    closed.write(b"x")
    closed.close()
    closed.abort()
    assert list(blobs.list("a/")) == []


def test_a_copy_outlives_its_source(blobs: ObjectBlobs) -> None:
    blobs.put("a/first", b"the bytes")
    blobs.copy("a/first", "b/second")
    blobs.delete("a/first")
    assert blobs.get("b/second") == b"the bytes"
    with pytest.raises(NotFound):
        blobs.copy("a/first", "b/third")


def test_reading_an_absent_blob_in_pieces_is_not_found(blobs: ObjectBlobs) -> None:
    with pytest.raises(NotFound):
        next(blobs.read("a/none"))


def test_two_writers_of_one_local_key_conflict(tmp_path: Path) -> None:
    blobs = ObjectBlobs(tmp_path / "blobs")
    first = blobs.writer("a/once")
    with pytest.raises(Conflict):
        blobs.writer("a/once")
    first.close()


def test_an_upload_that_the_server_drops_is_an_error(tmp_path: Path) -> None:
    writer = s3("http://127.0.0.1:9", "x").writer("a/big")
    with pytest.raises(Unavailable):
        for _ in range(40):
            writer.write(bytes(1 << 20))
        writer.close()
    writer.abort()


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a b", "a#1", "ä"]
)
def test_wrong_keys_are_refused(tmp_path: Path, key: str) -> None:
    blobs = ObjectBlobs(tmp_path / "blobs")
    for call in (blobs.get, blobs.info, blobs.delete):
        with pytest.raises(ValueError, match="not a blob key"):
            call(key)
    with pytest.raises(ValueError, match="not a blob key"):
        blobs.put(key, b"")


@given(key=st.text(max_size=60))
def test_no_key_leaves_the_folder(key: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    with suppress(ValueError, Unavailable, Conflict):
        ObjectBlobs(root / "blobs").put(key, b"x")
    assert [path.name for path in root.iterdir()] == ["blobs"]


def test_half_written_blobs_are_not_seen(tmp_path: Path) -> None:
    blobs = ObjectBlobs(tmp_path)
    blobs.put("a/whole", b"1")
    (tmp_path / "a" / "whole#123").write_bytes(b"what a crash leaves")
    assert [blob.key for blob in blobs.list("a/")] == ["a/whole"]


def test_absent_server_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        s3("http://127.0.0.1:9", "x").get("a")


def test_a_folder_is_removed_with_all_in_it_and_no_other(blobs: ObjectBlobs) -> None:
    for key in ("north/a", "north/deep/b", "north-fleet/a"):
        blobs.put(key, b"x")
    blobs.delete_all("north")
    blobs.delete_all("north")
    assert [blob.key for blob in blobs.list("north")] == ["north-fleet/a"]
