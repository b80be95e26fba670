"""Commands and states of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "commands",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=True),
        sa.Column("received_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("untold", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("tenant", "key"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.create_index("commands_by_end", ["ended_us"], unique=False)
        batch_op.create_index("commands_by_expiry", ["state", "expires_us"], unique=False)
        batch_op.create_index("commands_of_tenant", ["tenant", "number"], unique=False)
        batch_op.create_index("commands_of_vehicle", ["tenant", "vehicle", "number"], unique=False)
        batch_op.create_index("commands_waiting", ["state", "vehicle", "number"], unique=False)
        batch_op.create_index("commands_untold", ["untold"], unique=False)

    op.create_table(
        "vehicle_states",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("desired", sa.Text(), nullable=False),
        sa.Column("reported", sa.Text(), nullable=False),
        sa.Column("desired_version", sa.Integer(), nullable=False),
        sa.Column("reported_version", sa.Integer(), nullable=False),
        sa.Column("desired_us", sa.BigInteger(), nullable=True),
        sa.Column("reported_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "vehicle"),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("vehicle_states")
    with op.batch_alter_table("commands", schema=None) as batch_op:
        batch_op.drop_index("commands_untold")
        batch_op.drop_index("commands_waiting")
        batch_op.drop_index("commands_of_vehicle")
        batch_op.drop_index("commands_of_tenant")
        batch_op.drop_index("commands_by_expiry")
        batch_op.drop_index("commands_by_end")

    op.drop_table("commands")
