"""Sealed arguments of commands."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Forward. Commands that have ended do not need their passwords any more."""
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("digest", sa.String(64), nullable=True))
    op.execute(
        "UPDATE commands SET arguments = '{}' "
        "WHERE ended_us IS NOT NULL AND lower(arguments) LIKE '%password%'"
    )


def downgrade() -> None:
    """Back. What is sealed would be sent without its passwords, so it ends."""
    ended = sa.text(
        "UPDATE commands SET state = 'cancelled', ended_us = :now, untold = :yes, "
        "reason = 'its passwords were sealed by a newer version' WHERE sealed IS NOT NULL"
    )
    op.get_bind().execute(ended, {"now": time.time_ns() // 1000, "yes": True})
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.drop_column("digest")
        batch_op.drop_column("sealed")
