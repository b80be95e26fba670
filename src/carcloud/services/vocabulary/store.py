"""The table of overlays. Times in us since 1970."""

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()

# The one with the highest version holds; a row is never changed.
overlays = Table(
    "signal_overlays",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("note", String(200), nullable=False),
    Column("text", Text, nullable=False),  # vspec, YAML or JSON, as it was given
    PrimaryKeyConstraint("tenant", "version"),
    info={"versioned": True},
)
