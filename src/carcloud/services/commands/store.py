"""The tables of the service. Times in us since 1970."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

commands = Table(
    "commands",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("tenant", String(40), nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("name", String(40), nullable=False),
    Column("arguments", Text, nullable=False),  # JSON object, secrets hidden
    Column("sealed", LargeBinary),  # all arguments where some are secret, until the end
    Column("digest", String(64)),  # of all arguments where some are secret: HMAC-SHA-256
    Column("state", String(12), nullable=False),
    Column("reason", String(500), nullable=False, default=""),
    Column("result", Text),  # JSON
    Column("actor", String(100), nullable=False),
    Column("key", String(100)),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("sent_us", BigInteger),
    Column("received_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("untold", Boolean, nullable=False, default=False),  # its end is not published yet
    UniqueConstraint("tenant", "key"),
    Index("commands_of_vehicle", "tenant", "vehicle", "number"),
    Index("commands_of_tenant", "tenant", "number"),
    Index("commands_waiting", "state", "vehicle", "number"),
    Index("commands_by_expiry", "state", "expires_us"),
    Index("commands_untold", "untold"),
    Index("commands_by_end", "ended_us"),
    sqlite_autoincrement=True,  # a number is never given twice
)

vehicle_states = Table(
    "vehicle_states",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("desired", Text, nullable=False),  # JSON object
    Column("reported", Text, nullable=False),  # JSON object
    Column("desired_version", Integer, nullable=False),
    Column("reported_version", Integer, nullable=False),
    Column("desired_us", BigInteger),
    Column("reported_us", BigInteger),
    PrimaryKeyConstraint("tenant", "vehicle"),
)
