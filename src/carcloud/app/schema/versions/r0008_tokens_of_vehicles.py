"""Tokens of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table("vehicle_credentials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("token_sha256", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("token_made", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("vehicle_credentials", schema=None) as batch_op:
        batch_op.drop_column("token_made")
        batch_op.drop_column("token_sha256")
