"""The documents that requests carry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carcloud.codecs.s3.checksums import ALGORITHMS
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.headers import checked_tags
from carcloud.codecs.s3.xmlread import Element, read

MOST_DELETED = 1000  # keys of one DeleteObjects
MOST_PARTS = 10_000
MOST_RULES = 1000
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:T00:00:00(?:\.000)?(?:Z|\+00:00))?")


@dataclass(frozen=True, slots=True)
class ToDelete:
    """One entry of DeleteObjects."""

    key: str
    version: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """The document of DeleteObjects."""

    objects: tuple[ToDelete, ...]
    quiet: bool


@dataclass(frozen=True, slots=True)
class PartClaim:
    """One entry of CompleteMultipartUpload."""

    number: int
    etag: str
    checksums: Mapping[str, str]  # by algorithm, base64


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a lifecycle; days after an object was made, 0 = never."""

    id: str
    enabled: bool
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int | None = None  # bytes
    smaller_than: int | None = None
    days: int = 0
    date: str = ""  # YYYY-MM-DD: everything that is there on that day
    old_versions_days: int = 0  # after a version was replaced
    uploads_days: int = 0  # after an upload was begun
    expired_marker: bool = False  # remove delete markers with no version behind them


def delete(data: bytes) -> Delete:
    """DeleteObjects; raises `S3Error` MalformedXML."""
    root = read(data, "Delete")
    entries = root.all("Object")
    if not 1 <= len(entries) <= MOST_DELETED:
        raise S3Error("MalformedXML", f"1 to {MOST_DELETED} objects can be deleted at once")
    found = tuple(
        ToDelete(one.needed("Key"), one.value("VersionId"), _etag(one.value("ETag")))
        for one in entries
    )
    return Delete(found, root.value("Quiet") == "true")


def complete(data: bytes) -> tuple[PartClaim, ...]:
    """CompleteMultipartUpload; raises `S3Error` MalformedXML or InvalidPartOrder."""
    parts = tuple(_part(one) for one in read(data, "CompleteMultipartUpload").all("Part"))
    if not 1 <= len(parts) <= MOST_PARTS:
        raise S3Error("MalformedXML", f"an upload has 1 to {MOST_PARTS} parts")
    numbers = [part.number for part in parts]
    if numbers != sorted(set(numbers)):
        raise S3Error("InvalidPartOrder")
    return parts


def tagging(data: bytes, most: int = 10) -> dict[str, str]:
    """PutObjectTagging and PutBucketTagging; raises `S3Error` MalformedXML or InvalidTag."""
    sets = read(data, "Tagging").one("TagSet")
    if sets is None:
        raise S3Error("MalformedXML", "TagSet is missing")
    return checked_tags(_tags(sets), most)


def versioning(data: bytes) -> str:
    """PutBucketVersioning: `Enabled` or `Suspended`; raises `S3Error` MalformedXML."""
    root = read(data, "VersioningConfiguration")
    status = root.needed("Status")
    if status not in ("Enabled", "Suspended"):
        raise S3Error("MalformedXML", "Status must be Enabled or Suspended")
    if root.value("MfaDelete") == "Enabled":
        raise S3Error("NotImplemented", "MFA delete is not implemented")
    return status


def location(data: bytes) -> str:
    """CreateBucket: the region, empty if none is named; raises `S3Error` MalformedXML."""
    if not data:
        return ""
    return read(data, "CreateBucketConfiguration").value("LocationConstraint") or ""


def lifecycle(data: bytes) -> tuple[Rule, ...]:
    """PutBucketLifecycleConfiguration; raises `S3Error`."""
    rules = tuple(_rule(one) for one in read(data, "LifecycleConfiguration").all("Rule"))
    if not 1 <= len(rules) <= MOST_RULES:
        raise S3Error("MalformedXML", f"a lifecycle has 1 to {MOST_RULES} rules")
    names = [rule.id for rule in rules if rule.id]
    if len(names) != len(set(names)):
        raise S3Error("InvalidArgument", "the ids of rules must differ")
    return rules


def _part(one: Element) -> PartClaim:
    number = _whole(one.needed("PartNumber"), "PartNumber", 1, MOST_PARTS)
    found = {row.name: one.value(row.element) for row in ALGORITHMS.values()}
    return PartClaim(
        number,
        _etag(one.needed("ETag")) or "",
        {name: value for name, value in found.items() if value is not None},
    )


def _rule(one: Element) -> Rule:
    status = one.needed("Status")
    if status not in ("Enabled", "Disabled"):
        raise S3Error("MalformedXML", "Status must be Enabled or Disabled")
    if one.all("Transition") or one.all("NoncurrentVersionTransition"):
        raise S3Error("NotImplemented", "there is one storage class only")
    name = one.value("ID") or ""
    if len(name) > 255:
        raise S3Error("InvalidArgument", "the id of a rule has at most 255 characters")
    expiration = one.one("Expiration")
    old, uploads = one.one("NoncurrentVersionExpiration"), one.one("AbortIncompleteMultipartUpload")
    rule = Rule(
        name,
        status == "Enabled",
        **_filter(one),
        days=_days(expiration, "Days"),
        date=_date(expiration),
        old_versions_days=_days(old, "NoncurrentDays"),
        uploads_days=_days(uploads, "DaysAfterInitiation"),
        expired_marker=expiration is not None
        and expiration.value("ExpiredObjectDeleteMarker") == "true",
    )
    if not (
        rule.days or rule.date or rule.old_versions_days or rule.uploads_days or rule.expired_marker
    ):
        raise S3Error("MalformedXML", "a rule must have an action")
    return rule


def _filter(one: Element) -> dict[str, Any]:
    """As keyword arguments of `Rule`."""
    given = one.one("Filter")
    if given is None:
        return {"prefix": one.value("Prefix") or ""}
    inner = given.one("And") or given
    found: dict[str, Any] = {"prefix": inner.value("Prefix") or ""}
    found["tags"] = tuple(checked_tags(_tags(inner)).items())
    for name, argument in (
        ("ObjectSizeGreaterThan", "larger_than"),
        ("ObjectSizeLessThan", "smaller_than"),
    ):
        if (text := inner.value(name)) is not None:
            found[argument] = _whole(text, name, 0, 2**50)
    return found


def _tags(parent: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in parent.all("Tag"):
        key = one.needed("Key")
        if key in found:
            raise S3Error("InvalidTag", "a tag's key comes twice")
        found[key] = one.needed("Value")
    return found


def _days(parent: Element | None, name: str) -> int:
    text = None if parent is None else parent.value(name)
    return 0 if text is None else _whole(text, name, 1, 36_500)


def _date(parent: Element | None) -> str:
    text = None if parent is None else parent.value("Date")
    if text is None:
        return ""
    if not _DAY.fullmatch(text):
        raise S3Error("InvalidArgument", "Date must be midnight UTC, as 2030-01-31T00:00:00Z")
    return text[:10]


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", text.strip()) or not least <= int(text) <= most:
        raise S3Error("InvalidArgument", f"{name} must be {least} to {most}")
    return int(text)


def _etag(text: str | None) -> str | None:
    return None if text is None else text.strip().strip('"')
