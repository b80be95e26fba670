"""Bring the records from one revision of their tables to another, forward or back."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationInfo, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from carcloud.app.schema import revision
from carcloud.app.schema.revision import NOTHING, WrongSchema
from carcloud.engines.records_sql import SqlRecords

log = logging.getLogger(__name__)


class UnknownRevision(ValueError):
    """There is no such revision."""


@dataclass(frozen=True, slots=True)
class Step:
    """One revision."""

    revision: str
    what: str


@dataclass(frozen=True, slots=True)
class State:
    """Where a database stands, and what leads to the newest revision."""

    at: str  # `base` before the first
    newest: str
    pending: tuple[Step, ...] = ()
    known: bool = True  # whether this carcloud knows the revision `at`

    @property
    def current(self) -> bool:
        """Whether this carcloud can work with the tables."""
        return self.known and self.at == self.newest


def state(records: SqlRecords) -> State:
    """Where the records stand."""
    with records.reading() as db:
        return _state(db)


def migrate(
    records: SqlRecords, to: str = "head", tell: Callable[[str], None] = log.info
) -> list[Step]:
    """Go forward or back to a revision, all steps or none; `tell` hears of each step.

    Raises `UnknownRevision`, `WrongSchema` (the database is ahead of this carcloud).
    """
    done: list[Step] = []

    def applied(ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
        del ctx
        script = _revision(step.up_revision_id or NOTHING)
        way = "to" if step.is_upgrade else "back from"
        tell(f"records: {way} revision {script.revision}: {script.doc}")
        done.append(Step(script.revision, script.doc))

    with records.migrating() as db:
        found = _state(db)
        if not found.known:
            raise WrongSchema(f"the records are at revision {found.at}, unknown to this carcloud")
        back = _is_back(found.at, to)

        def steps(now: Any, _: MigrationContext) -> Sequence[RevisionStep]:
            if back:
                return _scripts()._downgrade_revs(to, now)
            return _scripts()._upgrade_revs(to, now)

        context = MigrationContext.configure(
            db,
            opts={"fn": steps, "transactional_ddl": True, "on_version_apply": (applied,)},
        )
        with Operations.context(context):
            context.run_migrations()
    return done


@lru_cache(1)
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(revision.FOLDER))


def nothing() -> State:
    """Where records stand that have no database yet."""
    newest = _scripts().get_current_head()
    assert newest is not None  # noqa: S101 - the baseline is in the package
    chain = [Step(s.revision, s.doc) for s in reversed(list(_scripts().walk_revisions()))]
    return State(NOTHING, newest, tuple(chain))


def _state(db: Connection) -> State:
    fresh, at = nothing(), MigrationContext.configure(db).get_current_revision()
    if at is None:
        return fresh
    names = [step.revision for step in fresh.pending]
    if at not in names:
        return State(at, fresh.newest, known=False)
    return State(at, fresh.newest, fresh.pending[names.index(at) + 1 :])


def _is_back(at: str, to: str) -> bool:
    if to == NOTHING:
        return True
    order = [script.revision for script in reversed(list(_scripts().walk_revisions()))]
    wanted = _revision(to).revision
    return at != NOTHING and order.index(wanted) < order.index(at)


def _revision(name: str) -> Script:
    try:
        found = _scripts().get_revision(name)
    except CommandError as error:
        raise UnknownRevision(f"there is no revision {name!r}") from error
    if found is None:
        raise UnknownRevision(f"there is no revision {name!r}")
    return found
