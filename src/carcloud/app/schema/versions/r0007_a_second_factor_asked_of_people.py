"""A second factor asked of people."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("tenants")}
    if "second_factor" in there:
        return  # a database of before revisions may have it
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("second_factor", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.drop_column("second_factor")
