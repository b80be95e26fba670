"""Vehicles that lower platforms bring into the registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.gateway.gbt32960.carried import CarriedClerk
from carcloud.model.ids import Tenant
from carcloud.services.compliance.api import PlatformAccounts
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import (
    Carried,
    CredentialsChange,
    Filter,
    Lifecycle,
    NewVehicle,
    VehicleChange,
    Vehicles,
)
from carcloud.simulator.vins import vin

T, OTHER = Tenant("default"), Tenant("other")
VINS = [vin(5, number) for number in range(6)]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecords]:
    opened = SqlRecords(f"sqlite:///{tmp_path / 'r.sqlite'}")
    Tenancy(opened).tenants.ensure(T)
    yield opened
    opened.close()


def of(vehicle: str, tenant: Tenant = T, platform: str = "LOWER1") -> Carried:
    return Carried(tenant, platform, vehicle, "gbt32960")


def test_strangers_are_registered_in_the_platforms_tenant(records):
    vehicles = Vehicles(records)
    assert vehicles.carry_many([of(VINS[0]), of(VINS[1], OTHER), of(VINS[0])]) == [None] * 3
    found = vehicles.get(T, VINS[0])
    assert found.labels == {"source": "platform", "platform": "LOWER1"}
    assert (found.lifecycle, found.protocol, found.vin) == (Lifecycle.ACTIVE, "gbt32960", VINS[0])
    assert [v.id for v in vehicles.find(OTHER, Filter(label="source:platform")).items] == [VINS[1]]
    (entry,) = Tenancy(records).trail.page(T, AuditFilter(subject=VINS[0])).items
    assert (entry.action, entry.actor) == ("vehicle.register", "platform LOWER1")
    assert vehicles.carry_many([of(VINS[0])]) == [None]
    assert vehicles.get(T, VINS[0]).revision == found.revision


def test_known_vehicles_become_active_and_those_kept_out_stay_out(records):
    vehicles = Vehicles(records)
    for vehicle in VINS[:4]:
        vehicles.create(T, NewVehicle(vehicle), actor="eva")
    vehicles.create(OTHER, NewVehicle(VINS[4]), actor="eva")
    gone = VehicleChange(lifecycle=Lifecycle.SUSPENDED)
    vehicles.change(T, VINS[1], gone, actor="eva")
    vehicles.retire(T, VINS[2], actor="eva")
    vehicles.set_credentials(T, VINS[3], CredentialsChange(iccid="8" * 20), actor="eva")
    wanting = [of(vehicle) for vehicle in [*VINS[:5], "a b", ""]]
    assert vehicles.carry_many(wanting) == [
        None, "suspended", "retired", None, "tenant", "invalid", "invalid",
    ]  # fmt: skip
    assert vehicles.get(T, VINS[0]).lifecycle == Lifecycle.ACTIVE
    told = Tenancy(records).trail.page(T, AuditFilter(subject=VINS[0])).items
    assert [entry.action for entry in told] == ["vehicle.activate", "vehicle.create"]


def test_a_platform_without_an_account_brings_nobody(records):
    vehicles, platforms = Vehicles(records), PlatformAccounts(records)
    platforms.grant(T, "LOWER1", "user", "password", actor="eva")
    clerk = CarriedClerk(vehicles, platforms)
    wanting = [of(VINS[0], platform="GONE"), of(VINS[1]), of(VINS[2], OTHER)]
    none = "the platform has no account any more"
    assert clerk.answer(wanting) == [none, "", none]
    platforms.revoke(T, "LOWER1", actor="eva")
    assert clerk.answer(wanting) == [none] * 3
    assert vehicles.count(T) == 1
