"""Methods of models' mappings: which raw field of a model becomes which signal."""

from collections.abc import Mapping as Map
from dataclasses import replace
from datetime import datetime

import msgspec

from carcloud.client.exchange import Call, Listing, get, send
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Page, Tagged

_MAPPING = "/v1/models/{model}/mapping"


class MappingFinding(msgspec.Struct, frozen=True):
    """What is wrong at a line of a mapping; `node` is the path it speaks of."""

    line: int
    node: str
    text: str


class DbcFinding(msgspec.Struct, frozen=True):
    """Something odd in a DBC file; `level` is info, warning (mended) or error (lost)."""

    file: str
    line: int
    level: str
    text: str
    action: str


class RawField(msgspec.Struct, frozen=True):
    """A raw field and the signals that it becomes; `kind` is can, obd or field."""

    kind: str
    name: str
    place: str
    unit: str
    paths: tuple[str, ...]


class Mapping(Tagged, frozen=True):
    """A version of a model's mapping; version 0 with an empty text = there is none."""

    version: int
    created: datetime | None
    actor: str
    note: str
    text: str
    dbc: tuple[str, ...]
    signals: int
    findings: tuple[MappingFinding, ...]
    dbc_findings: tuple[DbcFinding, ...]
    fields: tuple[RawField, ...]


class MappingVersion(msgspec.Struct, frozen=True):
    """A version of a mapping in the list of versions."""

    version: int
    created: datetime
    actor: str
    note: str
    dbc: tuple[str, ...]
    active: bool


class MappingEffect(msgspec.Struct, frozen=True):
    """What a mapping does, and what is wrong with it; `version` None = it was only checked."""

    version: int | None
    signals: int
    findings: tuple[MappingFinding, ...]
    dbc_findings: tuple[DbcFinding, ...]
    fields: tuple[RawField, ...]


class DbcText(msgspec.Struct, frozen=True):
    """A DBC file of a mapping."""

    name: str
    text: str


class Suggestion(msgspec.Struct, frozen=True):
    """A first mapping of DBC files, and the tenant's overlay with the nodes that it needs."""

    mapping: str
    overlay: str
    matched: dict[str, str]
    private: int
    left_out: tuple[str, ...]


class NewMapping(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new mapping."""

    text: str
    note: str = ""
    dbc: dict[str, str] = {}
    overlay: str | None = None


class DbcFiles(msgspec.Struct, frozen=True):
    """The body of a question for a suggestion."""

    dbc: dict[str, str]


class _Mappings:
    @call
    def get(self, model: str) -> Call[Mapping]:
        """The mapping of a model that holds, with its ETag."""
        return get(_MAPPING, Mapping, place={"model": model})

    @many
    def versions(self, model: str, *, limit: int | None = None) -> Listing[MappingVersion]:
        """Versions of a model's mapping, newest first."""
        asked = get("/v1/models/{model}/mappings", Page[MappingVersion], place={"model": model})
        return Listing(asked, limit)

    @call
    def version(self, model: str, version: int) -> Call[Mapping]:
        """A version of a model's mapping."""
        place = {"model": model, "version": str(version)}
        return get("/v1/models/{model}/mappings/{version}", Mapping, place=place)

    @call
    def dbc(self, model: str, name: str, *, version: int | None = None) -> Call[DbcText]:
        """A DBC file of a version, by default of the one that holds."""
        place = {"model": model, "name": name}
        return get(f"{_MAPPING}/dbc/{{name}}", DbcText, place=place, version=version)

    @call
    def check(
        self,
        model: str,
        text: str,
        *,
        dbc: Map[str, str] | None = None,
        overlay: str | None = None,
    ) -> Call[MappingEffect]:
        """What is wrong with a mapping, and where each raw field lands; nothing is saved.

        `dbc`: texts of DBC files by name; others that it names are those of the version that holds.
        `overlay`: look as if this were the tenant's overlay.
        """
        body = NewMapping(text, dbc=dict(dbc or {}), overlay=overlay)
        place = {"model": model}
        asked = send("PUT", _MAPPING, MappingEffect, place=place, body=body, etag="*")
        return replace(asked, query={"check": True}, reads=True)

    @call
    def save(
        self,
        model: str,
        text: str,
        *,
        dbc: Map[str, str] | None = None,
        note: str = "",
        etag: str | None = None,
    ) -> Call[MappingEffect]:
        """Save a mapping, which holds from now on.

        Raises `Invalid` with the lines at fault, `Changed` where `etag` is old.
        """
        body = NewMapping(text, note, dict(dbc or {}))
        place = {"model": model}
        asked = send("PUT", _MAPPING, MappingEffect, place=place, body=body, etag=etag or "*")
        return replace(asked, query={"check": False})

    @call
    def suggest(self, model: str, dbc: Map[str, str]) -> Call[Suggestion]:
        """A first mapping of DBC files (text by name); nothing is saved."""
        place = {"model": model}
        body = DbcFiles(dict(dbc))
        return send("POST", f"{_MAPPING}/suggest", Suggestion, place=place, body=body)


class MappingGroup(Group, _Mappings):
    """`client.mappings`"""


class AsyncMappingGroup(AsyncGroup, _Mappings):
    """`client.mappings`"""
