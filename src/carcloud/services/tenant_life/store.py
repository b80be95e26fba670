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
