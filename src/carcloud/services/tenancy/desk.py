"""What the parts of tenancy share."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.ports.records import Records
from carcloud.services.tenancy import audit
from carcloud.services.tenancy.errors import Unknown
from carcloud.services.tenancy.passwords import Passwords
from carcloud.services.tenancy.seal import Seal
from carcloud.services.tenancy.store import tenants
from carcloud.services.tenancy.types import AuditEntry, TenantState

USER = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
ID = re.compile(r"[0-9a-f]{16}")
HOUR = 3_600_000_000  # us


@dataclass(frozen=True, slots=True)
class Desk:
    """Engines and helpers of the service. `now` is a clock in us since 1970."""

    records: Records
    now: Callable[[], int]
    seal: Seal
    passwords: Passwords


def new_id() -> str:
    """16 hexadecimal digits."""
    return secrets.token_hex(8)


def hashed(token: str) -> str:
    """Tokens are 256 random bits: a plain hash hides them as well as a slow one."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def listed(names: frozenset[str] | None) -> str | None:
    """A set of actions as it is kept."""
    return None if names is None else json.dumps(sorted(names))


def unlisted(text: str | None) -> frozenset[str] | None:
    """The reverse of `listed`."""
    return None if text is None else frozenset(json.loads(text))


def known_tenant(db: Connection, tenant: Tenant) -> None:
    """Raises `Unknown` where there is no such tenant; else it stays until the transaction ends."""
    there = (tenants.c.id == tenant) & (tenants.c.state != TenantState.DELETED.value)
    query = select(tenants.c.id).where(there).with_for_update(read=True)
    if db.execute(query).first() is None:
        raise Unknown(f"there is no tenant {tenant!r}")


def note(
    db: Connection,
    tenant: Tenant,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """One audit entry in the open transaction."""
    audit.append(db, [AuditEntry(tenant, actor, action, subject, before, after)])
