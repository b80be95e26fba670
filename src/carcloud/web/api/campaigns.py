"""Routes of campaigns: what vehicles collect, when, and how far it has come."""

import asyncio
from typing import Annotated, Any

from litestar import Response, Router, delete, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from carcloud.model.ids import vehicle as vehicle_id
from carcloud.services.campaigns.api import (
    Campaign,
    CampaignChanged,
    CampaignExists,
    CollectedEvent,
    DryRunBusy,
    DryRunResult,
    InvalidCampaign,
    Plan,
    State,
    UnknownCampaign,
    WrongState,
)
from carcloud.web.api.campaign_forwarding import forward_campaign
from carcloud.web.api.campaign_views import (
    Approval,
    CampaignDetail,
    CampaignView,
    CheckRequest,
    CheckView,
    DryRunRequest,
    DryRunView,
    EventView,
    FindingView,
    ImportRequest,
    ImportView,
    NewVersion,
    ProgressView,
    Start,
    VehicleView,
    Versions,
    VersionView,
    campaign_view,
    check_view,
    dry_run_view,
    event_view,
    finding_view,
    progress_view,
    vehicle_view,
    version_view,
)
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCampaigns, TheVocabulary
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.problems import FieldError, Refused, Translate
from carcloud.web.tags import etag, wanted_revision


def _invalid(error: InvalidCampaign) -> Refused:
    """The field at fault, and the place in an expression as people count: from 1."""
    at = "" if error.position is None else f"position {error.position + 1}: "
    refused = Refused(400, str(error), field=error.field)
    refused.errors = [FieldError(error.field, at + error.detail)]
    return refused


TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownCampaign: lambda e: Refused(404, str(e)),
    CampaignExists: lambda e: Refused(409, str(e), field="document.id"),
    WrongState: lambda e: Refused(409, str(e), code="wrong-state"),
    CampaignChanged: lambda e: Refused(412, str(e), field="If-Match"),
    DryRunBusy: lambda e: Refused(429, str(e), headers={"Retry-After": "5"}),
    InvalidCampaign: _invalid,
}

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Most items of the answer")]
_DOCUMENT = {
    "id": "hard-braking",
    "trigger": {"when": "Vehicle.Chassis.Brake.PedalPosition > 80", "mode": "RISING_EDGE"},
    "pre_trigger_ms": 60000,
    "signals": [{"path": "Vehicle.Speed", "max_samples": 600, "min_interval_ms": 100}],
}
_NEW = Example(
    summary="The minute before hard braking, of a tenth of the north's trucks",
    value={"document": _DOCUMENT, "target": {"labels": ["depot:north"], "percent": 10}},
)


@get(
    "/campaigns",
    summary="Campaigns of the tenant",
    description="In order of id; `q` is part of id or name.",
    responses=errors(400, 401, 403, 503),
    opt=allows("campaigns:read"),
)
async def list_campaigns(
    *,
    caller: TheCaller,
    campaigns: TheCampaigns,
    standing: Annotated[
        State | None, QueryParameter(name="state", description="Only those that stand so")
    ] = None,
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[CampaignView]:
    """A page of campaigns."""
    after = decode_cursor(cursor, str) if cursor else None
    page = await asyncio.to_thread(
        campaigns.service.page, caller.tenant, state=standing, q=q, after=after, limit=limit
    )
    more = encode_cursor(page.after) if page.after else None
    return Page([campaign_view(one) for one in page.items], more)


@post(
    "/campaigns",
    summary="Make a campaign",
    description="A draft: it is approved and started before any vehicle gets it.",
    response_headers=[
        ResponseHeader(name="Location", documentation_only=True, description="Its address")
    ],
    responses=errors(400, 401, 403, 409, 413, 503, 507),
    opt=allows("campaigns:write"),
)
async def create_campaign(
    data: Annotated[NewVersion, Body(examples=[_NEW])],
    caller: TheCaller,
    campaigns: TheCampaigns,
) -> Response[CampaignDetail]:
    """Make a campaign of a document."""
    made = await asyncio.to_thread(
        campaigns.service.create,
        caller.tenant,
        data.document,
        data.target,
        note=data.note,
        actor=caller.user,
    )
    detail = await _detail(caller, campaigns, made)
    headers = {"Location": f"/v1/campaigns/{made.id}", **etag(made.revision)}
    return Response(detail, status_code=201, headers=headers)


@post(
    "/campaigns/check",
    status_code=200,
    summary="Check a document or an expression",
    description="All that is wrong, with the field and, in an expression, the position; and the "
    "signals that are used. Nothing is kept.",
    responses=errors(400, 401, 403, 413, 503),
    opt=allows("campaigns:read"),
)
async def check_campaign(
    data: Annotated[CheckRequest, Body()], caller: TheCaller, campaigns: TheCampaigns
) -> CheckView:
    """What is wrong with a document or an expression."""
    if (data.document is None) == (data.expression is None):
        raise InvalidCampaign("document", "give either a document or an expression")
    if data.document is not None:
        found = await asyncio.to_thread(campaigns.service.check, caller.tenant, data.document)
    else:
        found = await asyncio.to_thread(
            campaigns.service.check_expression, caller.tenant, data.expression or ""
        )
    return check_view(found)


@post(
    "/campaigns/dry-run",
    status_code=200,
    summary="Try a document on recent data",
    description="Which vehicles would have triggered, what they would have sent, and what that "
    "would cost. One run at a time; at most 20 s, then it says what it has not read.",
    responses=errors(400, 401, 403, 413, 429, 503),
    opt=allows("campaigns:read"),
)
async def dry_run(
    data: Annotated[DryRunRequest, Body()],
    caller: TheCaller,
    campaigns: TheCampaigns,
    vocabulary: TheVocabulary,
) -> DryRunView:
    """Try a document on what vehicles have reported lately."""

    def work() -> DryRunResult:
        name = str(data.document.get("id") or "")
        audience = campaigns.service.audience(caller.tenant, name, data.target)
        catalogue = vocabulary.catalogue(caller.tenant)
        plan = Plan(data.document, data.target, data.hours)
        return campaigns.dry_run.run(caller.tenant, plan, audience, catalogue)

    return dry_run_view(await asyncio.to_thread(work))


@post(
    "/campaigns/import",
    status_code=200,
    summary="Bring a campaign of AWS IoT FleetWise over",
    description="The JSON of CreateCampaign becomes a document, with a report of what has no "
    "counterpart. Nothing is kept: make a campaign of the document.",
    responses=errors(400, 401, 403, 413, 503),
    opt=allows("campaigns:write"),
)
async def import_campaign(
    data: Annotated[ImportRequest, Body()], caller: TheCaller, campaigns: TheCampaigns
) -> ImportView:
    """A document of FleetWise as one of ours."""
    found = campaigns.service.brought_over(data.document, compatibility=data.compatibility)
    remarks = [FindingView(one.field, one.text, None) for one in found.remarks]
    checked = await asyncio.to_thread(campaigns.service.check, caller.tenant, found.document)
    remarks += [finding_view(one) for one in (*checked.errors, *checked.remarks)]
    return ImportView(found.document, remarks)


@get(
    "/campaigns/{campaign:str}",
    summary="One campaign",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("campaigns:read"),
)
async def read_campaign(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> Response[CampaignDetail]:
    """A campaign with its newest version and the one that runs."""
    found = await asyncio.to_thread(campaigns.service.get, caller.tenant, campaign)
    return Response(await _detail(caller, campaigns, found), headers=etag(found.revision))


@put(
    "/campaigns/{campaign:str}",
    summary="Write a new version",
    description="What runs goes on until the new version is approved and started. With "
    "`If-Match` it is refused where somebody else changed the campaign first.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 503, 507),
    opt=allows("campaigns:write"),
)
async def save_version(
    campaign: FromPath[str],
    data: Annotated[NewVersion, Body(examples=[_NEW])],
    caller: TheCaller,
    campaigns: TheCampaigns,
    if_match: IfMatch = None,
) -> Response[CampaignDetail]:
    """A new version of a campaign, as a draft."""
    made = await asyncio.to_thread(
        campaigns.service.save,
        caller.tenant,
        campaign,
        data.document,
        data.target,
        note=data.note,
        actor=caller.user,
        if_revision=wanted_revision(if_match, needed=False),
    )
    return Response(await _detail(caller, campaigns, made), headers=etag(made.revision))


@delete(
    "/campaigns/{campaign:str}",
    summary="Delete a campaign",
    description="With its versions; what was collected stays. One that runs is ended first.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:write"),
)
async def delete_campaign(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> None:
    """Forget a campaign."""
    await asyncio.to_thread(campaigns.service.remove, caller.tenant, campaign, actor=caller.user)
    await campaigns.service.wake()


@get(
    "/campaigns/{campaign:str}/versions",
    summary="Versions of a campaign",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("campaigns:read"),
)
async def list_versions(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> Versions:
    """All versions, newest first."""
    found = await asyncio.to_thread(campaigns.service.versions, caller.tenant, campaign)
    return Versions([version_view(one) for one in found])


@post(
    "/campaigns/{campaign:str}/approve",
    status_code=200,
    summary="Approve a version",
    description="It may be started then.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:approve"),
)
async def approve_version(
    campaign: FromPath[str],
    data: Annotated[Approval, Body()],
    caller: TheCaller,
    campaigns: TheCampaigns,
) -> CampaignView:
    """Allow a version to be started."""
    service = campaigns.service
    return campaign_view(
        await asyncio.to_thread(
            service.approve, caller.tenant, campaign, data.version, actor=caller.user
        )
    )


@post(
    "/campaigns/{campaign:str}/start",
    status_code=200,
    summary="Start a version",
    description="While another version runs this switches to it, with `percent` below 100 for "
    "that share of the vehicles first; start it again with more.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:write"),
)
async def start_campaign(
    campaign: FromPath[str],
    data: Annotated[Start, Body()],
    caller: TheCaller,
    campaigns: TheCampaigns,
) -> CampaignView:
    """Bring a version to the vehicles."""
    made = await asyncio.to_thread(
        campaigns.service.start,
        caller.tenant,
        campaign,
        version=data.version,
        percent=data.percent,
        actor=caller.user,
    )
    await campaigns.service.wake()
    return campaign_view(made)


@post(
    "/campaigns/{campaign:str}/pause",
    status_code=200,
    summary="Pause a campaign",
    description="Vehicles collect nothing for it; what they have collected is still sent.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:write"),
)
async def pause_campaign(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> CampaignView:
    """Have vehicles collect nothing for a campaign for now."""
    return await _go(campaigns.service.pause, campaign, caller, campaigns)


@post(
    "/campaigns/{campaign:str}/resume",
    status_code=200,
    summary="Resume a campaign",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:write"),
)
async def resume_campaign(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> CampaignView:
    """Have vehicles collect for a paused campaign again."""
    return await _go(campaigns.service.resume, campaign, caller, campaigns)


@post(
    "/campaigns/{campaign:str}/end",
    status_code=200,
    summary="End a campaign",
    description="It is taken away from the vehicles, with what they have not sent of it yet; "
    "a new version begins it again.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("campaigns:write"),
)
async def end_campaign(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> CampaignView:
    """Take a campaign away from the vehicles for good."""
    return await _go(campaigns.service.end, campaign, caller, campaigns)


@get(
    "/campaigns/{campaign:str}/progress",
    summary="How a campaign does",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("campaigns:read"),
)
async def read_progress(
    campaign: FromPath[str], caller: TheCaller, campaigns: TheCampaigns
) -> ProgressView:
    """Who holds it, who refuses it and why, and what was collected."""
    found = await asyncio.to_thread(campaigns.follow.progress, caller.tenant, campaign)
    return progress_view(found)


@get(
    "/campaigns/{campaign:str}/vehicles",
    summary="How vehicles stand to a campaign",
    description="Those that should have it or say that they hold it, in order of id.",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("campaigns:read"),
)
async def list_campaign_vehicles(
    *,
    campaign: FromPath[str],
    caller: TheCaller,
    campaigns: TheCampaigns,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[VehicleView]:
    """A page of vehicles."""
    after = decode_cursor(cursor, str) if cursor else None
    found = await asyncio.to_thread(
        campaigns.follow.vehicles, caller.tenant, campaign, after=after, limit=limit + 1
    )
    more = encode_cursor(found[limit - 1][0].vehicle) if len(found) > limit else None
    return Page([vehicle_view(*one) for one in found[:limit]], more)


@get(
    "/campaigns/{campaign:str}/events",
    summary="What was collected",
    description="Records, newest trigger first.",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("campaigns:read"),
)
async def list_events(
    *,
    campaign: FromPath[str],
    caller: TheCaller,
    campaigns: TheCampaigns,
    vehicle: Annotated[str | None, QueryParameter(description="Only of this one")] = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[EventView]:
    """A page of records."""
    before = decode_cursor(cursor, tuple[int, str, int, str, int]) if cursor else None
    named = None if vehicle is None else vehicle_id(vehicle)

    def work() -> list[CollectedEvent]:
        campaigns.service.get(caller.tenant, campaign)
        return campaigns.follow.events(
            caller.tenant, campaign, vehicle=named, before=before, limit=limit + 1
        )

    found = await asyncio.to_thread(work)
    more = None
    if len(found) > limit:
        last = found[limit - 1]
        at = (last.time, last.vehicle, last.event, last.partition, last.part)
        more = encode_cursor(at)
    return Page([event_view(one) for one in found[:limit]], more)


async def _go(what: Any, campaign: str, caller: Caller, campaigns: TheCampaigns) -> CampaignView:
    made = await asyncio.to_thread(what, caller.tenant, campaign, actor=caller.user)
    await campaigns.service.wake()
    return campaign_view(made)


async def _detail(caller: Caller, campaigns: TheCampaigns, found: Campaign) -> CampaignDetail:
    def version(number: int | None) -> VersionView | None:
        if number is None:
            return None
        return version_view(campaigns.service.version(caller.tenant, found.id, number))

    newest = await asyncio.to_thread(version, found.version)
    running = await asyncio.to_thread(version, found.running_version)
    assert newest is not None  # noqa: S101 - a campaign has its newest version
    return CampaignDetail(campaign_view(found), newest, running)


router = Router(
    "/",
    tags=["campaigns"],
    route_handlers=[
        list_campaigns,
        create_campaign,
        check_campaign,
        dry_run,
        import_campaign,
        read_campaign,
        save_version,
        delete_campaign,
        list_versions,
        approve_version,
        start_campaign,
        pause_campaign,
        resume_campaign,
        end_campaign,
        forward_campaign,
        read_progress,
        list_campaign_vehicles,
        list_events,
    ],
)
