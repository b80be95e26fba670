"""The storage service on both databases: versions, lifecycle, cleaning, sealing, group commits."""

import threading
from pathlib import Path

import pytest

from carcloud.codecs.s3.documents import PartClaim, Rule
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED, OverLimit
from carcloud.model.time import DAY, now_us
from carcloud.services.storage.api import (
    Bucket,
    BucketTaken,
    ConditionFailed,
    Invalid,
    Moved,
    NoBucket,
    NoKey,
    ObjectFacts,
    ObjectInfo,
    Storage,
    Unreadable,
    WriteConditions,
    media_bucket,
)
from carcloud.services.tenancy.api import Tenancy

ALPHA, BETA = Tenant("alpha"), Tenant("beta")


class Site:
    """A storage service whose clock a test moves."""

    def __init__(self, records: SqlRecords, folder: Path) -> None:
        self.ahead = 0
        self.limits: dict[str, int] = {}
        self.folder = folder
        self.records = records
        Tenancy(self.records)
        for tenant in (ALPHA, BETA):
            Tenancy(self.records).tenants.ensure(tenant)
        self.blobs = ObjectBlobs(folder / "blobs")
        self.storage = self.made()

    def made(self, secret: bytes = bytes(32)) -> Storage:
        return Storage(
            self.records,
            self.blobs,
            secret=secret,
            open_blobs=lambda url, _options: ObjectBlobs(self.folder / url.partition("//")[2]),
            limit=lambda _tenant, name: self.limits.get(name, UNLIMITED),
            now=lambda: now_us() + self.ahead,
        )

    def bucket(self, name: str = "box", tenant: Tenant = ALPHA) -> Bucket:
        return self.storage.buckets.create(tenant, name, project="main", actor="t")

    def put(
        self,
        bucket: Bucket,
        key: str,
        data: bytes,
        when: WriteConditions | None = None,
        **tags: str,
    ) -> ObjectInfo:
        body = self.storage.objects.body(bucket)
        body.write(data)
        facts = ObjectFacts({"content-type": "a/b"}, tags)
        conditions = WriteConditions() if when is None else when
        try:
            return self.storage.objects.put(bucket, key, body.finish(), facts, conditions)
        except BaseException:
            body.abort()
            raise

    def get(self, bucket: Bucket, key: str) -> bytes:
        objects = self.storage.objects
        return b"".join(objects.read(bucket, objects.find(bucket, key)))

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and "blobs" in str(path)]

    def counted(self, name: str = "box") -> tuple[int, int]:
        bucket = self.storage.buckets.find(ALPHA, name, fresh=True)
        return bucket.objects, bucket.bytes


@pytest.fixture
def site(records: SqlRecords, tmp_path: Path) -> Site:
    return Site(records, tmp_path)


def test_bytes_and_objects_are_counted_to_the_unit(site):
    bucket = site.bucket()
    site.put(bucket, "a", b"12345")
    site.put(bucket, "b", b"123")
    assert site.counted() == (2, 8)
    site.put(bucket, "a", b"1")
    assert site.counted() == (2, 4)
    site.storage.objects.delete(bucket, "a")
    site.storage.objects.delete(bucket, "a")
    assert site.counted() == (1, 3)
    upload = site.storage.uploads.begin(bucket, "m", ObjectFacts(), actor="t")
    body = site.storage.objects.body(bucket)
    body.write(b"seven..")
    part = site.storage.uploads.put_part(bucket, "m", upload.id, 1, body.finish())
    assert site.counted() == (1, 10)
    claims = [PartClaim(1, part.etag, {})]
    site.storage.uploads.complete(bucket, "m", upload.id, claims)
    assert site.counted() == (2, 10)
    assert site.storage.stored_bytes(ALPHA) == 10
    assert site.storage.stored_bytes(BETA) == 0
    site.storage.buckets.change(ALPHA, "box", versioning="Enabled", actor="t")
    site.put(bucket, "m", b"12")
    site.storage.objects.delete(bucket, "m")
    assert site.counted() == (1, 12)
    every = site.storage.lists.versions(bucket, "m", "", "", "", 10).entries
    for entry in every:
        site.storage.objects.delete(bucket, "m", entry.version)
    assert site.counted() == (1, 3)


def test_what_nothing_names_is_removed_after_a_while(site):
    bucket = site.bucket()
    site.put(bucket, "a", b"old")
    site.put(bucket, "a", b"new")
    site.storage.care()
    assert len(site.files()) == 2  # somebody may still read the old bytes
    site.ahead = 700 * 1_000_000
    site.storage.care()
    assert len(site.files()) == 1
    assert site.get(bucket, "a") == b"new"


def test_bytes_of_puts_that_never_ended_are_found(site):
    bucket = site.bucket()
    site.put(bucket, "a", b"kept")
    lost = site.storage.objects.body(bucket)
    lost.write(b"the process is killed here")
    lost.finish()
    site.storage.care(orphans=True)
    assert len(site.files()) == 2  # it may still be on its way
    site.ahead = 2 * DAY
    site.storage.care(orphans=True)
    assert len(site.files()) == 1
    assert site.get(bucket, "a") == b"kept"


def test_a_lifecycle_expires_by_prefix_tag_and_size(site):
    bucket = site.bucket()
    site.put(bucket, "tmp/a", b"x")
    site.put(bucket, "tmp/big", b"x" * 100)
    site.put(bucket, "keep/a", b"x")
    site.put(bucket, "raw/a", b"x", stage="raw")
    site.put(bucket, "raw/b", b"x", stage="done")
    rules = (
        Rule("one", True, prefix="tmp/", smaller_than=50, days=3),
        Rule("two", True, tags=(("stage", "raw"),), days=5),
        Rule("off", False, days=1),
    )
    site.storage.buckets.change(ALPHA, "box", lifecycle=rules, actor="t")
    keys = lambda: [  # noqa: E731
        e.key for e in site.storage.lists.current(bucket, "", "", "", 100).entries
    ]
    site.ahead = 2 * DAY
    site.storage.care()
    assert len(keys()) == 5
    site.ahead = 3 * DAY + 1_000_000
    done, troubles = site.storage.care()
    assert (done.expired, troubles) == (1, [])
    assert keys() == ["keep/a", "raw/a", "raw/b", "tmp/big"]
    site.ahead = 5 * DAY + 1_000_000
    site.storage.care()
    assert keys() == ["keep/a", "raw/b", "tmp/big"]


def test_a_lifecycle_thins_out_versions_and_uploads(site):
    bucket = site.bucket()
    site.storage.buckets.change(ALPHA, "box", versioning="Enabled", actor="t")
    rules = (
        Rule("v", True, old_versions_days=2, uploads_days=1),
        Rule("m", True, expired_marker=True),
    )
    site.storage.buckets.change(ALPHA, "box", lifecycle=rules, actor="t")
    site.put(bucket, "a", b"1")
    site.put(bucket, "a", b"2")
    site.storage.objects.delete(bucket, "b")
    site.storage.uploads.begin(bucket, "u", ObjectFacts(), actor="t")
    site.storage.care()
    versions = lambda: site.storage.lists.versions(bucket, "", "", "", "", 100).entries  # noqa: E731
    assert [e.key for e in versions()] == ["a", "a"]  # the lone marker is gone
    site.ahead = 2 * DAY + 1_000_000
    done, _ = site.storage.care()
    assert done.uploads == 1
    assert [(e.key, e.latest) for e in versions()] == [("a", True)]
    assert site.get(bucket, "a") == b"2"


def test_uploads_nobody_finishes_are_given_up(site):
    bucket = site.bucket()
    upload = site.storage.uploads.begin(bucket, "u", ObjectFacts(), actor="t")
    body = site.storage.objects.body(bucket)
    body.write(b"part")
    site.storage.uploads.put_part(bucket, "u", upload.id, 1, body.finish())
    site.ahead = 8 * DAY
    done, _ = site.storage.care(days=7)
    assert done.uploads == 1
    assert site.counted() == (0, 0)
    site.ahead += DAY
    site.storage.care()
    assert site.files() == []


def test_of_many_conditional_puts_one_wins(site):
    bucket = site.bucket()
    outcomes: list[str] = []

    def put(number: int) -> None:
        try:
            site.put(bucket, "once", b"%d" % number, WriteConditions(absent=True))
            outcomes.append(str(number))
        except ConditionFailed:
            outcomes.append("lost")

    threads = [threading.Thread(target=put, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("lost") == 11
    assert site.get(bucket, "once").decode() in outcomes
    assert len(site.files()) == 1  # those who lost left nothing


def test_two_processes_write_one_bucket(site):
    """As two web processes: each with its own service on the same records."""
    bucket = site.bucket()
    others = [site, Site.__new__(Site)]
    others[1].__dict__ = {**site.__dict__, "storage": site.made()}
    failed: list[BaseException] = []

    def put(which: int) -> None:
        try:
            for number in range(10):
                others[which % 2].put(bucket, f"k{number}", b"%d" % which)
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert site.counted() == (10, 10)


def test_a_bucket_that_was_removed_takes_nothing_more(site):
    bucket = site.bucket()
    site.storage.buckets.delete(ALPHA, "box", actor="t")
    with pytest.raises(NoBucket):
        site.put(bucket, "a", b"x")
    assert site.files() == []
    again = site.bucket()
    with pytest.raises(NoKey):
        site.get(again, "a")
    with pytest.raises(BucketTaken):
        site.bucket("box", BETA)


def test_buckets_of_what_vehicles_bring_are_kept_for_their_tenant(site):
    for name in ("media-beta", "media-of-others", "media-alpha-2"):
        with pytest.raises(BucketTaken, match="'media-alpha'"):
            site.bucket(name)
    with pytest.raises(BucketTaken, match="'can-logs-alpha'"):
        site.bucket("can-logs-beta")
    assert site.bucket("can-logs-alpha").name == "can-logs-alpha"
    assert site.bucket("media-alpha").name == media_bucket(ALPHA)
    assert site.bucket("media-beta", BETA).name == media_bucket(BETA)
    assert site.bucket("mediathek").name == "mediathek"


def test_limits(site):
    site.limits = {"buckets": 1, "stored_bytes": 10}
    bucket = site.bucket()
    with pytest.raises(OverLimit, match="buckets"):
        site.bucket("second")
    site.put(bucket, "a", b"12345")
    site.storage.check_room(ALPHA, 5)
    with pytest.raises(OverLimit, match="stored_bytes"):
        site.storage.check_room(ALPHA, 6)


def test_sealed_bytes_are_unreadable_without_the_key(site):
    bucket = site.bucket()
    site.put(bucket, "plain", b"secret words")
    site.storage.places.change(ALPHA, url=None, options=None, sealed=True, actor="t")
    site.put(bucket, "sealed", b"secret words")
    held = [file.read_bytes() for file in site.files()]
    assert sorted(b"secret words" in data for data in held) == [False, True]
    assert site.get(bucket, "sealed") == site.get(bucket, "plain") == b"secret words"
    site.storage.places.new_key(ALPHA, actor="t")
    site.put(bucket, "newer", b"more")
    assert site.get(bucket, "sealed") == b"secret words"
    stranger = site.made(secret=bytes(31) + b"x")
    info = stranger.objects.find(bucket, "sealed")
    with pytest.raises(Unreadable):
        list(stranger.objects.read(bucket, info))
    assert site.storage.places.destroy_keys(ALPHA, actor="t") == 2
    for key in ("sealed", "newer"):
        with pytest.raises(Unreadable, match="destroyed"):
            site.get(bucket, key)
    assert site.get(bucket, "plain") == b"secret words"


def test_sealed_bytes_that_were_changed_are_refused(site):
    bucket = site.bucket()
    site.storage.places.change(ALPHA, url=None, options=None, sealed=True, actor="t")
    site.put(bucket, "k", bytes(200_000))
    (file,) = site.files()
    sealed = bytearray(file.read_bytes())
    for at in (0, 70_000, len(sealed) - 1):
        changed = bytes(sealed[:at]) + bytes([sealed[at] ^ 1]) + bytes(sealed[at + 1 :])
        file.write_bytes(changed)
        with pytest.raises(Unreadable):
            site.get(bucket, "k")
    chunk = 64 * 1024 + 16
    swapped = sealed[chunk : 2 * chunk] + sealed[:chunk] + sealed[2 * chunk :]
    for wrong in (swapped, sealed[:chunk], sealed[: 2 * chunk], sealed[:-1]):
        file.write_bytes(bytes(wrong))
        with pytest.raises(Unreadable):
            site.get(bucket, "k")


def test_bytes_on_their_way_to_an_old_place_are_refused_and_sent_again(site):
    bucket = site.bucket()
    body = site.storage.objects.body(bucket)
    body.write(b"x")
    stored = body.finish()
    other = site.made()  # another process, which remembers the old place for a second
    other.places.told(ALPHA)
    move = site.storage.places.change
    move(ALPHA, url="s3://own", options={"region": "x"}, sealed=None, actor="t")
    for storage in (site.storage, other):
        with pytest.raises(Moved):
            storage.objects.put(bucket, "k", stored, ObjectFacts())
    late = other.objects.body(bucket)
    late.write(b"y")
    other.objects.put(bucket, "k", late.finish(), ObjectFacts())  # the refusal has told it
    assert site.get(bucket, "k") == b"y"
    with pytest.raises(Invalid, match="keeps no bytes"):
        move(ALPHA, url=None, options={"region": "y"}, sealed=None, actor="t")
    fresh = {"region": "x", "secret_access_key": "another"}
    move(ALPHA, url=None, options=fresh, sealed=None, actor="t")  # credentials may change
    site.put(bucket, "more", b"z")
    with pytest.raises(Invalid, match="keeps no bytes"):
        move(ALPHA, url="s3://third", options=None, sealed=None, actor="t")


def test_what_opens_one_bucket_is_not_tried_on_another(site):
    tried = []
    site.storage.places._open_blobs = lambda url, options: (
        tried.append((url, dict(options))),
        ObjectBlobs(site.folder / url.partition("//")[2]),
    )[1]
    secret = {"secret_access_key": "s"}
    for url, options in (("s3://a", secret), ("s3://b", None), ("s3://c", secret), ("", None)):
        site.storage.places.change(ALPHA, url=url, options=options, sealed=None, actor="t")
    site.storage.places.change(ALPHA, url="s3://c", options=None, sealed=None, actor="t")
    assert tried == [("s3://a", secret), ("s3://b", {}), ("s3://c", secret), ("s3://c", {})]


def test_a_tenant_with_a_place_of_its_own(site):
    bucket = site.bucket()
    site.storage.places.change(
        ALPHA, url="s3://own", options={"region": "x"}, sealed=False, actor="t"
    )
    site.put(bucket, "k", b"x")
    assert [path.parts[-5] for path in (site.folder / "own").rglob("*") if path.is_file()] == [
        "own"
    ]
    assert site.get(bucket, "k") == b"x"
    with pytest.raises(Invalid, match="keeps no bytes"):
        site.storage.places.change(ALPHA, url="", options=None, sealed=None, actor="t")
    other = site.bucket("of-beta", BETA)
    site.put(other, "k", b"y")
    assert (site.folder / "blobs" / "beta").is_dir()
    assert not (site.folder / "blobs" / "alpha").exists()
