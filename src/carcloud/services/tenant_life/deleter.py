"""Deletes what is due, a step after the other; one process of an installation does so.

The step that is to be done is in the records, and each may be done again: whatever is killed, the
next process goes on at the same step. Vehicles, people and keys are kept out since the tenant was
suspended. What was in flight then is waited for (`drain`), and what somebody wrote late is found by
counting again at the end (`check`), which begins anew at `drain` until nothing is there.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.services.storage.api import StorageRefusal
from carcloud.services.tenancy.api import INSTALLATION, TenantState
from carcloud.services.tenancy.api import metadata as tenancy
from carcloud.services.tenant_life.census import Census
from carcloud.services.tenant_life.certificate import certificate
from carcloud.services.tenant_life.deletions import deletion_of, note
from carcloud.services.tenant_life.errors import NotYet
from carcloud.services.tenant_life.steps import PLACE, Steps
from carcloud.services.tenant_life.store import deletions
from carcloud.services.tenant_life.types import Deletion, DeletionState, Step

log = logging.getLogger(__name__)

_ORDER = tuple(Step)
_COUNTED = "counted"  # the mark of a deletion that is only to be certified
_LATE_US = 30 * 86_400_000_000
_audit_heads, _tenants = tenancy.tables["audit_heads"], tenancy.tables["tenants"]


class Deleter:
    """`settle_s` = until every process has heard that a tenant is suspended and has told what it
    used. `seen` hears of each step as it begins; `now` is a clock in us since 1970."""

    def __init__(
        self,
        records: Records,
        census: Census,
        steps: Steps,
        *,
        settle_s: float,
        now: Callable[[], int],
        seen: Callable[[Tenant, Step], None] = lambda _tenant, _step: None,
    ) -> None:
        self._records = records
        self._census = census
        self._steps = steps
        self._settle_us = int(settle_s * 1e6)
        self._now = now
        self._seen = seen

    async def work(self) -> bool:
        """One step of each deletion that is due; whether any went on. Raises `EngineError` where
        the records are away."""
        moved = False
        for found in await asyncio.to_thread(self._due):
            try:
                moved |= await self._step(found)
            except (NotYet, EngineError, StorageRefusal) as error:
                log.info("deletion of %s, %s: %s", found.tenant, found.step, error)
                await asyncio.to_thread(self._set, found, problem=str(error)[:1000])
        return moved

    async def look_again(self) -> None:
        """Count once more what was deleted in the last 30 days: a process that was cut off from
        the stream may have told of it since. What is found takes another round, and there is a
        further certificate then. Raises `EngineError`."""
        for found in await asyncio.to_thread(self._done_lately):
            if left := _left(await self._counted(found.tenant)):
                log.warning("%s is deleted, and there is %s", found.tenant, left)
                values = {"state": DeletionState.RUNNING.value, "step": Step.DRAIN.value}
                again = {"round": found.round + 1, "marks": "{}", "ended": None}
                await asyncio.to_thread(self._set, found, **values, **again)

    def _done_lately(self) -> list[Deletion]:
        lately = deletions.c.ended > self._now() - _LATE_US
        done = (deletions.c.state == DeletionState.DONE.value) & lately
        with self._records.reading() as db:
            rows = db.execute(select(deletions).where(done)).mappings()
            return [deletion_of(row) for row in rows]

    def _due(self) -> list[Deletion]:
        """Those that go on, and those that may begin now."""
        now = self._now()
        deleting = select(_tenants.c.id).where(_tenants.c.state == TenantState.DELETING.value)
        begin = (
            (deletions.c.state == DeletionState.WAITING.value)
            & (deletions.c.due <= now)
            & (deletions.c.asked <= now - self._settle_us)
            & deletions.c.approved_by.is_not(None)
            & deletions.c.tenant.in_(deleting)
        )
        going = deletions.c.state == DeletionState.RUNNING.value
        with self._records.reading() as db:
            if db.execute(select(deletions.c.id).where(begin | going)).first() is None:
                return []
        with self._records.transaction() as db:
            _hold(db, begin)
            values = {"state": DeletionState.RUNNING.value, "began": now, "since": now}
            db.execute(update(deletions).where(begin).values(values))
            rows = db.execute(select(deletions).where(going).order_by(deletions.c.asked))
            return [deletion_of(row) for row in rows.mappings()]

    async def _step(self, found: Deletion) -> bool:
        self._seen(found.tenant, found.step)
        tenant, values = found.tenant, dict[str, Any]()
        match found.step:
            case Step.COUNT:
                values["before"] = json.dumps(await self._counted(tenant))
            case Step.CLOSE:
                await self._steps.close(tenant)
            case Step.DRAIN:
                await self._drain(found)
            case Step.LAKE:
                await self._steps.lake(tenant)
            case Step.BLOBS:
                await self._steps.blobs(tenant)
            case Step.RECORDS:
                await self._steps.records(tenant)
            case Step.SCRUB:
                await self._steps.scrub()
            case Step.CHECK:
                return await self._check(found)
        following = _ORDER[_ORDER.index(found.step) + 1]
        await asyncio.to_thread(self._set, found, step=following.value, **values)
        return True

    async def _drain(self, found: Deletion) -> None:
        marks = dict(found.marks)
        if not marks:
            marks = await self._steps.ends_of_streams()
            await asyncio.to_thread(self._set, found, marks=json.dumps(marks))
        await self._steps.drain(found.tenant, marks)

    async def _check(self, found: Deletion) -> bool:
        """Count again when all that was late has come, in the tenant's own bucket too; forget that,
        and certify; or begin anew."""
        if (counted := found.marks.get(_COUNTED)) is not None:
            await self._end(found, counted)
            return True
        if (wait := found.since + self._settle_us - self._now()) > 0:
            raise NotYet(f"counts again in {wait / 1e6:.0f} s, when what was in flight has come")
        files = await self._steps.lake(found.tenant)  # those that no log names are not counted
        after = await self._counted(found.tenant)
        after["records"].pop(PLACE, None)
        if left := _left(after) or ({"files": files} if files else {}):
            log.warning("deletion of %s: there still is %s", found.tenant, left)
            back = {"step": Step.DRAIN.value, "round": found.round + 1, "marks": "{}"}
            await asyncio.to_thread(self._set, found, problem=f"still there: {left}"[:1000], **back)
            return False
        await asyncio.to_thread(self._set, found, marks=json.dumps({_COUNTED: after}))
        await self._end(found, after)
        return True

    async def _end(self, found: Deletion, after: Mapping[str, Any]) -> None:
        await self._steps.forget_place(found.tenant)
        await asyncio.to_thread(self._certify, found, after)

    async def _counted(self, tenant: Tenant) -> dict[str, Any]:
        census = self._census
        places = await asyncio.to_thread(self._steps.places, tenant)
        return {
            "records": await asyncio.to_thread(census.of_records, tenant),
            "audit_chain": await asyncio.to_thread(census.chain, tenant),
            "lake": await asyncio.to_thread(census.of_lake, tenant),
            "blobs": await asyncio.to_thread(census.of_blobs, tenant, places),
            "streams": await census.of_streams(tenant),
        }

    def _certify(self, found: Deletion, after: Mapping[str, Any]) -> None:
        """The end: the certificate in the audit of the installation."""
        ended = self._now()
        text = certificate(found, after, ended)
        with self._records.transaction() as db:
            note(db, found.asked_by, "tenant.deletion.done", found.tenant, text)
            mine = _audit_heads.c.tenant == INSTALLATION
            head = db.execute(select(_audit_heads).where(mine)).one()
            values = {
                "state": DeletionState.DONE.value, "ended": ended, "problem": None,
                "certificate": json.dumps(text), "entry": head.number, "entry_hash": head.hash,
            }  # fmt: skip
            db.execute(update(deletions).where(deletions.c.id == found.id).values(values))
        log.info("%s is deleted: entry %s of the audit, %s", found.tenant, head.number, iso(ended))

    def _set(self, found: Deletion, **values: Any) -> None:
        if "step" in values:
            values = {"problem": None, "since": self._now(), **values}
        with self._records.transaction() as db:
            db.execute(update(deletions).where(deletions.c.id == found.id).values(values))


def _hold(db: Connection, begin: ColumnElement[bool]) -> None:
    """Wait for what is asked for in these tenants at the moment, such as an export: it is there
    when the deletion begins, or finds that it has begun. Rows are locked in the order in which
    `Deletions.cancel` does it."""
    mine = select(deletions.c.tenant).where(begin).order_by(deletions.c.id)
    found = db.execute(mine.with_for_update(of=deletions)).scalars().all()
    these = select(_tenants.c.id).where(_tenants.c.id.in_(found)).order_by(_tenants.c.id)
    db.execute(these.with_for_update(key_share=True))


def _left(counted: Mapping[str, Any]) -> dict[str, Any]:
    """What a count says is there; empty when nothing is."""
    there = {
        "records": counted["records"],
        "lake": counted["lake"]["tables"],
        "blobs": counted["blobs"]["kinds"],
        "streams": counted["streams"],
    }
    return {kind: found for kind, found in there.items() if found}
