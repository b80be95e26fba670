"""Campaigns and their way to vehicles, on every database."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from carcloud.agent.library import Library
from carcloud.codecs.campaign.document import document_hash
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.services.campaigns.api import (
    CampaignChanged,
    CampaignExists,
    Campaigns,
    CheckIn,
    Distribution,
    InvalidCampaign,
    KnownCampaigns,
    State,
    Target,
    UnknownCampaign,
    WrongState,
)
from carcloud.services.campaigns.targets import share
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import NewVehicle, Outgoing, VehicleModel, Vehicles

A, B = Tenant("a"), Tenant("b")
SECOND = 1_000_000
START = 1_700_000_000 * SECOND
SPEEDING = {
    "id": "speeding",
    "trigger": {"when": "Vehicle.Speed > 120", "mode": "RISING_EDGE"},
    "signals": [{"path": "Vehicle.Speed", "max_samples": 10}],
}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(records: SqlRecords, clock: Clock) -> Campaigns:
    Tenancy(records).tenants.ensure(A)
    return Campaigns(records, now=clock)


@pytest.fixture
def cars(records: SqlRecords, service: Campaigns) -> Vehicles:
    vehicles = Vehicles(records)
    for number in range(8):
        depot = ("north", "south")[number // 4]
        new = NewVehicle(f"car-{number}", model=None, labels={"depot": depot}, protocol="mqtt")
        vehicles.create(A, new, actor="ann")
    vehicles.create(A, NewVehicle("bus-1", protocol="gbt32960"), actor="ann")
    return vehicles


def running(service: Campaigns, target: Target = Target(), **more: Any) -> None:
    service.create(A, {**SPEEDING, **more}, target, note="", actor="ann")
    service.approve(A, "speeding", 1, actor="eve")
    service.start(A, "speeding", actor="ann")


def kept(records: SqlRecords, vehicle: str) -> dict[str, Any]:
    """What is retained for a vehicle, by topic below its documents."""
    start = f"v1/{vehicle}/documents"
    return {
        one.topic.removeprefix(start).lstrip("/"): json.loads(one.payload)
        for one in Outgoing(records).waiting(A, vehicle)
        if one.retained and one.topic.startswith(start)
    }


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


def test_documents_reach_the_target_and_only_what_changed_is_put(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service, Target(labels=("depot:north",)))
    done, vehicles = bring.round(A)
    assert vehicles == ["car-0", "car-1", "car-2", "car-3"]
    assert done.documents == 8
    whole = {**SPEEDING, "version": 1}
    entry = {"id": "speeding", "kind": "campaign", "version": 1, "hash": document_hash(whole)}
    assert kept(records, "car-0") == {
        "": {"documents": [entry]}, "speeding": {**entry, "document": whole}
    }  # fmt: skip
    assert kept(records, "bus-1") == {}
    first = Outgoing(records).waiting(A, "car-0")
    assert [one.topic for one in first] == ["v1/car-0/documents", "v1/car-0/documents/speeding"]
    assert bring.round(A)[0].vehicles == 0
    assert Outgoing(records).waiting(A, "car-0") == first
    service.pause(A, "speeding", actor="ann")
    assert bring.round(A)[1] == vehicles
    assert kept(records, "car-0") == {"": {"documents": []}}
    assert bring.round(A)[0].vehicles == 0


def test_a_vehicle_gets_the_document_of_its_model(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    content = {"id": "m", "version": 3, "dbc": [], "signals": []}
    cars.create_model(A, VehicleModel("m", "M"), actor="ann")
    cars.create(A, NewVehicle("car-m", model="m", protocol="mqtt"), actor="ann")
    bring = Distribution(records, model_document=lambda _tenant, _model: content, now=clock)
    running(service, Target(models=("m",)))
    assert bring.round(A)[1] == ["car-m"]
    found = kept(records, "car-m")
    assert [one["id"] for one in found[""]["documents"]] == ["model:m", "speeding"]
    assert found["model:m"]["document"] == content
    assert found["model:m"]["hash"] == document_hash(content)


def test_a_switch_reaches_a_share_first_and_then_all(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service)
    bring.round(A)
    new = {**SPEEDING, "post_trigger_ms": 500}
    service.save(A, "speeding", new, Target(), note="", actor="ann")
    service.approve(A, "speeding", 2, actor="eve")
    service.start(A, "speeding", percent=50, actor="ann")
    done, switched = bring.round(A)
    assert 0 < len(switched) < 8
    assert done.documents == 2 * len(switched)
    versions = {f"car-{n}": kept(records, f"car-{n}")["speeding"]["version"] for n in range(8)}
    assert {name for name, version in versions.items() if version == 2} == set(switched)
    service.start(A, "speeding", actor="ann")
    assert len(bring.round(A)[1]) == 8 - len(switched)


def test_a_stale_list_leads_to_exactly_the_missing_documents(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock, tmp_path: Any
) -> None:
    bring = Distribution(records, now=clock)
    running(service)
    service.create(A, {**SPEEDING, "id": "other"}, Target(), note="", actor="ann")
    service.approve(A, "other", 1, actor="eve")
    service.start(A, "other", actor="ann")
    bring.round(A)
    library = Library(tmp_path)  # the vehicle's side: it has the list and one of the two
    parts = kept(records, "car-0")
    library.take_list(json.dumps(parts[""]).encode())
    library.take("speeding", json.dumps(parts["speeding"]).encode())
    library.settle("speeding", "active")

    def told() -> CheckIn:
        return CheckIn("car-0", tuple(library.acknowledgements()), tuple(library.missing), {}, {})

    assert service.check_in(A, told()) == []  # they may be on their way
    clock.now += 61 * SECOND
    before = {one.id for one in Outgoing(records).waiting(A, "car-0")}
    assert service.check_in(A, told()) == ["other"]
    (fresh,) = [o for o in Outgoing(records).waiting(A, "car-0") if o.id not in before]
    assert fresh.topic == "v1/car-0/documents/other"
    assert service.check_in(A, told()) == []
    library.take("other", fresh.payload)
    clock.now += 61 * SECOND
    assert library.missing == []
    assert service.check_in(A, told()) == []
    empty = CheckIn("car-0", (), (), {}, {})  # a new disk: it does not even know the list
    assert service.check_in(A, empty) == ["", "other", "speeding"]


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


def test_what_does_not_fit_is_told_and_tried_again(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 300, actor="root")
    bring = Distribution(records, now=clock)
    running(service, Target(vehicles=("car-0",)))
    done, _ = bring.round(A)
    assert "vehicle_message_bytes" in done.problems[0]
    assert bring.round(A)[0].vehicles == 0  # not all the time
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 100_000, actor="root")
    clock.now += 61 * SECOND
    assert bring.round(A)[0].documents == 2
    assert "speeding" in kept(records, "car-0")
