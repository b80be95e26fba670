"""The records of an installation, at the revision of their tables that this carcloud works with.

Alembic is loaded only where there is a step to take.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from carcloud.app.schema.revision import NOTHING, at, is_empty, known, require
from carcloud.config import Settings
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.time import iso, now_us

if TYPE_CHECKING:
    from carcloud.app.schema.steps import Step

log = logging.getLogger(__name__)


def records_url(settings: Settings) -> str:
    """The SQLAlchemy URL, with the password; raises `InvalidSetting`."""
    file = Path(settings.text("data")).absolute() / "records.sqlite"
    url = settings.text("records.url") or f"sqlite:///{file}"
    if password := settings.secret("records.password_file"):
        return make_url(url).set(password=password).render_as_string(hide_password=False)
    return url


def records_file(settings: Settings) -> Path | None:
    """The file that the records lie in; None where a server keeps them."""
    where = make_url(records_url(settings))
    own = where.get_backend_name() == "sqlite" and where.database
    return Path(where.database or "") if own else None


def open_any_records(settings: Settings) -> SqlRecords:
    """The records, whatever their revision."""
    return SqlRecords(records_url(settings))


def prepare_records(settings: Settings) -> None:
    """Make the tables of a new database; bring SQLite forward, with a copy first.

    A PostgreSQL that many processes share is brought forward by `carcloud migrate` alone.
    Raises `WrongSchema`.
    """
    records = open_any_records(settings)
    try:
        if is_empty(records):
            from carcloud.app.schema.steps import migrate

            migrate(records, tell=log.debug)  # nobody's tables change
        elif records.kind == "sqlite" and at(records) in (NOTHING, *known()[:-1]):
            migrate_with_copy(records, Path(settings.text("data")))
        require(records)
    finally:
        records.close()


def migrate_with_copy(
    records: SqlRecords, data: Path, to: str = "head", tell: Callable[[str], None] = log.info
) -> "list[Step]":
    """As `migrate`; an SQLite database is copied into `<data>/backups` first."""
    from carcloud.app.schema.steps import migrate

    if records.kind == "sqlite":
        now = "".join(mark for mark in iso(now_us())[:19] if mark.isalnum())
        file = data.absolute() / "backups" / f"records-{at(records)}-{now}.sqlite"
        records.copy_to(file)
        tell(f"records: copied to {file}")
    return migrate(records, to, tell)
