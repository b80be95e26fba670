"""Tables as they were when revisions began.

A database of before has some or all of them already: those stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _audit()
    _audit_heads()
    _sign_in_failures()
    _tenants()
    _invitations()
    _projects()
    _roles()
    _tenant_limits()
    _users()
    _api_keys()
    _grants()
    _recovery_codes()
    _sessions()
    _billing_closings()
    _budget_alerts()
    _budgets()
    _price_books()
    _statements()
    _stored_bytes()
    _usage_hours()
    _usage_positions()
    _usage_processes()
    _usage_seen()
    _storage_buckets()
    _storage_extents()
    _storage_garbage()
    _storage_keys()
    _storage_objects()
    _storage_parts()
    _storage_places()
    _storage_uploads()
    _job_schedules()
    _jobs()
    _job_artifacts()
    _job_attempts()
    _job_edges()
    _vehicle_models()
    _vehicles()
    _vehicle_chips()
    _vehicle_credentials()
    _vehicle_data_keys()
    _vehicle_labels()
    _vehicle_logins()
    _reprocessed()
    _lower_platforms()
    _platform_links()
    _platform_link_retries()


def downgrade() -> None:
    """Remove all tables, and what is in them."""
    for name in (
        "platform_link_retries",
        "platform_links",
        "lower_platforms",
        "reprocessed",
        "vehicle_logins",
        "vehicle_labels",
        "vehicle_data_keys",
        "vehicle_credentials",
        "vehicle_chips",
        "vehicles",
        "vehicle_models",
        "job_edges",
        "job_attempts",
        "job_artifacts",
        "jobs",
        "job_schedules",
        "storage_uploads",
        "storage_places",
        "storage_parts",
        "storage_objects",
        "storage_keys",
        "storage_garbage",
        "storage_extents",
        "storage_buckets",
        "usage_seen",
        "usage_processes",
        "usage_positions",
        "usage_hours",
        "stored_bytes",
        "statements",
        "price_books",
        "budgets",
        "budget_alerts",
        "billing_closings",
        "sessions",
        "recovery_codes",
        "grants",
        "api_keys",
        "users",
        "tenant_limits",
        "roles",
        "projects",
        "invitations",
        "tenants",
        "sign_in_failures",
        "audit_heads",
        "audit",
    ):
        op.drop_table(name)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("denied", sa.Boolean(), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "number"),
        if_not_exists=True,
    )
    op.create_index("audit_of_tenant", "audit", ["tenant", "id"], unique=False, if_not_exists=True)


def _audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
        if_not_exists=True,
    )


def _sign_in_failures() -> None:
    op.create_table(
        "sign_in_failures",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_sign_in_failures_since"),
        "sign_in_failures",
        ["since"],
        unique=False,
        if_not_exists=True,
    )


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=12), server_default="active", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
        if_not_exists=True,
    )


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        if_not_exists=True,
    )


def _roles() -> None:
    op.create_table(
        "roles",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        if_not_exists=True,
    )


def _tenant_limits() -> None:
    op.create_table(
        "tenant_limits",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "name"),
        if_not_exists=True,
    )


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("service", sa.Boolean(), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("external", sa.String(length=300), nullable=True),
        sa.Column("totp", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenants.id"],
        ),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("external"),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_users_tenant"), "users", ["tenant"], unique=False, if_not_exists=True)


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("s3_secret", sa.LargeBinary(), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=120), nullable=False),
        sa.Column("actions", sa.Text(), nullable=True),
        sa.Column("project", sa.String(length=40), nullable=True),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant"],
            ["tenants.id"],
        ),
        sa.ForeignKeyConstraint(["user"], ["users.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_api_keys_tenant"), "api_keys", ["tenant"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_api_keys_user"), "api_keys", ["user"], unique=False, if_not_exists=True
    )


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant", "user", "role", "scope"),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_grants_user"), "grants", ["user"], unique=False, if_not_exists=True)


def _recovery_codes() -> None:
    op.create_table(
        "recovery_codes",
        sa.Column("user", sa.String(length=120), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "hash"),
        if_not_exists=True,
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("user", sa.String(length=120), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("actions", sa.Text(), nullable=True),
        sa.Column("project", sa.String(length=40), nullable=True),
        sa.Column("parent", sa.String(length=16), nullable=True),
        sa.Column("key", sa.String(length=16), nullable=True),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["key"], ["api_keys.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["parent"], ["sessions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user"], ["users.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash"),
        sa.UniqueConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_sessions_expires"), "sessions", ["expires"], unique=False, if_not_exists=True
    )
    op.create_index(op.f("ix_sessions_key"), "sessions", ["key"], unique=False, if_not_exists=True)
    op.create_index(
        op.f("ix_sessions_parent"), "sessions", ["parent"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_sessions_user"), "sessions", ["user"], unique=False, if_not_exists=True
    )


def _billing_closings() -> None:
    op.create_table(
        "billing_closings",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
        if_not_exists=True,
    )


def _budget_alerts() -> None:
    op.create_table(
        "budget_alerts",
        sa.Column("budget", sa.String(length=16), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("budget", "period", "kind", "threshold"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_budget_alerts_tenant"),
        "budget_alerts",
        ["tenant"],
        unique=False,
        if_not_exists=True,
    )


def _budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False),
        sa.Column("project", sa.String(length=60), nullable=True),
        sa.Column("meter", sa.String(length=40), nullable=True),
        sa.Column("thresholds", sa.String(length=200), nullable=False),
        sa.Column("on_forecast", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_budgets_tenant"), "budgets", ["tenant"], unique=False, if_not_exists=True
    )


def _price_books() -> None:
    op.create_table(
        "price_books",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("first_period", sa.Integer(), nullable=False),
        sa.Column("last_period", sa.Integer(), nullable=True),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )


def _statements() -> None:
    op.create_table(
        "statements",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "period"),
        if_not_exists=True,
    )


def _stored_bytes() -> None:
    op.create_table(
        "stored_bytes",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("part", sa.String(length=20), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "part"),
        if_not_exists=True,
    )


def _usage_hours() -> None:
    op.create_table(
        "usage_hours",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("project", sa.String(length=60), nullable=False),
        sa.Column("meter", sa.String(length=40), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "project", "meter", "hour", "period"),
        if_not_exists=True,
    )
    op.create_index(
        "usage_of_period", "usage_hours", ["tenant", "period"], unique=False, if_not_exists=True
    )


def _usage_positions() -> None:
    op.create_table(
        "usage_positions",
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
        if_not_exists=True,
    )


def _usage_processes() -> None:
    op.create_table(
        "usage_processes",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("process", sa.String(length=120), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "process"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_usage_processes_time"),
        "usage_processes",
        ["time"],
        unique=False,
        if_not_exists=True,
    )


def _usage_seen() -> None:
    op.create_table(
        "usage_seen",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_usage_seen_time"), "usage_seen", ["time"], unique=False, if_not_exists=True
    )


def _storage_buckets() -> None:
    op.create_table(
        "storage_buckets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("project", sa.String(length=40), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("versioning", sa.String(length=10), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_buckets_by_tenant",
        "storage_buckets",
        ["tenant", "name"],
        unique=False,
        if_not_exists=True,
    )


def _storage_extents() -> None:
    op.create_table(
        "storage_extents",
        sa.Column("object", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=100), nullable=False),
        sa.Column("sealed_by", sa.String(length=32), nullable=True),
        sa.Column("salt", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("object", "number"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_extents_by_blob", "storage_extents", ["blob"], unique=False, if_not_exists=True
    )


def _storage_garbage() -> None:
    op.create_table(
        "storage_garbage",
        sa.Column("blob", sa.String(length=100), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("blob"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_garbage_by_age", "storage_garbage", ["since"], unique=False, if_not_exists=True
    )


def _storage_keys() -> None:
    op.create_table(
        "storage_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_keys_by_tenant",
        "storage_keys",
        ["tenant", "created"],
        unique=False,
        if_not_exists=True,
    )


def _storage_objects() -> None:
    op.create_table(
        "storage_objects",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("bucket", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("plain", sa.Boolean(), nullable=False),
        sa.Column("marker", sa.Boolean(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(length=40), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("blob", sa.String(length=100), nullable=True),
        sa.Column("sealed_by", sa.String(length=32), nullable=True),
        sa.Column("salt", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_objects_by_blob", "storage_objects", ["blob"], unique=False, if_not_exists=True
    )
    op.create_index(
        "storage_objects_by_key",
        "storage_objects",
        ["bucket", "key", "id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        "storage_objects_latest",
        "storage_objects",
        ["bucket", "key"],
        unique=True,
        sqlite_where=sa.text("latest = 1"),
        postgresql_where=sa.text("latest = 1"),
        if_not_exists=True,
    )


def _storage_parts() -> None:
    op.create_table(
        "storage_parts",
        sa.Column("upload", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=100), nullable=False),
        sa.Column("sealed_by", sa.String(length=32), nullable=True),
        sa.Column("salt", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("upload", "number"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_parts_by_blob", "storage_parts", ["blob"], unique=False, if_not_exists=True
    )


def _storage_places() -> None:
    op.create_table(
        "storage_places",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("options", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
        if_not_exists=True,
    )


def _storage_uploads() -> None:
    op.create_table(
        "storage_uploads",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("bucket", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        "storage_uploads_by_age", "storage_uploads", ["created"], unique=False, if_not_exists=True
    )
    op.create_index(
        "storage_uploads_by_key",
        "storage_uploads",
        ["bucket", "key", "id"],
        unique=False,
        if_not_exists=True,
    )


def _job_schedules() -> None:
    op.create_table(
        "job_schedules",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=60), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("overlap", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("last_us", sa.BigInteger(), nullable=True),
        sa.Column("last_job", sa.String(length=40), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
        if_not_exists=True,
    )
    op.create_index(
        "job_schedules_due", "job_schedules", ["next_us"], unique=False, if_not_exists=True
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("project", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("queue", sa.String(length=40), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("backoff_s", sa.Float(), nullable=False),
        sa.Column("timeout_s", sa.Float(), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("interrupted", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("ready_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("limit", sa.String(length=40), nullable=True),
        sa.Column("cancelling", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.String(length=40), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("runner", sa.String(length=120), nullable=True),
        sa.Column("lease_us", sa.BigInteger(), nullable=True),
        sa.Column("waits", sa.Integer(), nullable=False),
        sa.Column("untold", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        "jobs_by_turn",
        "jobs",
        ["state", "tenant", "priority", "id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index("jobs_of_tenant", "jobs", ["tenant", "id"], unique=False, if_not_exists=True)
    op.create_index("jobs_untold", "jobs", ["untold"], unique=False, if_not_exists=True)


def _job_artifacts() -> None:
    op.create_table(
        "job_artifacts",
        sa.Column("job", sa.String(length=40), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media", sa.String(length=100), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "attempt", "name"),
        if_not_exists=True,
    )


def _job_attempts() -> None:
    op.create_table(
        "job_attempts",
        sa.Column("job", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("limit", sa.String(length=40), nullable=True),
        sa.Column("cpu_seconds", sa.Float(), nullable=False),
        sa.Column("where", sa.String(length=200), nullable=False),
        sa.Column("untold", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "number"),
        if_not_exists=True,
    )
    op.create_index(
        "job_attempts_untold", "job_attempts", ["untold"], unique=False, if_not_exists=True
    )


def _job_edges() -> None:
    op.create_table(
        "job_edges",
        sa.Column("job", sa.String(length=40), nullable=False),
        sa.Column("needs", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["needs"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "needs"),
        if_not_exists=True,
    )
    op.create_index("job_edges_needs", "job_edges", ["needs"], unique=False, if_not_exists=True)


def _vehicle_models() -> None:
    op.create_table(
        "vehicle_models",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("maker", sa.String(length=200), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=False),
        sa.Column("datum", sa.String(length=8), nullable=False),
        sa.Column("current_sign", sa.String(length=12), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        if_not_exists=True,
    )


def _vehicles() -> None:
    op.create_table(
        "vehicles",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("vin", sa.String(length=17), nullable=True),
        sa.Column("model", sa.String(length=40), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.String(length=12), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("vin"),
        if_not_exists=True,
    )
    op.create_index(
        "vehicles_by_id", "vehicles", ["tenant", "id", "search"], unique=False, if_not_exists=True
    )
    op.create_index(
        "vehicles_by_lifecycle",
        "vehicles",
        ["tenant", "lifecycle", "id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        "vehicles_by_model", "vehicles", ["tenant", "model", "id"], unique=False, if_not_exists=True
    )
    op.create_index(
        "vehicles_by_updated",
        "vehicles",
        ["tenant", "updated", "id", "search"],
        unique=False,
        if_not_exists=True,
    )


def _vehicle_chips() -> None:
    op.create_table(
        "vehicle_chips",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("chip_id", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle"),
        if_not_exists=True,
    )
    op.create_index(
        "vehicle_chips_by_chip", "vehicle_chips", ["chip_id"], unique=False, if_not_exists=True
    )


def _vehicle_credentials() -> None:
    op.create_table(
        "vehicle_credentials",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("iccid", sa.String(length=20), nullable=True),
        sa.Column("public_key", sa.LargeBinary(), nullable=True),
        sa.Column("algorithm", sa.String(length=20), nullable=True),
        sa.Column("tls_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("cipher_key", sa.LargeBinary(), nullable=True),
        sa.Column("cipher", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle"),
        if_not_exists=True,
    )


def _vehicle_data_keys() -> None:
    op.create_table(
        "vehicle_data_keys",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("cipher", sa.String(length=20), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle", "received"),
        if_not_exists=True,
    )


def _vehicle_labels() -> None:
    op.create_table(
        "vehicle_labels",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle", "key"),
        if_not_exists=True,
    )
    op.create_index(
        "vehicle_labels_by_value",
        "vehicle_labels",
        ["tenant", "key", "value", "vehicle"],
        unique=False,
        if_not_exists=True,
    )


def _vehicle_logins() -> None:
    op.create_table(
        "vehicle_logins",
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("iccid", sa.String(length=20), nullable=True),
        sa.Column("edition", sa.String(length=20), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vehicle"),
        if_not_exists=True,
    )


def _reprocessed() -> None:
    op.create_table(
        "reprocessed",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("letter", sa.String(length=80), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "letter"),
        if_not_exists=True,
    )


def _lower_platforms() -> None:
    op.create_table(
        "lower_platforms",
        sa.Column("platform_id", sa.String(length=17), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=12), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id"),
        if_not_exists=True,
    )


def _platform_links() -> None:
    op.create_table(
        "platform_links",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("platform_id", sa.String(length=17), nullable=False),
        sa.Column("user", sa.String(length=12), nullable=False),
        sa.Column("password", sa.LargeBinary(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("tls", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("forwarded_seq", sa.BigInteger(), nullable=False),
        sa.Column("forwarded", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.String(length=500), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
        if_not_exists=True,
    )


def _platform_link_retries() -> None:
    op.create_table(
        "platform_link_retries",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("link", sa.String(length=40), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("vehicle", sa.String(length=40), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "link"], ["platform_links.tenant", "platform_links.name"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index(
        "platform_link_retries_by_due",
        "platform_link_retries",
        ["tenant", "link", "due_us"],
        unique=False,
        if_not_exists=True,
    )
