"""The route that asks vehicles for what a campaign keeps in them."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from carcloud.model.ids import vehicle as vehicle_id
from carcloud.services.campaigns.api import Campaign, InvalidCampaign, WrongState
from carcloud.services.commands.api import NewCommand
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import CampaignParts, TheCaller, TheCampaigns, TheCommands
from carcloud.web.times import exact_iso, parse_time

_WEEK_S = 7 * 86_400.0
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Forward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask for: one partition or, with null, all; what was kept up to `until`, null = now;
    of one vehicle or of all that hold the campaign. It waits `timeout_s` for a vehicle that is
    away."""

    partition: _Short | None = None
    until: str | None = None
    vehicle: _Short | None = None
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=30 * 86_400)] = _WEEK_S


class Forwarded(msgspec.Struct, frozen=True):
    """How many vehicles were given the command `forward`."""

    vehicles: int


@post(
    "/campaigns/{campaign:str}/forward",
    status_code=200,
    summary="Ask for what a campaign keeps in vehicles",
    description="Each vehicle that holds the campaign gets the command `forward`, and sends what "
    "it has kept in the partitions up to a time, whatever their condition of upload says.",
    responses=errors(400, 401, 403, 404, 409, 413, 429, 503, 507),
    opt=allows("campaigns:write"),
)
async def forward_campaign(
    campaign: FromPath[str],
    data: Annotated[Forward, Body(examples=[Example(value={"partition": "default"})])],
    caller: TheCaller,
    campaigns: TheCampaigns,
    commands: TheCommands,
) -> Forwarded:
    """Give the command to those that hold it."""

    def work() -> int:
        found = campaigns.service.get(caller.tenant, campaign)
        _check_partition(campaigns, found, data.partition)
        arguments: dict[str, Any] = {"campaign": campaign}
        if data.partition is not None:
            arguments["partition"] = data.partition
        if data.until is not None:
            arguments["until"] = exact_iso(parse_time(data.until, "until"))
        vehicles = campaigns.follow.holders(caller.tenant, campaign)
        if data.vehicle is not None:
            named = str(vehicle_id(data.vehicle))
            if named not in vehicles:
                raise InvalidCampaign("vehicle", "it does not say that it holds the campaign")
            vehicles = [named]
        new = NewCommand("forward", arguments, data.timeout_s)
        return commands.give_all(caller.tenant, vehicles, new, actor=caller.user)

    given = await asyncio.to_thread(work)
    await commands.wake()
    return Forwarded(given)


def _check_partition(campaigns: CampaignParts, found: Campaign, partition: str | None) -> None:
    versions = [each for each in (found.running_version, found.next_version) if each is not None]
    if not versions:
        raise WrongState(f"{found.id} is {found.state}: no vehicle keeps anything for it")
    parts: list[str] = []
    for number in versions:
        document = campaigns.service.version(found.tenant, found.id, number).document
        parts += [each["id"] for each in document.get("partitions") or [{"id": "default"}]]
    if partition is not None and partition not in parts:
        raise InvalidCampaign("partition", f"it has {', '.join(dict.fromkeys(parts))}")
