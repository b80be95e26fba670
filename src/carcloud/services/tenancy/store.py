"""The tables of tenancy. Times are us since 1970, as everywhere."""

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
    UniqueConstraint,
    false,
)

metadata = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows with Integer only

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("state", String(12), nullable=False, server_default="active"),
    Column("created", BigInteger, nullable=False),
    Column("second_factor", Boolean, nullable=False, server_default=false()),  # asked of people
)

projects = Table(
    "projects",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("id", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

# People and service accounts. A person's name is unique over the installation; a service
# account is called `<name>@<tenant>`.
users = Table(
    "users",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("tenant", String(40), ForeignKey("tenants.id"), nullable=False, index=True),
    Column("service", Boolean, nullable=False),
    Column("password", String(200)),  # argon2id, encoded with its parameters
    Column("note", String(200), nullable=False),  # e-mail of a person, purpose of a service
    Column("external", String(300), unique=True),  # `<issuer> <subject>` of OpenID Connect
    Column("totp", LargeBinary),  # sealed secret
    Column("totp_step", BigInteger, nullable=False),  # the last one used: no code works twice
    Column("disabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)

# Single-use codes for a lost second factor.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("hash", String(64), nullable=False),
    PrimaryKeyConstraint("user", "hash"),
)

# Secrets that were shown and not confirmed yet.
second_factor_drafts = Table(
    "second_factor_drafts",
    metadata,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("created", BigInteger, nullable=False),
)

roles = Table(
    "roles",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("id", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("actions", Text, nullable=False),  # JSON list
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(40), nullable=False),  # `*` = the installation
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String(40), nullable=False),
    Column("scope", String(300), nullable=False),  # as types.Scope.text: empty = all of it
    Column("created", BigInteger, nullable=False),
    Column("by", String(120), nullable=False),
    UniqueConstraint("tenant", "user", "role", "scope"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),  # sha256 of the token, hexadecimal
    Column("id", String(16), nullable=False, unique=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("tenant", String(40), nullable=False),
    Column("actions", Text),  # JSON list of a short-lived token; null = all that the user may
    Column("project", String(40)),  # of a short-lived token; null = all
    # What a short-lived token was made from: it ends with that.
    Column("parent", ForeignKey("sessions.id", ondelete="CASCADE"), index=True),
    Column("key", ForeignKey("api_keys.id", ondelete="CASCADE"), index=True),
    Column("address", String(60), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)

keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("hash", String(64), nullable=False),  # sha256 of the whole key
    Column("s3_secret", LargeBinary),  # sealed: signatures need the secret itself
    Column("name", String(100), nullable=False),
    Column("tenant", String(40), ForeignKey("tenants.id"), nullable=False, index=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("actions", Text),  # JSON list; null = all that its user may
    Column("project", String(40)),  # null = all
    Column("by", String(120), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("used", BigInteger),  # last use, to the minute
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("note", String(200), nullable=False),  # whom it is for
    Column("role", String(40), nullable=False),
    Column("scope", String(300), nullable=False),
    Column("by", String(120), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# OpenID Connect providers at which people sign in.
login_providers = Table(
    "login_providers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(40), nullable=False, index=True),  # `*` = for people of all tenants
    Column("name", String(100), nullable=False),
    Column("issuer", String(200), nullable=False),
    Column("client", String(200), nullable=False),
    Column("secret", LargeBinary),  # sealed; null = a public client
    Column("rules", Text, nullable=False),  # JSON, see types.ProviderRules
    Column("by", String(120), nullable=False),
    Column("created", BigInteger, nullable=False),
)

# Sign-ins at providers that came back: none is taken twice.
spent_sign_ins = Table(
    "spent_sign_ins",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("expires", BigInteger, nullable=False, index=True),
)

failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", String(64), primary_key=True),  # sha256 of what is counted
    Column("count", Integer, nullable=False),
    Column("since", BigInteger, nullable=False, index=True),
)

# Each entry holds the hash of the one before it: see audit.py.
audit = Table(
    "audit",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("number", BigInteger, nullable=False),  # of the tenant's entries, from 1
    Column("time", BigInteger, nullable=False),
    Column("actor", String(120), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("before", Text),  # JSON
    Column("after", Text),
    Column("denied", Boolean, nullable=False),
    Column("address", String(60), nullable=False),
    Column("request", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_of_tenant", "tenant", "id"),
    UniqueConstraint("tenant", "number"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", String(40), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
