"""Paths and queries as they are signed, and which bucket and key they name."""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

from carcloud.codecs.s3.errors import S3Error

MOST_KEY = 1024  # bytes of UTF-8
_MOST_PARAMETERS = 100
_BUCKET = re.compile(r"(?!xn--|sthree-)(?!.*(?:-s3alias|--ol-s3)$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def encoded(text: str, *, slash: bool = False) -> str:
    """Percent-encoding of Signature V4: everything but letters, digits and `-._~`.

    With `slash`, `/` stays as it is, as in paths.
    """
    return quote(text, safe="/~" if slash else "~")


def is_bucket_name(name: str) -> bool:
    """Whether S3's rules for general-purpose buckets allow the name."""
    return (
        _BUCKET.fullmatch(name) is not None
        and ".." not in name
        and _ADDRESS.fullmatch(name) is None
    )


def decoded_path(raw: str) -> str:
    """The path of a request line without its percent-encoding; raises `S3Error` InvalidURI."""
    return _text(raw.replace("+", "%2B"))


def parsed_query(raw: str) -> dict[str, str]:
    """Names and values; a name without a value has an empty one. Names come once only."""
    found: dict[str, str] = {}
    if not raw:
        return found
    pairs = raw.split("&")
    if len(pairs) > _MOST_PARAMETERS:
        raise S3Error("InvalidURI", "the query has too many parameters")
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = _text(name)
        if name in found:
            raise S3Error("InvalidArgument", f"the parameter {name[:40]!r} is given twice")
        found[name] = _text(value)
    return found


def split_path(path: str, host: str, domain: str) -> tuple[str, str]:
    """(bucket, key) of a decoded path, in virtual-host style if `host` lies below `domain`."""
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    if domain and name.endswith("." + domain):
        return name[: -len(domain) - 1], path.removeprefix("/")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def checked_key(key: str) -> str:
    """The key of an object; raises `S3Error` KeyTooLongError or InvalidURI."""
    if len(key.encode()) > MOST_KEY:
        raise S3Error("KeyTooLongError")
    if "\0" in key:
        raise S3Error("InvalidURI", "a key cannot hold a NUL")
    return key


def canonical_query(query: Mapping[str, str], leave_out: str = "") -> str:
    """The query as it is signed: encoded, in order of name."""
    pairs = sorted(
        (encoded(name), encoded(value)) for name, value in query.items() if name != leave_out
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _text(raw: str) -> str:
    try:
        return unquote_to_bytes(raw.replace("+", " ")).decode()
    except ValueError as error:
        raise S3Error("InvalidURI", "the path or query is not UTF-8") from error
