"""Routes of the signal catalogue and of the tenant's overlay on it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, get, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from carcloud.model.catalogue import Signal
from carcloud.services.telemetry.api import Coverage
from carcloud.services.vehicles.api import Filter
from carcloud.services.vocabulary.api import (
    Effect,
    Finding,
    InvalidOverlay,
    Overlay,
    OverlayChanged,
    UnknownOverlay,
    UnknownSignal,
)
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTelemetry, TheVehicles, TheVocabulary
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.problems import FieldError, Refused, Translate
from carcloud.web.tags import etag, wanted_revision
from carcloud.web.times import exact_iso, optional_iso

Kind = Literal["sensor", "actuator", "attribute"]
Origin = Literal["vss", "carcloud", "tenant"]
_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The version")]


class SignalView(msgspec.Struct, frozen=True):
    """A signal: what its values are, where it comes from, and what reported it.

    `origin`: vss = the standard, carcloud = its overlay, tenant = added or changed by the
    tenant's overlay. `vehicles` counts those that ever reported it, of those the caller sees.
    """

    path: str
    kind: str
    datatype: str
    unit: str | None
    min: float | None
    max: float | None
    allowed: list[str]
    origin: str
    deprecated: bool
    description: str | None
    vehicles: int
    models: list[str]
    last_seen: str | None


class ModelCount(msgspec.Struct, frozen=True):
    """How many vehicles of a model reported a signal; null = vehicles without a model."""

    model: str | None
    vehicles: int


class SignalFacts(msgspec.Struct, frozen=True):
    """What the values of a signal are without the tenant's overlay."""

    min: float | None
    max: float | None
    allowed: list[str]
    deprecated: bool
    description: str | None


class SignalDetail(msgspec.Struct, frozen=True):
    """All that is known of a signal; `default` of an attribute, `pattern` of a text.

    `standard`: what it is without the tenant's overlay; null where the overlay adds it.
    """

    signal: SignalView
    default: Any
    pattern: str | None
    by_model: list[ModelCount]
    standard: SignalFacts | None


class OverlayView(msgspec.Struct, frozen=True):
    """A version of the overlay; version 0 with an empty text = there is none.

    `added`, `changed`, `removed`: the signals that it adds to those of VSS and carcloud, changes
    and takes away.
    """

    version: int
    created: str | None
    actor: str
    note: str
    text: str
    added: list[str]
    changed: list[str]
    removed: list[str]


class OverlayRow(msgspec.Struct, frozen=True):
    """A version of the overlay in the list of versions; `active`: it holds now."""

    version: int
    created: str
    actor: str
    note: str
    active: bool


class NewOverlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An overlay: vspec as YAML or JSON."""

    text: Annotated[str, msgspec.Meta(max_length=256_000)]
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


class EffectView(msgspec.Struct, frozen=True):
    """What an overlay does, and what is wrong with it; `version` null = nothing was saved."""

    version: int | None
    added: list[str]
    changed: list[str]
    removed: list[str]
    findings: list[Finding]


@get(
    "/signals",
    summary="Signals",
    description=(
        "The tenant's catalogue: COVESA VSS, carcloud's overlay and the tenant's own, in order of "
        "path. `q`: words that all stand in path, description or unit."
    ),
    responses=errors(400, 401, 503),
    opt=allows("signals:read", narrowed=True),
)
async def list_signals(
    *,
    caller: TheCaller,
    vocabulary: TheVocabulary,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    q: Annotated[str, QueryParameter(max_length=200, description="Words, in any case")] = "",
    prefix: Annotated[str, QueryParameter(max_length=200, description="A branch, or more")] = "",
    datatype: FromQuery[str | None] = None,
    unit: Annotated[str | None, QueryParameter(description="Empty = none")] = None,
    kind: FromQuery[Kind | None] = None,
    origin: FromQuery[Origin | None] = None,
    reported: Annotated[
        bool | None, QueryParameter(description="Whether a vehicle ever reported it")
    ] = None,
    deprecated: FromQuery[bool | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[SignalView]:
    """A page of signals."""
    catalogue = await asyncio.to_thread(vocabulary.catalogue, caller.tenant)
    after = "" if cursor is None else decode_cursor(cursor, str)
    words = q.lower().split()
    wanted = {"datatype": datatype, "kind": kind, "origin": origin, "deprecated": deprecated}
    fixed = {name: value for name, value in wanted.items() if value is not None}
    found = [
        signal
        for signal in catalogue.values()
        if signal.path.startswith(prefix)
        and all(getattr(signal, name) == value for name, value in fixed.items())
        and (unit is None or (signal.unit or "") == unit)
        and _says(signal, words)
    ]
    seen = await _coverage(caller, telemetry, vehicles, [one.path for one in found])
    if reported is not None:
        found = [one for one in found if (one.path in seen) is reported]
    rest = sorted((one for one in found if one.path > after), key=lambda one: one.path)
    page = rest[:limit]
    more = encode_cursor(page[-1].path) if len(rest) > limit else None
    return Page([_view(one, seen.get(one.path)) for one in page], more, len(found))


def _says(signal: Signal, words: list[str]) -> bool:
    if not words:
        return True
    text = f"{signal.path} {signal.description or ''} {signal.unit or ''}".lower()
    return all(word in text for word in words)


async def _coverage(
    caller: Caller, telemetry: TheTelemetry, vehicles: TheVehicles, paths: list[str]
) -> Mapping[str, Coverage]:
    """What reported these signals, of the vehicles that the caller sees."""
    within = caller.identity.scopes("vehicles:read")
    models = await asyncio.to_thread(
        vehicles.models_by_vehicle, caller.tenant, Filter(within=within)
    )
    twin = await telemetry.twins(caller.tenant)
    return twin.coverage(paths, models, only=within is not None)


@get(
    "/signals/{path:str}",
    summary="One signal",
    responses=errors(400, 401, 404, 503),
    opt=allows("signals:read", narrowed=True),
)
async def read_signal(
    path: FromPath[str],
    caller: TheCaller,
    vocabulary: TheVocabulary,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
) -> SignalDetail:
    """One signal."""
    found = await asyncio.to_thread(vocabulary.signal, caller.tenant, path)
    seen = (await _coverage(caller, telemetry, vehicles, [path])).get(path)
    by_model = [] if seen is None else [ModelCount(*one) for one in seen.models.items()]
    by_model.sort(key=lambda one: -one.vehicles)
    standard = _facts(vocabulary.standard(path))
    return SignalDetail(_view(found, seen), found.default, found.pattern, by_model, standard)


@get(
    "/signals/overlays",
    summary="Versions of the overlay",
    description="Newest first; the newest holds.",
    responses=errors(400, 401, 503),
    opt=allows("signals:read"),
)
async def list_overlays(
    caller: TheCaller,
    vocabulary: TheVocabulary,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[OverlayRow]:
    """A page of versions."""
    before = None if cursor is None else decode_cursor(cursor, int)
    found = await asyncio.to_thread(
        vocabulary.versions, caller.tenant, before=before, limit=limit + 1
    )
    rows = [
        OverlayRow(
            one.version, exact_iso(one.created_us), one.actor, one.note, before is None and at == 0
        )
        for at, one in enumerate(found[:limit])
    ]
    return Page(rows, encode_cursor(rows[-1].version) if len(found) > limit else None)


@get(
    "/signals/overlay",
    summary="The overlay",
    description="The one that holds; its `ETag` is wanted to save another.",
    response_headers=_TAGGED,
    responses=errors(401, 503),
    opt=allows("signals:read"),
)
async def read_overlay(caller: TheCaller, vocabulary: TheVocabulary) -> Response[OverlayView]:
    """The overlay that holds."""
    found = await asyncio.to_thread(vocabulary.overlay, caller.tenant)
    effect = await asyncio.to_thread(vocabulary.check, caller.tenant, found.text)
    return Response(_overlay(found, effect), headers=etag(found.version))


@get(
    "/signals/overlays/{version:int}",
    summary="An earlier overlay",
    responses=errors(400, 401, 404, 503),
    opt=allows("signals:read"),
)
async def read_version(
    version: FromPath[int], caller: TheCaller, vocabulary: TheVocabulary
) -> OverlayView:
    """A version of the overlay."""
    if not 1 <= version < 2**31:
        raise UnknownOverlay(str(version))
    found = await asyncio.to_thread(vocabulary.overlay, caller.tenant, version)
    return _overlay(found, await asyncio.to_thread(vocabulary.check, caller.tenant, found.text))


_EXAMPLE = Example(
    summary="A narrower range",
    value={"text": "Vehicle.Speed:\n  type: sensor\n  max: 120\n", "note": "Our limit"},
)


@put(
    "/signals/overlay",
    summary="Save an overlay",
    description=(
        "A new version, which holds from now on; an empty text takes the overlay away. With "
        "`check` nothing is saved and all findings are told. `If-Match` must name the version "
        "that you saw, unless it is only checked."
    ),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 412, 413, 428, 503, 507),
    opt=allows("signals:write"),
)
async def save_overlay(
    data: Annotated[NewOverlay, Body(examples=[_EXAMPLE])],
    caller: TheCaller,
    vocabulary: TheVocabulary,
    check: Annotated[bool, QueryParameter(description="Only look what it would do")] = False,
    if_match: IfMatch = None,
) -> Response[EffectView]:
    """Save an overlay, or check it."""
    if check:
        effect = await asyncio.to_thread(vocabulary.check, caller.tenant, data.text)
        return Response(_effect(None, effect))
    version = wanted_revision(if_match, needed=True)
    saved, effect = await asyncio.to_thread(
        vocabulary.save,
        caller.tenant,
        data.text,
        note=data.note,
        actor=caller.user,
        if_version=version,
    )
    return Response(_effect(saved.version, effect), headers=etag(saved.version))


def _view(signal: Signal, seen: Coverage | None) -> SignalView:
    return SignalView(
        path=signal.path,
        kind=signal.kind,
        datatype=signal.datatype,
        unit=signal.unit,
        min=signal.minimum,
        max=signal.maximum,
        allowed=list(signal.allowed),
        origin=signal.origin,
        deprecated=signal.deprecated,
        description=signal.description,
        vehicles=0 if seen is None else seen.vehicles,
        models=[] if seen is None else sorted(name for name in seen.models if name is not None),
        last_seen=None if seen is None else optional_iso(seen.last_us),
    )


def _facts(signal: Signal | None) -> SignalFacts | None:
    if signal is None:
        return None
    return SignalFacts(
        signal.minimum, signal.maximum, list(signal.allowed), signal.deprecated, signal.description
    )


def _overlay(overlay: Overlay, effect: Effect) -> OverlayView:
    return OverlayView(
        version=overlay.version,
        created=exact_iso(overlay.created_us) if overlay.version else None,
        actor=overlay.actor,
        note=overlay.note,
        text=overlay.text,
        added=list(effect.added),
        changed=list(effect.changed),
        removed=list(effect.removed),
    )


def _effect(version: int | None, effect: Effect) -> EffectView:
    return EffectView(
        version,
        list(effect.added),
        list(effect.changed),
        list(effect.removed),
        list(effect.findings),
    )


def _refused(error: InvalidOverlay) -> Refused:
    refused = Refused(400, str(error), code="overlay")
    refused.errors = [
        FieldError("text", f"line {one.line}: {one.node}: {one.text}") for one in error.findings
    ]
    return refused


TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownSignal: lambda e: Refused(404, f"there is no signal {e}"),
    UnknownOverlay: lambda e: Refused(404, f"there is no overlay of version {e}"),
    OverlayChanged: lambda e: Refused(412, str(e), field="If-Match"),
    InvalidOverlay: _refused,
}

router = Router(
    "/",
    tags=["signals"],
    route_handlers=[
        list_signals,
        read_overlay,
        list_overlays,
        read_version,
        read_signal,
        save_overlay,
    ],
)
