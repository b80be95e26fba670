"""Campaigns and their way to vehicles, on every database."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.limits import OverLimit
from carcloud.services.campaigns.api import (
    CampaignChanged,
    CampaignExists,
    Campaigns,
    InvalidCampaign,
    KnownCampaigns,
    State,
    Target,
    UnknownCampaign,
    WrongState,
)
from carcloud.services.campaigns.targets import share
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from tests.services.campaign_scene import SECOND, SPEEDING, A, B, Clock, running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(records: SqlRecords, clock: Clock) -> Campaigns:
    Tenancy(records).tenants.ensure(A)
    return Campaigns(records, now=clock)


def test_from_a_draft_to_its_end(service: Campaigns, records: SqlRecords, clock: Clock) -> None:
    made = service.create(A, SPEEDING, Target(), note="first", actor="ann")
    assert (made.state, made.version, made.running_version) == (State.DRAFT, 1, None)
    with pytest.raises(CampaignExists):
        service.create(A, SPEEDING, Target(), note="", actor="ann")
    with pytest.raises(WrongState):
        service.start(A, "speeding", actor="ann")
    assert service.approve(A, "speeding", 1, actor="eve").state == State.APPROVED
    with pytest.raises(WrongState):
        service.approve(A, "speeding", 1, actor="eve")
    assert service.start(A, "speeding", actor="ann").running_version == 1
    with pytest.raises(WrongState):
        service.remove(A, "speeding", actor="ann")
    assert service.pause(A, "speeding", actor="ann").state == State.PAUSED
    assert service.resume(A, "speeding", actor="ann").state == State.RUNNING
    new = {**SPEEDING, "post_trigger_ms": 1000}
    saved = service.save(A, "speeding", new, Target(), note="", actor="ann", if_revision=None)
    assert (saved.state, saved.version, saved.running_version) == (State.RUNNING, 2, 1)
    with pytest.raises(CampaignChanged):
        service.save(A, "speeding", new, Target(), note="", actor="ann", if_revision=1)
    with pytest.raises(WrongState, match="not approved"):
        service.start(A, "speeding", version=2, actor="ann")
    service.approve(A, "speeding", 2, actor="eve")
    staged = service.start(A, "speeding", percent=25, actor="ann")
    assert (staged.running_version, staged.next_version, staged.next_percent) == (1, 2, 25)
    whole = service.start(A, "speeding", actor="ann")
    assert (whole.running_version, whole.next_version) == (2, None)
    assert service.end(A, "speeding", actor="ann").state == State.ENDED
    assert [one.version for one in service.versions(A, "speeding")] == [2, 1]
    found = Tenancy(records).trail.page(A, AuditFilter(subject="speeding")).items
    assert [one.action.removeprefix("campaign.") for one in found] == [
        "end", "start", "start", "approve", "save", "resume", "pause", "start", "approve", "create",
    ]  # fmt: skip
    service.remove(A, "speeding", actor="ann")
    with pytest.raises(UnknownCampaign):
        service.get(A, "speeding")


def test_the_tenant_is_a_wall(service: Campaigns, records: SqlRecords) -> None:
    service.create(A, SPEEDING, Target(), note="", actor="ann")
    known = KnownCampaigns(records)
    assert (known(A), known(B)) == ({"speeding"}, frozenset())
    for call in (service.get, service.versions):
        with pytest.raises(UnknownCampaign):
            call(B, "speeding")
    service.remove(A, "speeding", actor="ann")
    assert known(A) == frozenset() or known(A) == {"speeding"}  # 50 ms later at most
    assert KnownCampaigns(records)(A) == frozenset()


@pytest.mark.parametrize(
    ("change", "field", "position"),
    [
        ({"trigger": {"when": "Vehicle.Speed > 'x'"}}, "trigger.when", 0),
        ({"trigger": {"when": "1 +"}}, "trigger.when", 3),
        ({"signals": [{"path": "Vehicle.Nope"}]}, "signals[0].path", None),
        ({"colour": "red"}, "colour", None),
        ({"id": "no blanks"}, "id", None),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(
    service: Campaigns, change: Mapping[str, Any], field: str, position: int | None
) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        service.create(A, {**SPEEDING, **change}, Target(), note="", actor="ann")
    assert refused.value.field == field
    assert (refused.value.position is None) == (position is None)
    (found,) = service.check(A, {**SPEEDING, **change}).errors
    assert (found.field, found.position) == (field, refused.value.position)


def test_a_check_tells_all_that_is_wrong_and_what_is_used(service: Campaigns) -> None:
    wrong = {**SPEEDING, "trigger": {"when": "Vehicle.Nope > 1"}}
    wrong["signals"] = [{"path": "Vehicle.Speed"}, {"path": "Vehicle.No"}, {"path": "Vehicle.Not"}]
    found = service.check(A, wrong)
    assert [one.field for one in found.errors] == [
        "trigger.when", "signals[1].path", "signals[2].path"
    ]  # fmt: skip
    good = service.check(A, {**SPEEDING, "signals": [{"path": "Vehicle.IsMoving"}]})
    assert [(one.path, one.collected, one.read) for one in good.signals] == [
        ("Vehicle.IsMoving", True, False), ("Vehicle.Speed", False, True)
    ]  # fmt: skip
    large = {"path": "Vehicle.Speed", "max_samples": 2**31}
    assert "memory" in service.check(A, {**SPEEDING, "signals": [large]}).remarks[0].reason
    (error,) = service.check_expression(A, "Vehicle.Speed >").errors
    assert error.position is not None


def test_a_limit_of_campaigns(service: Campaigns, records: SqlRecords) -> None:
    Tenancy(records).limits.set_limit(A, "campaigns", 1, actor="root")
    service.create(A, SPEEDING, Target(), note="", actor="ann")
    with pytest.raises(OverLimit):
        service.create(A, {**SPEEDING, "id": "other"}, Target(), note="", actor="ann")
    service.end(A, "speeding", actor="ann")
    service.create(A, {**SPEEDING, "id": "other"}, Target(), note="", actor="ann")


def test_a_share_is_stable_and_even() -> None:
    names = [f"car-{number}" for number in range(4000)]
    tenth = {name for name in names if share("c", name) < 10}
    assert 300 < len(tenth) < 500
    assert tenth == {name for name in names if share("c", name) < 10}
    assert tenth < {name for name in names if share("c", name) < 20}
    assert len(tenth & {name for name in names if share("d", name) < 10}) < 100


def test_time_ends_a_campaign_and_events_are_told(
    records: SqlRecords, service: Campaigns, clock: Clock
) -> None:
    published: list[tuple[str, str]] = []

    class Stream:
        async def publish(self, subject: str, data: bytes, _number: str) -> int:
            published.append((subject, json.loads(data)["state"]))
            return len(published)

    running(service, expiry="2023-11-15T00:00:00Z")
    assert service.expire() == []
    clock.now += 86_400 * SECOND
    (over,) = service.expire()
    assert over.state == State.EXPIRED
    told = Campaigns(records, Stream(), now=clock)  # type: ignore[arg-type]
    assert asyncio.run(told.publish_news()) == 4
    assert asyncio.run(told.publish_news()) == 0
    names = [f"events.a.campaigns.{name}" for name in ("created", "approved", "started", "expired")]
    assert [subject for subject, _ in published] == names
