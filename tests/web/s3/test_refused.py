"""What the S3 interface must refuse, and that a refusal leaves nothing behind."""

import base64
import dataclasses
import hashlib
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from botocore.exceptions import ClientError
from tests.web.s3.conftest import Store

from carcloud.codecs.s3.signature import EMPTY_SHA256, UNSIGNED, Signed, sign
from carcloud.web import rates


def signed(
    store: Store,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    who: str = "a",
    secret: str = "",
    payload: str = "",
    when: datetime | None = None,
    **more: str,
) -> dict[str, str]:
    """The headers of a signed request."""
    key = store.keys[who * 16]
    extra = {name.replace("_", "-"): value for name, value in more.items()}
    headers = {"host": f"127.0.0.1:{store.port}", **extra}
    request = Signed(method, path, {}, headers)
    digest = payload or hashlib.sha256(body).hexdigest()
    moment = when or datetime.now(UTC)
    return headers | sign(request, key.id, secret or key.secret, "us-east-1", moment, digest)


def put(store: Store, path: str, body: bytes, **options: str) -> httpx.Response:
    headers = signed(store, "PUT", path, body, **options)
    return httpx.put(store.url + path, content=body, headers=headers)


def code(answer: httpx.Response) -> str:
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


@pytest.fixture
def path(store: Store, bucket: str) -> str:
    return f"/{bucket}/k"


@pytest.fixture(autouse=True)
def nothing_is_left(store: Store):
    """No test here may leave bytes or objects."""
    before = len(store.files())
    yield
    deadline = time.monotonic() + 30
    while len(store.files()) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(store.files()) == before


def test_nobody_comes_in_without_a_signature(store, path):
    for method in ("GET", "PUT", "DELETE", "HEAD", "POST"):
        assert httpx.request(method, store.url + path).status_code == 403
    assert code(httpx.get(store.url + "/")) == "AccessDenied"
    assert code(httpx.get(store.url + "/no-such-bucket/k")) == "AccessDenied"


def test_forged_signatures(store, path):
    assert code(put(store, path, b"x", secret="guessed")) == "SignatureDoesNotMatch"
    headers = signed(store, "PUT", path, b"x")
    for changed in (
        {"headers": headers, "url": store.url + path + "2"},
        {"headers": {**headers, "x-amz-meta-a": "1"}, "url": store.url + path},
        {"headers": headers, "url": store.url + path, "method": "DELETE"},
        {"headers": headers, "url": store.url + path + "?tagging"},
    ):
        answer = httpx.request(**{"method": "PUT", "content": b"x", **changed})
        assert answer.status_code == 403, changed
    own = httpx.get(store.url + "/", headers=signed(store, "GET", "/"))
    assert own.status_code == 200  # the key is as good as before


def test_a_revoked_key_is_refused_within_a_second(store):
    key = dataclasses.replace(store.keys["b" * 16], id="e" * 16)
    store.keys[key.id] = key
    assert httpx.get(store.url, headers=signed(store, "GET", "/", who="e")).status_code == 200
    headers = signed(store, "GET", "/", who="e")
    del store.keys[key.id]
    time.sleep(1)
    assert code(httpx.get(store.url, headers=headers)) == "InvalidAccessKeyId"


@pytest.mark.parametrize("minutes", [-16, 16, -60 * 24])
def test_clocks_that_are_off(store, path, minutes):
    when = datetime.now(UTC) + timedelta(minutes=minutes)
    headers = signed(store, "PUT", path, b"x", when=when)
    assert code(httpx.put(store.url + path, content=b"x", headers=headers)) == (
        "RequestTimeTooSkewed"
    )


def test_a_body_that_is_not_what_was_signed(store, path):
    headers = signed(store, "PUT", path, b"what was signed")
    answer = httpx.put(store.url + path, content=b"what is sent ..", headers=headers)
    assert code(answer) == "XAmzContentSHA256Mismatch"
    large = os.urandom(3_000_000)
    headers = signed(store, "PUT", path, large)
    answer = httpx.put(store.url + path, content=large[:-1] + b"x", headers=headers)
    assert code(answer) == "XAmzContentSHA256Mismatch"


def test_wrong_md5_and_checksums(store, path):
    wrong = base64.b64encode(bytes(16)).decode()
    assert code(put(store, path, b"x", content_md5=wrong)) == "BadDigest"
    assert code(put(store, path, b"x", content_md5="short")) == "InvalidDigest"
    assert code(put(store, path, b"x", x_amz_checksum_crc32="AAAAAA==")) == "BadDigest"
    assert code(put(store, path, b"x", x_amz_checksum_crc32="AA==")) == "InvalidRequest"
    both = {"x_amz_checksum_crc32": "AAAAAA==", "x_amz_checksum_crc32c": "AAAAAA=="}
    assert code(put(store, path, b"x", **both)) == "InvalidRequest"
    body = b"1\r\nx\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    trailer = {
        "payload": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x_amz_trailer": "x-amz-checksum-crc32",
        "x_amz_decoded_content_length": "1", "content_encoding": "aws-chunked",
    }  # fmt: skip
    assert code(put(store, path, body, **trailer)) == "BadDigest"
    body = b"1\r\nx\r\n0\r\n\r\n"
    assert code(put(store, path, body, **trailer)) == "InvalidRequest"
    trailer["x_amz_decoded_content_length"] = "2"
    assert code(put(store, path, body, **trailer)) in ("IncompleteBody", "InvalidRequest")


def test_an_upload_that_is_cut_leaves_nothing(store, bucket, path):
    body = os.urandom(9_000_000)
    headers = signed(store, "PUT", path, body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
    for sent in (0, 100, 5_000_000, len(body) - 1):
        store.send(head + body[:sent], cut=True)
    time.sleep(0.5)
    assert "Contents" not in store.boto().list_objects_v2(Bucket=bucket)
    assert put(store, path, b"x").status_code == 200  # as good as new
    assert store.boto().get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    store.boto().delete_object(Bucket=bucket, Key="k")
    collect(store)


def test_an_upload_that_replaces_nothing_when_cut(store, bucket, path):
    assert put(store, path, b"old").status_code == 200
    body = os.urandom(4_000_000)
    headers = signed(store, "PUT", path, body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", store.port)) as link:
        link.sendall(head + body[:2_500_000])
        time.sleep(0.3)
        assert store.boto().get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    time.sleep(0.5)
    assert store.boto().get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    store.boto().delete_object(Bucket=bucket, Key="k")
    collect(store)


def collect(store: Store) -> None:
    """Let the bytes of what was deleted go, as the jobs role does ten minutes later."""
    store.clock_us += 700 * 1_000_000
    store.storage.care()


def test_bodies_that_are_too_large_or_have_no_length(store, path):
    headers = signed(store, "PUT", path, payload=UNSIGNED)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path} HTTP/1.1\r\n{lines}"
    huge = store.send(f"{head}content-length: {6 << 30}\r\nconnection: close\r\n\r\n".encode())
    assert b"EntityTooLarge" in huge
    chunked = f"{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    assert b"MissingContentLength" in store.send(chunked.encode())


def test_a_tenant_that_has_used_up_its_bytes(store, bucket, path):
    store.limits["stored_bytes"] = 1000
    try:
        answer = put(store, path, bytes(2000))
        assert (answer.status_code, code(answer)) == (403, "QuotaExceeded")
        assert "stored_bytes" in answer.text and "2000" not in answer.text
    finally:
        store.limits.clear()


ODD_XML = [
    b"", b"<", b"<Delete>", b"<Other/>", b"\xff\xfe", b"<Delete><Object/></Delete>",
    b'<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><Delete/>',
    b"<Delete>" + b"<Object>" * 50_000,
    b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
    b'<?xml version="1.0" encoding="x-none"?><Delete/>',
]  # fmt: skip


@pytest.mark.parametrize("body", ODD_XML, ids=range(len(ODD_XML)))
def test_documents_that_cannot_be(store, bucket, body):
    request = Signed("POST", f"/{bucket}", {"delete": ""}, {"host": f"127.0.0.1:{store.port}"})
    key = store.keys["a" * 16]
    digest = hashlib.sha256(body).hexdigest()
    headers = dict(request.headers)
    headers |= sign(request, key.id, key.secret, "us-east-1", datetime.now(UTC), digest)
    answer = httpx.post(f"{store.url}/{bucket}?delete", content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (400, "MalformedXML")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/UPPER/k", 404), ("GET", "/%FF%FE/k", 400), ("GET", "/a?x=1&x=2", 400),
     ("POST", "/", 405), ("PATCH", "/a/b", 405), ("GET", "/a/" + "k" * 1025, 400)],
)  # fmt: skip
def test_odd_requests(store, method, path, status):
    """They end before the signature could matter, or with a right one."""
    plain = path.partition("?")[0]
    try:
        headers = signed(store, method, plain)
    except UnicodeError:
        headers = {}
    answer = httpx.request(method, store.url + path, headers=headers)
    assert answer.status_code in (status, 403)


def test_headers_that_promise_what_is_not_done(store, path):
    for header, value in (
        ("x_amz_acl", "public-read"), ("x_amz_storage_class", "GLACIER"),
        ("x_amz_server_side_encryption", "aws:kms"), ("x_amz_object_lock_mode", "GOVERNANCE"),
        ("x_amz_grant_read", "id=1"), ("x_amz_website_redirect_location", "/x"),
    ):  # fmt: skip
        assert put(store, path, b"x", **{header: value}).status_code in (400, 501)
    meta = {"x_amz_meta_" + str(n): "v" * 500 for n in range(5)}
    assert code(put(store, path, b"x", **meta)) == "MetadataTooLarge"


def test_what_is_not_implemented_does_not_fall_through(store, bucket, path):
    before = signed(store, "PUT", path)
    assert before["x-amz-content-sha256"] == EMPTY_SHA256
    key = store.keys["a" * 16]
    for name in ("acl", "retention", "legal-hold", "torrent", "restore"):
        request = Signed("PUT", path, {name: ""}, {"host": f"127.0.0.1:{store.port}"})
        headers = dict(request.headers) | sign(
            request, key.id, key.secret, "us-east-1", datetime.now(UTC), EMPTY_SHA256
        )
        answer = httpx.put(f"{store.url}{path}?{name}", headers=headers)
        assert answer.status_code == 501
    assert "Contents" not in store.boto().list_objects_v2(Bucket=bucket)


def test_a_tenant_above_its_request_rate_is_told_to_slow_down(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
):
    mine, other = store.boto(), store.boto("b")
    store.rates["alpha"] = 3
    try:
        refusals = []
        with monkeypatch.context() as stopped:
            moment = time.monotonic()
            stopped.setattr(rates, "time", SimpleNamespace(monotonic=lambda: moment))
            for _ in range(8):
                try:
                    mine.list_objects_v2(Bucket=bucket)
                except ClientError as error:
                    refusals.append(error.response)
        assert len(refusals) == 5
        for told in refusals:
            assert told["Error"]["Code"] == "SlowDown"
            assert "requests_per_second" in told["Error"]["Message"]
            assert told["ResponseMetadata"]["HTTPStatusCode"] == 503
        for _ in range(8):
            other.list_buckets()
        patient = store.boto(retries={"max_attempts": 8, "mode": "standard"})
        for _ in range(8):  # clients wait by themselves
            patient.list_objects_v2(Bucket=bucket)
    finally:
        store.rates.clear()
