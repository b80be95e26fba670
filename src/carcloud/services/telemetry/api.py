"""The way into telemetry: twins, history, SQL, dead letters and the state of the cloud."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from msgspec import structs

from carcloud.model.ids import DEFAULT_TENANT, Tenant, VehicleId
from carcloud.model.signals import CATALOGUE, Signal
from carcloud.model.streams import FRAMES
from carcloud.model.time import now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake, QueryResult, TableInfo, TableRef
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.dead_letters import DeadLetters, metadata
from carcloud.services.telemetry.errors import (
    BuiltInTable,
    InvalidArgument,
    TooBusy,
    UnknownDeadLetter,
    UnknownQuery,
    UnknownTable,
)
from carcloud.services.telemetry.history import (
    MAX_PATHS,
    MAX_POINTS,
    History,
    Span,
    parse_path,
)
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.metrics import METRICS, Metric
from carcloud.services.telemetry.presence import CONNECTED, Presence
from carcloud.services.telemetry.queries import Asker, Only, Queries, QueryFigures, QueryOptions
from carcloud.services.telemetry.query_quota import QueryQuota
from carcloud.services.telemetry.status import StatusBoard
from carcloud.services.telemetry.twin import Twin
from carcloud.services.telemetry.twins import Twins
from carcloud.services.telemetry.types import (
    AlarmInterval,
    Coverage,
    DeadLetter,
    DecodeFrame,
    Disk,
    Frame,
    Overview,
    Problem,
    Reading,
    ReasonGroup,
    Reprocessed,
    Role,
    Series,
    SeriesSet,
    Session,
    SignalValue,
    Status,
    Trail,
    VehicleTwin,
)
from carcloud.services.tenancy.api import AuditEntry, record_changes

__all__ = [
    "MAX_POINTS",
    "METRICS",
    "AlarmInterval",
    "Asker",
    "BuiltInTable",
    "Coverage",
    "DeadLetter",
    "DecodeFrame",
    "Disk",
    "Frame",
    "Ingest",
    "InvalidArgument",
    "Metric",
    "Overview",
    "Presence",
    "Problem",
    "QueryFigures",
    "QueryOptions",
    "QueryQuota",
    "QueryResult",
    "Reading",
    "ReasonGroup",
    "Reprocessed",
    "Role",
    "Series",
    "SeriesSet",
    "Session",
    "SignalValue",
    "Span",
    "Status",
    "TableInfo",
    "Telemetry",
    "TooBusy",
    "Trail",
    "Twin",
    "UnknownDeadLetter",
    "UnknownQuery",
    "UnknownTable",
    "VehicleTwin",
    "metadata",
]

LETTERS_COUNTED_S = 5.0  # s for which the count of dead letters is remembered


class Telemetry:
    """Everything that is read from what vehicles sent. Made once a process, used by many tasks.

    All methods raise the errors of the ports (`Unavailable`, `Full`) when an engine is down.
    """

    def __init__(
        self,
        lake: Lake,
        stream: Stream,
        blobs: Blobs,
        records: Records,
        *,
        data: Path,
        reserve_mb: int = 512,
        signals: Callable[[Tenant], Mapping[str, Signal]] = lambda _tenant: CATALOGUE,
        decoders: Mapping[str, DecodeFrame] | None = None,
        options: QueryOptions | None = None,
        quota: QueryQuota | None = None,
    ) -> None:
        self._lake = lake
        self._records = records
        self._stream = stream
        self._twins = Twins(lake, stream, blobs)
        self._presence = Presence(stream)
        self._history = History(lake)
        self._letters = DeadLetters(lake, stream, records)
        self._board = StatusBoard(stream, data, reserve_mb)
        self._decoders = dict(decoders or {})
        self._signals = signals
        self._queries = Queries(lake, options or QueryOptions(), quota)
        self._lake_down: Problem | None = None
        self.queries = self._queries.figures
        self._counted: dict[Tenant, tuple[float, int]] = {}

    async def start(self) -> None:
        """Connect to what is live; raises `Unavailable`."""
        await asyncio.to_thread(self._letters.create_tables)
        await self._board.start()
        await self._twins.start()

    async def forget(self, tenant: Tenant) -> None:
        """Keep nothing of a tenant in memory, which is suspended or gone."""
        await self._twins.forget(tenant)
        self._counted.pop(tenant, None)
        await asyncio.to_thread(self._lake.forget, tenant)

    async def stop(self) -> None:
        """Keep the twins and give everything back."""
        await self._board.stop()
        await self._presence.stop()
        await self._twins.stop()
        self._queries.stop()

    # latest state

    async def twins(self, tenant: Tenant) -> Twin:
        """The live twin of all vehicles of a tenant: to be read, not to be changed."""
        return await self._twins.of(tenant)

    async def twin(self, tenant: Tenant, vehicle: VehicleId) -> VehicleTwin:
        """The latest known state of one vehicle; without signals of its own when it never reported.

        Whether it is connected is known from the gateways, unless it tells so itself.
        """
        found = (await self._twins.of(tenant)).get(vehicle)
        twin = found or VehicleTwin(vehicle, None, None, {})
        connected = (await self.presence(tenant)).connected(tenant, vehicle)
        if connected is None:
            return twin
        return structs.replace(twin, signals={CONNECTED: connected} | twin.signals)

    async def overviews(
        self, tenant: Tenant, vehicles: Iterable[str] | None = None
    ) -> dict[str, Overview]:
        """What the list shows, by vehicle; those that never reported are missing."""
        rows = (await self._twins.of(tenant)).overviews(vehicles)
        return {row.vehicle: row for row in rows}

    async def presence(self, tenant: Tenant) -> Presence:
        """Who is connected now: to be read, not to be changed."""
        await self._presence.follow(tenant)
        return self._presence

    def units(self, tenant: Tenant, paths: Iterable[str]) -> dict[str, str | None]:
        """The units of those of these signals that the tenant's catalogue has; may wait."""
        catalogue = self._signals(tenant)
        return {path: catalogue[path].unit for path in paths if path in catalogue}

    # history

    async def series(
        self, tenant: Tenant, vehicle: VehicleId, paths: Sequence[str], span: Span, points: int
    ) -> SeriesSet:
        """Least, greatest and mean of signals in at most `points` stretches of time.

        Raises `InvalidArgument` naming `paths` or `points`.
        """
        if not 1 <= len(paths) <= MAX_PATHS:
            raise InvalidArgument("paths", f"name 1 to {MAX_PATHS} signals")
        _check_points(points)
        parsed = [parse_path(path) for path in dict.fromkeys(paths)]
        columns = [path.column for path in parsed]
        return await asyncio.to_thread(
            self._history.series,
            tenant,
            vehicle,
            parsed,
            span,
            points=points,
            units=await asyncio.to_thread(self.units, tenant, columns),
        )

    async def trail(self, tenant: Tenant, vehicle: VehicleId, span: Span, points: int) -> Trail:
        """Where a vehicle was; raises `InvalidArgument` naming `points`."""
        _check_points(points)
        return await asyncio.to_thread(self._history.trail, tenant, vehicle, span, points)

    async def alarms(self, tenant: Tenant, vehicle: VehicleId, span: Span) -> list[AlarmInterval]:
        """Alarms that were on in the span, by start."""
        return await asyncio.to_thread(self._history.alarms, tenant, vehicle, span)

    async def frames(
        self,
        tenant: Tenant,
        vehicle: VehicleId,
        before_us: int | None,
        limit: int,
        edition: str | None = None,
    ) -> list[Frame]:
        """Raw frames with a time before `before_us`, newest first, decoded where a decoder is.

        `edition` is that of the vehicle's last login: some frames do not tell theirs.
        """
        return await asyncio.to_thread(
            self._history.frames, tenant, vehicle, before_us, limit, self._decoders, edition
        )

    # tables and SQL

    async def tables(self, tenant: Tenant) -> list[TableInfo]:
        """The tenant's tables."""
        return await asyncio.to_thread(self._lake.tables, tenant)

    async def drop_table(self, tenant: Tenant, name: str, *, actor: str) -> None:
        """Take away a table that a job made; raises `UnknownTable`, `BuiltInTable`.

        SQL does not find it any more at once; its bytes are freed by the next care of the lake.
        """

        def drop() -> None:
            found = next((one for one in self._lake.tables(tenant) if one.name == name), None)
            if found is None:
                raise UnknownTable(name)
            if found.known:
                raise BuiltInTable(name)
            before = {"rows": found.rows, "bytes": found.bytes}
            # told first, so that no drop is missing; and apart: the lake may take long
            with self._records.transaction() as db:
                record_changes(db, [AuditEntry(tenant, actor, "table.drop", name, before, None)])
            if not self._lake.drop(TableRef(tenant, name)):
                raise UnknownTable(name)

        await asyncio.to_thread(drop)

    async def query(
        self,
        tenant: Tenant,
        sql: str,
        rows: int | None = None,
        asker: Asker | None = None,
        *,
        only: Only | None = None,
    ) -> QueryResult:
        """One read-only SELECT, on the rows of all vehicles, or of those that `only` gives when
        its turn comes.

        Raises `QueryRefused`, `QueryLimit`, `TooBusy`, `OverLimit`, and `QueryCancelled` after
        `cancel_query`. `rows` None = as many as the settings allow. When the caller stops
        waiting, the query ends and its place is free.
        """
        return await self._queries.run(tenant, sql, rows, asker, only)

    def cancel_query(self, tenant: Tenant, asker: Asker) -> None:
        """End a query that `asker` runs in this process; raises `UnknownQuery`."""
        self._queries.cancel(tenant, asker)

    # dead letters

    async def dead_letters(
        self,
        tenant: Tenant,
        *,
        reason: str | None = None,
        vehicle: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        """Letters that wait, newest first, after the position (received us, id).

        `reason`: of this text, or of this kind as `dead_letter_reasons` gives it.
        """
        return await asyncio.to_thread(self._letters.page, tenant, reason, vehicle, after, limit)

    async def dead_letter(self, tenant: Tenant, letter: str) -> DeadLetter:
        """One letter; raises `UnknownDeadLetter`."""
        return await asyncio.to_thread(self._letters.get, tenant, letter)

    async def dead_letter_reasons(self, tenant: Tenant) -> list[ReasonGroup]:
        """How many letters wait, by kind of reason."""
        return await asyncio.to_thread(self._letters.reasons, tenant)

    async def reprocess(
        self, tenant: Tenant, letter: str, *, force: bool, actor: str
    ) -> Reprocessed:
        """Read one letter again; raises `UnknownDeadLetter`, `InvalidArgument`.

        `force` takes a frame that the gateway refused for who sent it or when.
        """
        self._counted.pop(tenant, None)
        return await self._letters.reprocess(tenant, letter, force=force, actor=actor)

    async def reprocess_all(
        self, tenant: Tenant, reason: str | None, *, actor: str
    ) -> tuple[int, int]:
        """Read all letters (of one reason) again; returns how many (there were, were put back).

        Frames that the gateway refused for who sent them or when stay.
        """
        self._counted.pop(tenant, None)
        return await self._letters.reprocess_all(tenant, reason, actor=actor)

    # operation

    async def status(self, tenant: Tenant, vehicles: int) -> Status:
        """The state of the cloud; `vehicles` is how many the tenant has registered.

        A lake that does not answer is one of the problems told, not an error.
        """
        found = self._board.status(vehicles, await self._waiting_letters(tenant), tenant)
        if self._lake_down is None:
            return found
        return structs.replace(found, problems=[*found.problems, self._lake_down])

    def installation(self) -> Status:
        """The state of the whole, with the problems of all tenants; nothing is counted."""
        found = self._board.status(0, 0)
        down = [] if self._lake_down is None else [self._lake_down]
        return structs.replace(found, problems=[*found.problems, *down])

    async def check_stream(self) -> None:
        """Raises `Unavailable` when the stream does not answer."""
        await self._stream.info(FRAMES.name)

    async def check_lake(self) -> None:
        """Raises `Unavailable` when the lake does not answer."""
        await asyncio.to_thread(self._lake.tables, DEFAULT_TENANT)

    def metrics(self, *, tenants: bool = True) -> str:
        """Figures of all processes, in Prometheus' text format; `tenants`: those of single
        tenants too."""
        return self._board.exposition(tenants=tenants)

    async def _waiting_letters(self, tenant: Tenant) -> int:
        counted, count = self._counted.get(tenant, (-LETTERS_COUNTED_S, 0))
        if monotonic() - counted >= LETTERS_COUNTED_S:
            self._counted[tenant] = (monotonic(), count)  # others do not count meanwhile
            try:
                count = sum(one.count for one in await self.dead_letter_reasons(tenant))
            except EngineError as error:
                since = self._lake_down.since_us if self._lake_down else now_us()
                self._lake_down = Problem("lake-down", since, str(error))
            else:
                self._lake_down = None
                self._counted[tenant] = (monotonic(), count)
        return count


def _check_points(points: int) -> None:
    if not 1 <= points <= MAX_POINTS:
        raise InvalidArgument("points", f"between 1 and {MAX_POINTS}")
