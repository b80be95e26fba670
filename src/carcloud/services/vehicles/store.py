"""The tables of the registry."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()
_VERSIONED = {"versioned": True}  # `shelf` keeps their rows

# A vehicle id is unique over all tenants: a gateway asks before it knows the tenant.
vehicles = Table(
    "vehicles",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("vin", String(17), unique=True),
    Column("model", String(40)),
    Column("labels", Text, nullable=False),  # JSON object of strings
    Column("lifecycle", String(12), nullable=False),
    Column("protocol", String(40)),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("search", Text, nullable=False),  # lower-case: id, VIN, model, values of labels
    Index("vehicles_by_id", "tenant", "id", "search"),
    Index("vehicles_by_updated", "tenant", "updated", "id", "search"),
    Index("vehicles_by_model", "tenant", "model", "id"),
    Index("vehicles_by_lifecycle", "tenant", "lifecycle", "id"),
    info=_VERSIONED,
)

labels = Table(
    "vehicle_labels",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), nullable=False),
    Column("tenant", String(40), nullable=False),
    Column("key", String(40), nullable=False),
    Column("value", String(200), nullable=False),
    PrimaryKeyConstraint("vehicle", "key"),
    Index("vehicle_labels_by_value", "tenant", "key", "value", "vehicle"),
)

credentials = Table(
    "vehicle_credentials",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), primary_key=True),
    Column("iccid", String(20)),
    Column("public_key", LargeBinary),
    Column("algorithm", String(20)),
    Column("tls_fingerprint", String(64)),
    Column("cipher_key", LargeBinary),  # sealed
    Column("cipher", String(20)),
    Column("token_sha256", LargeBinary),
    Column("token_made", BigInteger),
    info=_VERSIONED,
)

# The security chip of a vehicle, as its activation named it or a person registered it.
chips = Table(
    "vehicle_chips",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), primary_key=True),
    Column("chip_id", String(16), nullable=False),
    Index("vehicle_chips_by_chip", "chip_id"),
    info=_VERSIONED,
)

# Data-unit keys that a vehicle has sent.
data_keys = Table(
    "vehicle_data_keys",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("cipher", String(20), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    PrimaryKeyConstraint("vehicle", "received"),
)

logins = Table(
    "vehicle_logins",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), primary_key=True),
    Column("protocol", String(40), nullable=False),
    Column("address", String(60), nullable=False),
    Column("iccid", String(20)),
    Column("edition", String(20)),
    Column("time", BigInteger, nullable=False),
)

# What waits for a vehicle to be brought down; see `outgoing`.
messages = Table(
    "vehicle_messages",
    metadata,
    Column("vehicle", ForeignKey("vehicles.id", ondelete="CASCADE"), nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("tenant", String(40), nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("retained", Boolean, nullable=False),
    Column("expires", BigInteger),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("vehicle", "id"),
    Index("vehicle_messages_by_created", "created", "vehicle"),
    Index("vehicle_messages_by_expiry", "expires"),
)

models = Table(
    "vehicle_models",
    metadata,
    Column("tenant", String(40), nullable=False),
    Column("id", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("maker", String(200), nullable=False),
    Column("protocol", String(40), nullable=False),
    Column("datum", String(8), nullable=False),
    Column("current_sign", String(12), nullable=False),
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)
