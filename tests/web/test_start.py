"""What the application refuses to start with."""

import dataclasses
from typing import Any, cast

import pytest

from carcloud.config import InvalidSetting, Settings
from carcloud.web.application import Services, create_app


@pytest.mark.parametrize("limits", ["wishes=1", "vehicles=many", "jobs=-1"])
def test_a_wrong_limit_of_registered_tenants_is_told_at_the_start(limits: str) -> None:
    nothing = Services(*(cast(Any, None) for _ in dataclasses.fields(Services)))  # none is called
    create_app(nothing, Settings())
    with pytest.raises(InvalidSetting, match="registration_limits"):
        create_app(nothing, Settings({"tenants.registration_limits": limits}))
