"""What crosses the wall of storage. Times are us since 1970, UTC; sizes are bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from carcloud.codecs.s3.documents import Rule
from carcloud.model.ids import Tenant

MIN_PART = 5 << 20  # bytes, S3: every part but the last
MOST_OBJECT = 5 << 40  # bytes, S3: 5 TiB
MOST_PUT = 5 << 30  # bytes, S3: of one PutObject or part


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket. `id` is never used again, unlike the name."""

    id: str
    name: str
    tenant: Tenant
    project: str
    created: int
    created_by: str
    versioning: str = ""  # empty = never on, Enabled, Suspended
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle: Sequence[Rule] = ()
    objects: int = 0  # current ones
    bytes: int = 0  # with old versions and unfinished uploads
    revision: int = 0


class Checksum(msgspec.Struct, frozen=True):
    """A checksum in base64, as S3 shows it."""

    algorithm: str
    value: str
    kind: str  # FULL_OBJECT or COMPOSITE


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a caller says of an object besides its bytes; header names in lower case."""

    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredBody:
    """Bytes that are durable and belong to nothing yet."""

    blob: str
    size: int
    md5: bytes
    checksum: Checksum | None = None
    key: str | None = None  # id of the tenant's key that seals them
    salt: str | None = None
    place: str | None = None  # mark of where they went; None = where others of the tenant lie


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object, or one version of it."""

    bucket: str  # id
    key: str
    version: str  # `null` where versioning was off
    size: int
    etag: str  # without quotes
    modified: int
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    checksum: Checksum | None = None
    latest: bool = True
    parts: int = 0  # of a multipart upload; 0 = it was put whole
    body: StoredBody | None = None  # None = it lies in several blobs
    row: str = ""  # id inside storage


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """What must hold of the object that is there for a write to go on."""

    absent: bool = False  # If-None-Match: *
    etag: str | None = None  # If-Match


ALWAYS = WriteConditions()


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete did."""

    version: str | None = None  # of what was removed, or of the marker that was made
    marker: bool = False  # that version is a delete marker


@dataclass(frozen=True, slots=True)
class Entry:
    """An object or version in a list."""

    key: str
    version: str
    latest: bool
    marker: bool
    size: int
    etag: str
    modified: int
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list, in order of key bytes."""

    entries: Sequence[Entry]
    prefixes: Sequence[str]  # keys up to a delimiter, each once
    next_key: str | None  # the page after this one begins behind it; None = the last page
    next_version: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is not finished."""

    id: str
    key: str
    created: int
    by: str
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    algorithm: str = ""
    kind: str = ""  # of its checksum


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload."""

    number: int
    size: int
    etag: str
    modified: int
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class UploadPage:
    """A page of unfinished uploads."""

    uploads: Sequence[Upload]
    prefixes: Sequence[str]
    next_key: str | None
    next_upload: str | None = None


@dataclass(frozen=True, slots=True)
class PartPage:
    """A page of parts."""

    parts: Sequence[Part]
    next_number: int | None


@dataclass(frozen=True, slots=True)
class TenantStorage:
    """Where and how a tenant's bytes are kept."""

    tenant: Tenant
    url: str = ""  # a bucket of the tenant's own; empty = the installation's blobs
    sealed: bool = False  # new objects are sealed with the tenant's key


@dataclass(frozen=True, slots=True)
class Care:
    """What a round of care did."""

    expired: int = 0
    uploads: int = 0
    blobs: int = 0  # removed
