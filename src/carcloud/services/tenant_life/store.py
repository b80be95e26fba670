"""The tables of exports and deletions. Times are us since 1970."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

exports = Table(
    "tenant_exports",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("by", String(120), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("expires", BigInteger),  # when the archive is removed
    Column("attempt", Integer, nullable=False),
    Column("part", String(100), nullable=False),  # what is being copied
    Column("done", BigInteger, nullable=False),  # bytes
    Column("expected", BigInteger, nullable=False),  # bytes, an estimate until it is ready
    Column("blob", String(100)),
    Column("bytes", BigInteger, nullable=False),
    Column("sealed_by", String(32)),
    Column("salt", String(32)),
    Column("sha256", String(64)),
    Column("members", Integer, nullable=False),
    Column("error", Text),
    Index("tenant_exports_of_tenant", "tenant", "created"),
    Index("tenant_exports_by_state", "state", "created"),
)

# No row goes with its tenant: what is left of it is the certificate.
deletions = Table(
    "tenant_deletions",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("asked_by", String(120), nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),  # it does not begin before
    Column("approved_by", String(120)),  # None = somebody else must approve it
    Column("cancelled_by", String(120)),
    Column("step", String(20), nullable=False),
    Column("round", Integer, nullable=False),
    Column("began", BigInteger),
    Column("ended", BigInteger),
    Column("since", BigInteger, nullable=False),  # when the step began
    Column("problem", Text),  # what the step waits for
    Column("marks", Text, nullable=False),  # JSON: what a step noted for itself
    Column("before", Text),  # JSON: what was there
    Column("certificate", Text),  # JSON
    Column("entry", BigInteger),  # number of the entry in the audit of the installation
    Column("entry_hash", String(64)),
    Index("tenant_deletions_of_tenant", "tenant", "asked"),
    Index("tenant_deletions_by_state", "state", "due"),
)
