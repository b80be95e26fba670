"""Signature V4 against the examples of the S3 API Reference, and against forgery."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.s3.chunked import ChunkedBody, ChunkSigner
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.signature import (
    EMPTY_SHA256,
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_TRAILER,
    Claim,
    Signed,
    canonical_request,
    check,
    claim_of,
    presign,
    sign,
    signature,
    signing_key,
)
from carcloud.codecs.s3.uri import decoded_path, parsed_query

# The documentation's own key pair: "Examples: Signature Calculations", S3 API Reference.
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"
DAY = "20130524T000000Z"


def authorization(headers: str, signature: str) -> str:
    scope = f"{KEY}/20130524/us-east-1/s3/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={headers},Signature={signature}"


EXAMPLES = {
    "get object": (
        Signed(
            "GET", "/test.txt", {},
            {"host": HOST, "range": "bytes=0-9", "x-amz-date": DAY,
             "x-amz-content-sha256": EMPTY_SHA256},
        ),
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        Signed(
            "PUT", decoded_path("/test%24file.text"), {},
            {"host": HOST, "date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-date": DAY,
             "x-amz-storage-class": "REDUCED_REDUNDANCY",
             "x-amz-content-sha256":
                 "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
        ),
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get lifecycle": (
        Signed(
            "GET", "/", parsed_query("lifecycle"),
            {"host": HOST, "x-amz-date": DAY, "x-amz-content-sha256": EMPTY_SHA256},
        ),
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        Signed(
            "GET", "/", parsed_query("max-keys=2&prefix=J"),
            {"host": HOST, "x-amz-date": DAY, "x-amz-content-sha256": EMPTY_SHA256},
        ),
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}  # fmt: skip


def with_header(request: Signed, value: str) -> Signed:
    headers = {**request.headers, "authorization": value}
    return Signed(request.method, request.path, request.query, headers)


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_examples_hold(name):
    request, headers, wanted = EXAMPLES[name]
    signed = with_header(request, authorization(headers, wanted))
    claim = claim_of(signed)
    assert claim is not None and claim.access_key == KEY
    check(claim, signed, SECRET, NOW)
    assert signature(claim, signed, SECRET) == wanted


def test_the_published_presigned_url_holds():
    query = parsed_query(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
        "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
        "X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    request = Signed("GET", "/test.txt", query, {"host": HOST})
    claim = claim_of(request)
    assert claim is not None and claim.expires_s == 86400
    check(claim, request, SECRET, NOW + timedelta(hours=23, minutes=59))
    with pytest.raises(S3Error, match="expired"):
        check(claim, request, SECRET, NOW + timedelta(hours=24, seconds=1))
    with pytest.raises(S3Error, match="not valid yet"):
        check(claim, request, SECRET, NOW - timedelta(minutes=16))


def chunk_example() -> tuple[Claim, list[bytes], bytes]:
    """66560 bytes in chunks of 65536, 1024 and 0: the documentation's example."""
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    request = Signed(
        "PUT", "/examplebucket/chunkObject.txt", {},
        {"host": "s3.amazonaws.com", "x-amz-date": DAY, "content-encoding": "aws-chunked",
         "x-amz-storage-class": "REDUCED_REDUNDANCY", "x-amz-content-sha256": SIGNED_CHUNKS,
         "x-amz-decoded-content-length": "66560", "content-length": "66824"},
    )  # fmt: skip
    names = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class"
    )
    signed = with_header(request, authorization(names, seed))
    claim = claim_of(signed)
    assert claim is not None
    check(claim, signed, SECRET, NOW)
    signatures = (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    )
    pieces = [b"a" * 65536, b"a" * 1024, b""]
    parts = [
        b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), mark.encode(), piece)
        for piece, mark in zip(pieces, signatures, strict=True)
    ]
    return claim, parts, b"".join(parts)


def opened(claim: Claim, kind: str = SIGNED_CHUNKS) -> ChunkedBody:
    return ChunkedBody(kind, ChunkSigner.of(claim, signing_key(SECRET, "20130524", "us-east-1")))


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_the_published_chunked_upload_holds(step):
    claim, _, whole = chunk_example()
    assert len(whole) == 66824
    body = opened(claim)
    data = b"".join(
        p for at in range(0, len(whole), step) for p in body.feed(whole[at : at + step])
    )
    body.finish()
    assert data == b"a" * 66560


def test_chunks_that_were_changed_swapped_or_cut_are_refused():
    claim, parts, whole = chunk_example()
    for wrong in (
        whole.replace(b"aaaa", b"aaab", 1),
        parts[1] + parts[0] + parts[2],
        parts[0] + parts[2],
        whole.replace(b"chunk-signature=ad80", b"chunk-signature=ad81"),
    ):
        with pytest.raises(S3Error) as told:
            list(opened(claim).feed(wrong))
        assert told.value.code == "SignatureDoesNotMatch"
    for cut in (whole[:-2], whole[:66000], b""):
        body = opened(claim)
        list(body.feed(cut))
        with pytest.raises(S3Error) as told:
            body.finish()
        assert told.value.code == "IncompleteBody"
    with pytest.raises(S3Error, match="follow"):
        list(opened(claim).feed(whole + b"x"))


def test_the_published_trailer_holds():
    """ "Example: Trailing headers": the same body with a CRC-32C behind it."""
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    claim = Claim(KEY, DAY, "us-east-1", ("host",), seed, SIGNED_CHUNKS_TRAILER)
    marks = (
        b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    )
    pieces = (b"a" * 65536, b"a" * 1024, b"")
    whole = b"".join(
        b"%x;chunk-signature=%s\r\n%s" % (len(p), m, p + b"\r\n" if p else b"")
        for p, m in zip(pieces, marks, strict=True)
    )
    trailer = b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    mark = b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    good = whole + trailer + b"x-amz-trailer-signature:" + mark + b"\r\n\r\n"
    body = opened(claim, SIGNED_CHUNKS_TRAILER)
    assert b"".join(body.feed(good)) == b"a" * 66560
    body.finish()
    assert body.trailers == {"x-amz-checksum-crc32c": "sOO8/Q=="}
    for wrong in (good.replace(b"sOO8", b"sOO9"), whole + trailer + b"\r\n"):
        with pytest.raises(S3Error, match="trailer"):
            list(opened(claim, SIGNED_CHUNKS_TRAILER).feed(wrong))


def test_an_unsigned_body_with_a_trailer():
    body = ChunkedBody(UNSIGNED_TRAILER, None)
    whole = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    assert b"".join(p for byte in whole for p in body.feed(bytes((byte,)))) == b"hello"
    body.finish()
    assert body.trailers == {"x-amz-checksum-crc32": "NhCmhg=="}


@pytest.mark.parametrize(
    "wrong",
    [b"g\r\n", b"-5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5;x=y\r\nhello\r\n",
     b"5\r\nhelloX\r\n0\r\n", b"0\r\nx\r\n\r\n", b"0\r\na:1\r\na:2\r\n\r\n", b"5" * 400,
     b"ffffffff\r\n",
     b"0\r\n" + b"".join(b"a%d:1\r\n" % n for n in range(20)) + b"\r\n"],
)  # fmt: skip
def test_malformed_chunks_are_refused(wrong):
    with pytest.raises(S3Error) as told:
        list(ChunkedBody(UNSIGNED_TRAILER, None).feed(wrong))
    assert told.value.code == "InvalidRequest"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
QUERIES = st.dictionaries(TEXTS.filter(lambda n: not n.startswith("X-Amz-")), TEXTS, max_size=4)


@given(method=st.sampled_from(["GET", "PUT", "DELETE"]), path=TEXTS, query=QUERIES)
def test_what_is_signed_is_accepted_and_what_was_changed_is_not(method, path, query):
    request = Signed(method, f"/{path}", query, {"host": HOST})
    added = sign(request, KEY, SECRET, "us-east-1", NOW, EMPTY_SHA256)
    good = Signed(method, f"/{path}", query, {"host": HOST, **added})
    claim = claim_of(good)
    assert claim is not None
    check(claim, good, SECRET, NOW)
    for changed in (
        Signed("POST", good.path, query, good.headers),
        Signed(method, good.path + "x", query, good.headers),
        Signed(method, good.path, {**query, "x": "y" + query.get("x", "")}, good.headers),
        Signed(method, good.path, query, {**good.headers, "host": "other"}),
    ):
        with pytest.raises(S3Error, match="does not match"):
            check(claim, changed, SECRET, NOW)
    with pytest.raises(S3Error, match="does not match"):
        check(claim, good, SECRET + "x", NOW)


@given(path=TEXTS, query=QUERIES)
def test_a_presigned_query_is_accepted(path, query):
    made = presign(Signed("GET", f"/{path}", query, {"host": HOST}), KEY, SECRET, "cn-1", NOW, 60)
    request = Signed("GET", f"/{path}", made, {"host": HOST})
    claim = claim_of(request)
    assert claim is not None
    check(claim, request, SECRET, NOW + timedelta(seconds=60))
    with pytest.raises(S3Error, match="does not match"):
        check(claim, Signed("PUT", f"/{path}", made, {"host": HOST}), SECRET, NOW)


def test_a_clock_that_is_off_by_more_than_fifteen_minutes_is_refused():
    request = Signed("GET", "/", {}, {"host": HOST})
    for minutes, good in ((14, True), (-14, True), (16, False), (-16, False)):
        made = sign(
            request, KEY, SECRET, "us-east-1", NOW + timedelta(minutes=minutes), EMPTY_SHA256
        )
        signed = Signed("GET", "/", {}, {"host": HOST, **made})
        claim = claim_of(signed)
        assert claim is not None
        if good:
            check(claim, signed, SECRET, NOW)
            continue
        with pytest.raises(S3Error) as told:
            check(claim, signed, SECRET, NOW)
        assert told.value.code == "RequestTimeTooSkewed"


def test_amz_headers_must_be_signed():
    added = sign(
        Signed("PUT", "/a", {}, {"host": HOST}), KEY, SECRET, "us-east-1", NOW, EMPTY_SHA256
    )
    more = {"host": HOST, **added, "x-amz-meta-a": "b"}
    signed = Signed("PUT", "/a", {}, more)
    claim = claim_of(signed)
    assert claim is not None
    with pytest.raises(S3Error, match="x-amz-meta-a"):
        check(claim, signed, SECRET, NOW)


GOOD = authorization("host;x-amz-date", "0" * 64)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS AKIA:xyz", "InvalidRequest"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        (GOOD.replace("/s3/", "/ec2/"), "AuthorizationHeaderMalformed"),
        (GOOD.replace("20130524/", "20130525/"), "AuthorizationHeaderMalformed"),
        (GOOD + ",Signature=" + "1" * 64, "AuthorizationHeaderMalformed"),
        (GOOD.replace("0" * 64, "x" * 64), "AuthorizationHeaderMalformed"),
        (GOOD.replace("host;x-amz-date", "x-amz-date;host"), "AuthorizationHeaderMalformed"),
        (GOOD.replace("host;x-amz-date", "host;host"), "AuthorizationHeaderMalformed"),
        (GOOD.replace("host;x-amz-date", ""), "AuthorizationHeaderMalformed"),
        (GOOD.replace("Credential", "Credentials"), "AuthorizationHeaderMalformed"),
    ],
)
def test_malformed_headers_are_refused(header, code):
    headers = {"host": HOST, "x-amz-date": DAY, "x-amz-content-sha256": EMPTY_SHA256}
    with pytest.raises(S3Error) as told:
        claim_of(Signed("GET", "/", {}, {**headers, "authorization": header}))
    assert told.value.code == code


def test_canonical_form_of_spaces_and_empty_values():
    claim = Claim(KEY, DAY, "us-east-1", ("host", "x-amz-meta-a"), "", EMPTY_SHA256)
    request = Signed(
        "GET", "/a b/ü~", {"b": "", "a": "1 2"}, {"host": "h", "x-amz-meta-a": "  x   y "}
    )
    assert canonical_request(claim, request) == (
        "GET\n/a%20b/%C3%BC~\na=1%202&b=\nhost:h\nx-amz-meta-a:x y\n\nhost;x-amz-meta-a\n"
        + EMPTY_SHA256
    )
