"""The steps of a deletion. Each may be done again, and finds then what is still there."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import delete, select, tuple_

from carcloud.model.ids import Tenant
from carcloud.model.streams import subjects_of
from carcloud.ports.blobs import Blobs
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute.api import Filters, JobEnded, Jobs, State
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import TenantState, mark_tenant
from carcloud.services.tenant_life.census import KEPT
from carcloud.services.tenant_life.errors import NotYet
from carcloud.services.tenant_life.reach import Reach

_ROWS = 1000  # deleted in one transaction
_SOURCES = (  # what would go on making something of the tenant's, or let somebody in
    "job_schedules", "platform_link_retries", "platform_links", "lower_platforms", "sessions",
    "api_keys", "invitations", "tenant_exports",
)  # fmt: skip
PLACE = "storage_places"  # known until what lies there was counted for the last time
_ACTOR = "carcloud"


class Steps:
    """`readers` = by durable stream, the reader whose work must be done before messages go."""

    def __init__(
        self,
        records: Records,
        lake: Lake,
        blobs: Blobs,
        stream: Stream,
        storage: Storage,
        jobs: Jobs,
        reach: Reach,
        readers: Mapping[str, str],
    ) -> None:
        self._records = records
        self._lake = lake
        self._blobs = blobs
        self._stream = stream
        self._storage = storage
        self._jobs = jobs
        self._reach = reach
        self._readers = readers

    def places(self, tenant: Tenant) -> list[Blobs]:
        """Where blobs of the tenant may lie."""
        own = self._storage.places.blobs(tenant)
        return [self._blobs] if own is self._blobs else [self._blobs, own]

    async def close(self, tenant: Tenant) -> None:
        """Nothing begins any more; jobs are cancelled and waited for."""
        for name in _SOURCES:
            await asyncio.to_thread(self._delete, name, tenant)
        for state in (State.QUEUED, State.RUNNING):
            await self._cancel_all(tenant, Filters(state=state))
        if running := sum((await self._jobs.open_jobs(tenant)).values()):
            raise NotYet(f"{running} jobs are being cancelled")

    async def ends_of_streams(self) -> dict[str, int]:
        """How far the streams are now."""
        return {name: (await self._stream.info(name)).last_seq for name in self._readers}

    async def drain(self, tenant: Tenant, ends: Mapping[str, int]) -> None:
        """Wait until what was in the streams has been dealt with, then erase what they keep."""
        for name, reader in self._readers.items():
            reached = await self._stream.confirmed(name, reader)
            if reached < ends[name] and (await self._stream.info(name)).messages:
                behind = ends[name] - reached
                raise NotYet(f"{reader} has {behind} messages of {name} to deal with")
        for name, subject in subjects_of(tenant).items():
            await self._stream.erase(name, subject)

    async def lake(self, tenant: Tenant) -> int:
        """Tables and their files; returns how many files there were. From now on nobody takes care
        of the tenant, measures it or counts what it uses."""
        await asyncio.to_thread(self._close_for_good, tenant)
        return await asyncio.to_thread(self._lake.remove, tenant)

    async def blobs(self, tenant: Tenant) -> None:
        """First the keys that seal bytes, then all bytes."""
        await asyncio.to_thread(self._storage.places.destroy_keys, tenant, actor=_ACTOR)
        for blobs in await asyncio.to_thread(self.places, tenant):
            await asyncio.to_thread(blobs.delete_all, tenant)

    async def records(self, tenant: Tenant) -> None:
        """The rows of every table, those first that refer to others; not yet the tenant's place."""
        for name in self._reach.names():
            if name not in (KEPT, PLACE):
                await asyncio.to_thread(self._delete, name, tenant)

    async def forget_place(self, tenant: Tenant) -> None:
        """Where the tenant's own bytes lay, and how they were reached."""
        await asyncio.to_thread(self._delete, PLACE, tenant)
        await self.scrub()

    async def scrub(self) -> None:
        """What was deleted is gone from the files of the records, too."""
        await asyncio.to_thread(self._records.scrub)

    def _close_for_good(self, tenant: Tenant) -> None:
        with self._records.transaction() as db:
            mark_tenant(db, tenant, TenantState.DELETED)

    async def _cancel_all(self, tenant: Tenant, which: Filters) -> None:
        before = None
        while True:
            page = await self._jobs.jobs(tenant, which, before=before, limit=200)
            for job in page.items:
                with suppress(JobEnded):
                    await self._jobs.cancel(tenant, job.id, actor=_ACTOR)
            if (before := page.next_before) is None:
                return

    def _delete(self, name: str, tenant: Tenant) -> None:
        """Rows of a table, some at a time: others write in between."""
        table = self._reach.tables[name]
        keys = list(table.primary_key.columns)
        some = select(*keys).where(self._reach.all(name, tenant)).limit(_ROWS)
        while True:
            with self._records.transaction() as db:
                found = [tuple(row) for row in db.execute(some)]
                if found:
                    db.execute(delete(table).where(tuple_(*keys).in_(found)))
            if len(found) < _ROWS:
                return
