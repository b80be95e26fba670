"""Routes for frames that could not be read."""

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from carcloud.services.telemetry.api import DeadLetter, ReasonGroup
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTelemetry
from carcloud.web.paging import decode_cursor, encode_cursor
from carcloud.web.times import exact_iso


class DeadLetterView(msgspec.Struct, frozen=True):
    """A frame that could not be read: why, where in the frame, and which clause it broke."""

    id: str
    vehicle: str
    received: str
    protocol: str
    reason: str
    clause: str | None
    offset: int | None
    hex: str
    size: int


class DeadLetterPage(msgspec.Struct, frozen=True):
    """One page of letters, and the kinds of reasons of all that wait."""

    items: list[DeadLetterView]
    next_cursor: str | None
    total: int | None
    reasons: list[ReasonGroup]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a letter: `stored`, `still-bad` (with the reason), or `queued` = not yet."""

    outcome: str
    reason: str | None = None


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The letters to read again: of a text or kind of reason, or without one all."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None


class How(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`force` takes a frame that the gateway refused for who sent it or when."""

    force: bool = False


class BulkOutcome(msgspec.Struct, frozen=True):
    """How many letters there were, and how many were put back into the stream."""

    tried: int
    queued: int


@get(
    "/dead-letters",
    summary="Dead letters",
    description="Frames that could not be read, newest first; those read again are left out.",
    responses=errors(400, 401, 503),
    opt=allows("dead-letters:read"),
)
async def list_dead_letters(
    *,
    caller: TheCaller,
    telemetry: TheTelemetry,
    reason: Annotated[
        str | None, QueryParameter(description="Only of this text, or of this kind")
    ] = None,
    vehicle: Annotated[
        str | None, QueryParameter(description="Only of this claimed vehicle")
    ] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> DeadLetterPage:
    """A page of dead letters."""
    after = None if cursor is None else decode_cursor(cursor, tuple[int, str])
    found = await telemetry.dead_letters(
        caller.tenant, reason=reason, vehicle=vehicle, after=after, limit=limit + 1
    )
    groups = await telemetry.dead_letter_reasons(caller.tenant)
    page, more = found[:limit], len(found) > limit
    counts = [one.count for one in groups if reason in (None, one.reason)]
    countable = vehicle is None and (reason is None or counts)
    return DeadLetterPage(
        [_view(letter) for letter in page],
        encode_cursor((page[-1].received_us, page[-1].id)) if more else None,
        sum(counts) if countable else None,
        groups,
    )


@get(
    "/dead-letters/{letter:str}",
    summary="One dead letter",
    responses=errors(400, 401, 404, 503),
    opt=allows("dead-letters:read"),
)
async def read_dead_letter(
    letter: FromPath[str], caller: TheCaller, telemetry: TheTelemetry
) -> DeadLetterView:
    """One dead letter."""
    return _view(await telemetry.dead_letter(caller.tenant, letter))


@post(
    "/dead-letters/{letter:str}/reprocess",
    status_code=200,
    summary="Read one dead letter again",
    description=(
        "Puts the frame back into the stream and waits up to ten seconds for the outcome. A frame "
        "that the gateway refused for who sent it or when is taken with `force` alone."
    ),
    responses=errors(400, 401, 403, 404, 503, 507),
    opt=allows("dead-letters:reprocess"),
)
async def reprocess_dead_letter(
    letter: FromPath[str],
    caller: TheCaller,
    telemetry: TheTelemetry,
    data: JSONBody[How | None] = None,
) -> Outcome:
    """Read one dead letter again."""
    force = data is not None and data.force
    done = await telemetry.reprocess(caller.tenant, letter, force=force, actor=caller.user)
    return Outcome(done.outcome, done.reason)


@post(
    "/dead-letters/reprocess",
    status_code=200,
    summary="Read dead letters again",
    description=(
        "Puts all letters, or those of one reason, back into the stream; not frames that the "
        "gateway refused for who sent them or when."
    ),
    responses=errors(400, 401, 403, 413, 503, 507),
    opt=allows("dead-letters:reprocess"),
)
async def reprocess_dead_letters(
    data: JSONBody[Which], caller: TheCaller, telemetry: TheTelemetry
) -> BulkOutcome:
    """Read many dead letters again."""
    tried, queued = await telemetry.reprocess_all(caller.tenant, data.reason, actor=caller.user)
    return BulkOutcome(tried, queued)


def _view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        vehicle=letter.vehicle,
        received=exact_iso(letter.received_us),
        protocol=letter.protocol,
        reason=letter.reason,
        clause=letter.clause,
        offset=letter.offset,
        hex=letter.data.hex(),
        size=len(letter.data),
    )


router = Router(
    "/",
    tags=["dead-letters"],
    route_handlers=[
        list_dead_letters,
        read_dead_letter,
        reprocess_dead_letter,
        reprocess_dead_letters,
    ],
)
