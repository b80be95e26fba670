"""Write the revision that leads from the newest one to what the services expect now.

`./dev migration "what it does"` calls it. Read the draft: data that must move is for you to write.
"""

import re
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from carcloud.app.schema import revision, steps
from carcloud.app.schema.tables import TABLES
from carcloud.engines.records_sql import SqlRecords

_MODULE = '''"""{what}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """Forward."""
    {forward}


def downgrade() -> None:
    """Back."""
    {back}
'''


def draft(what: str, folder: Path = revision.FOLDER / "versions") -> Path | None:
    """Write the revision and return its file; None where nothing has changed."""
    with tempfile.TemporaryDirectory() as place:
        records = SqlRecords(f"sqlite:///{Path(place) / 'records.sqlite'}")
        steps.migrate(records)
        before = steps.state(records).at
        with records.migrating() as db:
            context = MigrationContext.configure(db, opts={"target_metadata": list(TABLES)})
            if not compare_metadata(context, TABLES):
                return None
            found = produce_migrations(context, TABLES)
        records.close()
    assert found.upgrade_ops is not None  # noqa: S101 - one database, so one list
    assert found.downgrade_ops is not None  # noqa: S101
    number = f"{int(before) + 1:04d}"
    name = re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_")
    file = folder / f"r{number}_{name}.py"
    forward, back = (
        "\n".join(
            line
            for line in render_python_code(ops, render_as_batch=True).splitlines()
            if "###" not in line
        ).strip()
        for ops in (found.upgrade_ops, found.downgrade_ops)
    )
    file.write_text(
        _MODULE.format(what=what, revision=number, before=before, forward=forward, back=back)
    )
    return file


if __name__ == "__main__":
    written = draft(sys.argv[1])
    print(written or "nothing has changed")
