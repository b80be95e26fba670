"""At which revision the records' tables are, and whether this carcloud can work with it.

Every process asks at its start, so this needs no Alembic: a revision's number begins its file.
"""

from pathlib import Path

import sqlalchemy as sa

from carcloud.engines.records_sql import REVISIONS, SqlRecords
from carcloud.ports.errors import EngineError

FOLDER = Path(__file__).parent
NOTHING = "base"  # a database without tables of ours


class WrongSchema(EngineError):
    """The tables are of another revision than this carcloud works with."""

    engine = "records"


def known() -> list[str]:
    """All revisions, oldest first."""
    return sorted(file.name[1:5] for file in (FOLDER / "versions").glob("r*.py"))


def at(records: SqlRecords) -> str:
    """The revision of a database; `base` where it has none."""
    with records.reading() as db:
        if not sa.inspect(db).has_table(REVISIONS):
            return NOTHING
        found = db.exec_driver_sql(f"SELECT version_num FROM {REVISIONS}").scalar()  # noqa: S608
        return NOTHING if found is None else str(found)


def is_empty(records: SqlRecords) -> bool:
    """Whether the database has no tables at all."""
    with records.reading() as db:
        return not sa.inspect(db).get_table_names()


def require(records: SqlRecords) -> None:
    """Return if this carcloud can work with the tables; else raise `WrongSchema`."""
    now, newest = at(records), known()[-1]
    if now == newest:
        return
    if now != NOTHING and now not in known():
        raise WrongSchema(
            f"the records are at revision {now}, which this carcloud does not know (it knows "
            f"up to {newest}): run the newer carcloud, or go back with its own "
            f"`carcloud migrate --to {newest}` first"
        )
    raise WrongSchema(
        f"the records are at revision {now} and must be at {newest}: take a backup, "
        "then run `carcloud migrate`"
    )
