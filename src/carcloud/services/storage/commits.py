"""Changes of many callers in one transaction: a commit waits for the disk once for all of them."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records

T = TypeVar("T")
_MOST = 100  # changes in a transaction
_TRIES = 5


class _Job(Generic[T]):
    def __init__(self, change: Callable[[Connection], T]) -> None:
        self.change = change
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[no-any-return]


class GroupCommit:
    """Whoever comes while a transaction is being committed waits, and one of them commits all."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: deque[_Job[Any]] = deque()
        self._turn = threading.Lock()

    def run(self, change: Callable[[Connection], T]) -> T:
        """Make a change and return when it is durable; what it raises, undoes it alone."""
        job = _Job(change)
        self._waiting.append(job)
        while not job.done:
            with self._turn:
                if not job.done:
                    self._commit(
                        [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
                    )
        return job.outcome()

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        if len(jobs) > 1:
            try:
                with self._records.transaction() as db:
                    for job in jobs:
                        _attempt(db, job)
            except Conflict:
                pass  # one of them met another process: each on its own
            except BaseException as error:  # noqa: BLE001 - told to every caller
                _fail(jobs, error)
                return
            else:
                _finish(jobs)
                return
        for job in jobs:
            self._alone(job)

    def _alone(self, job: _Job[Any]) -> None:
        for attempt in range(_TRIES):
            job.error = job.result = None
            try:
                with self._records.transaction() as db:
                    job.result = job.change(db)
            except Conflict as error:
                job.error = error
                if attempt + 1 < _TRIES:
                    continue
            except BaseException as error:  # noqa: BLE001 - told to the caller
                job.error = error
            break
        job.done = True


def _attempt(db: Connection, job: _Job[Any]) -> None:
    """One change in a savepoint. What the database refuses undoes the transaction."""
    job.error = job.result = None
    savepoint = db.begin_nested()
    try:
        job.result = job.change(db)
        savepoint.commit()
    except Exception as error:
        savepoint.rollback()
        if _is_of_the_database(error):
            raise
        job.error = error


def _is_of_the_database(error: Exception) -> bool:
    return type(error).__module__.startswith(("sqlalchemy", "carcloud.ports"))


def _finish(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.done = True


def _fail(jobs: list[_Job[Any]], error: BaseException) -> None:
    for job in jobs:
        job.error = error
        job.done = True
