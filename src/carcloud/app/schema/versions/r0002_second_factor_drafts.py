"""Secrets of second factors that were not confirmed yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "second_factor_drafts",
        sa.Column("user", sa.String(length=120), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user"),
        if_not_exists=True,  # a database of before revisions may have it
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("second_factor_drafts")
