"""The tables of the compute service. Times in us since 1970."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),  # grows with time
    Column("tenant", String(40), nullable=False),
    Column("project", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("params", Text, nullable=False),  # JSON
    Column("queue", String(40), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("backoff_s", Float, nullable=False),
    Column("timeout_s", Float, nullable=False),
    Column("cpus", Float, nullable=False),
    Column("memory_mb", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("interrupted", Integer, nullable=False, default=0),  # attempts that were nobody's fault
    Column("actor", String(100), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("ready_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("progress", Float),
    Column("message", String(500), nullable=False, default=""),
    Column("error", Text),
    Column("limit", String(40)),
    Column("cancelling", Boolean, nullable=False, default=False),
    Column("schedule", String(40)),
    Column("result", Text),  # JSON
    Column("metrics", Text, nullable=False, default="{}"),  # JSON
    Column("runner", String(120)),  # which process runs it
    Column("lease_us", BigInteger),  # it is taken for dead after this
    Column("waits", Integer, nullable=False, default=0),  # jobs that must succeed first
    Column("untold", Boolean, nullable=False, default=False),  # its end is not published yet
    Index("jobs_of_tenant", "tenant", "id"),
    Index("jobs_by_turn", "state", "tenant", "priority", "id"),
    Index("jobs_untold", "untold"),
)

edges = Table(
    "job_edges",
    metadata,
    Column("job", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("needs", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("job", "needs"),
    Index("job_edges_needs", "needs"),
)

attempts = Table(
    "job_attempts",
    metadata,
    Column("job", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("outcome", String(20)),
    Column("error", Text),
    Column("limit", String(40)),
    Column("cpu_seconds", Float, nullable=False, default=0.0),
    Column("where", String(200), nullable=False, default=""),
    Column("untold", Boolean, nullable=False, default=False),  # what it used is not published yet
    PrimaryKeyConstraint("job", "number"),
    Index("job_attempts_untold", "untold"),
)

artifacts = Table(
    "job_artifacts",
    metadata,
    Column("job", String(40), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("media", String(100), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("job", "attempt", "name"),
)

schedules = Table(
    "job_schedules",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("name", String(40), nullable=False),
    Column("cron", String(200), nullable=False),
    Column("timezone", String(60), nullable=False),
    Column("job", Text, nullable=False),  # JSON of a NewJob
    Column("enabled", Boolean, nullable=False),
    Column("overlap", Boolean, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("next_us", BigInteger),
    Column("last_us", BigInteger),
    Column("last_job", String(40)),
    Column("actor", String(100), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "name"),
    Index("job_schedules_due", "next_us"),
)
