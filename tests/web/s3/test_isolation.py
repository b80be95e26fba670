"""Tenant B's keys on tenant A's bucket: nothing leaks, not even that it exists."""

import re
import time

import pytest
from botocore.exceptions import ClientError
from tests.web.s3.conftest import Store

from carcloud.codecs.s3.operations import OPERATIONS
from carcloud.web.s3.application import HANDLERS

PART = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "x"}]}}
TAGS = {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}
RULES = {"LifecycleConfiguration": {"Rules": [
    {"ID": "x", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]}}  # fmt: skip

ARGUMENTS: dict[str, dict] = {
    "CompleteMultipartUpload": PART,
    "CopyObject": {},
    "UploadPartCopy": {"PartNumber": 1},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "k"}]}},
    "GetObjectAttributes": {"ObjectAttributes": ["ETag"]},
    "PutBucketLifecycleConfiguration": RULES,
    "PutBucketTagging": TAGS,
    "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "PutObject": {"Body": b"x"},
    "PutObjectTagging": TAGS,
    "UploadPart": {"PartNumber": 1, "Body": b"x"},
}
TRIED = [row.name for row in OPERATIONS if row.name not in ("ListBuckets", "CreateBucket")]


def test_every_operation_has_a_handler():
    assert {row.name for row in OPERATIONS} == HANDLERS.keys()


@pytest.fixture(scope="module")
def owned(store: Store) -> tuple[str, str]:
    """A bucket of alpha's with an object and an upload; (name, upload id)."""
    s3 = store.boto("a")
    s3.create_bucket(Bucket="of-alpha")
    s3.put_object(Bucket="of-alpha", Key="k", Body=b"secret", Tagging="a=b")
    return "of-alpha", s3.create_multipart_upload(Bucket="of-alpha", Key="k")["UploadId"]


def told(client, operation: str, bucket: str, upload: str) -> tuple[object, ...]:
    """All that a caller can see of the answer, but for the names it asked with."""
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    known = client.meta.service_model.operation_model(operation).input_shape.members
    given = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    if "Copy" in operation:
        given["CopySource"] = {"Bucket": bucket, "Key": "k"}
    arguments = {name: value for name, value in given.items() if name in known}
    try:
        getattr(client, method)(**arguments, **ARGUMENTS.get(operation, {}))
    except ClientError as error:
        answer = error.response
        said = (answer["Error"]["Code"], answer["Error"]["Message"].replace(bucket, "NAME"))
        # `connection` depends on how much of a body was on its way
        headers = set(answer["ResponseMetadata"]["HTTPHeaders"]) - {"connection"}
        return answer["ResponseMetadata"]["HTTPStatusCode"], *said, frozenset(headers)
    return (200,)


@pytest.mark.parametrize("operation", TRIED)
def test_anothers_bucket_is_answered_as_one_that_is_not_there(store, owned, operation):
    name, upload = owned
    stranger = store.boto("b")
    theirs = told(stranger, operation, name, upload)
    assert theirs[0] == 404
    assert theirs == told(stranger, operation, "there-is-none", upload)


def test_copies_out_of_anothers_bucket(store, owned, refused):
    name, upload = owned
    s3 = store.boto("b")
    s3.create_bucket(Bucket="of-beta")
    mine = s3.create_multipart_upload(Bucket="of-beta", Key="k")["UploadId"]
    source = {"Bucket": name, "Key": "k"}
    assert refused(s3.copy_object, Bucket="of-beta", Key="k", CopySource=source) == "NoSuchBucket"
    part = {"Bucket": "of-beta", "Key": "k", "PartNumber": 1}
    assert refused(s3.upload_part_copy, **part, UploadId=mine, CopySource=source) == "NoSuchBucket"
    assert refused(s3.upload_part, **part, UploadId=upload, Body=b"x") == "NoSuchUpload"
    assert refused(s3.list_parts, Bucket="of-beta", Key="k", UploadId=upload) == "NoSuchUpload"


def test_lists_hold_only_ones_own(store, owned, refused):
    assert "of-alpha" not in [b["Name"] for b in store.boto("b").list_buckets()["Buckets"]]
    assert refused(store.boto("b").create_bucket, Bucket="of-alpha") == "BucketAlreadyExists"
    assert store.boto("a").get_object(Bucket="of-alpha", Key="k")["Body"].read() == b"secret"


def test_the_bucket_of_anothers_media_cannot_be_made(store, refused):
    assert refused(store.boto("a").create_bucket, Bucket="media-beta") == "BucketAlreadyExists"
    for who, tenant in (("a", "alpha"), ("b", "beta")):
        s3 = store.boto(who)
        s3.create_bucket(Bucket=f"media-{tenant}")
        s3.delete_bucket(Bucket=f"media-{tenant}")


def test_a_reader_may_not_write_and_a_project_is_a_wall(store, owned, refused):
    name, _ = owned
    reader, side = store.boto("c"), store.boto("d")
    assert reader.get_object(Bucket=name, Key="k")["Body"].read() == b"secret"
    for call, more in (
        (reader.put_object, {"Key": "k", "Body": b"x"}),
        (reader.delete_object, {"Key": "k"}),
        (reader.create_multipart_upload, {"Key": "k"}),
        (reader.delete_bucket, {}),
        (side.get_object, {"Key": "k"}),
        (side.list_objects_v2, {}),
    ):
        assert refused(call, Bucket=name, **more) == "AccessDenied"
    assert refused(reader.create_bucket, Bucket="of-reader") == "AccessDenied"
    assert side.list_buckets()["Buckets"] == []


def all_noted(store: Store) -> None:
    """Wait for denials that are on their way: they are told beside the answer."""
    deadline = time.monotonic() + 60
    while store.application._door._telling:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_denied_attempts_are_noted_once(store, owned, refused):
    name, _ = owned
    all_noted(store)
    store.denials.clear()
    for _ in range(3):
        refused(store.boto("b").get_object, Bucket="of-alpha", Key="other")
        refused(store.boto("c").put_object, Bucket=name, Key="denied", Body=b"x")
    all_noted(store)
    noted = {(d.tenant, d.user, d.action) for d in store.denials}
    assert ("alpha", "cleo", "objects:write") in noted
    assert len(store.denials) <= 2
