"""Routes that have work done on the history of vehicles: CAN logs taken in, frames decoded anew."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from carcloud.model.ids import vehicle as vehicle_id
from carcloud.services.compute.api import Job, NewJob
from carcloud.services.telemetry.can_import import NAME as IMPORT
from carcloud.services.telemetry.redecode import NAME as REDECODE
from carcloud.services.telemetry.redecode import span_of
from carcloud.web.api.buckets import mine
from carcloud.web.api.jobs import JobView, view
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheJobs, TheStorage, TheVehicles, VehiclePath
from carcloud.web.problems import Refused

_MADE = [ResponseHeader(name="Location", documentation_only=True, description="The job's address")]
_TIMEOUT_S = 86_400.0
_MEMORY_MB = 1536  # readers of logs and compiled decoders

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class CanLogs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs of a vehicle in a bucket, joined in order of time, and how to read them.

    `mapping` and `dbc` are objects of the bucket too; without them the mapping of the vehicle's
    model holds. `zone`: of ASC, BLF and TRC. `transports`: j1939, isotp, nmea2000; null = those
    that the DBC files need.
    """

    bucket: Annotated[str, msgspec.Meta(min_length=3, max_length=63)]
    logs: Annotated[list[Key], msgspec.Meta(min_length=1, max_length=100)]
    mapping: Key | None = None
    dbc: Annotated[list[Key], msgspec.Meta(max_length=20)] = []
    zone: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    transports: Annotated[list[str], msgspec.Meta(max_length=3)] | None = None


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):  # fmt: skip  # noqa: E501
    """The time of the frames to decode anew, RFC 3339, `to` exclusive."""

    start: Annotated[str, msgspec.Meta(max_length=40)]
    end: Annotated[str, msgspec.Meta(max_length=40)]


_LOGS = Example(
    summary="A log of a drive",
    value={"bucket": "can-logs", "logs": ["drive.mf4"]},
)
_SPAN = Example(
    summary="A week", value={"from": "2026-05-01T00:00:00Z", "to": "2026-05-08T00:00:00Z"}
)


@post(
    "/vehicles/{vehicle:str}/can-logs",
    status_code=202,
    summary="Import CAN logs",
    description="A job reads the logs, decodes and maps them, and puts the rows into the vehicle's "
    "history; its result says what was imported. What is there already is recognised. Needs "
    "`objects:read` in the bucket's project too.",
    tags=["vehicles"],
    response_headers=_MADE,
    responses=errors(400, 401, 403, 404, 413, 503, 507),
    opt=allows("vehicles:write"),
)
async def import_can_logs(
    *,
    vehicle: VehiclePath,
    data: Annotated[CanLogs, Body(examples=[_LOGS])],
    caller: TheCaller,
    vehicles: TheVehicles,
    storage: TheStorage,
    jobs: TheJobs,
) -> Response[JobView]:
    """Import logs."""
    name = vehicle_id(vehicle)
    await asyncio.to_thread(vehicles.get, caller.tenant, name)
    bucket = await asyncio.to_thread(mine, storage, caller, data.bucket, "objects:read")
    params = {"vehicle": name, **msgspec.to_builtins(data)}
    job = NewJob(
        IMPORT, params, f"CAN logs of {name}", timeout_s=_TIMEOUT_S, memory_mb=_MEMORY_MB,
        project=bucket.project,
    )  # fmt: skip
    return _answer(await jobs.submit(caller.tenant, job, actor=caller.user))


@post(
    "/models/{model:str}/redecode",
    status_code=202,
    summary="Decode a model's history anew",
    description="A job decodes the raw frames of the model's vehicles as model and mapping are "
    "now, and replaces the rows that they gave; its result says how many changed. Raw frames are "
    "kept for `lake.frames_days`.",
    tags=["models"],
    response_headers=_MADE,
    responses=errors(400, 401, 403, 404, 413, 503, 507),
    opt=allows("models:write"),
)
async def redecode_model(
    model: FromPath[str],
    data: Annotated[Span, Body(examples=[_SPAN])],
    caller: TheCaller,
    vehicles: TheVehicles,
    jobs: TheJobs,
) -> Response[JobView]:
    """Decode anew."""
    found = await asyncio.to_thread(vehicles.model, caller.tenant, model)
    try:
        span_of(data.start, data.end)
    except ValueError as error:
        raise Refused(400, str(error), field="from") from error
    params = {"model": found.id, "from": data.start, "to": data.end}
    job = NewJob(
        REDECODE, params, f"history of {found.id} anew", timeout_s=7 * _TIMEOUT_S,
        memory_mb=_MEMORY_MB,
    )  # fmt: skip
    return _answer(await jobs.submit(caller.tenant, job, actor=caller.user))


def _answer(job: Job) -> Response[JobView]:
    return Response(view(job), status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})


router = Router("/", route_handlers=[import_can_logs, redecode_model])
