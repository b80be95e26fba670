"""Routes of models' mappings: which raw field of a model becomes which signal."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import msgspec
from litestar import Response, Router, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, JSONBody, QueryParameter

from carcloud.services.vocabulary.api import (
    Checked,
    DbcFinding,
    Finding,
    InvalidMapping,
    MappingChanged,
    MappingVersion,
    RawField,
    UnknownMapping,
)
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheMappings, TheVehicles, TheVocabulary
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.problems import FieldError, Refused, Translate
from carcloud.web.tags import etag, wanted_revision
from carcloud.web.times import exact_iso

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The version")]
_MOST_VERSION = 2**31
_DbcText = Annotated[str, msgspec.Meta(max_length=4_000_000)]
_DbcTexts = Annotated[dict[str, _DbcText], msgspec.Meta(max_length=20)]


class MappingView(msgspec.Struct, frozen=True):
    """A version of a model's mapping; version 0 with an empty text = there is none.

    `dbc`: names of its DBC files. `findings`: what of it is not right any more, such as a signal
    that an overlay took away. `fields`: each raw field and the signals that it becomes.
    """

    version: int
    created: str | None
    actor: str
    note: str
    text: str
    dbc: list[str]
    signals: int
    findings: list[Finding]
    dbc_findings: list[DbcFinding]
    fields: list[RawField]


class MappingRow(msgspec.Struct, frozen=True):
    """A version of a mapping in the list of versions; `active`: it holds now."""

    version: int
    created: str
    actor: str
    note: str
    dbc: list[str]
    active: bool


class NewMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as YAML or JSON, and DBC files: text by name. Files that the mapping names and
    that are not here are those of the version that holds. `overlay`, with `check` only: look as
    if this were the tenant's overlay; null = the one that holds."""

    text: Annotated[str, msgspec.Meta(max_length=256_000)]
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""
    dbc: _DbcTexts = {}
    overlay: Annotated[str, msgspec.Meta(max_length=256_000)] | None = None


class MappingEffect(msgspec.Struct, frozen=True):
    """What a mapping does; `version` null = nothing was saved. With `findings` it cannot be."""

    version: int | None
    signals: int
    findings: list[Finding]
    dbc_findings: list[DbcFinding]
    fields: list[RawField]


class DbcView(msgspec.Struct, frozen=True):
    """A DBC file of a mapping."""

    name: str
    text: str


class DbcFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DBC files: text by name."""

    dbc: _DbcTexts


class SuggestionView(msgspec.Struct, frozen=True):
    """A first mapping of DBC files, and the tenant's overlay with the nodes that it needs.

    `matched`: the signals of the catalogue that were found, with message.signal. `private`:
    signals that become nodes of the tenant. `left_out`: those for which there is no way or room.
    """

    mapping: str
    overlay: str
    matched: dict[str, str]
    private: int
    left_out: list[str]


@get(
    "/models/{model:str}/mapping",
    summary="A model's mapping",
    description="The one that holds; its `ETag` is wanted to save another.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 404, 503),
    opt=allows("models:read"),
)
async def read_mapping(
    model: FromPath[str], caller: TheCaller, vehicles: TheVehicles, mappings: TheMappings
) -> Response[MappingView]:
    """The mapping that holds."""

    def looked() -> MappingView:
        vehicles.model(caller.tenant, model)
        return _view(mappings, caller, model, mappings.version(caller.tenant, model))

    found = await asyncio.to_thread(looked)
    return Response(found, headers=etag(found.version))


@get(
    "/models/{model:str}/mappings",
    summary="Versions of a model's mapping",
    description="Newest first; the newest holds.",
    responses=errors(400, 401, 404, 503),
    opt=allows("models:read"),
)
async def list_mappings(
    model: FromPath[str],
    caller: TheCaller,
    vehicles: TheVehicles,
    mappings: TheMappings,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[MappingRow]:
    """A page of versions."""
    before = None if cursor is None else decode_cursor(cursor, int)

    def looked() -> list[MappingVersion]:
        vehicles.model(caller.tenant, model)
        return mappings.versions(caller.tenant, model, before=before, limit=limit + 1)

    found = await asyncio.to_thread(looked)
    rows = [
        MappingRow(
            one.version,
            exact_iso(one.created_us),
            one.actor,
            one.note,
            list(one.dbc),
            before is None and at == 0,
        )
        for at, one in enumerate(found[:limit])
    ]
    return Page(rows, encode_cursor(rows[-1].version) if len(found) > limit else None)


@get(
    "/models/{model:str}/mappings/{version:int}",
    summary="An earlier mapping",
    responses=errors(400, 401, 404, 503),
    opt=allows("models:read"),
)
async def read_mapping_version(
    model: FromPath[str],
    version: FromPath[int],
    caller: TheCaller,
    vehicles: TheVehicles,
    mappings: TheMappings,
) -> MappingView:
    """A version of the mapping."""

    def looked() -> MappingView:
        vehicles.model(caller.tenant, model)
        if not 1 <= version < _MOST_VERSION:
            raise UnknownMapping(f"there is no version {version} of the mapping")
        return _view(mappings, caller, model, mappings.version(caller.tenant, model, version))

    return await asyncio.to_thread(looked)


@get(
    "/models/{model:str}/mapping/dbc/{name:str}",
    summary="A DBC file of a mapping",
    responses=errors(400, 401, 404, 503),
    opt=allows("models:read"),
)
async def read_dbc(
    model: FromPath[str],
    name: FromPath[str],
    caller: TheCaller,
    vehicles: TheVehicles,
    mappings: TheMappings,
    version: Annotated[
        int | None, QueryParameter(ge=1, lt=_MOST_VERSION, description="Default: that holds")
    ] = None,
) -> DbcView:
    """The text of a DBC file."""

    def looked() -> DbcView:
        vehicles.model(caller.tenant, model)
        return DbcView(name, mappings.dbc(caller.tenant, model, name, version))

    return await asyncio.to_thread(looked)


_TEXT = "signals:\n  Vehicle.Speed:\n    obd: 0D\n"
_EXAMPLE = Example(summary="Speed over OBD-II", value={"text": _TEXT, "note": "First"})


@put(
    "/models/{model:str}/mapping",
    summary="Save a model's mapping",
    description=(
        "A new version, which holds from now on. With `check` nothing is saved and all findings "
        "are told. `If-Match` must name the version that you saw, unless it is only checked."
    ),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
    opt=allows("models:write"),
)
async def save_mapping(
    model: FromPath[str],
    data: Annotated[NewMapping, Body(examples=[_EXAMPLE])],
    caller: TheCaller,
    vehicles: TheVehicles,
    vocabulary: TheVocabulary,
    mappings: TheMappings,
    check: Annotated[bool, QueryParameter(description="Only look what it would do")] = False,
    if_match: IfMatch = None,
) -> Response[MappingEffect]:
    """Save a mapping, or check it."""
    if check:

        def checked() -> Checked:
            vehicles.model(caller.tenant, model)
            given = None if data.overlay is None else vocabulary.catalogue_with(data.overlay)
            return mappings.check(caller.tenant, model, data.text, data.dbc, given)

        return Response(_effect(None, await asyncio.to_thread(checked)))
    if data.overlay is not None:
        raise Refused(400, "is for a check: save it as the overlay first", field="overlay")
    version = wanted_revision(if_match, needed=True)

    def saved() -> tuple[MappingVersion, Checked]:
        vehicles.model(caller.tenant, model)
        return mappings.save(
            caller.tenant,
            model,
            data.text,
            data.dbc,
            note=data.note,
            actor=caller.user,
            if_version=version,
        )

    new, told = await asyncio.to_thread(saved)
    return Response(_effect(new.version, told), headers=etag(new.version))


@post(
    "/models/{model:str}/mapping/suggest",
    summary="Suggest a mapping",
    description=(
        "A first mapping of DBC files: signals that surely are some of the catalogue, the others "
        "as nodes of the tenant's own below `Vehicle.Private`. Nothing is saved: check `mapping` "
        "with `overlay` and the same files, save `overlay` as the tenant's, then `mapping`."
    ),
    status_code=200,
    responses=errors(400, 401, 403, 404, 413, 503),
    opt=allows("models:write"),
)
async def suggest_mapping(
    model: FromPath[str],
    data: JSONBody[DbcFiles],
    caller: TheCaller,
    vehicles: TheVehicles,
    vocabulary: TheVocabulary,
    mappings: TheMappings,
) -> SuggestionView:
    """A first mapping."""

    def made() -> SuggestionView:
        vehicles.model(caller.tenant, model)
        held = vocabulary.overlay(caller.tenant).text
        found = mappings.suggest(caller.tenant, data.dbc, held)
        return SuggestionView(
            found.mapping, found.overlay, found.matched, found.private, list(found.left_out)
        )

    return await asyncio.to_thread(made)


def _view(mappings: TheMappings, caller: Caller, model: str, held: MappingVersion) -> MappingView:
    told = mappings.described(caller.tenant, model, held)
    return MappingView(
        version=held.version,
        created=exact_iso(held.created_us) if held.version else None,
        actor=held.actor,
        note=held.note,
        text=held.text,
        dbc=list(held.dbc),
        signals=told.signals,
        findings=list(told.findings),
        dbc_findings=list(told.dbc_findings),
        fields=list(told.fields),
    )


def _effect(version: int | None, told: Checked) -> MappingEffect:
    return MappingEffect(
        version,
        told.signals,
        list(told.findings),
        list(told.dbc_findings),
        list(told.fields),
    )


def _refused(error: InvalidMapping) -> Refused:
    refused = Refused(400, str(error), code="mapping")
    refused.errors = [
        FieldError("text", f"line {one.line}: {one.node}: {one.text}") for one in error.findings
    ]
    return refused


TRANSLATIONS: Mapping[type[Exception], Translate] = {
    UnknownMapping: lambda e: Refused(404, str(e)),
    MappingChanged: lambda e: Refused(412, str(e), field="If-Match"),
    InvalidMapping: _refused,
}

router = Router(
    "/",
    tags=["models"],
    route_handlers=[
        read_mapping,
        list_mappings,
        read_mapping_version,
        read_dbc,
        save_mapping,
        suggest_mapping,
    ],
)
