"""Routes of the audit: search, export, verification."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.services.tenancy.api import AuditEntry, AuditFilter, Tenancy
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTenancy
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.times import parse_time

Words = Annotated[str | None, QueryParameter(max_length=200)]
From = Annotated[str | None, QueryParameter(name="from", description="RFC 3339")]
Until = Annotated[str | None, QueryParameter(name="to", description="RFC 3339, exclusive")]
Action = Annotated[
    str | None, QueryParameter(max_length=60, description="As `user.create`, or `user.*`")
]
Position = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
_EXPORT_PAGE = 1000


class AuditView(msgspec.Struct, frozen=True):
    """Who did what to what, or was refused (`denied`); `number` counts the tenant's entries, and
    `hash` covers the entry and the hash of the one before."""

    number: int
    time: str
    actor: str
    action: str
    subject: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    denied: bool
    address: str
    request: str
    hash: str


class ChainView(msgspec.Struct, frozen=True):
    """What a check of the chain found; no faults = nothing was altered or removed."""

    entries: int
    head: str
    faults: list[str]


@get(
    "/audit",
    summary="The record of changes",
    opt=allows("audit:read"),
    description="Newest first.",
    responses=errors(400, 401, 403, 503),
)
async def list_audit(
    caller: TheCaller,
    tenancy: TheTenancy,
    actor: Words = None,
    action: Action = None,
    subject: Words = None,
    denied: FromQuery[bool | None] = None,
    from_: From = None,
    to: Until = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[AuditView]:
    """A page of entries."""
    which = _filter(actor, action, subject, denied, from_, to)
    before = None if cursor is None else decode_cursor(cursor, Position)
    page = await asyncio.to_thread(
        lambda: tenancy.trail.page(caller.tenant, which, before=before, limit=limit)
    )
    following = None if page.next_before is None else encode_cursor(page.next_before)
    return Page([_view(one) for one in page.items], following)


_LINES = ResponseSpec(
    str,
    description="One entry a line, newest first",
    media_type="application/x-ndjson",
    generate_examples=False,
)


@get(
    "/audit/export",
    summary="Export the record of changes",
    opt=allows("audit:read"),
    responses={200: _LINES, **errors(400, 401, 403, 503)},
)
async def export_audit(
    caller: TheCaller,
    tenancy: TheTenancy,
    actor: Words = None,
    action: Action = None,
    subject: Words = None,
    denied: FromQuery[bool | None] = None,
    from_: From = None,
    to: Until = None,
) -> Stream:
    """All entries that match, as JSON lines."""
    which = _filter(actor, action, subject, denied, from_, to)
    headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"'}
    lines = _lines(tenancy, caller.tenant, which)
    return Stream(lines, media_type="application/x-ndjson", headers=headers)


@get(
    "/audit/verify",
    summary="Check that nothing was altered or removed",
    opt=allows("audit:read"),
    responses=errors(401, 403, 503),
)
async def verify_audit(caller: TheCaller, tenancy: TheTenancy) -> ChainView:
    """Recompute the chain of the tenant's entries."""
    [report] = await asyncio.to_thread(tenancy.trail.verify, caller.tenant)
    return ChainView(report.entries, report.head, list(report.faults))


async def _lines(
    tenancy: Tenancy, tenant: Tenant, which: AuditFilter
) -> AsyncGenerator[bytes, None]:
    read = partial(tenancy.trail.page, tenant, which, limit=_EXPORT_PAGE)
    before = None
    while True:
        page = await asyncio.to_thread(read, before=before)
        yield b"".join(msgspec.json.encode(_view(one)) + b"\n" for one in page.items)
        before = page.next_before
        if before is None:
            return


def _filter(
    actor: str | None,
    action: str | None,
    subject: str | None,
    denied: bool | None,
    since: str | None,
    until: str | None,
) -> AuditFilter:
    return AuditFilter(
        subject,
        actor,
        action,
        denied,
        None if since is None else parse_time(since, "from"),
        None if until is None else parse_time(until, "to"),
    )


def _view(one: AuditEntry) -> AuditView:
    return AuditView(
        one.number,
        iso(one.time),
        one.actor,
        one.action,
        one.subject,
        None if one.before is None else dict(one.before),
        None if one.after is None else dict(one.after),
        one.denied,
        one.address,
        one.request,
        one.hash,
    )


router = Router("/", tags=["audit"], route_handlers=[list_audit, export_audit, verify_audit])
