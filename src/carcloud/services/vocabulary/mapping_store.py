"""The tables of models' mappings. Times in us since 1970."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from carcloud.services.vocabulary.store import metadata

# The one with the highest version holds; a row is never changed.
mappings = Table(
    "model_mappings",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("note", String(200), nullable=False),
    Column("text", Text, nullable=False),  # YAML or JSON, as it was given
    Column("dbc", JSON, nullable=False),  # [file name, sha256] of each, as the text names them
    PrimaryKeyConstraint("tenant", "model", "version"),
    info={"versioned": True},
)

# By content: versions of a mapping share them.
dbc_texts = Table(
    "model_dbc_texts",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "sha256"),
)
