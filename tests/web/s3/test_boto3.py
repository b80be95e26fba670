"""boto3, unchanged, against the S3 interface: every operation that is served."""

import io
import os
import socket
import time

import boto3
import httpx
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from tests.web.s3.conftest import DOMAIN, Store

MB = 1 << 20


@pytest.fixture(params=["plain", "sealed"])
def kept(request, store, sealed_store) -> Store:
    return store if request.param == "plain" else sealed_store


@pytest.fixture
def box(kept, request) -> tuple:
    name = f"x-{abs(hash(request.node.nodeid)) % 10**12}"
    s3 = kept.boto()
    s3.create_bucket(Bucket=name)
    return s3, name


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, MB, 9 * MB + 13])
def test_put_get_head_and_ranges(box, size):
    s3, name = box
    data = os.urandom(size)
    meta = {"car": "LTESTVNA4A0000101", "note": "two  spaces"}
    put = s3.put_object(
        Bucket=name, Key="a/ü b+c%.bin", Body=data, Metadata=meta, ContentType="video/mp4",
        CacheControl="no-store", ContentDisposition='attachment; filename="x"',
    )  # fmt: skip
    got = s3.get_object(Bucket=name, Key="a/ü b+c%.bin")
    assert got["Body"].read() == data
    assert got["ETag"] == put["ETag"]
    assert got["ContentType"] == "video/mp4"
    assert got["CacheControl"] == "no-store"
    assert got["ContentDisposition"] == 'attachment; filename="x"'
    assert got["Metadata"] == meta
    assert abs(got["LastModified"].timestamp() - time.time()) < 60
    head = s3.head_object(Bucket=name, Key="a/ü b+c%.bin")
    assert head["ContentLength"] == size
    assert head["ETag"] == put["ETag"]
    for start, end in ((0, 0), (size // 2, size - 1), (size - 1, size + 100), (1, 100_000)):
        if 0 <= start < size and start <= end:
            part = s3.get_object(Bucket=name, Key="a/ü b+c%.bin", Range=f"bytes={start}-{end}")
            assert part["Body"].read() == data[start : end + 1]
            assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert part["ContentRange"].startswith(f"bytes {start}-{min(end, size - 1)}/{size}")
    if size:
        tail = s3.get_object(Bucket=name, Key="a/ü b+c%.bin", Range="bytes=-70000")
        assert tail["Body"].read() == data[-70000:]


def test_ranges_that_cannot_be(box, refused):
    s3, name = box
    s3.put_object(Bucket=name, Key="k", Body=b"0123456789")
    s3.put_object(Bucket=name, Key="empty", Body=b"")
    assert refused(s3.get_object, Bucket=name, Key="k", Range="bytes=10-") == "InvalidRange"
    assert refused(s3.get_object, Bucket=name, Key="k", Range="bytes=-0") == "InvalidRange"
    assert refused(s3.get_object, Bucket=name, Key="empty", Range="bytes=0-0") == "InvalidRange"
    for odd in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"):
        assert s3.get_object(Bucket=name, Key="k", Range=odd)["Body"].read() == b"0123456789"


def test_an_object_is_replaced_deleted_and_gone(box, refused):
    s3, name = box
    s3.put_object(Bucket=name, Key="k", Body=b"one")
    s3.put_object(Bucket=name, Key="k", Body=b"three")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"three"
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_object(Bucket=name, Key="k")
    assert refused(s3.get_object, Bucket=name, Key="k") == "NoSuchKey"
    assert refused(s3.head_object, Bucket=name, Key="k") == "404"


def test_copies_keep_or_replace_what_is_said_of_them(box, refused):
    s3, name = box
    data = os.urandom(200_000)
    s3.put_object(Bucket=name, Key="from", Body=data, Metadata={"a": "1"}, Tagging="t=1")
    source = {"Bucket": name, "Key": "from"}
    s3.copy_object(Bucket=name, Key="to/ä", CopySource=source)
    s3.copy_object(
        Bucket=name, Key="other", CopySource=source, MetadataDirective="REPLACE",
        Metadata={"b": "2"}, ContentType="text/plain", TaggingDirective="REPLACE", Tagging="u=2",
    )  # fmt: skip
    s3.delete_object(Bucket=name, Key="from")
    kept = s3.get_object(Bucket=name, Key="to/ä")
    assert kept["Body"].read() == data
    assert kept["Metadata"] == {"a": "1"}
    changed = s3.get_object(Bucket=name, Key="other")
    assert changed["Body"].read() == data
    assert (changed["Metadata"], changed["ContentType"]) == ({"b": "2"}, "text/plain")
    assert s3.get_object_tagging(Bucket=name, Key="to/ä")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert s3.get_object_tagging(Bucket=name, Key="other")["TagSet"] == [{"Key": "u", "Value": "2"}]
    itself = {"Bucket": name, "Key": "other"}
    assert refused(s3.copy_object, Bucket=name, Key="other", CopySource=itself) == "InvalidRequest"
    assert refused(s3.copy_object, Bucket=name, Key="x", CopySource=source) == "NoSuchKey"
    wrong = dict(Bucket=name, Key="x", CopySource=itself, CopySourceIfMatch='"no"')
    assert refused(s3.copy_object, **wrong) == "PreconditionFailed"


def test_many_are_deleted_at_once(box):
    s3, name = box
    for number in range(30):
        s3.put_object(Bucket=name, Key=f"k/{number}", Body=b"x")
    wanted = [{"Key": f"k/{number}"} for number in range(20)] + [{"Key": "not there & <odd>"}]
    done = s3.delete_objects(Bucket=name, Delete={"Objects": wanted})
    assert len(done["Deleted"]) == 21
    quiet = {"Objects": [{"Key": "k/20"}], "Quiet": True}
    assert "Deleted" not in s3.delete_objects(Bucket=name, Delete=quiet)
    left = s3.list_objects_v2(Bucket=name)
    assert [one["Key"] for one in left["Contents"]] == sorted(f"k/{n}" for n in range(21, 30))


def test_tags_of_an_object(box, refused):
    s3, name = box
    s3.put_object(Bucket=name, Key="k", Body=b"x", Tagging="stage=raw&who=a%20b")
    tags = s3.get_object_tagging(Bucket=name, Key="k")["TagSet"]
    assert tags == [{"Key": "stage", "Value": "raw"}, {"Key": "who", "Value": "a b"}]
    assert s3.get_object(Bucket=name, Key="k")["TagCount"] == 2
    s3.put_object_tagging(Bucket=name, Key="k", Tagging={"TagSet": [{"Key": "x", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == [{"Key": "x", "Value": ""}]
    s3.delete_object_tagging(Bucket=name, Key="k")
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == []
    many = {"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
    assert refused(s3.put_object_tagging, Bucket=name, Key="k", Tagging=many) == "InvalidTag"
    assert refused(s3.get_object_tagging, Bucket=name, Key="no") == "NoSuchKey"


def test_conditional_writes_and_reads(box, refused):
    s3, name = box
    first = s3.put_object(Bucket=name, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    again = dict(Bucket=name, Key="k", Body=b"2", IfNoneMatch="*")
    assert refused(s3.put_object, **again) == "PreconditionFailed"
    other = '"' + "0" * 32 + '"'
    assert refused(s3.put_object, Bucket=name, Key="k", Body=b"2", IfMatch=other) == (
        "PreconditionFailed"
    )
    assert refused(s3.put_object, Bucket=name, Key="no", Body=b"2", IfMatch=first) == "NoSuchKey"
    second = s3.put_object(Bucket=name, Key="k", Body=b"2", IfMatch=first)["ETag"]
    assert s3.get_object(Bucket=name, Key="k", IfMatch=second)["Body"].read() == b"2"
    assert refused(s3.get_object, Bucket=name, Key="k", IfMatch=first) == "PreconditionFailed"
    assert refused(s3.get_object, Bucket=name, Key="k", IfNoneMatch=second) == "304"
    now = s3.head_object(Bucket=name, Key="k")["LastModified"]
    assert refused(s3.get_object, Bucket=name, Key="k", IfModifiedSince=now) == "304"
    assert refused(s3.delete_object, Bucket=name, Key="k", IfMatch=first) == "PreconditionFailed"
    s3.delete_object(Bucket=name, Key="k", IfMatch=second)


def test_a_multipart_upload_part_by_part(box, refused):
    s3, name = box
    parts = [os.urandom(5 * MB), os.urandom(5 * MB + 1), os.urandom(17)]
    made = s3.create_multipart_upload(
        Bucket=name, Key="big", Metadata={"m": "1"}, ContentType="a/b", Tagging="t=1"
    )
    upload = made["UploadId"]
    told = []
    for number, part in ((3, parts[2]), (1, b"replaced"), (1, parts[0]), (2, parts[1])):
        answer = s3.upload_part(
            Bucket=name, Key="big", UploadId=upload, PartNumber=number, Body=part
        )
        told = [one for one in told if one["PartNumber"] != number]
        told.append({"PartNumber": number, "ETag": answer["ETag"]})
    told.sort(key=lambda one: one["PartNumber"])
    listed = s3.list_parts(Bucket=name, Key="big", UploadId=upload, MaxParts=2)
    assert [one["Size"] for one in listed["Parts"]] == [5 * MB, 5 * MB + 1]
    assert listed["IsTruncated"] and listed["NextPartNumberMarker"] == 2
    rest = s3.list_parts(Bucket=name, Key="big", UploadId=upload, PartNumberMarker=2)
    assert [one["PartNumber"] for one in rest["Parts"]] == [3]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=name)["Uploads"]] == [upload]
    assert refused(s3.get_object, Bucket=name, Key="big") == "NoSuchKey"

    def complete(chosen):
        return dict(Bucket=name, Key="big", UploadId=upload, MultipartUpload={"Parts": chosen})

    assert refused(s3.complete_multipart_upload, **complete(told[::-1])) == "InvalidPartOrder"
    assert refused(
        s3.complete_multipart_upload, **complete([told[2], {**told[0], "PartNumber": 9}])
    ) == ("InvalidPart")
    assert refused(s3.complete_multipart_upload, **complete([{**told[2], "PartNumber": 2}])) == (
        "InvalidPart"
    )
    done = s3.complete_multipart_upload(**complete(told))
    assert done["ETag"].endswith('-3"')
    got = s3.get_object(Bucket=name, Key="big")
    whole = b"".join(parts)
    assert got["Body"].read() == whole
    assert (got["Metadata"], got["ContentType"]) == ({"m": "1"}, "a/b")
    for start, end in ((5 * MB - 3, 5 * MB + 3), (10 * MB - 100, len(whole) - 1), (0, 10 * MB)):
        ranged = s3.get_object(Bucket=name, Key="big", Range=f"bytes={start}-{end}")
        assert ranged["Body"].read() == whole[start : end + 1]
    second = s3.get_object(Bucket=name, Key="big", PartNumber=2)
    assert second["Body"].read() == parts[1]
    assert second["PartsCount"] == 3
    assert refused(s3.complete_multipart_upload, **complete(told)) == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=name)


def test_an_aborted_upload_and_parts_that_are_too_small(box, refused):
    s3, name = box
    upload = s3.create_multipart_upload(Bucket=name, Key="big")["UploadId"]
    told = []
    for number in (1, 2):
        answer = s3.upload_part(
            Bucket=name, Key="big", UploadId=upload, PartNumber=number, Body=b"small"
        )
        told.append({"PartNumber": number, "ETag": answer["ETag"]})
    named = {"Bucket": name, "Key": "big", "UploadId": upload}
    assert refused(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": told}) == (
        "EntityTooSmall"
    )
    assert refused(s3.delete_bucket, Bucket=name) == "BucketNotEmpty"
    s3.abort_multipart_upload(**named)
    assert refused(s3.abort_multipart_upload, **named) == "NoSuchUpload"
    assert refused(s3.upload_part, **named, PartNumber=1, Body=b"x") == "NoSuchUpload"
    s3.delete_bucket(Bucket=name)


def test_the_transfer_manager_uploads_downloads_and_copies(box):
    s3, name = box
    data = os.urandom(21 * MB + 5)
    config = TransferConfig(multipart_threshold=8 * MB, multipart_chunksize=8 * MB)
    s3.upload_fileobj(io.BytesIO(data), name, "big", Config=config)
    got = io.BytesIO()
    s3.download_fileobj(name, "big", got, Config=config)
    assert got.getvalue() == data
    s3.copy({"Bucket": name, "Key": "big"}, name, "copied", Config=config)
    assert s3.get_object(Bucket=name, Key="copied")["Body"].read() == data
    s3.copy_object(Bucket=name, Key="whole", CopySource={"Bucket": name, "Key": "big"})
    assert s3.get_object(Bucket=name, Key="whole")["Body"].read() == data


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
def test_checksums_of_objects_and_of_parts(box, algorithm):
    s3, name = box
    data = os.urandom(5 * MB)
    if algorithm in ("CRC32C", "CRC64NVME"):  # boto3 needs awscrt to compute these itself
        from carcloud.codecs.s3.checksums import ALGORITHMS, shown

        running = ALGORITHMS[algorithm.lower()].begin()
        running.update(data)
        given = {f"Checksum{algorithm}": shown(running.digest())}
    else:
        given = {"ChecksumAlgorithm": algorithm}
    put = s3.put_object(Bucket=name, Key="k", Body=data, **given)
    head = s3.head_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    asked = s3.get_object_attributes(
        Bucket=name, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"]
    )
    assert asked["Checksum"][f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert asked["ObjectSize"] == len(data)
    upload = s3.create_multipart_upload(Bucket=name, Key="m", ChecksumAlgorithm=algorithm)
    named = {"Bucket": name, "Key": "m", "UploadId": upload["UploadId"]}
    told = []
    for number in (1, 2):
        part = s3.upload_part(**named, PartNumber=number, Body=data, **given)
        checksum = {f"Checksum{algorithm}": part[f"Checksum{algorithm}"]}
        told.append({"PartNumber": number, "ETag": part["ETag"], **checksum})
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": told})
    kind = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    assert done["ChecksumType"] == kind
    if kind == "COMPOSITE":
        assert done[f"Checksum{algorithm}"].endswith("-2")
    assert s3.get_object(Bucket=name, Key="m")["Body"].read() == data * 2


def test_lists_with_prefix_delimiter_and_pages(box):
    s3, name = box
    keys = ["a", "b/1", "b/2", "b/c/3", "b/d/4", "ba", "c/5", "d e/6", "é/7", "\U0001f697"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    ordered = sorted(keys, key=str.encode)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=name, PaginationConfig={"PageSize": 3}
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == ordered
    old = s3.get_paginator("list_objects").paginate(Bucket=name, PaginationConfig={"PageSize": 4})
    assert [one["Key"] for page in old for one in page["Contents"]] == ordered

    def walk(size, **query):
        found, prefixes = [], []
        paged = s3.get_paginator("list_objects_v2").paginate(
            Bucket=name, PaginationConfig={"PageSize": size}, **query
        )
        for page in paged:
            assert page["KeyCount"] <= size
            found += [one["Key"] for one in page.get("Contents", [])]
            prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        return found, prefixes

    for size in (1, 2, 100):
        assert walk(size, Delimiter="/") == (
            ["a", "ba", "\U0001f697"],
            ["b/", "c/", "d e/", "é/"],
        )
        assert walk(size, Delimiter="/", Prefix="b/") == (["b/1", "b/2"], ["b/c/", "b/d/"])
        assert walk(size, Prefix="b") == (["b/1", "b/2", "b/c/3", "b/d/4", "ba"], [])
        assert walk(size, StartAfter="b/2") == (ordered[ordered.index("b/2") + 1 :], [])
    listed = s3.list_objects_v2(Bucket=name, Prefix="b/1", FetchOwner=True)["Contents"][0]
    assert listed["Size"] == 3 and listed["Owner"]["ID"] == "alpha"
    assert s3.list_objects_v2(Bucket=name, MaxKeys=0)["KeyCount"] == 0


def test_buckets_are_made_listed_described_and_removed(box, refused):
    s3, name = box
    assert name in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert refused(s3.create_bucket, Bucket=name) == "BucketAlreadyOwnedByYou"
    assert refused(s3.create_bucket, Bucket="192.168.1.1") == "InvalidBucketName"
    assert refused(s3.get_bucket_tagging, Bucket=name) == "NoSuchTagSet"
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.delete_bucket_tagging(Bucket=name)
    assert refused(s3.get_bucket_policy, Bucket=name) == "NoSuchBucketPolicy"
    assert refused(s3.get_bucket_cors, Bucket=name) == "NoSuchCORSConfiguration"
    assert refused(s3.get_bucket_acl, Bucket=name) == "NotImplemented"
    s3.put_object(Bucket=name, Key="k", Body=b"")
    assert refused(s3.delete_bucket, Bucket=name) == "BucketNotEmpty"
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert refused(s3.list_objects_v2, Bucket=name) == "NoSuchBucket"
    assert refused(s3.put_object, Bucket=name, Key="k", Body=b"") == "NoSuchBucket"


def test_a_lifecycle_comes_back_as_it_was_set(box, refused):
    s3, name = box
    assert refused(s3.get_bucket_lifecycle_configuration, Bucket=name) == (
        "NoSuchLifecycleConfiguration"
    )
    rules = [
        {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}},
        {
            "ID": "two", "Status": "Disabled",
            "Filter": {"And": {"Prefix": "x", "Tags": [{"Key": "a", "Value": "b"}],
                               "ObjectSizeGreaterThan": 10}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 5},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    ]  # fmt: skip
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] == rules
    s3.delete_bucket_lifecycle(Bucket=name)
    assert refused(s3.get_bucket_lifecycle_configuration, Bucket=name) == (
        "NoSuchLifecycleConfiguration"
    )
    moved = [{"ID": "x", "Status": "Enabled", "Filter": {},
              "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]  # fmt: skip
    wrong = dict(Bucket=name, LifecycleConfiguration={"Rules": moved})
    assert refused(s3.put_bucket_lifecycle_configuration, **wrong) == "NotImplemented"


def test_versions(box, refused):
    s3, name = box
    s3.put_object(Bucket=name, Key="k", Body=b"zero")
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    first = s3.put_object(Bucket=name, Key="k", Body=b"one")["VersionId"]
    second = s3.put_object(Bucket=name, Key="k", Body=b"two")["VersionId"]
    get = lambda **more: s3.get_object(Bucket=name, Key="k", **more)["Body"].read()  # noqa: E731
    assert (get(), get(VersionId=first), get(VersionId="null")) == (b"two", b"one", b"zero")
    marker = s3.delete_object(Bucket=name, Key="k")
    assert marker["DeleteMarker"]
    assert refused(s3.get_object, Bucket=name, Key="k") == "NoSuchKey"
    assert refused(s3.get_object, Bucket=name, Key="k", VersionId=marker["VersionId"]) == (
        "MethodNotAllowed"
    )
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    listed = s3.list_object_versions(Bucket=name)
    assert [one["VersionId"] for one in listed["Versions"]] == [second, first, "null"]
    assert [one["IsLatest"] for one in listed["DeleteMarkers"]] == [True]
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=name, PaginationConfig={"PageSize": 1}
    )
    assert sum(len(p.get("Versions", []) + p.get("DeleteMarkers", [])) for p in pages) == 4
    s3.delete_object(Bucket=name, Key="k", VersionId=marker["VersionId"])
    assert get() == b"two"
    s3.delete_object(Bucket=name, Key="k", VersionId=second)
    assert get() == b"one"
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=name, Key="k", Body=b"plain")
    assert (get(), get(VersionId=first)) == (b"plain", b"one")
    assert len(s3.list_object_versions(Bucket=name)["Versions"]) == 2
    assert refused(s3.get_object, Bucket=name, Key="k", VersionId="f" * 32) == "NoSuchVersion"
    assert refused(s3.delete_bucket, Bucket=name) == "BucketNotEmpty"
    every = [{"Key": "k", "VersionId": version} for version in (first, "null")]
    s3.delete_objects(Bucket=name, Delete={"Objects": every})
    s3.delete_bucket(Bucket=name)


def test_presigned_urls(kept, box):
    _, name = box
    s3 = kept.boto(signature_version="s3v4")  # boto3 presigns with Version 2 unless it is told
    named = {"Bucket": name, "Key": "a b/ü.txt"}
    put = s3.generate_presigned_url("put_object", named, ExpiresIn=60)
    assert httpx.put(put, content=b"by url").status_code == 200
    shown = {**named, "ResponseContentDisposition": 'attachment; filename="r.txt"'}
    get = s3.generate_presigned_url("get_object", shown, ExpiresIn=60)
    answer = httpx.get(get)
    assert answer.content == b"by url"
    assert answer.headers["content-disposition"] == 'attachment; filename="r.txt"'
    for wrong in (get.replace("Expires=60", "Expires=61"), get.replace("a%20b", "a%20c")):
        answer = httpx.get(wrong)
        assert (answer.status_code, b"SignatureDoesNotMatch" in answer.content) == (403, True)
    assert httpx.put(get, content=b"x").status_code == 403
    old = kept.boto().generate_presigned_url("get_object", named, ExpiresIn=60)
    assert b"use Version 4" in httpx.get(old).content


def test_virtual_host_style(kept, box, monkeypatch):
    _, name = box
    known = socket.getaddrinfo

    def here(host, *rest, **more):  # names below our domain are this machine
        return known("127.0.0.1" if str(host).endswith(DOMAIN) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    key = kept.keys["a" * 16]
    s3 = boto3.client(
        "s3", endpoint_url=f"http://{DOMAIN}:{kept.port}", aws_access_key_id=key.id,
        aws_secret_access_key=key.secret, region_name="us-east-1",
        config=Config(s3={"addressing_style": "virtual"}),
    )  # fmt: skip
    s3.put_object(Bucket=name, Key="v/k", Body=b"by host")
    assert s3.get_object(Bucket=name, Key="v/k")["Body"].read() == b"by host"
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 1
