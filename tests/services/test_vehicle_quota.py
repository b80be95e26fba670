"""No way into the registry leads past a tenant's limit of vehicles."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import Activation, Carried, Login, NewVehicle, Vehicles
from tests.services.test_vehicles import A, B, vin


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecords]:
    opened = SqlRecords(f"sqlite:///{tmp_path / 'records.sqlite'}")
    tenancy = Tenancy(opened)
    for tenant in (A, B):
        tenancy.tenants.ensure(tenant)
    tenancy.limits.set_limit(A, "vehicles", 3, actor="root")
    yield opened
    opened.close()


@pytest.fixture
def vehicles(records: SqlRecords) -> Vehicles:
    made = Vehicles(records)
    for number in range(2):
        made.create(A, NewVehicle(vin(number)), actor="ann")
    return made


def wants(number: int) -> Login:
    return Login(vin(number), "gbt32960", "192.0.2.1")


def test_registration_ends_at_the_limit_and_goes_on_when_one_is_retired(vehicles):
    vehicles.create(A, NewVehicle(vin(2)), actor="ann")
    with pytest.raises(OverLimit) as refused:
        vehicles.create(A, NewVehicle(vin(3)), actor="ann")
    assert (refused.value.value, refused.value.used) == (3, 3)
    vehicles.create(B, NewVehicle(vin(4)), actor="bob")  # another tenant's room
    vehicles.retire(A, vin(0), actor="ann")
    vehicles.create(A, NewVehicle(vin(3)), actor="ann")


def test_an_import_takes_what_there_is_room_for_and_tells_the_rest(vehicles):
    text = "id\n" + "\n".join(vin(number) for number in range(6)) + "\n"
    report = vehicles.import_csv(A, text, actor="ann")
    assert (report.created, report.updated, len(report.errors)) == (1, 2, 3)
    assert "limit vehicles is 3" in report.errors[0].detail
    assert vehicles.count(A) == 3


def test_vehicles_that_would_register_themselves_are_refused(vehicles):
    known, *new = vehicles.admit_many([wants(n) for n in (0, 5, 6, 7)], auto_register=A)
    assert [one.refusal for one in (known, *new)] == [None, None, "quota", "quota"]
    activation = Activation(vin(8), "CHIP000000000001", b"k" * 64, "SM2", "gbt32960")
    assert vehicles.activate(activation, auto_register=A).refusal == "quota"
    carried = [Carried(Tenant("a"), "LOWER1", vin(n), "gbt32960") for n in (1, 9)]
    assert vehicles.carry_many(carried) == [None, "quota"]
    assert vehicles.count(A) == 3
