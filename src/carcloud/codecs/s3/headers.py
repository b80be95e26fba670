"""What headers say of an object: its metadata, tags, checksums, and the source of a copy."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from carcloud.codecs.s3.checksums import ALGORITHMS, Algorithm, decoded
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.uri import parsed_query

META = "x-amz-meta-"
STANDARD = (
    "content-type", "cache-control", "content-disposition", "content-encoding",
    "content-language", "expires",
)  # fmt: skip
DEFAULT_TYPE = "binary/octet-stream"
_MOST_META = 2048  # bytes of names and values
_MOST_STANDARD = 1024  # bytes of one header
_MOST_TAGS = 10
_TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*")
_OVERRIDES = {f"response-{name}": name for name in STANDARD}
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that come back with the object; raises `S3Error` MetadataTooLarge."""
    kept = {name: headers[name] for name in STANDARD if name in headers}
    if "content-encoding" in kept:
        left = [part.strip() for part in kept["content-encoding"].split(",")]
        kept["content-encoding"] = ",".join(part for part in left if part != "aws-chunked")
        if not kept["content-encoding"]:
            del kept["content-encoding"]
    kept.setdefault("content-type", DEFAULT_TYPE)
    if any(len(value) > _MOST_STANDARD for value in kept.values()):
        raise S3Error("MetadataTooLarge", "a header is longer than 1 KB")
    own = {name: value for name, value in headers.items() if name.startswith(META)}
    if sum(len(name) - len(META) + len(value) for name, value in own.items()) > _MOST_META:
        raise S3Error("MetadataTooLarge")
    for name, value in {**kept, **own}.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise S3Error("InvalidArgument", f"the header {name[:60]} is not well formed")
    return kept | own


def overrides_of(query: Mapping[str, str]) -> dict[str, str]:
    """Headers that a GET wants other than they were stored; raises `S3Error`."""
    found = {name: query[given] for given, name in _OVERRIDES.items() if given in query}
    for name, value in found.items():
        if not _VALUE.fullmatch(value) or not value.isascii() or len(value) > _MOST_STANDARD:
            raise S3Error("InvalidArgument", f"response-{name} is not well formed")
    return found


def tags_of(header: str | None) -> dict[str, str]:
    """The tags of `x-amz-tagging`; raises `S3Error` InvalidTag."""
    return checked_tags(parsed_query(header)) if header else {}


def checked_tags(tags: Mapping[str, str], most: int = _MOST_TAGS) -> dict[str, str]:
    """Tags within the rules of S3; raises `S3Error` InvalidTag."""
    if len(tags) > most:
        raise S3Error("InvalidTag", f"there may be {most} tags")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.startswith("aws:"):
            raise S3Error("InvalidTag", "a tag's key has 1 to 128 characters, its value 0 to 256")
        if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(value):
            raise S3Error("InvalidTag", "tags have letters, digits, spaces and + - = . _ : / @")
    return dict(tags)


@dataclass(frozen=True, slots=True)
class Source:
    """What a copy is made from."""

    bucket: str
    key: str
    version: str | None = None


def source_of(header: str) -> Source:
    """The value of `x-amz-copy-source`; raises `S3Error` InvalidArgument."""
    path, _, query = header.partition("?versionId=")
    name = next(iter(parsed_query(f"{path.removeprefix('/').replace('=', '%3D')}=")), "")
    bucket, _, key = name.partition("/")
    if not bucket or not key:
        raise S3Error("InvalidArgument", "the copy source must be BUCKET/KEY")
    return Source(bucket, key, query or None)


@dataclass(frozen=True, slots=True)
class Digests:
    """What the body must be, as the headers say."""

    md5: bytes | None
    algorithm: Algorithm | None
    value: bytes | None  # None = it comes in the trailer
    trailer: str | None  # name of that trailer


def digests_of(headers: Mapping[str, str]) -> Digests:
    """The digests in headers; raises `S3Error` InvalidDigest or InvalidRequest."""
    md5 = None
    if (text := headers.get("content-md5")) is not None:
        try:
            md5 = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            md5 = b""
        if len(md5) != 16:
            raise S3Error("InvalidDigest")
    given = [row for row in ALGORITHMS.values() if f"x-amz-checksum-{row.name}" in headers]
    trailer = headers.get("x-amz-trailer", "").strip().lower() or None
    if len(given) + (trailer is not None) > 1:
        raise S3Error("InvalidRequest", "expecting a single x-amz-checksum- header")
    if given:
        value = decoded(given[0], headers[f"x-amz-checksum-{given[0].name}"])
        return Digests(md5, given[0], value, None)
    if trailer is not None:
        row = ALGORITHMS.get(trailer.removeprefix("x-amz-checksum-"))
        if row is None or not trailer.startswith("x-amz-checksum-"):
            raise S3Error("InvalidRequest", "the trailer can only be a checksum")
        return Digests(md5, row, None, trailer)
    return Digests(md5, _wanted(headers), None, None)


def _wanted(headers: Mapping[str, str]) -> Algorithm | None:
    """The algorithm that a request names without a value: we compute it."""
    name = headers.get("x-amz-sdk-checksum-algorithm", headers.get("x-amz-checksum-algorithm", ""))
    if name and name.lower() not in ALGORITHMS:
        raise S3Error("InvalidRequest", f"the checksum algorithm {name[:20]!r} is not known")
    return ALGORITHMS.get(name.lower())
