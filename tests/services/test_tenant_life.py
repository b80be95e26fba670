"""Deletions and exports of tenants against others that act at once, on both databases."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import Invalid, Tenancy, TenantState, mark_tenant
from carcloud.services.tenant_life.api import Deleter, DeletionState, TenantLife, TooLate
from carcloud.services.tenant_life.store import deletions

ALPHA = Tenant("alpha")


class Site:
    """The services over one database and a folder of blobs; `now` is theirs."""

    def __init__(self, records: SqlRecords, folder: Path) -> None:
        self.records = records
        self.blobs = ObjectBlobs(folder / "blobs")
        self.storage = Storage(records, self.blobs)
        self.tenancy = Tenancy(records, secret=bytes(32))
        self.ahead = 0
        self.life = TenantLife(records, self.storage, days=lambda: 0.0, now=self.now)
        self.tenancy.tenants.ensure(ALPHA)

    def now(self) -> int:
        return now_us() + self.ahead

    def deleter(self) -> Deleter:
        parts: Any = None  # asked only for what is due
        return Deleter(self.records, parts, parts, settle_s=0.0, now=self.now)

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
        second.result(10)
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
        resumed.result(10)
    assert site.state() is TenantState.DELETING


def test_a_deletion_that_begins_meanwhile_is_not_cancelled(site: Site, meanwhile: Any) -> None:
    site.tenancy.tenants.set_state(ALPHA, TenantState.SUSPENDED, actor="t")
    site.life.deletions.ask(ALPHA, ALPHA, actor="first")
    with site.records.transaction() as db:
        db.execute(update(deletions).values(state=DeletionState.RUNNING.value))
        cancelled = meanwhile(site.life.deletions.cancel, ALPHA, actor="second")
    with pytest.raises(TooLate):
        cancelled.result(10)
    assert site.state() is TenantState.DELETING


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
