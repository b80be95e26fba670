"""The chain of audit entries: whatever is altered, removed or put in shows."""

from typing import Any

import pytest
from sqlalchemy import text

from carcloud.engines.records_sql import SqlRecords
from carcloud.services.tenancy.api import (
    SYSTEM,
    AuditEntry,
    AuditFilter,
    AuditOrigin,
    Tenancy,
    record_changes,
)
from tests.services.tenancy.conftest import A, B, signed_in


def _write(records: SqlRecords, count: int) -> None:
    for number in range(count):
        with records.transaction() as db:
            entry = AuditEntry(A, "ann", "vehicle.change", f"v{number}", {"n": 1}, {"n": "二"})
            record_changes(db, [entry])


def test_entries_are_told_newest_first_in_pages(tenancy: Tenancy, records: SqlRecords) -> None:
    _write(records, 5)
    page = tenancy.trail.page(A, limit=4)
    assert [entry.subject for entry in page.items] == ["v4", "v3", "v2", "v1"]
    rest = tenancy.trail.page(A, before=page.next_before, limit=50)
    assert rest.items[0].subject == "v0"
    assert rest.next_before is None
    assert rest.items[0].after == {"n": "二"}
    assert [entry.number for entry in reversed([*page.items, *rest.items])] == list(range(1, 10))
    assert tenancy.trail.page(B).items[-1].action == "user.create"


def test_entries_are_searched(tenancy: Tenancy, records: SqlRecords) -> None:
    _write(records, 3)

    def found(**which: Any) -> int:
        return len(tenancy.trail.page(A, AuditFilter(**which)).items)

    assert found(subject="v1") == 1
    assert found(action="vehicle.change") == 3
    assert found(action="user.*") == 2
    assert found(action="%") == 0
    assert found(actor="ann") == 3
    assert found(denied=True) == 0
    newest = tenancy.trail.page(A).items[0].time
    assert found(until=newest) < found(until=newest + 1)
    assert found(since=newest) >= 1


def test_entries_tell_where_a_request_came_from(tenancy: Tenancy) -> None:
    with AuditOrigin("192.0.2.7", "req-1"):
        tenancy.tenants.rename(A, "Another", actor="olga")
    tenancy.tenants.rename(A, "Again", actor="olga")
    last, before = tenancy.trail.page(A, limit=2).items
    assert (before.address, before.request) == ("192.0.2.7", "req-1")
    assert (last.address, last.request) == ("", "")


def test_an_untouched_chain_is_whole(tenancy: Tenancy, records: SqlRecords) -> None:
    _write(records, 3)
    signed_in(tenancy, "olga")
    anchors = {name: [(number, hashed)] for name, number, hashed in tenancy.trail.heads()}
    _write(records, 1)
    reports = tenancy.trail.verify(anchors=anchors)
    assert {report.tenant for report in reports} >= {A, B}
    assert all(report.faults == [] for report in reports)


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE tenant = 'a' AND number = 4", "entry 4"),
        ("UPDATE audit SET after = NULL WHERE tenant = 'a' AND number = 4", "entry 4"),
        ("UPDATE audit SET denied = (1 = 1) WHERE tenant = 'a' AND number = 5", "entry 5"),
        ("DELETE FROM audit WHERE tenant = 'a' AND number = 4", "entry 4 is missing"),
        ("DELETE FROM audit WHERE tenant = 'a' AND number = 6", "ends at entry 5, and should at 6"),
        ("UPDATE audit SET number = 9 WHERE tenant = 'a' AND number = 6", "entry 6 is missing"),
        ("DELETE FROM audit WHERE tenant = 'a'", "should at 6"),
    ],
)
def test_tampering_shows(tenancy: Tenancy, records: SqlRecords, tampering: str, said: str) -> None:
    _write(records, 2)
    with records.transaction() as db:
        assert db.execute(text(tampering)).rowcount >= 1
    [report] = tenancy.trail.verify(A)
    assert any(said in fault for fault in report.faults), report.faults


def test_a_chain_that_was_made_anew_shows_against_what_was_noted(
    tenancy: Tenancy, records: SqlRecords
) -> None:
    _write(records, 2)
    noted = {name: [(number, hashed)] for name, number, hashed in tenancy.trail.heads()}
    with records.transaction() as db:
        entries = list(reversed(tenancy.trail.page(A).items))
        db.execute(text("DELETE FROM audit WHERE tenant = 'a'"))
        db.execute(text("DELETE FROM audit_heads WHERE tenant = 'a'"))
        record_changes(db, [entry for entry in entries if entry.subject != "v0"])
    assert tenancy.trail.verify(A)[0].faults == []
    assert tenancy.trail.verify(A, noted)[0].faults == ["entry 6 was noted and is missing"]
    _write(records, 1)
    assert tenancy.trail.verify(A, noted)[0].faults == ["entry 6 is not the one that was noted"]


def test_changes_of_rights_are_recorded(tenancy: Tenancy) -> None:
    tenancy.grants.create_role(A, "look", "Look", frozenset({"vehicles:read"}), by=SYSTEM)
    tenancy.grants.grant(A, "ann", "look", by=SYSTEM)
    key = tenancy.keys.create(A, "olga", "k", by=signed_in(tenancy, "olga"))
    tenancy.keys.revoke(A, key.key.id, by=SYSTEM)
    told = [entry.action for entry in tenancy.trail.page(A).items]
    wanted = ["key.revoke", "key.create", "session.begin", "grant.create", "role.create"]
    assert told[:5] == wanted


def test_texts_that_no_database_takes_are_kept_readable(
    tenancy: Tenancy, records: SqlRecords
) -> None:
    with records.transaction() as db:
        record_changes(db, [AuditEntry(A, "a\x00b", "x.y", "\ud800/\n", {"k": "\ud800\x00"})])
    [entry] = tenancy.trail.page(A, limit=1).items
    assert (entry.actor, entry.subject) == ("a?b", "?/?")
    assert tenancy.trail.verify(A)[0].faults == []
