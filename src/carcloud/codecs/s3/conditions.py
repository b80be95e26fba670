"""Ranges, entity tags and conditions of a request.

Source: RFC 9110, 13 and 14; S3 takes one range only and ignores what is no byte range.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from carcloud.codecs.s3.errors import S3Error

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an object: `start` inclusive, `end` exclusive."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.start


def span_of(header: str | None, size: int) -> Span | None:
    """The range that is asked for; None = the whole. Raises `S3Error` InvalidRange."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        last = int(found[2])
        if last == 0 or size == 0:
            raise _no_range(size)
        return Span(max(0, size - last), size)
    start = int(found[1])
    end = int(found[2]) + 1 if found[2] else size
    if found[2] and end <= start:
        return None  # RFC 9110, 14.1.1: not a valid range
    if start >= size:
        raise _no_range(size)
    return Span(start, min(end, size))


def copy_span_of(header: str, size: int) -> Span:
    """The range of `x-amz-copy-source-range`, which must lie inside; raises `S3Error`."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not found[1] or not found[2]:
        raise S3Error("InvalidArgument", "the copy range must be bytes=FIRST-LAST")
    span = Span(int(found[1]), int(found[2]) + 1)
    if span.end <= span.start or span.end > size:
        raise S3Error("InvalidRange", "the copy range does not lie inside the source")
    return span


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold of the object; times are whole seconds, UTC."""

    match: tuple[str, ...] | None = None  # `*` = any
    none_match: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    def check_read(self, etag: str, modified_us: int) -> None:
        """Raises `S3Error` PreconditionFailed or NotModified (RFC 9110, 13.2.2)."""
        time = datetime.fromtimestamp(modified_us // 1_000_000, UTC)
        if self.match is not None:
            if not _among(etag, self.match):
                raise S3Error("PreconditionFailed", Condition="If-Match")
        elif self.unmodified_since is not None and time > self.unmodified_since:
            raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
        if self.none_match is not None:
            if _among(etag, self.none_match):
                raise S3Error("NotModified")
        elif self.modified_since is not None and time <= self.modified_since:
            raise S3Error("NotModified")

    def check_copy(self, etag: str, modified_us: int) -> None:
        """As `check_read`, where there is no answer `NotModified`."""
        try:
            self.check_read(etag, modified_us)
        except S3Error as error:
            raise S3Error("PreconditionFailed", **error.facts) from error


def conditions_of(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The conditions among headers; with `prefix`, those on the source of a copy."""
    return Conditions(
        _tags(headers.get(f"{prefix}if-match")),
        _tags(headers.get(f"{prefix}if-none-match")),
        _time(headers.get(f"{prefix}if-modified-since")),
        _time(headers.get(f"{prefix}if-unmodified-since")),
    )


def http_date(us: int) -> str:
    """A time in us as HTTP writes it."""
    return format_datetime(datetime.fromtimestamp(us // 1_000_000, UTC), usegmt=True)


def iso_date(us: int) -> str:
    """A time in us as documents have it."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us // 1000 % 1000:03d}Z"


def _among(etag: str, wanted: tuple[str, ...]) -> bool:
    return "*" in wanted or etag in wanted


def _tags(header: str | None) -> tuple[str, ...] | None:
    if header is None:
        return None
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))


def _time(header: str | None) -> datetime | None:
    """RFC 9110, 13.1.3: a date that is not valid is ignored."""
    if header is None:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _no_range(size: int) -> S3Error:
    return S3Error("InvalidRange", ActualObjectSize=str(size))
