"""Buckets and objects of tenants. Calls block; use a thread.

What makes a put safe: the bytes go into a blob of their own and are synced; then one row names
them, in a transaction that is synced too; then the caller is answered. A reader finds an object
through its row and so never sees half of one. Bytes that a row no longer names are removed when
no reader can be at them any more; bytes that never got a row are found by their age.
"""

from collections.abc import Callable

from sqlalchemy import func, select

from carcloud.codecs.mcap.summary import Summary
from carcloud.codecs.s3.documents import PartClaim, Rule
from carcloud.model import limits
from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED
from carcloud.model.time import now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.records import Records
from carcloud.services.storage import upkeep
from carcloud.services.storage.bodies import Body
from carcloud.services.storage.buckets import Buckets, Limit, media_bucket
from carcloud.services.storage.commits import GroupCommit
from carcloud.services.storage.errors import (
    BucketFull,
    BucketTaken,
    BucketThere,
    ConditionFailed,
    Invalid,
    IsMarker,
    Moved,
    NoBucket,
    NoKey,
    NoUpload,
    NoVersion,
    SmallPart,
    StorageRefusal,
    TooLarge,
    Unreadable,
    WrongChecksum,
    WrongPart,
)
from carcloud.services.storage.kept import Kept
from carcloud.services.storage.listing import Lister
from carcloud.services.storage.multipart import Multipart
from carcloud.services.storage.objects import Objects
from carcloud.services.storage.places import OpenBlobs, Places
from carcloud.services.storage.preview import TablePreview, preview
from carcloud.services.storage.store import buckets, garbage, metadata
from carcloud.services.storage.types import (
    ALWAYS,
    MIN_PART,
    MOST_OBJECT,
    MOST_PUT,
    Bucket,
    Care,
    Checksum,
    Deleted,
    Entry,
    Listing,
    ObjectFacts,
    ObjectInfo,
    Part,
    PartPage,
    StoredBody,
    TenantStorage,
    Upload,
    UploadPage,
    WriteConditions,
)

__all__ = [
    "ALWAYS", "MIN_PART", "MOST_OBJECT", "MOST_PUT", "Body", "Bucket", "BucketFull", "BucketTaken",
    "BucketThere", "Care", "Checksum", "ConditionFailed", "Deleted", "Entry", "Invalid", "IsMarker",
    "Listing", "Moved", "NoBucket", "NoKey", "NoUpload", "NoVersion", "ObjectFacts", "ObjectInfo",
    "Part", "PartClaim", "PartPage", "Rule", "SmallPart", "Storage", "StorageRefusal", "StoredBody",
    "Summary", "TablePreview", "TenantStorage", "TooLarge", "Unreadable", "Upload", "UploadPage",
    "WriteConditions", "WrongChecksum", "WrongPart", "media_bucket", "metadata",
]  # fmt: skip


_REMEMBER_S = 1.0


class Storage:
    """The service; its parts are `buckets`, `objects`, `lists`, `uploads`, `places` and `kept`.

    `open_blobs` opens a bucket of a tenant's own, `limit` gives the value of a tenant's limit,
    `now` is a clock in us since 1970.
    """

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        *,
        secret: bytes | None = None,
        open_blobs: OpenBlobs | None = None,
        limit: Limit = lambda _tenant, _name: UNLIMITED,
        elsewhere: Callable[[Tenant], int] = lambda _tenant: 0,
        now: Callable[[], int] = now_us,
    ) -> None:
        records.create(metadata)
        commits = GroupCommit(records)
        self._records = records
        self._limit = limit
        self._elsewhere = elsewhere  # bytes that count for the limit of stored bytes too
        self.places = Places(records, blobs, open_blobs, secret, now)
        self.buckets = Buckets(records, now, limit)
        self.objects = Objects(records, commits, self.places, now)
        self.lists = Lister(records)
        self.uploads = Multipart(records, commits, self.places, now)
        self.kept = Kept(self.places)
        self._upkeep = upkeep.Upkeep(records, commits, self.places, self.uploads, now)

    def preview(self, bucket: Bucket, info: ObjectInfo) -> TablePreview | Summary:
        """What is in a Parquet or MCAP object; raises `Invalid` for others."""

        def fetch(start: int, end: int) -> bytes:
            return b"".join(self.objects.read(bucket, info, start, end))

        return preview(fetch, info.size)

    def stored_bytes(self, tenant: Tenant) -> int:
        """Bytes in the tenant's buckets, with old versions and unfinished uploads."""
        total = func.coalesce(func.sum(buckets.c.bytes), 0)
        with self._records.reading() as db:
            return int(db.execute(select(total).where(buckets.c.tenant == tenant)).scalar_one())

    def check_room(self, tenant: Tenant, more: int) -> None:
        """Raises `OverLimit` if the tenant may not keep so many bytes more."""
        most = self._limit(tenant, "stored_bytes")
        if most < UNLIMITED:
            used = self.stored_bytes(tenant) + self._elsewhere(tenant)
            limits.check("stored_bytes", most, used, more)

    def care(
        self, *, days: float = 7, orphans: bool = False
    ) -> tuple[Care, list[tuple[Tenant, str]]]:
        """One round of lifecycle and cleaning; uploads older than `days` are given up.

        With `orphans`, bytes that never became an object are looked for: that lists all blobs.
        Returns what was done, and troubles by tenant.
        """
        found = self.buckets.everywhere()
        tenants = sorted({bucket.tenant for bucket in found} | self._waiting())
        return upkeep.care_round(self._upkeep, found, tenants, days=days, orphans=orphans)

    def _waiting(self) -> set[Tenant]:
        """Tenants with bytes that nothing names."""
        with self._records.reading() as db:
            found = db.execute(select(garbage.c.tenant).distinct()).scalars()
            return {Tenant(name) for name in found}
