"""The number that grows when versioned tables change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "record_versions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,  # a store that was opened before it had revisions made it
    )
    op.execute("INSERT INTO record_versions VALUES (1, 0) ON CONFLICT DO NOTHING")


def downgrade() -> None:
    """Back."""
    op.drop_table("record_versions")
