"""Records in a backup: the rows of every table, in whatever database they lie."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from carcloud.app.backup.folder import Reader, Writer, packed, unpacked
from carcloud.app.schema.steps import migrate
from carcloud.engines.records_sql import REVISIONS, SqlRecords

_ROWS = 500  # written at a time


def save(records: SqlRecords, into: Writer) -> dict[str, int]:
    """Write all tables as they are at one moment; returns their rows."""
    counts: dict[str, int] = {}
    with records.reading() as db:
        for table in _tables(db):
            counts[str(table.name)] = 0

            def rows(table: sa.Table = table) -> Iterator[list[Any]]:
                yield [str(column.name) for column in table.columns]
                for row in db.execute(sa.select(table)).yield_per(_ROWS):
                    counts[str(table.name)] += 1
                    yield list(row)

            into.write(f"records/{table.name}.rows", packed(rows()))
    return counts


def load(records: SqlRecords, source: Reader) -> None:
    """Make the tables at the backup's revision, fill them, and go on to the newest revision."""
    migrate(records, source.manifest.revision)
    with records.migrating() as db:
        tables = _tables(db)
        for table in reversed(tables):
            db.execute(table.delete())  # a revision may have put rows into its tables
        for table in tables:
            rows = unpacked(source.pieces(f"records/{table.name}.rows"))
            names = next(rows)
            batch: list[dict[str, Any]] = []
            for row in rows:
                batch.append(dict(zip(names, row, strict=True)))
                if len(batch) == _ROWS:
                    db.execute(table.insert(), batch)
                    batch = []
            if batch:
                db.execute(table.insert(), batch)
            if records.kind == "postgresql":
                _go_on_counting(db, table)
    migrate(records)


def _tables(db: sa.Connection) -> list[sa.Table]:
    """The tables that are there, those first that others refer to."""
    found = sa.MetaData()
    found.reflect(db)
    return [table for table in found.sorted_tables if table.name != REVISIONS]


def _go_on_counting(db: sa.Connection, table: sa.Table) -> None:
    """Sequences of PostgreSQL do not move with rows that bring their number."""
    for column in table.primary_key.columns:
        if isinstance(column.type, sa.Integer):
            name = db.execute(
                sa.text("SELECT pg_get_serial_sequence(:table, :column)"),
                {"table": table.name, "column": column.name},
            ).scalar_one()
            most = db.execute(sa.select(sa.func.max(column))).scalar_one()
            if name and most is not None:
                db.execute(sa.text("SELECT setval(:name, :most)"), {"name": name, "most": most})
