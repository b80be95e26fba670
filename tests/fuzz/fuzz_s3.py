"""Coverage-guided fuzzing of the S3 wire format: `python tests/fuzz/fuzz_s3.py`.

The first byte chooses a parser. Whatever comes, a parser answers or raises `S3Error`; a chunked
body gives the same data whole and byte by byte; what was signed is accepted.
"""

import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.s3"]):
    from carcloud.codecs.s3 import documents
    from carcloud.codecs.s3.chunked import ChunkedBody
    from carcloud.codecs.s3.conditions import conditions_of, copy_span_of, span_of
    from carcloud.codecs.s3.errors import S3Error
    from carcloud.codecs.s3.headers import digests_of, metadata_of, source_of, tags_of
    from carcloud.codecs.s3.operations import operation_of
    from carcloud.codecs.s3.signature import UNSIGNED_TRAILER, Signed, check, claim_of, sign
    from carcloud.codecs.s3.uri import decoded_path, parsed_query, split_path
    from carcloud.codecs.s3.xmlwrite import document

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOCUMENTS = (
    documents.delete, documents.complete, documents.tagging, documents.versioning,
    documents.location, documents.lifecycle,
)  # fmt: skip


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    choice, rest = data[0] % 5, data[1:]
    if choice == 0:
        _chunked(rest)
    elif choice == 1:
        _documents(rest)
    elif choice == 2:
        _request(rest)
    elif choice == 3:
        _headers(rest)
    else:
        _signed(rest)


def _chunked(data: bytes) -> None:
    whole, single = ChunkedBody(UNSIGNED_TRAILER, None), ChunkedBody(UNSIGNED_TRAILER, None)
    one, other = _fed(whole, [data]), _fed(single, [bytes((byte,)) for byte in data])
    if one != other:
        raise AssertionError("single bytes give other data")


def _fed(body: ChunkedBody, pieces: list[bytes]) -> object:
    got = b""
    try:
        for piece in pieces:
            for part in body.feed(piece):
                got += part
        body.finish()
    except S3Error as error:
        return error.code
    return got, body.trailers


def _documents(data: bytes) -> None:
    for read in DOCUMENTS:
        try:
            read(data)
        except S3Error:
            continue


def _request(data: bytes) -> None:
    text = data.decode("latin-1")
    path, _, rest = text.partition("?")
    query, _, header = rest.partition("\n")
    try:
        known = parsed_query(query)
        bucket, key = split_path(decoded_path("/" + path), header[:40], "s3.localhost")
        request = Signed("GET", "/" + path, known, {"host": "h", "authorization": header})
        claim = claim_of(request)
        if claim is not None:
            check(claim, request, "secret", NOW)
        operation_of("GET", bucket, key, known, {})
    except S3Error:
        return


def _headers(data: bytes) -> None:
    name, _, value = data.decode("latin-1").partition(":")
    headers = {name.lower(): value}
    for read in (
        lambda: metadata_of(headers), lambda: digests_of(headers), lambda: tags_of(value),
        lambda: source_of(value), lambda: copy_span_of(value, 1000),
        lambda: conditions_of(headers).check_read("e", 1_000_000),
    ):  # fmt: skip
        try:
            read()
        except S3Error:
            continue
    try:
        span = span_of(value, 1000)
    except S3Error:
        return
    if span is not None and not 0 <= span.start < span.end <= 1000:
        raise AssertionError("a range outside the object")


def _signed(data: bytes) -> None:
    text = data.decode("utf-8", "replace").replace("\0", "")
    path, _, value = text.partition("?")
    request = Signed("PUT", f"/{path}", {"a": value}, {"host": "h"})
    added = sign(request, "key", "secret", "us-east-1", NOW, "UNSIGNED-PAYLOAD")
    good = Signed("PUT", f"/{path}", {"a": value}, {"host": "h", **added})
    claim = claim_of(good)
    if claim is None:
        raise AssertionError("a claim was lost")
    check(claim, good, "secret", NOW)
    document("Root", {"Key": text})


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
