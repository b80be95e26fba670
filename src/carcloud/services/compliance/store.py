"""Records of the compliance service."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

metadata = MetaData()

links = Table(
    "platform_links",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("name", String(40), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("platform_id", String(17), nullable=False),
    Column("user", String(12), nullable=False),
    Column("password", LargeBinary, nullable=False),  # sealed: the protocol needs it in clear
    Column("edition", Integer, nullable=False),
    Column("tls", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("forwarded_seq", BigInteger, nullable=False, default=0),
    Column("forwarded", BigInteger, nullable=False, default=0),
    Column("refused", BigInteger, nullable=False, default=0),
    Column("expired", BigInteger, nullable=False, default=0),
    Column("connected", Boolean, nullable=False, default=False),
    Column("problem", String(500)),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False, default=0),
    PrimaryKeyConstraint("tenant", "name"),
)

# Frames that were answered with an error and are to be sent again; few, and not for long.
retries = Table(
    "platform_link_retries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(40), nullable=False),
    Column("link", String(40), nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("frame", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "link"], ["platform_links.tenant", "platform_links.name"], ondelete="CASCADE"
    ),
    Index("platform_link_retries_by_due", "tenant", "link", "due_us"),
)

accounts = Table(
    "lower_platforms",
    metadata,
    Column("platform_id", String(17), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("user", String(12), nullable=False),
    Column("password", String(200), nullable=False),  # argon2
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)
