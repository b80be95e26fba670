"""What storage refuses. `code` is the name that the S3 interface gives it."""


class StorageRefusal(Exception):
    """The caller asked for something that cannot be; subclasses say what."""

    code = "InvalidRequest"


class NoBucket(StorageRefusal):
    """There is no such bucket, or it is another tenant's: nobody is told which."""

    code = "NoSuchBucket"


class BucketTaken(StorageRefusal):
    """Another tenant has a bucket of this name, or it is kept for one."""

    code = "BucketAlreadyExists"


class BucketThere(StorageRefusal):
    """The tenant has a bucket of this name already."""

    code = "BucketAlreadyOwnedByYou"


class Moved(StorageRefusal):
    """The place of the tenant's objects was changed while these bytes were on their way."""

    code = "ServiceUnavailable"  # clients send it again


class BucketFull(StorageRefusal):
    """The bucket still holds objects, versions or unfinished uploads."""

    code = "BucketNotEmpty"


class NoKey(StorageRefusal):
    """There is no such object; `marker` is the version of a delete marker in its place."""

    code = "NoSuchKey"

    def __init__(self, key: str, marker: str | None = None) -> None:
        super().__init__(f"there is no object {key[:200]!r}")
        self.marker = marker


class NoVersion(StorageRefusal):
    """There is no such version of the object."""

    code = "NoSuchVersion"


class IsMarker(StorageRefusal):
    """The version is a delete marker: it has no bytes."""

    code = "MethodNotAllowed"


class NoUpload(StorageRefusal):
    """The upload was completed or aborted, has expired, or never was."""

    code = "NoSuchUpload"


class WrongPart(StorageRefusal):
    """A part that the caller names is not there, or is another one."""

    code = "InvalidPart"


class SmallPart(StorageRefusal):
    """A part other than the last is too small."""

    code = "EntityTooSmall"


class TooLarge(StorageRefusal):
    """An object would be larger than allowed."""

    code = "EntityTooLarge"


class ConditionFailed(StorageRefusal):
    """`If-Match` or `If-None-Match` of a write does not hold."""

    code = "PreconditionFailed"


class WrongChecksum(StorageRefusal):
    """A checksum that the caller states is not that of the bytes."""

    code = "BadDigest"


class Invalid(StorageRefusal):
    """An argument cannot be; `field` names it."""

    code = "InvalidArgument"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Unreadable(StorageRefusal):
    """The object is sealed with a key that was destroyed."""

    code = "InvalidBucketState"
