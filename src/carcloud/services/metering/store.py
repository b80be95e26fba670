"""The tables of metering. Hours count from 1970 UTC; a period is a UTC month, YYYYMM."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

hours = Table(
    "usage_hours",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("project", String(60), primary_key=True),
    Column("meter", String(40), primary_key=True),
    Column("hour", Integer, primary_key=True),  # when it was used
    Column("period", Integer, primary_key=True),  # on whose statement it is: later if it came late
    Column("quantity", BigInteger, nullable=False),
    Index("usage_of_period", "tenant", "period"),
)

positions = Table(
    "usage_positions",
    metadata,
    Column("source", String(80), primary_key=True),  # a stream, or a tenant's table in the lake
    Column("position", BigInteger, nullable=False),  # sequence up to which it is counted
)

seen = Table(
    "usage_seen",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("id", String(120), primary_key=True),
    Column("time", BigInteger, nullable=False, index=True),  # us since 1970, of the counting
)

processes = Table(
    "usage_processes",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("process", String(120), primary_key=True),
    Column("number", BigInteger, nullable=False),  # the highest that is counted
    Column("time", BigInteger, nullable=False, index=True),
)

closings = Table(
    "billing_closings",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("period", Integer, nullable=False),  # the last one closed; nothing is added up to it
)

books = Table(
    "price_books",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(40)),  # None = every tenant without one of its own
    Column("name", String(100), nullable=False),
    Column("currency", String(3), nullable=False),  # ISO 4217
    Column("decimals", Integer, nullable=False),  # of amounts
    Column("first_period", Integer, nullable=False),
    Column("last_period", Integer),  # None = until further notice
    Column("prices", Text, nullable=False),  # JSON
    Column("created", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
)

statements = Table(
    "statements",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("period", Integer, primary_key=True),
    Column("closed", BigInteger, nullable=False),
    Column("document", Text, nullable=False),  # JSON, never changed
    Column("digest", String(64), nullable=False),  # sha256 of the document
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(40), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("amount", String(40), nullable=False),  # decimal, in the currency of the price book
    Column("project", String(60)),  # None = all
    Column("meter", String(40)),  # None = all
    Column("thresholds", String(200), nullable=False),  # JSON, percent
    Column("on_forecast", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
)

alerts = Table(
    "budget_alerts",
    metadata,
    Column("budget", String(16), primary_key=True),
    Column("period", Integer, primary_key=True),
    Column("kind", String(10), primary_key=True),  # actual, forecast
    Column("threshold", Integer, primary_key=True),  # percent
    Column("tenant", String(40), nullable=False, index=True),
    Column("amount", String(40), nullable=False),  # when it was reached
    Column("time", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),  # the event is in the stream
)

stored = Table(
    "stored_bytes",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("part", String(20), primary_key=True),  # lake, storage
    Column("bytes", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
)
