"""An attempt that runs: what it tells is kept, and told on to who follows it."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.streams import job_subject
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute.claims import Held, update_job
from carcloud.services.compute.logs import LogWriter
from carcloud.services.compute.notes import Log, Made, Point, Progress, decode
from carcloud.services.compute.store import artifacts, jobs
from carcloud.services.compute.types import Artifact, Logged

log = logging.getLogger(__name__)

KEPT_S = 0.5  # between two looks whether there is something to keep
_MOST_WAITING = 4_000_000  # bytes of log that the blobs do not take; above, the job waits
_MOST_POINTS = 400  # of a metric; then every other one goes
_MOST_METRICS = 50
CHANGED = b'{"type":"changed"}'


@dataclass(slots=True)
class Active:
    """One attempt. Made and used on the loop of its runner."""

    held: Held
    records: Records
    blobs: Blobs
    stream: Stream
    log: LogWriter
    _values: dict[str, Any] = field(default_factory=dict)  # of the record, not kept yet
    _metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    _keeping: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_note(self, data: bytes) -> None:
        """Take a note of the job's process."""
        note = decode(data)
        if isinstance(note, Log):
            await self._logged(note.text)
        elif isinstance(note, Progress):
            self._progressed(note)
        elif isinstance(note, Point):
            self._measured(note)
        else:
            await asyncio.to_thread(self._made, note)

    async def look_after(self) -> None:
        """Keep what is to be kept, again and again, until cancelled."""
        while True:
            await asyncio.sleep(KEPT_S)
            try:
                await self.keep(only_due=True)
            except EngineError as error:
                log.warning("job %s is not kept: %s", self.held.job.id, error)

    async def keep(self, *, only_due: bool = False) -> None:
        """Write log and figures; raises the errors of the engines."""
        async with self._keeping:
            if self.log.is_due() or not only_due:
                await asyncio.to_thread(self.log.write, self.blobs)
            if self._values:
                values, self._values = self._values, {}
                try:
                    await asyncio.to_thread(self._update, values)
                except EngineError:
                    self._values = {**values, **self._values}
                    raise
                await self.tell(CHANGED)

    async def tell(self, message: bytes) -> None:
        """Tell who follows; nobody hears it while the stream is away."""
        subject = job_subject(self.held.job.tenant, self.held.job.id)
        try:
            await self.stream.broadcast(subject, message)
        except EngineError as error:
            log.debug("job %s: not told: %s", self.held.job.id, error)

    async def say(self, text: str) -> None:
        """Add a line of ours to the job's log."""
        await self._logged(text + "\n")

    async def _logged(self, text: str) -> None:
        while self.log.waiting > _MOST_WAITING:  # noqa: ASYNC110 - the blobs are away: rare
            await asyncio.sleep(KEPT_S)
        offset, taken = self.log.add(text)
        if taken:
            await self.tell(msgspec.json.encode(Logged(self.held.attempt, offset, taken)))

    def _progressed(self, note: Progress) -> None:
        if note.done is not None:
            self._values["progress"] = note.done
        if note.message is not None:
            self._values["message"] = note.message[:500]

    def _measured(self, note: Point) -> None:
        if note.name not in self._metrics and len(self._metrics) >= _MOST_METRICS:
            return
        points = self._metrics.setdefault(note.name, [])
        if len(points) >= _MOST_POINTS:
            del points[1::2]
        points.append((note.time_us, note.value))
        self._values["metrics"] = None  # made into JSON when it is kept

    def _update(self, values: dict[str, Any]) -> None:
        if "metrics" in values:
            values = {**values, "metrics": json.dumps(self._metrics)}
        with self.records.transaction() as db:
            update_job(db, self.held, values)

    def _made(self, note: Made) -> None:
        made = note.artifact
        mine = (
            (artifacts.c.job == made.job)
            & (artifacts.c.attempt == made.attempt)
            & (artifacts.c.name == made.name)
        )
        with self.records.transaction() as db:
            if db.execute(select(jobs.c.id).where(self.held.mine())).first() is not None:
                db.execute(delete(artifacts).where(mine))
                db.execute(insert(artifacts).values(msgspec.structs.asdict(made)))


def find_artifact(records: Records, tenant: Tenant, job: str, name: str) -> Artifact | None:
    """An artifact of a job's last attempt; None if the tenant has no such thing."""
    query = (
        select(artifacts)
        .join(jobs, (jobs.c.id == artifacts.c.job) & (jobs.c.attempt == artifacts.c.attempt))
        .where(jobs.c.tenant == tenant, jobs.c.id == job, artifacts.c.name == name)
    )
    with records.reading() as db:
        row = db.execute(query).mappings().first()
    return None if row is None else Artifact(**row)
