"""How campaigns do: who holds them, who refuses them and why, what was collected."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.ports.lake import Lake, QueryLimits
from carcloud.ports.records import Records
from carcloud.services.campaigns import rows
from carcloud.services.campaigns.running import live
from carcloud.services.campaigns.store import (
    metadata,
    vehicle_checkins,
    vehicle_documents,
    vehicle_holdings,
)
from carcloud.services.campaigns.types import (
    Campaign,
    CollectedEvent,
    Forwarding,
    Progress,
    Totals,
    VehicleProgress,
)
from carcloud.services.vehicles.api import Reachable, Vehicles

_REASONS: Final = 20  # that are told
_LAST_MS: Final = 253_402_300_799_000  # the year 9999, the last that RFC 3339 can write
_TOTALS: Final = """
    count(DISTINCT (vehicle, event)) AS events, coalesce(sum(samples), 0)::BIGINT AS samples,
    coalesce(sum(bytes), 0)::BIGINT AS bytes, epoch_us(max(time)) AS last
"""
_EVENT: Final = """
    campaign, version, event, vehicle, epoch_us(time) AS time, epoch_us(received) AS received,
    "partition", part, parts, samples, bytes, dimensions, fired, frames
"""
Position = tuple[int, str, int, str, int]
"""Where a list of events goes on: time (us), vehicle, event, partition, part."""


class Follow:
    """Reads records and lake. Calls block; use a thread."""

    def __init__(self, records: Records, lake: Lake) -> None:
        records.create(metadata)
        self._records = records
        self._lake = lake
        self._vehicles = Vehicles(records)

    def progress(self, tenant: Tenant, campaign: str) -> Progress:
        """How a campaign does; raises `UnknownCampaign`."""
        vehicles = self._vehicles.over_mqtt(tenant)
        with self._records.reading() as db:
            found = rows.find(db, tenant, campaign)
            stand = _Standing.of(db, found, vehicles)
        told = [stand.vehicle(name) for name in sorted(stand.wanted)]
        results = Counter(each.result for each in told if _current(each))
        reasons = Counter(
            each.reason for each in told if _current(each) and each.result == "refused"
        )
        problems = Counter(row["problem"] for row in stand.put.values() if row["problem"])
        holds = Counter(
            each.held for each in map(stand.vehicle, sorted(stand.said)) if each.held is not None
        )
        return Progress(
            target=len(told),
            put=sum(each.put == each.wanted for each in told),
            holding=results["active"],
            waiting=len(told) - results["active"] - results["refused"],
            refused=results["refused"],
            reasons=tuple(reasons.most_common(_REASONS)),
            problems=tuple(problems.most_common(_REASONS)),
            by_version=tuple(sorted(holds.items())),
            collected=self.totals(tenant, campaign),
        )

    def vehicles(
        self, tenant: Tenant, campaign: str, *, after: str | None, limit: int
    ) -> list[tuple[VehicleProgress, Totals]]:
        """Vehicles that should have it or say that they hold it, in order of id."""
        reachable = self._vehicles.over_mqtt(tenant)
        with self._records.reading() as db:
            found = rows.find(db, tenant, campaign)
            stand = _Standing.of(db, found, reachable)
            names = sorted(stand.wanted.keys() | stand.said.keys())
            page = [name for name in names if after is None or name > after][:limit]
            asked = _forwarding(db, found, [name for name in page if name in stand.said])
        totals = self._totals_of(tenant, campaign, page)
        return [
            (
                replace(stand.vehicle(name), forwarding=asked.get(name, ())),
                totals.get(name, Totals()),
            )
            for name in page
        ]

    def holders(self, tenant: Tenant, campaign: str) -> list[str]:
        """Vehicles that say that they hold it, in order of id; raises `UnknownCampaign`."""
        reachable = self._vehicles.over_mqtt(tenant)
        with self._records.reading() as db:
            stand = _Standing.of(db, rows.find(db, tenant, campaign), reachable)
        speak = {str(each.id) for each in reachable}
        return [name for name in sorted(stand.said) if name in speak]

    def totals(self, tenant: Tenant, campaign: str) -> Totals:
        """What was collected by all vehicles."""
        sql = f"SELECT {_TOTALS} FROM campaign_events WHERE campaign = {_text(campaign)}"  # noqa: S608 - quoted
        return _totals(self._rows(tenant, sql, 1)[0])

    def _totals_of(
        self, tenant: Tenant, campaign: str, vehicles: Sequence[str]
    ) -> dict[str, Totals]:
        if not vehicles:
            return {}
        named = ", ".join(map(_text, vehicles))
        sql = (
            f"SELECT vehicle, {_TOTALS} FROM campaign_events "  # noqa: S608 - quoted
            f"WHERE campaign = {_text(campaign)} AND vehicle IN ({named}) GROUP BY vehicle"
        )
        found = self._rows(tenant, sql, len(vehicles))
        return {row["vehicle"]: _totals(row) for row in found}

    def events(
        self,
        tenant: Tenant,
        campaign: str,
        *,
        vehicle: str | None = None,
        before: Position | None = None,
        limit: int = 50,
    ) -> list[CollectedEvent]:
        """Records of a campaign, newest first."""
        where = [f"campaign = {_text(campaign)}"]
        if vehicle is not None:
            where.append(f"vehicle = {_text(vehicle)}")
        if before is not None:
            time, name, event, partition, part = before
            key = 'epoch_us(time), vehicle, event, "partition", part'
            at = f"{int(time)}, {_text(name)}, {int(event)}, {_text(partition)}, {int(part)}"
            where.append(f"time <= make_timestamp({int(time)})::TIMESTAMPTZ")
            where.append(f"({key}) < ({at})")
        sql = (
            f"SELECT {_EVENT} FROM campaign_events WHERE {' AND '.join(where)} "  # noqa: S608 - quoted
            'ORDER BY campaign_events.time DESC, vehicle DESC, event DESC, "partition" DESC, '
            f"part DESC LIMIT {int(limit)}"
        )
        return [_event(row) for row in self._rows(tenant, sql, limit)]

    def _rows(self, tenant: Tenant, sql: str, most: int) -> list[dict[str, Any]]:
        found = self._lake.query(tenant, sql, QueryLimits(rows=max(1, most)))
        return list(found.table.to_pylist())


class _Standing:
    """What vehicles should have of one campaign, what was put, and what they say."""

    def __init__(
        self,
        wanted: Mapping[str, int],
        put: Mapping[str, Mapping[str, Any]],
        said: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.wanted, self.put, self.said = wanted, put, said

    @classmethod
    def of(cls, db: Connection, campaign: Campaign, vehicles: Sequence[Reachable]) -> "_Standing":
        """Of the campaign as it stands now."""
        wanted = {
            str(vehicle.id): number
            for each in live(db, campaign.tenant, campaign.id)
            for vehicle in vehicles
            if (number := each.wanted(vehicle)) is not None
        }
        found = []
        for table in (vehicle_documents, vehicle_holdings):
            mine = (table.c.tenant == campaign.tenant) & (table.c.id == campaign.id)
            kept = db.execute(select(table).where(mine)).mappings()
            found.append({str(row["vehicle"]): dict(row) for row in kept})
        return cls(wanted, *found)

    def vehicle(self, name: str) -> VehicleProgress:
        """How one stands."""
        put, said = self.put.get(name), self.said.get(name)
        return VehicleProgress(
            vehicle=name,
            wanted=self.wanted.get(name),
            put=None if put is None or put["problem"] else put["version"],
            held=None if said is None else said["version"],
            result="" if said is None else said["result"],
            reason=said["reason"] if said is not None else (put or {}).get("problem", ""),
            told=None if said is None else said["told_us"],
            counters={} if said is None else json.loads(said["counters"]),
        )


def _forwarding(
    db: Connection, campaign: Campaign, vehicles: Sequence[str]
) -> dict[str, tuple[Forwarding, ...]]:
    """What vehicles said last that they still have to send of what they were asked for."""
    table = vehicle_checkins.c
    mine = (table.tenant == campaign.tenant) & table.vehicle.in_(vehicles)
    told = db.execute(select(table.vehicle, table.figures).where(mine))
    return {name: tuple(_asked(json.loads(figures), campaign.id)) for name, figures in told}


def _asked(figures: Mapping[str, Any], campaign: str) -> Iterator[Forwarding]:
    for each in figures.get("forwarding") or ():
        match each:  # as the vehicle wrote it
            case {"campaign": name, "partition": str(partition), "until": int() | float() as ms}:
                if name == campaign and 0 <= ms <= _LAST_MS:
                    yield Forwarding(partition, int(ms * 1000))


def _current(vehicle: VehicleProgress) -> bool:
    """Whether what it says is of the version that it should have."""
    return vehicle.held is not None and vehicle.held == vehicle.wanted


def _totals(row: Mapping[str, Any]) -> Totals:
    return Totals(row["events"], row["samples"], row["bytes"], row["last"])


def _event(row: Mapping[str, Any]) -> CollectedEvent:
    lists = {name: tuple(row[name] or ()) for name in ("fired", "frames")}
    told = {**row, **lists, "dimensions": json.loads(row["dimensions"] or "{}")}
    return CollectedEvent(**told)


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"
