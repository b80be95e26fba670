"""Which operation a request asks for, and the action that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from carcloud.codecs.s3.errors import S3Error


@dataclass(frozen=True, slots=True)
class Operation:
    """One row: the first of a level and method whose `query` and `header` are all there."""

    name: str
    level: str  # service, bucket or object
    method: str
    action: str
    query: tuple[str, ...] = ()
    header: str = ""


_READ, _WRITE = "buckets:read", "buckets:write"
_GET, _PUT, _DELETE = "objects:read", "objects:write", "objects:delete"

OPERATIONS: tuple[Operation, ...] = (
    Operation("ListBuckets", "service", "GET", _READ),
    Operation("GetBucketLocation", "bucket", "GET", _READ, ("location",)),
    Operation("GetBucketVersioning", "bucket", "GET", _READ, ("versioning",)),
    Operation("GetBucketTagging", "bucket", "GET", _READ, ("tagging",)),
    Operation("GetBucketLifecycleConfiguration", "bucket", "GET", _READ, ("lifecycle",)),
    Operation("ListObjectVersions", "bucket", "GET", _GET, ("versions",)),
    Operation("ListMultipartUploads", "bucket", "GET", _GET, ("uploads",)),
    Operation("ListObjectsV2", "bucket", "GET", _GET, ("list-type",)),
    Operation("ListObjects", "bucket", "GET", _GET),
    Operation("HeadBucket", "bucket", "HEAD", _READ),
    Operation("PutBucketVersioning", "bucket", "PUT", _WRITE, ("versioning",)),
    Operation("PutBucketTagging", "bucket", "PUT", _WRITE, ("tagging",)),
    Operation("PutBucketLifecycleConfiguration", "bucket", "PUT", _WRITE, ("lifecycle",)),
    Operation("CreateBucket", "bucket", "PUT", _WRITE),
    Operation("DeleteBucketTagging", "bucket", "DELETE", _WRITE, ("tagging",)),
    Operation("DeleteBucketLifecycle", "bucket", "DELETE", _WRITE, ("lifecycle",)),
    Operation("DeleteBucket", "bucket", "DELETE", _WRITE),
    Operation("DeleteObjects", "bucket", "POST", _DELETE, ("delete",)),
    Operation("GetObjectTagging", "object", "GET", _GET, ("tagging",)),
    Operation("GetObjectAttributes", "object", "GET", _GET, ("attributes",)),
    Operation("ListParts", "object", "GET", _PUT, ("uploadId",)),
    Operation("GetObject", "object", "GET", _GET),
    Operation("HeadObject", "object", "HEAD", _GET),
    Operation("PutObjectTagging", "object", "PUT", _PUT, ("tagging",)),
    Operation(
        "UploadPartCopy", "object", "PUT", _PUT, ("partNumber", "uploadId"), "x-amz-copy-source"
    ),
    Operation("UploadPart", "object", "PUT", _PUT, ("partNumber", "uploadId")),
    Operation("CopyObject", "object", "PUT", _PUT, (), "x-amz-copy-source"),
    Operation("PutObject", "object", "PUT", _PUT),
    Operation("CreateMultipartUpload", "object", "POST", _PUT, ("uploads",)),
    Operation("CompleteMultipartUpload", "object", "POST", _PUT, ("uploadId",)),
    Operation("DeleteObjectTagging", "object", "DELETE", _PUT, ("tagging",)),
    Operation("AbortMultipartUpload", "object", "DELETE", _PUT, ("uploadId",)),
    Operation("DeleteObject", "object", "DELETE", _DELETE),
)

# What S3 has and we do not: each changes the meaning of the plain request, so it must not fall
# through to it. The answer of a GET is that of a bucket on which it was never set.
_NEVER_SET = {
    "policy": "NoSuchBucketPolicy",
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "object-lock": "ObjectLockConfigurationNotFoundError",
}
_OTHERS = frozenset(
    {
        "accelerate", "acl", "analytics", "intelligent-tiering", "inventory", "legal-hold",
        "logging", "metadataTable", "metadataConfiguration", "metrics", "notification",
        "ownershipControls", "policyStatus", "publicAccessBlock", "renameObject", "replication",
        "requestPayment", "restore", "retention", "select", "session", "torrent", "website",
    }
)  # fmt: skip


def operation_of(
    method: str, bucket: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Operation:
    """The operation; raises `S3Error` NotImplemented, MethodNotAllowed or what a GET of
    something that was never set answers."""
    if "append" in query or "x-amz-write-offset-bytes" in headers:
        raise S3Error("NotImplemented", "objects cannot be appended to")
    for name in query:
        if name in _NEVER_SET and method == "GET":
            raise S3Error(_NEVER_SET[name])
        if name in _OTHERS or name in _NEVER_SET:
            raise S3Error("NotImplemented", f"{name} is not implemented")
    level = "object" if key else "bucket" if bucket else "service"
    for row in OPERATIONS:
        if (
            row.level == level
            and row.method == method
            and all(name in query for name in row.query)
            and (not row.header or row.header in headers)
        ):
            return row
    raise S3Error("MethodNotAllowed")
