"""Records of the compliance service."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

metadata = MetaData()

links = Table(
    "forwarding_links",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("name", String(40), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("platform_id", String(17), nullable=False),
    Column("user", String(12), nullable=False),
    Column("password", String(20), nullable=False),  # the protocol sends it as it is
    Column("tls", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("forwarded_seq", BigInteger, nullable=False, default=0),
    Column("forwarded", BigInteger, nullable=False, default=0),
    Column("refused", BigInteger, nullable=False, default=0),
    Column("expired", BigInteger, nullable=False, default=0),
    Column("connected", Boolean, nullable=False, default=False),
    Column("problem", String(500)),
    Column("updated_us", BigInteger, nullable=False, default=0),
    PrimaryKeyConstraint("tenant", "name"),
)

accounts = Table(
    "platform_accounts",
    metadata,
    Column("platform_id", String(17), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("user", String(12), nullable=False),
    Column("password", String(200), nullable=False),  # argon2
)
