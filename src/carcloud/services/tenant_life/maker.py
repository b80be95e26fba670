"""Makes the archive of the export that waits longest; one process of an installation does so.

Nothing of an attempt that was interrupted is used: the next one writes another blob from the
beginning, and removes what the one before it left.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy import select, update

from carcloud.model.time import iso
from carcloud.ports.errors import EngineError, Full
from carcloud.ports.records import Records
from carcloud.services.storage.api import Storage, StorageRefusal, StoredBody
from carcloud.services.tenant_life import left_out
from carcloud.services.tenant_life.archive import Archive
from carcloud.services.tenant_life.contents import Contents
from carcloud.services.tenant_life.errors import Ended, Torn
from carcloud.services.tenant_life.exports import OPEN, export_of
from carcloud.services.tenant_life.store import exports
from carcloud.services.tenant_life.types import Export, ExportState

log = logging.getLogger(__name__)

ATTEMPTS = 8
_NOTE_S = 1.0  # between two notes of progress
_DAY_US = 86_400_000_000


class Maker:
    """`room` gives the bytes that may still be written, None = nobody knows."""

    def __init__(
        self,
        records: Records,
        storage: Storage,
        contents: Contents,
        *,
        version: str,
        days: Callable[[], float],
        room: Callable[[], int | None],
        now: Callable[[], int],
    ) -> None:
        self._records = records
        self._storage = storage
        self._contents = contents
        self._version = version
        self._days = days
        self._room = room
        self._now = now

    def make_next(self, stop: threading.Event) -> bool:
        """One attempt at the export that waits longest; False where none waits.

        Returns at once, with the work undone, when `stop` is set. Raises `EngineError` where the
        records are away.
        """
        begun = self._begin()
        if begun is None:
            return False
        found, left = begun
        try:
            self._make(found, left, stop)
        except Ended:
            log.info("the export %s of %s was given up", found.id, found.tenant)
        except (EngineError, StorageRefusal, Torn, OSError) as error:
            log.warning("export %s of %s: %s", found.id, found.tenant, error)
            with suppress(Ended):  # it was taken back meanwhile
                self._failed(found, error)
        return True

    def _failed(self, export: Export, error: Exception) -> None:
        """Try again later, or give up. What was written is still named, and goes with `expire`."""
        full = isinstance(error, Full) or getattr(error, "errno", None) == errno.ENOSPC
        last = export.attempt >= ATTEMPTS or full
        state = ExportState.FAILED if last else ExportState.WAITING
        self._set(export, state=state.value, error=str(error)[:1000])

    def _begin(self) -> tuple[Export, str | None] | None:
        """The export, and the blob that the attempt before left."""
        query = select(exports).where(exports.c.state.in_(OPEN))
        first = query.order_by(exports.c.created, exports.c.id).limit(1).with_for_update()
        with self._records.transaction() as db:
            row = db.execute(first).mappings().first()
            if row is None:
                return None
            attempt = row["attempt"] + 1
            values: dict[str, Any] = {
                "state": ExportState.RUNNING.value, "attempt": attempt, "started": self._now(),
                "done": 0, "part": "",
            }  # fmt: skip
            if attempt > ATTEMPTS:
                values = {
                    "state": ExportState.FAILED.value,
                    "error": f"interrupted {ATTEMPTS} times",
                }
            mine = exports.c.id == row["id"]
            db.execute(update(exports).where(mine).values(values))
            begun = db.execute(select(exports).where(mine)).mappings().one()
        return (export_of(begun), row["blob"]) if attempt <= ATTEMPTS else self._begin()

    def _make(self, export: Export, left: str | None, stop: threading.Event) -> None:
        if left is not None:
            self._storage.kept.remove(export.tenant, left)
        expected = self._contents.expected(export.tenant)
        room = self._room()
        if room is not None and expected > room:
            raise Full(f"the archive takes about {expected} bytes, and {room} are free")
        progress = _Progress(self, export, stop)
        blob = _blob(export, export.attempt)
        self._set(export, expected=expected, blob=blob)  # named before there is anything of it
        body = self._storage.kept.body(export.tenant, blob.partition("/")[2])
        archive = Archive(body, time.time())
        try:
            facts = self._contents.copy(export.tenant, archive, progress.tell)
            digest = archive.end(self._told(export, asdict(facts)))
            stored = body.finish()
            self._ready(export, stored, digest, archive.members)
        except BaseException:
            archive.close()
            body.abort()
            raise

    def _told(self, export: Export, facts: dict[str, Any]) -> dict[str, Any]:
        return {
            "tenant": export.tenant,
            "export": export.id,
            "carcloud": self._version,
            "made": iso(self._now()),
            "asked_by": export.by,
            "left_out": dict(left_out.TABLES),
            **facts,
        }

    def _ready(self, export: Export, stored: StoredBody, digest: str, members: int) -> None:
        now = self._now()
        self._set(
            export, place=stored.place,
            state=ExportState.READY.value, ended=now, bytes=stored.size, sha256=digest,
            sealed_by=stored.key, salt=stored.salt, members=members, part="", error=None,
            done=stored.size, expected=stored.size,
            expires=now + int(self._days() * _DAY_US),
        )  # fmt: skip

    def note(self, export: Export, part: str, done: int) -> None:
        """How far it is; raises `Ended` where it was taken back, `Full`."""
        room = self._room()
        if room is not None and room <= 0:
            raise Full("the disk has no room for the archive: see disk.reserve_mb")
        self._set(export, part=part[:100], done=done)

    def _set(self, export: Export, place: str | None = None, **values: Any) -> None:
        """Raises `Ended`, and `Moved` where the tenant's place is another than `place` by now."""
        mine = (exports.c.id == export.id) & (exports.c.attempt == export.attempt)
        with self._records.transaction() as db:
            self._storage.places.check(db, export.tenant, place)
            if not db.execute(update(exports).where(mine).values(values)).rowcount:
                raise Ended(f"the export {export.id} was taken back")


class _Progress:
    """Hears of every piece, and writes it down now and then."""

    def __init__(self, maker: Maker, export: Export, stop: threading.Event) -> None:
        self._maker = maker
        self._export = export
        self._stop = stop
        self._done = 0
        self._noted = 0.0

    def tell(self, part: str, more: int) -> None:
        if self._stop.is_set():
            raise Ended("the process is to end")
        self._done += more
        if time.monotonic() - self._noted >= _NOTE_S:
            self._noted = time.monotonic()
            self._maker.note(self._export, part, self._done)


def _blob(export: Export, attempt: int) -> str:
    return f"{export.tenant}/exports/{export.id}-{attempt}.tar"
