"""Deletions and exports of tenants against others that act at once, on both databases."""

import asyncio
import errno
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from sqlalchemy import func, insert, select, update

from carcloud.app.schema.tables import TABLES
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.lake_delta.lake import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import TableCopy, TableRef
from carcloud.services.compute.api import Jobs, Kinds
from carcloud.services.compute.table_rows import as_rows
from carcloud.services.storage import places
from carcloud.services.storage.api import Invalid as InvalidPlace
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import (
    Invalid,
    Tenancy,
    TenantState,
    Unknown,
    locked_tenant,
    mark_tenant,
)
from carcloud.services.tenancy.api import metadata as tenancy_tables
from carcloud.services.tenant_life.api import (
    Contents,
    Deleter,
    DeletionState,
    ExportState,
    Maker,
    Reach,
    Steps,
    TenantLife,
    TooLate,
    UnknownExport,
)
from carcloud.services.tenant_life.store import deletions, exports

ALPHA, BETA = Tenant("alpha"), Tenant("beta")


class Blobs(ObjectBlobs):
    """A place that may refuse to remove bytes below a prefix for a while."""

    refuses: str | None = None

    def delete(self, key: str) -> None:
        if self.refuses is not None and key.startswith(self.refuses):
            raise Unavailable("the bucket does not answer")
        super().delete(key)


class Site:
    """The services over one database and a folder of blobs; `now` is theirs."""

    def __init__(self, records: SqlRecords, folder: Path) -> None:
        self.records = records
        self.folder = folder
        self.blobs = Blobs(folder / "blobs")
        self.lake = DeltaLake(folder / "lake")
        self.own = Blobs(folder / "own")
        self.storage = self.another_storage()
        self.tenancy = Tenancy(records, secret=bytes(32))
        self.ahead = 0
        self.life = TenantLife(records, self.storage, days=lambda: 0.0, now=self.now)
        self.first: Callable[[], None] = lambda: None  # as the making of an archive begins
        for tenant in (ALPHA, BETA):
            self.tenancy.tenants.ensure(tenant)
        for metadata in TABLES:
            records.create(metadata)

    def another_storage(self) -> Storage:
        """As another process has it."""
        return Storage(
            self.records, self.blobs, secret=bytes(32), open_blobs=lambda _url, _options: self.own
        )

    def move(self, **named: Any) -> None:
        """Give the tenant a bucket of its own, as another process does."""
        self.another_storage().places.change(
            ALPHA, url="s3://own", options=None, sealed=None, actor="t", **named
        )

    def now(self) -> int:
        return now_us() + self.ahead

    def deleter(self) -> Deleter:
        parts: Any = None  # asked only for what is due
        return Deleter(self.records, parts, parts, settle_s=0.0, now=self.now)

    def steps(self) -> Steps:
        jobs: Any = Jobs(self.records, self.blobs, cast("Any", None), Kinds([]))
        none: Any = None  # no stream is asked
        return Steps(
            self.records, self.lake, self.blobs, none, self.storage, jobs, Reach(TABLES), {}
        )

    def maker(self) -> Maker:
        def room() -> int | None:
            first, self.first = self.first, lambda: None
            first()
            return None

        contents = Contents(self.records, self.lake, self.blobs, self.storage, Reach(TABLES))
        return Maker(
            self.records, self.storage, contents,
            version="0", days=lambda: 1.0, room=room, now=self.now,
        )  # fmt: skip

    def exported(self, tenant: Tenant) -> str:
        """A whole export; its id."""
        asked = self.life.exports.ask(tenant, actor="t")
        self.maker().make_next(threading.Event())
        assert self.life.exports.get(tenant, asked.id).state is ExportState.READY
        return asked.id

    def archives(self) -> list[str]:
        return sorted(blob.key for blob in self.blobs.list("") if "/exports/" in blob.key)

    def named(self) -> list[str]:
        """The archives that rows name."""
        with self.records.reading() as db:
            named = db.execute(select(exports.c.blob).where(exports.c.blob.is_not(None)))
            return sorted(named.scalars())

    def state(self) -> TenantState:
        return self.tenancy.tenants.get(ALPHA).state


@pytest.fixture
def site(records: SqlRecords, tmp_path: Path) -> Site:
    return Site(records, tmp_path)


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in another thread and gives it time to come to a lock."""
    with ThreadPoolExecutor(2) as threads:

        def run(work: Callable[..., Any], *args: Any, **named: Any) -> Future[Any]:
            going = threads.submit(work, *args, **named)
            threading.Event().wait(0.3)
            return going

        yield run


def test_a_second_wish_at_the_same_moment_is_refused(site: Site, meanwhile: Any) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    with site.records.transaction() as db:
        mark_tenant(db, ALPHA, TenantState.DELETING)  # as the first one does
        second = meanwhile(site.life.deletions.ask, ALPHA, ALPHA, actor="second")
    with pytest.raises(TooLate):
        second.result(60)
    with site.records.reading() as db:
        assert db.execute(select(deletions.c.id)).all() == []


def test_a_tenant_does_not_work_again_while_its_deletion_is_asked_for(
    site: Site, meanwhile: Any
) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    with site.records.transaction() as db:
        mark_tenant(db, ALPHA, TenantState.DELETING)
        set_state = site.tenancy.tenants.set_state
        resumed = meanwhile(set_state, ALPHA, TenantState.ACTIVE, actor="second")
    with pytest.raises(Invalid):
        resumed.result(60)
    assert site.state() is TenantState.DELETING


def test_a_deletion_that_begins_meanwhile_is_not_cancelled(site: Site, meanwhile: Any) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    site.life.deletions.ask(ALPHA, ALPHA, actor="first")
    with site.records.transaction() as db:
        db.execute(update(deletions).values(state=DeletionState.RUNNING.value))
        cancelled = meanwhile(site.life.deletions.cancel, ALPHA, actor="second")
    with pytest.raises(TooLate):
        cancelled.result(60)
    assert site.state() is TenantState.DELETING


def test_an_export_asked_for_as_the_deletion_begins_is_refused_or_goes_with_it(
    site: Site, meanwhile: Any
) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    done = site.exported(ALPHA)
    site.life.deletions.ask(ALPHA, ALPHA, actor="first")
    with site.records.transaction() as db:
        locked_tenant(db, ALPHA)  # as an export does while it is asked for
        begun = meanwhile(site.deleter()._due)
        assert not begun.done()
        row = dict(db.execute(select(exports)).mappings().one())
        late = {"id": "late", "state": ExportState.WAITING.value, "blob": None}
        db.execute(insert(exports).values({**row, **late}))
    [found] = begun.result(60)
    assert found.state is DeletionState.RUNNING
    assert {one.id for one in site.life.exports.all(ALPHA)} == {done, "late"}
    asyncio.run(site.steps().close(ALPHA))  # what was there first goes
    assert site.life.exports.all(ALPHA) == []
    with site.records.transaction() as db:  # and now the deletion is first
        db.execute(update(deletions).values(state=DeletionState.WAITING.value))
    with site.records.transaction() as db:
        locked_tenant(db, ALPHA)
        db.execute(update(deletions).values(state=DeletionState.RUNNING.value))
        asked = meanwhile(site.life.exports.ask, ALPHA, actor="second")
    with pytest.raises(TooLate):
        asked.result(60)
    assert site.life.exports.all(ALPHA) == []


def test_only_a_tenant_that_is_to_be_deleted_is(site: Site) -> None:
    """Whatever rows there are: a deletion that was left over begins nothing."""
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    asked = site.life.deletions.ask(ALPHA, ALPHA, actor="first")
    site.life.deletions.cancel(ALPHA, actor="first")
    with site.records.transaction() as db:
        row = dict(db.execute(select(deletions)).mappings().one())
        left = {"id": "left", "state": DeletionState.WAITING.value, "cancelled_by": None}
        db.execute(insert(deletions).values({**row, **left}))
    assert site.deleter()._due() == []
    site.tenancy.tenants.set_state(ALPHA, TenantState.ACTIVE, actor="t")
    assert site.deleter()._due() == []
    with site.records.transaction() as db:
        mark_tenant(db, ALPHA, TenantState.DELETING)
    assert [one.id for one in site.deleter()._due()] == ["left"]
    assert asked.state is DeletionState.WAITING


def test_an_archive_is_named_until_it_is_gone(site: Site) -> None:
    export, other = site.exported(ALPHA), site.exported(BETA)
    left = f"{ALPHA}/exports/{export}-1.tar"
    site.blobs.refuses = left
    site.life.exports.remove(ALPHA, export, actor="t")
    with pytest.raises(UnknownExport):
        site.life.exports.get(ALPHA, export)
    assert site.life.exports.all(ALPHA) == []
    assert left in site.archives() and left in site.named()
    site.ahead = 2 * 86_400_000_000  # the other is over, too
    with pytest.raises(Unavailable):
        site.life.exports.expire()
    with pytest.raises(UnknownExport):
        site.life.exports.get(BETA, other)
    assert site.archives() == site.named() == [left]
    site.blobs.refuses = None
    assert site.life.exports.expire() == 1
    assert site.archives() == site.named() == []


def test_what_an_attempt_left_is_named_until_it_is_gone(site: Site) -> None:
    asked = site.life.exports.ask(ALPHA, actor="t")
    stop = threading.Event()
    stop.set()
    site.maker().make_next(stop)
    left = f"{ALPHA}/exports/{asked.id}-1.tar"
    site.blobs.put(left, b"what a killed process left")
    site.blobs.refuses = left
    assert site.maker().make_next(threading.Event())
    assert site.archives() == site.named() == [left]
    told = site.life.exports.get(ALPHA, asked.id)
    assert (told.state, told.error) == (ExportState.WAITING, "the bucket does not answer")
    site.blobs.refuses = None
    assert site.maker().make_next(threading.Event())
    assert site.archives() == site.named() == [f"{ALPHA}/exports/{asked.id}-3.tar"]


def test_an_export_that_is_taken_back_while_it_fails_ends_nothing_else(site: Site) -> None:
    asked = site.life.exports.ask(ALPHA, actor="t")

    def taken_back() -> None:
        site.life.exports.remove(ALPHA, asked.id, actor="t")
        raise Unavailable("the lake does not answer")

    site.first = taken_back
    assert site.maker().make_next(threading.Event())
    site.life.exports.expire()
    with site.records.reading() as db:
        assert db.execute(select(exports.c.id)).all() == []
    assert not site.maker().make_next(threading.Event())


def test_a_full_disk_of_temporary_files_fails_that_export(site: Site) -> None:
    asked = site.life.exports.ask(ALPHA, actor="t")

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    site.first = full
    assert site.maker().make_next(threading.Event())
    told = site.life.exports.get(ALPHA, asked.id)
    assert told.state is ExportState.FAILED and "No space left" in str(told.error)


def test_a_table_that_goes_while_it_is_copied_costs_an_attempt(site: Site) -> None:
    class Going(DeltaLake):
        """Its tables are removed after they were listed once."""

        def copies(self, tenant: Tenant) -> Iterator[TableCopy]:
            found = list(super().copies(tenant))
            self.remove(tenant)
            return iter(found)

    time = pa.array([now_us()], pa.timestamp("us", "UTC"))
    row = pa.table({"vehicle": ["ZQX00000000000001"], "time": time, "seq": [1]})
    site.lake.append(TableRef(ALPHA, "trips"), row, writer="w", seq=1)
    site.lake = Going(site.folder / "lake")
    asked = site.life.exports.ask(ALPHA, actor="t")
    assert site.maker().make_next(threading.Event())
    told = site.life.exports.get(ALPHA, asked.id)
    assert told.state is ExportState.WAITING and "trips was removed" in str(told.error)
    assert site.maker().make_next(threading.Event())
    assert site.life.exports.get(ALPHA, asked.id).state is ExportState.READY


def test_tables_of_jobs_are_exported_and_erased_and_dropped_ones_are_not_told(site: Site) -> None:
    for name in ("kept_stats", "dropped_stats"):
        rows = as_rows(pa.table({"vehicle": ["ZQX00000000000001"], "km": [1.5]}))
        site.lake.append(TableRef(ALPHA, name), rows, writer="job-1", seq=1)
    site.lake.drop(TableRef(ALPHA, "dropped_stats"))
    found = site.life.exports.get(ALPHA, site.exported(ALPHA))
    data = b"".join(site.life.exports.read(found, 0, found.bytes))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert [name for name in names if "kept_stats/" in name and name.endswith(".parquet")]
    assert [name for name in names if "kept_stats/_delta_log/" in name]
    assert not [name for name in names if "dropped_stats" in name]
    asyncio.run(site.steps().lake(ALPHA))
    assert site.lake.names(ALPHA) == []
    assert not list((site.folder / "lake").rglob("*.parquet"))


def test_nothing_is_written_of_a_deleted_tenant(site: Site) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    site.life.deletions.ask(ALPHA, ALPHA, actor="t")
    assert site.deleter()._due()
    with pytest.raises(TooLate):
        site.life.exports.ask(ALPHA, actor="t")
    with site.records.transaction() as db:
        mark_tenant(db, ALPHA, TenantState.DELETED)
    audit = tenancy_tables.tables["audit"]
    noted = select(func.count()).select_from(audit).where(audit.c.tenant == ALPHA)
    with site.records.reading() as db:
        before = db.execute(noted).scalar_one()
    with pytest.raises(Unknown):
        site.life.exports.ask(ALPHA, actor="t")
    with pytest.raises(Unknown):
        site.tenancy.limits.set_limit(ALPHA, "vehicles", 5, actor="t")
    with site.records.reading() as db:
        assert db.execute(noted).scalar_one() == before


def test_the_place_stays_while_there_are_exports(site: Site, meanwhile: Any) -> None:
    settled = site.life.exports.settled
    asked = site.life.exports.ask(ALPHA, actor="t")  # nothing is written yet
    with pytest.raises(InvalidPlace, match="exports lie"):
        site.move(settled=settled)
    with site.records.reading() as db:
        row = dict(db.execute(select(exports)).mappings().one())
    site.life.exports.remove(ALPHA, asked.id, actor="t")
    with site.records.transaction() as db:  # somebody asks for one at the same moment
        locked_tenant(db, ALPHA)
        db.execute(insert(exports).values({**row, "id": "another"}))
        moved = meanwhile(site.move, settled=settled)
    with pytest.raises(InvalidPlace, match="exports lie"):
        moved.result(60)
    site.life.exports.remove(ALPHA, "another", actor="t")
    site.move(settled=settled)
    assert site.another_storage().places.told(ALPHA).url == "s3://own"


def test_an_archive_that_went_to_a_former_place_is_made_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "REMEMBER_S", 60.0)  # the maker has not heard yet
    asked = site.life.exports.ask(ALPHA, actor="t")
    assert site.storage.places.mark(ALPHA) == ""
    site.first = site.move
    assert site.maker().make_next(threading.Event())
    told = site.life.exports.get(ALPHA, asked.id)
    assert (told.state, site.archives()) == (ExportState.WAITING, [])
    assert site.maker().make_next(threading.Event())
    told = site.life.exports.get(ALPHA, asked.id)
    assert told.state is ExportState.READY and site.archives() == []
    assert [blob.key for blob in site.own.list("")] == [f"{ALPHA}/exports/{asked.id}-2.tar"]
