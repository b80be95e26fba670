"""Tenants that their owners make: limits, one address, and nothing of other tenants."""

import pytest

from carcloud.config import Settings
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


def test_limits_are_read_from_the_setting() -> None:
    assert limits_of(Settings()) == {"vehicles": 100}
    some = Settings({"tenants.registration_limits": "vehicles=5, jobs=1"})
    assert limits_of(some) == {"vehicles": 5, "jobs": 1}
    assert limits_of(Settings({"tenants.registration_limits": ""})) == {}
