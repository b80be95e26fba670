"""Tenancy on SQLite and PostgreSQL, with two tenants and some people."""

import pytest
from argon2 import PasswordHasher

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.services.tenancy.api import SYSTEM, Identity, Passwords, Tenancy

PASSWORD = "correct horse battery"
A, B = Tenant("a"), Tenant("b")
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))  # weak, for tests


class Clock:
    """A clock that moves when told to. us since 1970."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenancy(records: SqlRecords, clock: Clock) -> Tenancy:
    service = Tenancy(records, secret=bytes(32), now=clock, passwords=QUICK)
    for tenant in (A, B):
        service.tenants.ensure(tenant)
    service.people.create(A, "ann", PASSWORD, "operator", by=SYSTEM)
    service.people.create(A, "olga", PASSWORD, "owner", by=SYSTEM)
    service.people.create(B, "bob", PASSWORD, "owner", by=SYSTEM)
    return service


def signed_in(tenancy: Tenancy, user: str) -> Identity:
    """Who that is right now."""
    return tenancy.sessions.sign_in(user, PASSWORD, hours=1).identity
