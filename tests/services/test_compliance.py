"""Forwarding links and platform accounts, on the real lake and both databases."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from carcloud.engines.lake_delta import Care, DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, SECOND
from carcloud.ports.lake import TableRef
from carcloud.services.compliance.api import (
    Batch,
    Compliance,
    InvalidLink,
    LinkChange,
    LinkChanged,
    LinkExists,
    LinkSpec,
    PlatformAccounts,
    PlatformTaken,
    Progress,
    UnknownLink,
    UnknownPlatform,
)
from carcloud.services.compliance.backlog import Backlog
from carcloud.services.tenancy.api import AuditFilter, Tenancy

T, OTHER = Tenant("default"), Tenant("other")
NOW = 1_760_000_000 * SECOND
SECRET = bytes(range(32))
EAGER = Care(fan_in=2, settle=0, row_group_rows=1024)


class Site:
    """The service on engines of its own, with a clock that a test sets."""

    def __init__(self, root: Path, records: SqlRecords) -> None:
        self.now = NOW
        self.records = records
        self.lake = DeltaLake(root, EAGER)
        self.tenancy = Tenancy(records)
        self.tenancy.tenants.ensure(T)
        self.tenancy.tenants.ensure(OTHER)
        self.compliance = self.make(SECRET)
        self.accounts = PlatformAccounts(records)

    def make(self, secret: bytes | None) -> Compliance:
        return Compliance(
            self.records, self.lake, secret=secret, frames_days=30, now=lambda: self.now
        )

    def store(self, seq: int, *frames: tuple[str, str, int]) -> None:
        """Frames of (vehicle, kind, us before `NOW`) as one stream message."""
        times = [NOW - age for _, _, age in frames]
        table = pa.table(
            {
                "vehicle": [vehicle for vehicle, _, _ in frames],
                "time": pa.array(times, pa.timestamp("us", "UTC")),
                "received": pa.array(times, pa.timestamp("us", "UTC")),
                "seq": pa.array([seq] * len(frames), pa.int64()),
                "protocol": ["gbt32960"] * len(frames),
                "kind": [kind for _, kind, _ in frames],
                "frame": pa.array([f"{seq}-{v}-{age}".encode() for v, _, age in frames]),
            }
        )
        self.lake.append(TableRef(T, "frames"), table, writer="ingest", seq=seq)

    def actions(self, subject: str) -> list[str]:
        return [
            entry.action for entry in self.tenancy.trail.page(T, AuditFilter(subject=subject)).items
        ]


@pytest.fixture
def site(records: SqlRecords, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "lake", records)
    yield site
    site.lake.close()


def link(name: str = "upper", **given: object) -> LinkSpec:
    fields = {
        "name": name, "host": "127.0.0.1", "port": 32960, "platform_id": "LOWER1",
        "user": "user01", "password": "secret of link", **given,
    }  # fmt: skip
    return LinkSpec(**fields)  # type: ignore[arg-type]


def drained(compliance: Compliance, name: str, limit: int) -> list[Batch]:
    """All batches, each answered with success."""
    batches = []
    while (batch := compliance.next(T, name, limit)) is not None:
        batches.append(batch)
        compliance.advance(T, name, batch, Progress(forwarded=len(batch.frames)))
    return batches


def test_a_link_forwards_what_comes_after_it_was_made(site):
    site.store(3, ("A", "realtime", 0))
    assert site.compliance.add(T, link(), actor="eva").forwarded_seq == 3
    assert site.compliance.next(T, "upper") is None
    site.store(4, ("B", "realtime", 5), ("A", "login", 7), ("A", "heartbeat", 8))
    site.store(6, ("C", "logout", 0), ("C", "reissue", 0))
    (batch,) = drained(site.compliance, "upper", 100)
    assert batch.seq == 6
    assert [(f.seq, f.vehicle, f.kind) for f in batch.frames] == [
        (4, "A", "login"), (4, "B", "realtime"), (6, "C", "logout"), (6, "C", "reissue"),
    ]  # fmt: skip
    assert batch.frames[1].raw == b"4-B-5"
    assert batch.frames[1].time_us == NOW - 5
    state = site.compliance.state(T, "upper")
    assert (state.forwarded, state.forwarded_seq, state.updated_us) == (4, 6, NOW)


def test_what_was_not_recorded_is_handed_out_again(site):
    site.compliance.add(T, link(), actor="eva")
    for seq in range(1, 6):
        site.store(seq, ("A", "realtime", seq))
    first = site.compliance.next(T, "upper", 2)
    assert first == site.compliance.next(T, "upper", 2)
    assert first == site.make(SECRET).next(T, "upper", 2)
    assert first is not None
    assert first.seq == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    piece=st.integers(1, 12),
    limit=st.integers(1, 7),
    merged=st.booleans(),
    start=st.integers(0, 5),
)
def test_batches_are_whole_messages_in_order_and_leave_nothing_out(
    tmp_path_factory, sizes, piece, limit, merged, start
):
    root = tmp_path_factory.mktemp("backlog")
    site = Site(root / "lake", SqlRecords(f"sqlite:///{root / 'r.sqlite'}"))
    for seq, size in enumerate(sizes, 1):
        frames = [(f"V{n}", "heartbeat" if n == 8 else "realtime", n * DAY) for n in range(size)]
        site.store(seq, *frames)
    if merged:
        site.lake.upkeep(TableRef(T, "frames"), keep_days=None)
    backlog, done, sent = Backlog(site.lake, T, piece_rows=piece), start, []
    while (batch := backlog.after(done, limit)) is not None:
        assert batch.seq > done
        seqs = [frame.seq for frame in batch.frames]
        assert seqs == sorted(seqs)
        assert all(done < seq <= batch.seq for seq in seqs)
        assert len(seqs) <= limit or max(seqs.count(seq) for seq in seqs) + limit > len(seqs)
        sent += [(frame.seq, frame.vehicle) for frame in batch.frames]
        done = batch.seq
    expected = [
        (seq, f"V{n}") for seq, size in enumerate(sizes, 1) for n in range(min(size, 8))
        if seq > start
    ]  # fmt: skip
    assert sorted(sent) == expected
    site.records.close()


def test_frames_answered_with_an_error_have_their_turn_again(site):
    site.compliance.add(T, link(), actor="eva")
    site.store(1, ("A", "realtime", 0), ("B", "realtime", 1))
    site.store(2, ("A", "realtime", 2))
    batch = site.compliance.next(T, "upper", 1)
    bad = [_tried(frame) for frame in batch.frames if frame.vehicle == "A"]
    later = Progress(forwarded=1, again=bad, again_at_us=NOW + 60 * SECOND)
    site.compliance.advance(T, "upper", batch, later)
    assert site.compliance.wait(site.compliance.state(T, "upper")).again == 1
    (fresh,) = drained(site.compliance, "upper", 10)
    assert [frame.seq for frame in fresh.frames] == [2]
    site.now += 61 * SECOND
    due = site.compliance.next(T, "upper", 10)
    assert [(f.seq, f.vehicle, f.tries, f.raw) for f in due.frames] == [(1, "A", 1, b"1-A-0")]
    assert due.seq == 2
    site.compliance.advance(T, "upper", due, Progress(refused=1))
    assert site.compliance.next(T, "upper", 10) is None
    state = site.compliance.state(T, "upper")
    assert (state.forwarded, state.refused) == (2, 1)


def _tried(frame):
    return msgspec.structs.replace(frame, tries=frame.tries + 1)


def test_very_many_refused_frames_hold_the_fresh_ones_back(site, monkeypatch):
    monkeypatch.setattr("carcloud.services.compliance.api.MOST_RETRIES", 2)
    site.compliance.add(T, link(), actor="eva")
    site.store(1, *[("A", "realtime", age) for age in range(2)])
    site.store(2, ("A", "realtime", 9))
    batch = site.compliance.next(T, "upper", 1)
    again = Progress(again=[_tried(f) for f in batch.frames], again_at_us=NOW + SECOND)
    site.compliance.advance(T, "upper", batch, again)
    assert site.compliance.next(T, "upper") is None
    site.now += 2 * SECOND
    assert len(site.compliance.next(T, "upper").frames) == 2


def test_a_link_far_behind_warns_before_frames_are_dropped(site):
    site.compliance.add(T, link(), actor="eva")
    state = site.compliance.state(T, "upper")
    assert site.compliance.wait(state).warning is None
    site.store(1, ("A", "realtime", 2 * DAY), ("A", "realtime", 0))
    wait = site.compliance.wait(state)
    assert (wait.frames, wait.warning) == (2, None)
    assert wait.oldest_us in (NOW - 2 * DAY, NOW)
    site.now = NOW + 7 * DAY
    assert site.compliance.wait(state).warning == "reissue-window"
    site.now = NOW + 30 * DAY
    assert site.compliance.wait(state).warning == "retention"
    assert "default/upper" in site.compliance.warnings()[0]


def test_passwords_are_sealed_and_open_for_the_link_alone(site):
    site.compliance.add(T, link(), actor="eva")
    site.compliance.add(OTHER, link(), actor="eva")
    with site.records.reading() as db:
        rows = db.execute(text("SELECT password FROM platform_links")).scalars().all()
    assert rows[0] != rows[1]
    assert all(b"secret of link" not in bytes(row) for row in rows)
    specs = dict(site.compliance.enabled())
    assert specs[T].password == "secret of link"
    assert "secret of link" not in repr(specs[T])
    lost = site.make(bytes(32))
    assert lost.enabled() == []
    assert "set it again" in lost.state(T, "upper").problem
    with pytest.raises(InvalidLink, match="secret"):
        site.make(None).add(T, link("next"), actor="eva")


def test_changes_are_in_the_audit_without_passwords(site):
    made = site.compliance.add(T, link(), actor="eva")
    change = LinkChange(port=1234, password="another", user="user01")
    changed = site.compliance.change(T, "upper", change, actor="ada", if_revision=made.revision)
    assert (changed.port, changed.revision) == (1234, 2)
    assert dict(site.compliance.enabled())[T].password == "another"
    assert site.compliance.change(T, "upper", LinkChange(port=1234), actor="ada") == changed
    with pytest.raises(LinkChanged):
        site.compliance.change(T, "upper", LinkChange(port=1), actor="ada", if_revision=1)
    site.compliance.remove(T, "upper", actor="ada")
    assert site.actions("upper") == ["forwarding.remove", "forwarding.change", "forwarding.add"]
    entry = site.tenancy.trail.page(T, AuditFilter(subject="upper")).items[1]
    assert entry.before == {"port": 32960}
    assert entry.after == {"port": 1234, "password": "set"}
    assert site.compliance.states(T) == []


def test_a_disabled_link_keeps_its_place(site):
    site.compliance.add(T, link(), actor="eva")
    site.compliance.change(T, "upper", LinkChange(enabled=False), actor="eva")
    assert site.compliance.enabled() == []
    site.store(1, ("A", "realtime", 0))
    site.compliance.change(T, "upper", LinkChange(enabled=True), actor="eva")
    assert len(drained(site.compliance, "upper", 9)) == 1


def test_a_removed_link_takes_its_waiting_frames_along(site):
    site.compliance.add(T, link(), actor="eva")
    site.store(1, ("A", "realtime", 0))
    batch = site.compliance.next(T, "upper")
    again = Progress(again=[_tried(f) for f in batch.frames], again_at_us=NOW)
    site.compliance.advance(T, "upper", batch, again)
    site.compliance.remove(T, "upper", actor="eva")
    site.compliance.advance(T, "upper", batch, again)  # of the process that did not know yet
    site.compliance.add(T, link(), actor="eva")
    assert site.compliance.next(T, "upper") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Upper"), ("name", ""), ("host", ""), ("host", "a b"), ("host", "x" * 300),
        ("port", 0), ("port", 65536), ("platform_id", ""), ("platform_id", "x" * 18),
        ("user", "thirteen char"), ("password", "ü"), ("password", "x" * 21), ("edition", 2019),
        ("user", "a\0b"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(site, field, value):
    with pytest.raises(InvalidLink) as found:
        site.compliance.add(T, link(**{field: value}), actor="eva")
    assert found.value.field == field


def test_links_are_a_tenants_own(site):
    site.compliance.add(T, link(), actor="eva")
    with pytest.raises(LinkExists):
        site.compliance.add(T, link(), actor="eva")
    for call in (
        lambda: site.compliance.state(OTHER, "upper"),
        lambda: site.compliance.remove(OTHER, "upper", actor="eva"),
        lambda: site.compliance.change(OTHER, "upper", LinkChange(port=1), actor="eva"),
        lambda: site.compliance.next(OTHER, "upper"),
    ):
        with pytest.raises(UnknownLink):
            call()


def test_lower_platforms_log_in_with_what_was_granted(site):
    account, new = site.accounts.grant(T, "LOWER1", "user01", "pass", actor="eva")
    assert (new, account.platform_id, account.user) == (True, "LOWER1", "user01")
    assert site.accounts.admit("LOWER1", "user01", "pass") == T
    for wrong in (
        ("LOWER1", "user01", "Pass"),
        ("LOWER1", "user", "pass"),
        ("X", "user01", "pass"),
    ):
        assert site.accounts.admit(*wrong) is None
    assert site.accounts.grant(T, "LOWER1", "user02", "next", actor="eva")[1] is False
    assert site.accounts.admit("LOWER1", "user02", "next") == T
    assert site.accounts.tenants({"LOWER1", "X"}) == {"LOWER1": T}
    with pytest.raises(PlatformTaken):
        site.accounts.grant(OTHER, "LOWER1", "user01", "pass", actor="eva")
    with pytest.raises(UnknownPlatform):
        site.accounts.revoke(OTHER, "LOWER1", actor="eva")
    site.accounts.revoke(T, "LOWER1", actor="eva")
    assert site.accounts.all(T) == []
    assert site.accounts.admit("LOWER1", "user02", "next") is None
    assert site.actions("LOWER1") == ["platform.revoke", "platform.change", "platform.grant"]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("platform_id", ("a/b", "u", "p")), ("platform_id", ("x" * 18, "u", "p")),
        ("user", ("P1", "", "p")), ("password", ("P1", "u", "")), ("password", ("P1", "u", "密")),
    ],
)  # fmt: skip
def test_wrong_accounts_are_refused(site, field, given):
    with pytest.raises(InvalidLink) as found:
        site.accounts.grant(T, *given, actor="eva")
    assert found.value.field == field
