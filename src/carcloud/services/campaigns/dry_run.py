"""A campaign over what vehicles have reported lately: who would trigger, and what it would send.

The same engine as in the vehicle runs over rows of the table `signals`. A vehicle sees each value
and the table only what was reported, so events can be fewer here than on the road.
"""

import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from carcloud.codecs.campaign.document import MOST_TIME_US, Campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.prepare import Prepared
from carcloud.codecs.campaign.record import Record, RecordTooLarge, messages
from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, SECOND, now_us
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.services.campaigns.checking import Catalogue, prepared
from carcloud.services.campaigns.errors import DryRunBusy, InvalidCampaign
from carcloud.services.campaigns.targets import share
from carcloud.services.campaigns.types import Target
from carcloud.services.vehicles.api import Reachable

MOST_HOURS: Final = 168.0
MOST_ROWS: Final = 400_000  # that one run reads
MOST_SECONDS: Final = 20.0
_CHUNK: Final = 25  # vehicles that are read at a time
_MESSAGE: Final = 131_072  # bytes, as agents have it unless told otherwise
_GAP_US: Final = 60 * SECOND  # a vehicle that said nothing for longer was off
_SHOWN: Final = 100  # vehicles
_MONTH: Final = 30  # days

Price = Callable[[Tenant, Mapping[str, int]], tuple[Decimal, str] | None]
"""(amount, currency) of quantities of meters on top of this month's; None without prices."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try: a document for a target, over the last hours."""

    document: Mapping[str, Any]
    target: Target
    hours: float = 24.0


@dataclass(frozen=True, slots=True)
class VehicleTriggers:
    """What one vehicle would have sent; times are us since 1970, None where it never triggered."""

    vehicle: str
    rows: int
    events: int
    samples: int
    bytes: int
    messages: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What was found in `start` to `end` (us), and what that means for the whole target.

    `vehicles_read` of `vehicles_target` were looked at. `per_day`: events, samples, bytes and
    messages of the whole target; `cost`: of 30 such days, None without prices.
    """

    start: int
    end: int
    vehicles_target: int
    vehicles_read: int
    vehicles_triggered: int
    rows: int
    events: int
    samples: int
    bytes: int
    messages: int
    per_day: Mapping[str, float]
    cost: Decimal | None
    currency: str
    complete: bool
    remarks: tuple[str, ...]
    vehicles: tuple[VehicleTriggers, ...]


class DryRun:
    """One run at a time in a process. Calls block for up to `MOST_SECONDS`."""

    def __init__(
        self,
        lake: Lake,
        price: Price = lambda _tenant, _more: None,
        *,
        now: Callable[[], int] = now_us,
        most_rows: int = MOST_ROWS,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._lake = lake
        self._price = price
        self._now = now
        self._most_rows = most_rows
        self._most_seconds = most_seconds
        self._turn = threading.Lock()

    def run(
        self, tenant: Tenant, plan: Plan, audience: Sequence[Reachable], catalogue: Catalogue
    ) -> DryRunResult:
        """Try a campaign; raises `InvalidCampaign`, `DryRunBusy`, and the errors of the lake."""
        if not 0 < plan.hours <= MOST_HOURS:
            raise InvalidCampaign("hours", f"above 0, and at most {MOST_HOURS:.0f}")
        ready = _timeless(prepared({"version": 1, **plan.document}, catalogue))
        if not self._turn.acquire(blocking=False):
            raise DryRunBusy("another dry run is being worked on: try again in some seconds")
        try:
            return self._run(tenant, plan, ready, audience)
        finally:
            self._turn.release()

    def _run(
        self, tenant: Tenant, plan: Plan, ready: Prepared, audience: Sequence[Reachable]
    ) -> DryRunResult:
        end = self._now()
        start = end - int(plan.hours * 3600 * SECOND)
        ref = TableRef(tenant, "signals")
        remarks = _remarks(ready)
        there = self._columns(tenant)
        paths = [path for path in ready.types if path in there]
        remarks += [f"{path} was never reported" for path in ready.types if path not in there]
        names: list[str] = sorted(
            (str(each.id) for each in audience), key=lambda one: share("dry-run", one)
        )
        chosen = self._sample(ref, names, start, end, remarks)
        until = clock.monotonic() + self._most_seconds
        found: list[VehicleTriggers] = []
        complete = True
        for at in range(0, len(chosen), _CHUNK):
            if clock.monotonic() > until:
                complete = False
                remarks.append(f"ended after {self._most_seconds:.0f} s: {at} vehicles were read")
                break
            some = chosen[at : at + _CHUNK]
            what = Slice(("vehicle", "time", *paths), start, end, some)
            found += _try(ready, self._lake.read(ref, what) if paths else None, some)
        return self._result(tenant, plan, (start, end), len(names), found, complete, remarks)

    def _columns(self, tenant: Tenant) -> frozenset[str]:
        for table in self._lake.tables(tenant):
            if table.name == "signals":
                return frozenset(name for name, _ in table.columns)
        return frozenset()

    def _sample(
        self, ref: TableRef, names: list[str], start: int, end: int, remarks: list[str]
    ) -> list[str]:
        """As many vehicles as there are rows to be read of."""
        if not names:
            remarks.append("the target has no vehicle that speaks MQTT")
            return names
        total = self._lake.count(ref, Slice(start_us=start, end_us=end, vehicles=names))
        if total <= self._most_rows:
            return names
        fits = max(1, len(names) * self._most_rows // total)
        remarks.append(
            f"{total:,} rows are too many: {fits:,} of {len(names):,} vehicles were read"
        )
        return names[:fits]

    def _result(
        self,
        tenant: Tenant,
        plan: Plan,
        span: tuple[int, int],
        target: int,
        found: Sequence[VehicleTriggers],
        complete: bool,
        remarks: Sequence[str],
    ) -> DryRunResult:
        names = ("events", "samples", "bytes", "messages")
        sums = {name: sum(getattr(each, name) for each in found) for name in names}
        factor = target / max(1, len(found)) * DAY / (plan.hours * 3600 * SECOND)
        per_day = {name: value * factor for name, value in sums.items()}
        month = {
            "messages": round(per_day["messages"] * _MONTH),
            "message_bytes": round(per_day["bytes"] * _MONTH),
        }
        priced = self._price(tenant, month)
        shown = sorted(found, key=lambda each: (-each.events, each.vehicle))[:_SHOWN]
        return DryRunResult(
            start=span[0],
            end=span[1],
            vehicles_target=target,
            vehicles_read=len(found),
            vehicles_triggered=sum(each.events > 0 for each in found),
            rows=sum(each.rows for each in found),
            **sums,
            per_day=per_day,
            cost=None if priced is None else priced[0],
            currency="" if priced is None else priced[1],
            complete=complete and len(found) == target,
            remarks=tuple(remarks),
            vehicles=tuple(shown),
        )


def _timeless(ready: Prepared) -> Prepared:
    """As if it ran in the past too."""
    campaign = replace(ready.campaign, start_us=0, expiry_us=MOST_TIME_US)
    return replace(ready, campaign=campaign)


def _remarks(ready: Prepared) -> list[str]:
    remarks = []
    if ready.campaign.frames:
        remarks.append("raw frames are not in the tables: they are not counted")
    return remarks


class _Tally:
    """Takes the records of one vehicle."""

    def __init__(self) -> None:
        self.events: set[int] = set()
        self.samples = self.bytes = self.messages = 0
        self.first: int | None = None
        self.last: int | None = None

    def take(self, campaign: Campaign, record: Record) -> None:
        """A record that a vehicle would send."""
        self.events.add(record.event)
        self.samples += sum(len(each.offsets_us) for each in record.series)
        try:
            sent = messages(record, _MESSAGE, compressed=campaign.compression == "zlib")
        except RecordTooLarge:
            sent = []
        self.messages += len(sent)
        self.bytes += sum(map(len, sent))
        self.first = record.time_us if self.first is None else self.first
        self.last = record.time_us


def _try(ready: Prepared, table: pa.Table | None, names: Sequence[str]) -> list[VehicleTriggers]:
    """The campaign over the rows of some vehicles."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in [] if table is None else table.sort_by("time").to_pylist():
        rows[row.pop("vehicle")].append(row)
    return [_try_one(ready, name, mine) for name, mine in rows.items()]


def _try_one(ready: Prepared, name: str, rows: Sequence[dict[str, Any]]) -> VehicleTriggers:
    tally = _Tally()
    engine = Engine(tally.take)
    period = ready.campaign.trigger.period_us
    last: int | None = None
    for time, values in _moments(rows):
        if last is None:
            engine.configure([ready], time)
        elif period is not None:
            _pass_time(engine, last, time, period)
        try:
            engine.feed(time, values)
        except (ValueError, TypeError, ArithmeticError):
            continue  # a value that is not of its signal's type, as in the vehicle
        last = time
    if last is not None:
        engine.tick(last + ready.campaign.post_trigger_us)
    return VehicleTriggers(
        name, len(rows), len(tally.events), tally.samples, tally.bytes, tally.messages,
        tally.first, tally.last,
    )  # fmt: skip


def _moments(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in rows:
        moment = row.pop("time")
        values = {path: value for path, value in row.items() if value is not None}
        yield round(moment.timestamp() * 1e6), values


def _pass_time(engine: Engine, last: int, until: int, period: int) -> None:
    """Nothing comes for a while, and a campaign at a period goes on."""
    if until - last <= _GAP_US:
        for time in range(last + period, until, period):
            engine.tick(time)
