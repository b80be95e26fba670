"""AWS Signature Version 4: in the Authorization header, and in the query (presigned).

Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.uri import canonical_query, encoded

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STREAMING = (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER)
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

MOST_SKEW_S = 900  # S3: 15 minutes
MOST_EXPIRES_S = 604_800  # S3: seven days
_TIME = "%Y%m%dT%H%M%SZ"
_CREDENTIAL = re.compile(r"([!-.0-~]{1,128})/(\d{8})/([a-z0-9-]{1,40})/s3/aws4_request")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPACES = re.compile(r" {2,}")
_MOST_SIGNED = 60  # headers


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that a signature covers. Header names are in lower case."""

    method: str
    path: str  # decoded
    query: Mapping[str, str]  # decoded
    headers: Mapping[str, str]  # several of one name joined by `,`


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature; nothing of it is checked yet."""

    access_key: str
    time: str  # YYYYMMDDTHHMMSSZ
    region: str
    signed_headers: tuple[str, ...]
    signature: str
    payload: str  # SHA-256 in hex, or one of the words above
    expires_s: int | None = None  # of a presigned request

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.time[:8]}/{self.region}/s3/aws4_request"


def claim_of(request: Signed) -> Claim | None:
    """The claim in header or query; None = anonymous. Raises `S3Error` for a malformed one."""
    header = request.headers.get("authorization")
    presigned = "X-Amz-Signature" in request.query or "X-Amz-Algorithm" in request.query
    if header is not None and presigned:
        raise S3Error("InvalidRequest", "sign in the header or in the query, not in both")
    if header is not None:
        return _from_header(header, request)
    if presigned:
        return _from_query(request)
    if "Signature" in request.query and "AWSAccessKeyId" in request.query:
        raise S3Error("InvalidRequest", "Signature Version 2 is not taken: use Version 4")
    return None


def check(claim: Claim, request: Signed, secret: str, now: datetime) -> None:
    """The claim holds: the time fits, every `x-amz-` header is signed, and so is the rest.

    Raises `S3Error` RequestTimeTooSkewed, AccessDenied or SignatureDoesNotMatch.
    """
    _check_time(claim, now)
    unsigned = [
        name
        for name in request.headers
        if (name == "host" or name.startswith("x-amz-")) and name not in claim.signed_headers
    ]
    # A presigned URL may be sent with the SHA-256 of a body it says nothing about.
    if claim.expires_s is not None and unsigned == ["x-amz-content-sha256"]:
        unsigned = []
    if unsigned or "host" not in claim.signed_headers:
        said = ", ".join(unsigned) or "host"
        raise S3Error("AccessDenied", f"these headers must be signed: {said}")
    wanted = signature(claim, request, secret)
    if not hmac.compare_digest(wanted, claim.signature):
        raise S3Error("SignatureDoesNotMatch")


def signature(claim: Claim, request: Signed, secret: str) -> str:
    """The signature that the claim should carry, in hex."""
    key = signing_key(secret, claim.time[:8], claim.region)
    text = string_to_sign(claim, canonical_request(claim, request))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def canonical_request(claim: Claim, request: Signed) -> str:
    """Task 1 of Signature V4."""
    lines = [f"{name}:{_trimmed(request.headers.get(name, ''))}" for name in claim.signed_headers]
    return "\n".join(
        (
            request.method,
            encoded(request.path, slash=True) or "/",
            canonical_query(request.query, leave_out="X-Amz-Signature"),
            *lines,
            "",
            ";".join(claim.signed_headers),
            claim.payload,
        )
    )


def string_to_sign(claim: Claim, canonical: str) -> str:
    """Task 2 of Signature V4."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{claim.time}\n{claim.scope}\n{digest}"


@lru_cache(maxsize=1024)
def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of one day and region, derived from the secret."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def sign(
    request: Signed, access_key: str, secret: str, region: str, now: datetime, payload: str
) -> dict[str, str]:
    """The headers to add to a request, `host` among `request.headers` included."""
    time = now.astimezone(UTC).strftime(_TIME)
    added = {"x-amz-date": time, "x-amz-content-sha256": payload}
    headers = {**request.headers, **added}
    names = tuple(sorted(headers))
    claim = Claim(access_key, time, region, names, "", payload)
    made = signature(claim, Signed(request.method, request.path, request.query, headers), secret)
    added["authorization"] = (
        f"{ALGORITHM} Credential={access_key}/{claim.scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={made}"
    )
    return added


def presign(
    request: Signed, access_key: str, secret: str, region: str, now: datetime, expires_s: int
) -> dict[str, str]:
    """The whole query of a presigned request that is good for `expires_s`."""
    time = now.astimezone(UTC).strftime(_TIME)
    names = tuple(sorted(request.headers))
    claim = Claim(access_key, time, region, names, "", UNSIGNED, expires_s)
    query = {
        **request.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{claim.scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": ";".join(names),
    }
    signed = Signed(request.method, request.path, query, request.headers)
    return {**query, "X-Amz-Signature": signature(claim, signed, secret)}


def _from_header(header: str, request: Signed) -> Claim:
    kind, _, rest = header.partition(" ")
    if kind != ALGORITHM:
        raise S3Error("InvalidRequest", f"the authorization must begin with {ALGORITHM}")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in parts:
            raise S3Error("AuthorizationHeaderMalformed")
        parts[name] = value
    if parts.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise S3Error("AuthorizationHeaderMalformed")
    payload = request.headers.get("x-amz-content-sha256")
    if payload is None:
        raise S3Error("InvalidRequest", "the header x-amz-content-sha256 is needed")
    time = request.headers.get("x-amz-date", "")
    return _claim(
        "AuthorizationHeaderMalformed",
        parts["Credential"],
        time,
        parts["SignedHeaders"],
        parts["Signature"],
        payload,
    )


def _from_query(request: Signed) -> Claim:
    code = "AuthorizationQueryParametersError"
    query = request.query
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise S3Error(code, f"X-Amz-Algorithm must be {ALGORITHM}")
    expires = query.get("X-Amz-Expires", "")
    if not re.fullmatch(r"[0-9]{1,6}", expires) or not 1 <= int(expires) <= MOST_EXPIRES_S:
        raise S3Error(code, f"X-Amz-Expires must be 1 to {MOST_EXPIRES_S} seconds")
    payload = query.get("X-Amz-Content-Sha256", UNSIGNED)
    return _claim(
        code,
        query.get("X-Amz-Credential", ""),
        query.get("X-Amz-Date", ""),
        query.get("X-Amz-SignedHeaders", ""),
        query.get("X-Amz-Signature", ""),
        payload,
        int(expires),
    )


def _claim(
    code: str,
    credential: str,
    time: str,
    headers: str,
    given: str,
    payload: str,
    expires_s: int | None = None,
) -> Claim:
    found = _CREDENTIAL.fullmatch(credential)
    if found is None:
        raise S3Error(code, "the credential must be KEY/YYYYMMDD/REGION/s3/aws4_request")
    _moment(time)
    if time[:8] != found[2]:
        raise S3Error(code, "the credential's date is not that of the request")
    names = tuple(headers.split(";"))
    if len(names) > _MOST_SIGNED or not all(_HEADER.fullmatch(name) for name in names):
        raise S3Error(code, "the signed headers are not well formed")
    if list(names) != sorted(set(names)):
        raise S3Error(code, "the signed headers are not in order")
    if not _SHA256.fullmatch(given):
        raise S3Error(code, "the signature is not 64 hexadecimal digits")
    if payload not in (UNSIGNED, *STREAMING) and not _SHA256.fullmatch(payload):
        raise S3Error("InvalidArgument", "x-amz-content-sha256 is no digest and no known word")
    return Claim(found[1], time, found[3], names, given, payload, expires_s)


def _check_time(claim: Claim, now: datetime) -> None:
    age = (now - _moment(claim.time)).total_seconds()
    if claim.expires_s is None:
        if abs(age) > MOST_SKEW_S:
            raise S3Error(
                "RequestTimeTooSkewed",
                RequestTime=claim.time,
                ServerTime=now.strftime(_TIME),
                MaxAllowedSkewMilliseconds=str(MOST_SKEW_S * 1000),
            )
    elif age < -MOST_SKEW_S:
        raise S3Error("AccessDenied", "the request is not valid yet")
    elif age > claim.expires_s:
        raise S3Error("AccessDenied", "the request has expired")


def _moment(time: str) -> datetime:
    try:
        if len(time) == len("YYYYMMDDTHHMMSSZ") and time.isascii():
            return datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise S3Error("AccessDenied", "the request needs its time as YYYYMMDDTHHMMSSZ in x-amz-date")


def _trimmed(value: str) -> str:
    return _SPACES.sub(" ", value.strip())
