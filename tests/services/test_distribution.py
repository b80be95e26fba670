"""Campaigns on their way to vehicles, on every database."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from carcloud.agent.library import Library
from carcloud.codecs.campaign.document import document_hash
from carcloud.engines.records_sql import SqlRecords
from carcloud.services.campaigns import distribution
from carcloud.services.campaigns.api import Campaigns, CheckIn, Distribution, Target
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import NewVehicle, Outgoing, VehicleModel, Vehicles
from tests.services.campaign_scene import SECOND, SPEEDING, A, Clock, kept, running


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
    service.end(A, "speeding", actor="ann")
    assert bring.round(A)[1] == vehicles
    assert kept(records, "car-0") == {"": {"documents": []}}
    assert bring.round(A)[0].vehicles == 0


def test_a_paused_campaign_stays_with_the_vehicles_until_it_is_ended(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock, tmp_path: Any
) -> None:
    bring = Distribution(records, now=clock)
    running(service, Target(labels=("depot:north",)))
    bring.round(A)
    (entry,) = kept(records, "car-0")[""]["documents"]
    service.pause(A, "speeding", actor="ann")
    assert bring.round(A)[0].documents == 4  # lists alone
    assert kept(records, "car-0")[""] == {"documents": [], "paused": [entry]}
    assert kept(records, "car-0")["speeding"]["version"] == 1
    assert kept(records, "car-5") == {}  # it never had it
    library = Library(tmp_path)  # the vehicle's side
    library.take_list(json.dumps(kept(records, "car-0")[""]).encode())
    assert library.take("speeding", json.dumps(kept(records, "car-0")["speeding"]).encode())
    library.settle("speeding", "paused")
    assert (library.paused, library.missing) == ({"speeding"}, [])
    clock.now += 61 * SECOND
    told = CheckIn("car-0", tuple(library.acknowledgements()), (), {}, {})
    assert service.check_in(A, told) == []
    assert bring.round(A)[0].vehicles == 0
    service.resume(A, "speeding", actor="ann")
    assert bring.round(A)[0].documents == 4
    assert kept(records, "car-0")[""] == {"documents": [entry]}
    service.pause(A, "speeding", actor="ann")
    bring.round(A)
    service.end(A, "speeding", actor="ann")
    assert bring.round(A)[0].documents == 8
    assert kept(records, "car-0") == {"": {"documents": []}}


def test_a_vehicle_that_leaves_the_target_keeps_the_campaign_as_paused(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service)
    bring.round(A)
    service.save(A, "speeding", SPEEDING, Target(vehicles=("car-0",)), note="", actor="ann")
    service.approve(A, "speeding", 2, actor="eve")
    service.start(A, "speeding", actor="ann")
    bring.round(A)
    assert [one["version"] for one in kept(records, "car-0")[""]["documents"]] == [2]
    assert [one["version"] for one in kept(records, "car-1")[""]["paused"]] == [1]


def test_an_expired_campaign_may_be_brought_for_a_month(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service, Target(vehicles=("car-0",)), expiry="2023-11-15T00:00:00Z")
    bring.round(A)
    clock.now += 86_400 * SECOND
    service.expire()
    bring.round(A)
    assert [one["id"] for one in kept(records, "car-0")[""]["paused"]] == ["speeding"]
    clock.now += 30 * 86_400 * SECOND
    bring.round(A)
    assert kept(records, "car-0") == {"": {"documents": []}}


def test_many_vehicles_are_served_in_parts_with_one_audit_entry_for_each_document(
    service: Campaigns,
    cars: Vehicles,
    records: SqlRecords,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distribution, "_VEHICLES", 5)
    running(service)
    done, vehicles = Distribution(records, now=clock).round(A)
    assert (done.vehicles, done.documents) == (8, 16)
    assert all("speeding" in kept(records, vehicle) for vehicle in vehicles)
    trail = Tenancy(records).trail.page(A, AuditFilter(action="document.put")).items
    assert [(one.subject, one.after) for one in reversed(trail)] == [
        (name, {"kind": kind, "version": version, "vehicles": count, "first": first, "last": last})
        for count, first, last in ((5, "car-0", "car-4"), (3, "car-5", "car-7"))
        for name, kind, version in (("documents", "list", 0), ("speeding", "campaign", 1))
    ]
    service.end(A, "speeding", actor="ann")
    Distribution(records, now=clock).round(A)
    trail = Tenancy(records).trail.page(A, AuditFilter(action="document.remove")).items
    assert [(one.subject, one.after["vehicles"]) for one in trail] == [
        ("speeding", 3), ("speeding", 5)
    ]  # fmt: skip


@pytest.mark.parametrize(("bound", "most"), [("_MESSAGES", 3), ("_BYTES", 1)])
def test_messages_and_bytes_of_a_part_are_bounded(
    service: Campaigns,
    cars: Vehicles,
    records: SqlRecords,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    most: int,
) -> None:
    monkeypatch.setattr(distribution, bound, most)
    running(service)
    assert Distribution(records, now=clock).round(A)[0].documents == 16
    trail = Tenancy(records).trail.page(A, AuditFilter(action="document.put")).items
    assert len(trail) == 16  # each vehicle alone


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


def test_what_does_not_fit_is_told_and_tried_again(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 300, actor="root")
    bring = Distribution(records, now=clock)
    running(service, Target(vehicles=("car-0",)))
    done, _ = bring.round(A)
    assert "vehicle_message_bytes" in done.problems[0]
    assert done.documents == 1  # the list
    assert bring.round(A)[0].vehicles == 0  # not all the time
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 100_000, actor="root")
    clock.now += 61 * SECOND
    assert bring.round(A)[0].documents == 1
    assert "speeding" in kept(records, "car-0")


def test_a_document_that_is_too_large_holds_back_no_others(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    content = {"id": "m", "version": 1, "dbc": [{"text": 20_000 * "x"}], "signals": []}
    cars.create_model(A, VehicleModel("m", "M"), actor="ann")
    cars.create(A, NewVehicle("car-m", model="m", protocol="mqtt"), actor="ann")
    limits = Tenancy(records).limits
    limits.set_limit(A, "vehicle_message_bytes", 10_000, actor="root")
    bring = Distribution(records, model_document=lambda _tenant, _model: content, now=clock)
    running(service, Target(models=("m",)))
    done, told = bring.round(A)
    assert (done.documents, told) == (2, ["car-m"])
    (problem,) = done.problems
    assert problem.startswith("car-m: model:m (20,")
    assert "bytes): the limit vehicle_message_bytes is 10000 B" in problem
    found = kept(records, "car-m")
    assert list(found) == ["", "speeding"]
    assert [one["id"] for one in found[""]["documents"]] == ["model:m", "speeding"]
    assert bring.round(A)[0].vehicles == 0  # not all the time
    clock.now += 61 * SECOND
    again = bring.round(A)[0]
    assert (again.documents, len(again.problems)) == (0, 1)
    assert kept(records, "car-m") == found
    limits.set_limit(A, "vehicle_message_bytes", 100_000, actor="root")
    clock.now += 61 * SECOND
    assert bring.round(A)[0].documents == 1
    assert kept(records, "car-m")["model:m"]["document"] == content
    assert bring.round(A)[0].vehicles == 0


def test_what_a_vehicle_had_stays_known_where_more_does_not_fit(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service, Target(vehicles=("car-0",)))
    bring.round(A)
    (entry,) = kept(records, "car-0")[""]["documents"]
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 300, actor="root")
    new = {**SPEEDING, "post_trigger_ms": 500}
    service.save(A, "speeding", new, Target(vehicles=("car-0",)), note="", actor="ann")
    service.approve(A, "speeding", 2, actor="eve")
    service.start(A, "speeding", actor="ann")
    assert bring.round(A)[0].problems
    Tenancy(records).limits.set_limit(A, "vehicle_message_bytes", 100_000, actor="root")
    service.pause(A, "speeding", actor="ann")
    clock.now += 61 * SECOND
    assert bring.round(A)[0].documents == 1
    assert kept(records, "car-0")[""]["paused"] == [entry]
    assert bring.round(A)[0].vehicles == 0


def test_vehicles_that_are_gone_are_forgotten_and_hold_up_no_others(
    service: Campaigns, cars: Vehicles, records: SqlRecords, clock: Clock
) -> None:
    bring = Distribution(records, now=clock)
    running(service)
    bring.round(A)
    with records.transaction() as db:
        db.execute(text("DELETE FROM vehicle_labels WHERE vehicle = 'car-3'"))
        db.execute(text("DELETE FROM vehicles WHERE id = 'car-3'"))
    service.end(A, "speeding", actor="ann")
    done, _ = bring.round(A)
    assert (done.documents, done.problems) == (14, ())
    assert bring.round(A)[0].vehicles == 0
