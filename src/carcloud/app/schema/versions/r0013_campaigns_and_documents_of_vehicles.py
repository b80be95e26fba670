"""Campaigns and documents of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "campaign_news",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    _versions()
    op.create_table(
        "campaigns",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("approved_version", sa.Integer(), nullable=True),
        sa.Column("running_version", sa.Integer(), nullable=True),
        sa.Column("next_version", sa.Integer(), nullable=True),
        sa.Column("next_percent", sa.Float(), nullable=False),
        sa.Column("expiry_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        info={"versioned": True},
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.create_index("campaigns_by_expiry", ["state", "expiry_us"], unique=False)

    op.create_table(
        "vehicle_checkins",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("told_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "vehicle"),
    )
    op.create_table(
        "vehicle_documents",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=110), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("put_us", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "vehicle", "id"),
    )
    with op.batch_alter_table("vehicle_documents", schema=None) as batch_op:
        batch_op.create_index("vehicle_documents_by_id", ["tenant", "id"], unique=False)

    op.create_table(
        "vehicle_holdings",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=110), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("result", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("counters", sa.Text(), nullable=False),
        sa.Column("told_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "vehicle", "id"),
    )
    with op.batch_alter_table("vehicle_holdings", schema=None) as batch_op:
        batch_op.create_index("vehicle_holdings_by_id", ["tenant", "id"], unique=False)


def _versions() -> None:
    op.create_table(
        "campaign_versions",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("campaign", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.String(length=100), nullable=True),
        sa.Column("approved_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "campaign", "version"),
    )


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("vehicle_holdings", schema=None) as batch_op:
        batch_op.drop_index("vehicle_holdings_by_id")

    op.drop_table("vehicle_holdings")
    with op.batch_alter_table("vehicle_documents", schema=None) as batch_op:
        batch_op.drop_index("vehicle_documents_by_id")

    op.drop_table("vehicle_documents")
    op.drop_table("vehicle_checkins")
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.drop_index("campaigns_by_expiry")

    op.drop_table("campaigns")
    op.drop_table("campaign_versions")
    op.drop_table("campaign_news")
