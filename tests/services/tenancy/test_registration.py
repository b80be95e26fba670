"""Tenants that their owners make: limits, one address, and nothing of other tenants."""

import pytest

from carcloud.config import InvalidSetting, Settings
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import Exists, Invalid, Tenancy, Throttled, Unknown
from carcloud.web.api.registration import limits_of
from tests.services.tenancy.conftest import PASSWORD, A, Clock, signed_in


def _register(tenancy: Tenancy, name: str, address: str = "192.0.2.1", **limits: int) -> None:
    tenancy.register(
        Tenant(name), name, f"{name}-owner", PASSWORD, limits=limits, address=address, most=3
    )


def test_a_registered_tenant_has_its_owner_and_limits(tenancy: Tenancy, clock: Clock) -> None:
    _register(tenancy, "north", vehicles=7)
    who = signed_in(tenancy, "north-owner")
    assert (who.tenant, who.may("people:write"), who.may("tenants:read")) == ("north", True, False)
    assert tenancy.limit(Tenant("north"), "vehicles") == 7
    with pytest.raises(Exists):
        _register(tenancy, A)
    with pytest.raises(Unknown):
        _register(tenancy, "south", wishes=3)
    with pytest.raises(Invalid):
        tenancy.register(
            Tenant("south"), "South", "sue", "short", limits={}, address="192.0.2.9", most=3
        )
    _register(tenancy, "east")
    with pytest.raises(Throttled):
        _register(tenancy, "west")
    _register(tenancy, "west", "192.0.2.2")
    clock.forward(901)
    _register(tenancy, "south")


@pytest.mark.parametrize(("limits", "error"), [({"wishes": 3}, Unknown), ({"jobs": -1}, Invalid)])
def test_wrong_limits_leave_no_tenant_and_no_user(
    tenancy: Tenancy, limits: dict[str, int], error: type[Exception]
) -> None:
    def found(**more: int) -> None:
        given = {"vehicles": 7, **more}
        tenancy.found(Tenant("north"), "N", "north-owner", PASSWORD, actor="x", limits=given)

    for _ in range(5):  # more than one address may make: none of it is counted
        with pytest.raises(error):
            _register(tenancy, "north", **limits)
    with pytest.raises(error):
        found(**limits)
    with pytest.raises(Unknown):
        tenancy.tenants.get(Tenant("north"))
    found()  # so the name of the owner is free too
    assert tenancy.limit(Tenant("north"), "vehicles") == 7


def test_a_whole_ipv6_network_makes_as_many_tenants_as_one_address(tenancy: Tenancy) -> None:
    for number in range(3):
        _register(tenancy, f"t{number}", f"2001:db8::{number}")
    with pytest.raises(Throttled):
        _register(tenancy, "t3", "2001:db8::3")
    _register(tenancy, "t3", "2001:db8:0:1::3")


def test_limits_are_read_from_the_setting() -> None:
    assert limits_of(Settings()) == {"vehicles": 100}
    some = Settings({"tenants.registration_limits": "vehicles=5, jobs=1"})
    assert limits_of(some) == {"vehicles": 5, "jobs": 1}
    assert limits_of(Settings({"tenants.registration_limits": ""})) == {}


@pytest.mark.parametrize(
    "text",
    ["wishes=1", "vehicles", "vehicles=", "vehicles=many", "jobs=-1", "jobs=1;queries=2"],
)
def test_a_wrong_setting_of_limits_is_told_at_the_start(text: str) -> None:
    settings = Settings({"tenants.registration_limits": text})
    with pytest.raises(InvalidSetting, match="registration_limits"):
        limits_of(settings)
