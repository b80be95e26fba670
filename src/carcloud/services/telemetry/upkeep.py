"""Background care of the tables of the lake: merge small files, drop what is too old."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake, TableRef
from carcloud.services.telemetry.tables import CAMPAIGN_EVENTS, LETTERS, RAW, SIGNALS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that rows are kept; None = for ever."""

    signals: int | None
    frames: int | None
    dead_letters: int | None


def upkeep_round(
    lake: Lake, tenants: Iterable[Tenant], keep: Retention
) -> list[tuple[Tenant, str]]:
    """Look after every table once; returns what went wrong with whose, if anything. Blocks."""
    days = {
        SIGNALS: keep.signals, RAW: keep.frames, LETTERS: keep.dead_letters,
        CAMPAIGN_EVENTS: keep.signals,
    }  # fmt: skip
    troubles: list[tuple[Tenant, str]] = []
    for tenant in tenants:
        for table in [*days, *_others(lake, tenant, days, troubles)]:
            keep_days = days.get(table)
            try:
                done = lake.upkeep(TableRef(tenant, table), keep_days=keep_days)
            except EngineError as error:
                troubles.append((tenant, f"{tenant}.{table}: {error}"))
                continue
            except Exception as error:  # one table must not keep the others from their care
                log.exception("upkeep of %s.%s failed", tenant, table)
                troubles.append((tenant, f"{tenant}.{table}: {error!r}"))
                continue
            if done.files_before != done.files_after or done.rows_expired:
                log.info(
                    "%s.%s: %d files became %d, %d rows expired",
                    tenant, table, done.files_before, done.files_after, done.rows_expired,
                )  # fmt: skip
    return troubles


def _others(
    lake: Lake, tenant: Tenant, known: Collection[str], troubles: list[tuple[Tenant, str]]
) -> list[str]:
    """Tables that jobs of the tenant made, also those that were dropped: their rows stay until
    somebody takes them away."""
    try:
        return [name for name in lake.names(tenant) if name not in known]
    except EngineError as error:
        troubles.append((tenant, f"{tenant}: {error}"))
        return []
