"""Counting failed sign-ins, so that guessing passwords takes for ever."""

import hashlib
import ipaddress

from sqlalchemy import ColumnElement, Connection, delete, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from carcloud.model.time import SECOND
from carcloud.services.tenancy.errors import Throttled
from carcloud.services.tenancy.store import failures

WINDOW_S = 900
# The lowest limit is for one user from one address, so that a stranger cannot lock a user out.
PAIR_LIMIT, ADDRESS_LIMIT, USER_LIMIT = 5, 20, 100
PROVIDER_LIMIT = 300  # sign-ins begun or ended at providers, from one address
CODE_LIMIT = 10  # of one user from anywhere: only who knows the password gets so far


def count_attempt(db: Connection, user: str, address: str, now: int) -> None:
    """Count a try as failed until `forgive`; raises `Throttled` when there were too many."""
    _count(db, _limits(user, address), now)


def count_registration(db: Connection, address: str, now: int, limit: int) -> None:
    """Count a tenant that somebody makes; raises `Throttled` after `limit` from one address."""
    _count(db, {_key("registration", _place(address)): limit}, now)


def count_provider(db: Connection, address: str, now: int) -> None:
    """Count a browser that leaves for a provider or comes back; raises `Throttled`."""
    _count(db, {_key("provider", _place(address)): PROVIDER_LIMIT}, now)


def count_code(db: Connection, user: str, now: int) -> None:
    """As `count_attempt`, of a code of the second factor."""
    _count(db, {_key("code", user): CODE_LIMIT}, now)


def forgive_code(db: Connection, user: str) -> None:
    """The code was good."""
    db.execute(delete(failures).where(failures.c.key == _key("code", user)))


def take_back(db: Connection, user: str, address: str) -> None:
    """The try was neither good nor bad: a code is wanted too."""
    tried = _among(_limits(user, address)) & (failures.c.count > 0)
    db.execute(update(failures).where(tried).values(count=failures.c.count - 1))


def _count(db: Connection, limits: dict[str, int], now: int) -> None:
    db.execute(delete(failures).where(failures.c.since < now - WINDOW_S * SECOND))
    insert = insert_postgresql if db.dialect.name == "postgresql" else insert_sqlite
    for key, limit in sorted(limits.items()):
        count = insert(failures).values(key=key, count=1, since=now)
        more = count.on_conflict_do_update(
            index_elements=[failures.c.key], set_={"count": failures.c.count + 1}
        )
        tries, since = db.execute(more.returning(failures.c.count, failures.c.since)).one()
        if tries > limit:
            raise Throttled(max(1, (since - now) // SECOND + WINDOW_S))


def forgive(db: Connection, user: str, address: str) -> None:
    """The try was good: take it back. Other failures from there, of other users, stay counted."""
    db.execute(delete(failures).where(failures.c.key == _pair(user, address)))
    rest = _among(_limits(user, address)) & (failures.c.count > 0)
    db.execute(update(failures).where(rest).values(count=failures.c.count - 1))


def _limits(user: str, address: str) -> dict[str, int]:
    return {
        _pair(user, address): PAIR_LIMIT,
        _key("address", _place(address)): ADDRESS_LIMIT,
        _key("user", user): USER_LIMIT,
    }


def _pair(user: str, address: str) -> str:
    return _key("pair", user, _place(address))


def _place(address: str) -> str:
    """What one party has of addresses: of IPv6 a whole /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


def _among(limits: dict[str, int]) -> ColumnElement[bool]:
    return failures.c.key.in_(limits)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()
