"""The tables of tenancy."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),  # us since 1970, as everywhere
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("tenant", String(40), ForeignKey("tenants.id"), nullable=False, index=True),
    Column("password", String(200), nullable=False),  # argon2id, encoded with its parameters
    Column("role", String(20), nullable=False),
    Column("created", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),  # sha256 of the token, hexadecimal
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("tenant", String(40), ForeignKey("tenants.id"), nullable=False, index=True),
    Column("role", String(20), nullable=False),
    Column("user", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
)

failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", String(64), primary_key=True),  # sha256 of what is counted
    Column("count", Integer, nullable=False),
    Column("since", BigInteger, nullable=False, index=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("tenant", String(40), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("before", Text),  # JSON
    Column("after", Text),
    Index("audit_of_tenant", "tenant", "id"),
)
