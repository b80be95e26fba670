"""Deletions of tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "tenant_deletions",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("asked_by", sa.String(length=120), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=120), nullable=True),
        sa.Column("cancelled_by", sa.String(length=120), nullable=True),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("entry", sa.BigInteger(), nullable=True),
        sa.Column("entry_hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("tenant_deletions", schema=None) as batch_op:
        batch_op.create_index("tenant_deletions_by_state", ["state", "due"], unique=False)
        batch_op.create_index("tenant_deletions_of_tenant", ["tenant", "asked"], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("tenant_deletions", schema=None) as batch_op:
        batch_op.drop_index("tenant_deletions_of_tenant")
        batch_op.drop_index("tenant_deletions_by_state")

    op.drop_table("tenant_deletions")
