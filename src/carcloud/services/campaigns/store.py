"""The tables of the service. Times in us since 1970."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()
_VERSIONED = {"versioned": True}  # rounds look only after something in them has changed

campaigns = Table(
    "campaigns",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("id", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("state", String(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("approved_version", Integer),
    Column("running_version", Integer),
    Column("next_version", Integer),
    Column("next_percent", Float, nullable=False),
    Column("expiry_us", BigInteger, nullable=False),  # of what is started
    Column("actor", String(100), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("campaigns_by_expiry", "state", "expiry_us"),
    info=_VERSIONED,
)

# A row is never changed but for its approval.
campaign_versions = Table(
    "campaign_versions",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("campaign", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),  # JSON, as vehicles get it
    Column("target", Text, nullable=False),  # JSON
    Column("note", String(200), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("approver", String(100)),
    Column("approved_us", BigInteger),
    PrimaryKeyConstraint("tenant", "campaign", "version"),
)

# Events that are not published yet.
campaign_news = Table(
    "campaign_news",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(40), nullable=False),
    Column("event", String(20), nullable=False),
    Column("body", Text, nullable=False),  # JSON
    sqlite_autoincrement=True,  # a number is never given twice
)

# What is put for each vehicle; the list of documents itself has the id "".
vehicle_documents = Table(
    "vehicle_documents",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("id", String(110), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("put_us", BigInteger, nullable=False),
    Column("problem", String(300), nullable=False),  # why it could not be put
    PrimaryKeyConstraint("tenant", "vehicle", "id"),
    Index("vehicle_documents_by_id", "tenant", "id"),
)

# What each vehicle says that it holds.
vehicle_holdings = Table(
    "vehicle_holdings",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("id", String(110), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("result", String(12), nullable=False),
    Column("reason", String(300), nullable=False),
    Column("counters", Text, nullable=False),  # JSON object
    Column("told_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "vehicle", "id"),
    Index("vehicle_holdings_by_id", "tenant", "id"),
)

vehicle_checkins = Table(
    "vehicle_checkins",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("vehicle", String(40), nullable=False),
    Column("agent", String(40), nullable=False),
    Column("figures", Text, nullable=False),  # JSON object
    Column("told_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "vehicle"),
)
