"""Routes that read one vehicle's telemetry: twin, frames, series, trail, alarms."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.params import FromQuery, QueryParameter

from carcloud.model.ids import Tenant, VehicleId
from carcloud.model.ids import vehicle as vehicle_id
from carcloud.model.time import DAY, SECOND, iso
from carcloud.services.telemetry.api import (
    MAX_POINTS,
    Frame,
    InvalidArgument,
    Series,
    SignalValue,
    Trail,
)
from carcloud.services.vehicles.api import Unknown, Vehicles
from carcloud.web.callers import allows
from carcloud.web.describe import ERRORS
from carcloud.web.given import TheCaller, TheTelemetry, TheVehicles, VehiclePath
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.times import exact_iso, optional_iso, parse_time, span

HOUR = 3600 * SECOND

From = Annotated[str | None, QueryParameter(name="from", description="Start, RFC 3339; inclusive")]
To = Annotated[str | None, QueryParameter(name="to", description="End, RFC 3339; exclusive")]
Points = Annotated[
    int, QueryParameter(ge=1, le=MAX_POINTS, description="Most points of the answer")
]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Most items of the answer")]


class SignalReading(msgspec.Struct, frozen=True):
    """The latest known value of a signal; `flagged`: it is outside its type or range."""

    value: SignalValue
    time: str
    unit: str | None
    flagged: bool = False


class TwinView(msgspec.Struct, frozen=True):
    """The latest known state of a vehicle; `time` of its newest report."""

    vehicle: str
    time: str | None
    signals: dict[str, SignalReading]


class FrameView(msgspec.Struct, frozen=True):
    """A frame as it came off the wire, decoded where it can be."""

    time: str
    received: str
    kind: str
    protocol: str
    seq: int
    hex: str
    fields: dict[str, Any] | None
    error: dict[str, Any] | None


class SeriesView(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Signals over time in buckets of `bucket_ms`."""

    from_: str
    to: str
    bucket_ms: int
    series: dict[str, Series]


class AlarmView(msgspec.Struct, frozen=True):
    """One alarm; `end` null = it is still on at the end of the time asked for."""

    code: str
    level: int | None
    start: str
    end: str | None


@get(
    "/vehicles/{vehicle:str}/twin",
    summary="Latest known state",
    description="Latest value and time of every signal it ever sent, and whether it is connected.",
    responses=ERRORS,
    opt=allows("telemetry:read"),
)
async def read_twin(
    vehicle: VehiclePath,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
) -> TwinView:
    """Latest known state of one vehicle."""
    name = await known_vehicle(vehicle, caller, telemetry, vehicles)
    found = await telemetry.twin(caller.tenant, name)
    units = await asyncio.to_thread(telemetry.units, caller.tenant, found.signals)
    texts: dict[int, str] = {}  # most signals of a vehicle share a few times
    signals: dict[str, SignalReading] = {}
    for path, reading in found.signals.items():
        text = texts.get(reading.time_us) or texts.setdefault(reading.time_us, iso(reading.time_us))
        unit = units.get(path)
        signals[path] = SignalReading(reading.value, text, unit, reading.flagged)
    return TwinView(found.vehicle, optional_iso(found.time_us), signals)


@get(
    "/vehicles/{vehicle:str}/frames",
    summary="Raw frames",
    description="Frames of the vehicle, newest first, each decoded field by field.",
    responses=ERRORS,
    opt=allows("telemetry:read"),
)
async def read_frames(
    *,
    vehicle: VehiclePath,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    limit: Limit = 50,
    before: Annotated[
        str | None, QueryParameter(description="Only frames earlier than this, RFC 3339")
    ] = None,
    cursor: FromQuery[str | None] = None,
) -> Page[FrameView]:
    """Frames of one vehicle."""
    name = await known_vehicle(vehicle, caller, telemetry, vehicles)
    before_us = None if before is None else parse_time(before, "before")
    skip = 0
    if cursor is not None:
        last_us, skip = decode_cursor(cursor, tuple[int, int])
        if not (0 <= last_us < 2**62 and 0 <= skip < 10_000):
            raise InvalidArgument("cursor", "is not a cursor of this list")
        before_us = last_us + 1
    edition = await asyncio.to_thread(_edition, vehicles, caller.tenant, name)
    found = await telemetry.frames(caller.tenant, name, before_us, limit + skip, edition)
    return _page(found[skip:], len(found) == limit + skip, skip if cursor else 0, before_us)


def _edition(vehicles: Vehicles, tenant: Tenant, name: VehicleId) -> str | None:
    """Of the protocol, as the vehicle told it when it came last; None for one that is gone."""
    try:
        login = vehicles.last_login(tenant, name)
    except Unknown:
        return None
    return None if login is None else login.edition


def _page(frames: list[Frame], more: bool, skipped: int, before_us: int | None) -> Page[FrameView]:
    """A page whose cursor is (time of the last frame, frames of that time already given)."""
    cursor = None
    if more and frames:
        last = frames[-1].time_us
        given = sum(frame.time_us == last for frame in frames)
        if before_us == last + 1:
            given += skipped
        cursor = encode_cursor((last, given))
    return Page([_frame(frame) for frame in frames], cursor)


def _frame(frame: Frame) -> FrameView:
    return FrameView(
        time=exact_iso(frame.time_us),
        received=exact_iso(frame.received_us),
        kind=frame.kind,
        protocol=frame.protocol,
        seq=frame.seq,
        hex=frame.data.hex(),
        fields=frame.fields,
        error=frame.error,
    )


@get(
    "/vehicles/{vehicle:str}/signals",
    summary="Signals over time",
    description=(
        "Least, greatest and mean of up to 32 signals in equal stretches of time. Defaults to the "
        "last hour. An element of an array signal is named by its index, `…CellVoltages[3]`."
    ),
    responses=ERRORS,
    opt=allows("telemetry:read"),
)
async def read_series(
    *,
    vehicle: VehiclePath,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    paths: Annotated[str, QueryParameter(description="Signal paths, separated by commas")],
    from_: From = None,
    to: To = None,
    points: Points = 800,
) -> SeriesView:
    """Down-sampled signals of one vehicle."""
    name = await known_vehicle(vehicle, caller, telemetry, vehicles)
    asked = [path.strip() for path in paths.split(",") if path.strip()]
    stretch = span(from_, to, HOUR)
    found = await telemetry.series(caller.tenant, name, asked, stretch, points)
    return SeriesView(iso(found.from_us), iso(found.to_us), found.bucket_ms, found.series)


@get(
    "/vehicles/{vehicle:str}/trail",
    summary="Positions over time",
    description="Where the vehicle was, WGS-84 degrees. Defaults to the last hour.",
    responses=ERRORS,
    opt=allows("telemetry:read"),
)
async def read_trail(
    *,
    vehicle: VehiclePath,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    from_: From = None,
    to: To = None,
    points: Points = 1000,
) -> Trail:
    """Positions of one vehicle."""
    name = await known_vehicle(vehicle, caller, telemetry, vehicles)
    return await telemetry.trail(caller.tenant, name, span(from_, to, HOUR), points)


@get(
    "/vehicles/{vehicle:str}/alarms",
    summary="Alarms over time",
    description="Alarms that were on at some time in the stretch. Defaults to the last day.",
    responses=ERRORS,
    opt=allows("telemetry:read"),
)
async def read_alarms(
    *,
    vehicle: VehiclePath,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    from_: From = None,
    to: To = None,
) -> Page[AlarmView]:
    """Alarm intervals of one vehicle."""
    name = await known_vehicle(vehicle, caller, telemetry, vehicles)
    found = await telemetry.alarms(caller.tenant, name, span(from_, to, DAY))
    items = [
        AlarmView(one.code, one.level, iso(one.start_us), optional_iso(one.end_us)) for one in found
    ]
    return Page(items, None, len(items))


async def known_vehicle(
    text: str,
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
) -> VehicleId:
    """The id of a vehicle that the tenant has; raises `InvalidId` or what the registry raises."""
    name = vehicle_id(text)
    if name not in await telemetry.twins(caller.tenant):
        await asyncio.to_thread(vehicles.get, caller.tenant, name)
    return name


router = Router(
    "/",
    tags=["telemetry"],
    route_handlers=[read_twin, read_frames, read_series, read_trail, read_alarms],
)
