"""Counting failed sign-ins, so that guessing passwords takes for ever."""

import hashlib

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from carcloud.model.time import SECOND
from carcloud.services.tenancy.errors import Throttled
from carcloud.services.tenancy.store import failures

WINDOW_S = 900
# The lowest limit is for one user from one address, so that a stranger cannot lock a user out.
PAIR_LIMIT, ADDRESS_LIMIT, USER_LIMIT = 5, 20, 100


def count_attempt(db: Connection, user: str, address: str, now: int) -> None:
    """Count a try as failed until `forgive`; raises `Throttled` when there were too many."""
    db.execute(delete(failures).where(failures.c.since < now - WINDOW_S * SECOND))
    limits = _limits(user, address)
    query = select(failures.c.key, failures.c.count, failures.c.since)
    known = {key: (count, since) for key, count, since in db.execute(query.where(_among(limits)))}
    for key, limit in limits.items():
        count, since = known.get(key, (0, now))
        if count >= limit:
            raise Throttled(max(1, (since - now) // SECOND + WINDOW_S))
    for key in limits:
        if key in known:
            row = update(failures).where(failures.c.key == key)
            db.execute(row.values(count=failures.c.count + 1))
        else:
            db.execute(insert(failures).values(key=key, count=1, since=now))


def forgive(db: Connection, user: str, address: str) -> None:
    """The try was good: forget what was counted with it."""
    db.execute(delete(failures).where(_among(_limits(user, address))))


def _limits(user: str, address: str) -> dict[str, int]:
    return {
        _key("pair", user, address): PAIR_LIMIT,
        _key("address", address): ADDRESS_LIMIT,
        _key("user", user): USER_LIMIT,
    }


def _among(limits: dict[str, int]) -> ColumnElement[bool]:
    return failures.c.key.in_(limits)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()
