"""The tables of storage. Keys of objects are kept as bytes, so that they sort as S3 sorts them."""

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
    text,
)

metadata = MetaData()
LATEST = text("latest = 1")

buckets = Table(
    "storage_buckets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("tenant", String(40), nullable=False),
    Column("project", String(40), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("versioning", String(10), nullable=False),
    Column("tags", Text, nullable=False),  # JSON
    Column("lifecycle", Text, nullable=False),  # JSON
    Column("objects", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("storage_buckets_by_tenant", "tenant", "name"),
)

objects = Table(
    "storage_objects",
    metadata,
    Column("id", String(32), primary_key=True),  # grows with time; the version id, if there are
    Column("bucket", String(32), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("latest", Integer, nullable=False),  # 1 for one row of each key
    Column("plain", Boolean, nullable=False),  # the version called `null`
    Column("marker", Boolean, nullable=False),  # a delete marker
    Column("modified", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(40), nullable=False),
    Column("headers", Text, nullable=False),  # JSON
    Column("tags", Text, nullable=False),  # JSON
    Column("checksum", Text),  # JSON
    Column("parts", Integer, nullable=False),
    Column("blob", String(100)),  # NULL = see extents
    Column("sealed_by", String(32)),
    Column("salt", String(32)),
    Index(
        "storage_objects_latest", "bucket", "key",
        unique=True, sqlite_where=LATEST, postgresql_where=LATEST,
    ),
    Index("storage_objects_by_key", "bucket", "key", "id"),
    Index("storage_objects_by_blob", "blob"),
)  # fmt: skip

# The blobs of an object that was put in parts.
extents = Table(
    "storage_extents",
    metadata,
    Column("object", String(32), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, without gaps
    Column("start", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("blob", String(100), nullable=False),
    Column("sealed_by", String(32)),
    Column("salt", String(32)),
    PrimaryKeyConstraint("object", "number"),
    Index("storage_extents_by_blob", "blob"),
)

uploads = Table(
    "storage_uploads",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("bucket", String(32), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", String(80), nullable=False),
    Column("headers", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("algorithm", String(10), nullable=False),
    Column("kind", String(12), nullable=False),
    Index("storage_uploads_by_key", "bucket", "key", "id"),
    Index("storage_uploads_by_age", "created"),
)

parts = Table(
    "storage_parts",
    metadata,
    Column("upload", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("md5", String(32), nullable=False),
    Column("checksum", Text),  # JSON
    Column("modified", BigInteger, nullable=False),
    Column("blob", String(100), nullable=False),
    Column("sealed_by", String(32)),
    Column("salt", String(32)),
    PrimaryKeyConstraint("upload", "number"),
    Index("storage_parts_by_blob", "blob"),
)

# Blobs that nothing names any more; they are removed when no reader can be at them.
garbage = Table(
    "storage_garbage",
    metadata,
    Column("blob", String(100), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("since", BigInteger, nullable=False),
    Index("storage_garbage_by_age", "since"),
)

places = Table(
    "storage_places",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("url", Text, nullable=False),
    Column("options", LargeBinary),  # sealed JSON: endpoint and credentials
    Column("sealed", Boolean, nullable=False),
)

# Keys that seal a tenant's bytes, each sealed with the installation's secret.
keys = Table(
    "storage_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Index("storage_keys_by_tenant", "tenant", "created"),
)
