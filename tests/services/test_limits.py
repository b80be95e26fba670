"""Quotas of tenants, on SQLite and PostgreSQL."""

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import LIMIT, LIMITS, UNLIMITED
from carcloud.services.tenancy.api import AuditFilter, Invalid, KnownLimits, Tenancy, Unknown

A, B = Tenant("a"), Tenant("b")


@pytest.fixture
def tenancy(records: SqlRecords) -> Tenancy:
    made = Tenancy(records)
    made.tenants.ensure(A)
    made.tenants.ensure(B)
    return made


def test_the_default_holds_until_a_tenant_has_a_value_of_its_own(tenancy):
    default = LIMIT["vehicles"].default
    assert tenancy.limit(A, "vehicles") == default
    quota = tenancy.limits.set_limit(A, "vehicles", 7, actor="root")
    assert (quota.value, quota.own, quota.actor) == (7, True, "root")
    assert (tenancy.limit(A, "vehicles"), tenancy.limit(B, "vehicles")) == (7, default)
    shown = {each.name: each for each in tenancy.limits.quotas(A)}
    assert list(shown) == [limit.name for limit in LIMITS]
    assert shown["vehicles"].own
    assert not shown["jobs"].own
    tenancy.limits.set_limit(A, "vehicles", None, actor="root")
    assert tenancy.limit(A, "vehicles") == default


def test_a_change_is_audited_with_before_and_after(tenancy):
    tenancy.limits.set_limit(A, "jobs", 0, actor="root")
    tenancy.limits.set_limit(A, "jobs", UNLIMITED, actor="root")
    last, first = tenancy.trail.page(A, AuditFilter(subject="jobs")).items
    assert (first.action, first.actor, first.before) == (
        "quota.set",
        "root",
        {"value": LIMIT["jobs"].default},
    )
    assert (last.before, last.after) == ({"value": 0}, {"value": UNLIMITED})


def test_what_does_not_exist_is_refused(tenancy):
    with pytest.raises(Unknown, match="no limit"):
        tenancy.limit(A, "wishes")
    with pytest.raises(Unknown, match="no limit"):
        tenancy.limits.set_limit(A, "wishes", 1, actor="root")
    with pytest.raises(Unknown, match="no tenant"):
        tenancy.limits.set_limit(Tenant("nobody"), "jobs", 1, actor="root")
    for value in (-1, UNLIMITED + 1):
        with pytest.raises(Invalid):
            tenancy.limits.set_limit(A, "jobs", value, actor="root")


def test_known_limits_answer_from_memory_until_they_are_refreshed(tenancy):
    known = KnownLimits(tenancy.limits)
    assert known.limit(A, "jobs") == LIMIT["jobs"].default
    tenancy.limits.set_limit(A, "jobs", 3, actor="root")
    assert known.limit(A, "jobs") == LIMIT["jobs"].default
    known.refresh()
    assert (known.limit(A, "jobs"), known.limit(B, "jobs")) == (3, LIMIT["jobs"].default)
