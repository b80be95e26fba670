"""Messages for vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "vehicle_messages",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("qos", sa.Integer(), nullable=False),
        sa.Column("retained", sa.Boolean(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle", "id"),
    )
    with op.batch_alter_table("vehicle_messages", schema=None) as batch_op:
        batch_op.create_index("vehicle_messages_by_created", ["created", "vehicle"], unique=False)
        batch_op.create_index("vehicle_messages_by_expiry", ["expires"], unique=False)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("vehicle_messages", schema=None) as batch_op:
        batch_op.drop_index("vehicle_messages_by_expiry")
        batch_op.drop_index("vehicle_messages_by_created")

    op.drop_table("vehicle_messages")
