"""Care of the tables goes on where one of them fails."""

from typing import Any, cast

from carcloud.model.ids import Tenant
from carcloud.ports.lake import Lake, TableRef, Upkeep
from carcloud.services.telemetry.upkeep import Retention, upkeep_round


class OneBroken:
    """A lake of which one table raises what no engine should."""

    def __init__(self) -> None:
        self.cared: list[str] = []

    def names(self, tenant: Tenant) -> list[str]:
        return ["frames", "made_by_a_job"] if tenant == "a" else []

    def upkeep(self, table: TableRef, *, keep_days: int | None) -> Any:
        if table.name == "signals":
            raise ValueError("no such thing")
        self.cared.append(f"{table.tenant}.{table.name}")
        return Upkeep(1, 1, 0)


def test_a_table_that_fails_does_not_keep_the_others_from_care() -> None:
    lake = OneBroken()
    tenants = [Tenant("a"), Tenant("b")]
    troubles = upkeep_round(cast(Lake, lake), tenants, Retention(None, None, None))
    assert [tenant for tenant, _ in troubles] == tenants
    own = ["frames", "dead_letters", "campaign_events"]
    cared = [*(f"a.{name}" for name in (*own, "made_by_a_job")), *(f"b.{name}" for name in own)]
    assert lake.cared == cared
