"""Methods of the signal catalogue and of the tenant's overlay on it."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import msgspec

from carcloud.client.exchange import Call, Listing, get, send
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Page, Tagged

_OVERLAY = "/v1/signals/overlay"


class Signal(msgspec.Struct, frozen=True):
    """A signal: what its values are, where it comes from, and what reported it."""

    path: str
    kind: str
    datatype: str
    unit: str | None
    min: float | None
    max: float | None
    allowed: tuple[str, ...]
    origin: str
    deprecated: bool
    description: str | None
    vehicles: int
    models: tuple[str, ...]
    last_seen: datetime | None


class ModelCount(msgspec.Struct, frozen=True):
    """How many vehicles of a model reported a signal; None = vehicles without a model."""

    model: str | None
    vehicles: int


class SignalFacts(msgspec.Struct, frozen=True):
    """What the values of a signal are without the tenant's overlay."""

    min: float | None
    max: float | None
    allowed: tuple[str, ...]
    deprecated: bool
    description: str | None


class SignalDetail(msgspec.Struct, frozen=True):
    """All that is known of a signal; `standard` None: the tenant's overlay adds it."""

    signal: Signal
    default: Any
    pattern: str | None
    by_model: tuple[ModelCount, ...]
    standard: SignalFacts | None


class Overlay(Tagged, frozen=True):
    """A version of the overlay and what it does; version 0, an empty text = there is none."""

    version: int
    created: datetime | None
    actor: str
    note: str
    text: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class OverlayVersion(msgspec.Struct, frozen=True):
    """A version of the overlay in the list of versions."""

    version: int
    created: datetime
    actor: str
    note: str
    active: bool


class Finding(msgspec.Struct, frozen=True):
    """What is wrong at a line of an overlay."""

    line: int
    node: str
    text: str


class Effect(msgspec.Struct, frozen=True):
    """What an overlay does, and what is wrong with it; `version` None = it was only checked."""

    version: int | None
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]


class NewOverlay(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new overlay."""

    text: str
    note: str = ""


class _Signals:
    @many
    def list(
        self,
        q: str | None = None,
        *,
        prefix: str | None = None,
        datatype: str | None = None,
        unit: str | None = None,
        kind: Literal["sensor", "actuator", "attribute"] | None = None,
        origin: Literal["vss", "carcloud", "tenant"] | None = None,
        reported: bool | None = None,
        deprecated: bool | None = None,
        limit: int | None = None,
    ) -> Listing[Signal]:
        """Signals in order of path; `q`: words that stand in path, description or unit."""
        asked = get(
            "/v1/signals", Page[Signal], q=q, prefix=prefix, datatype=datatype, unit=unit,
            kind=kind, origin=origin, reported=reported, deprecated=deprecated,
        )  # fmt: skip
        return Listing(asked, limit)

    @call
    def get(self, path: str) -> Call[SignalDetail]:
        """One signal."""
        return get("/v1/signals/{path}", SignalDetail, place={"path": path})

    @call
    def overlay(self) -> Call[Overlay]:
        """The overlay that holds, with its ETag."""
        return get(_OVERLAY, Overlay)

    @many
    def versions(self, *, limit: int | None = None) -> Listing[OverlayVersion]:
        """Versions of the overlay, newest first."""
        return Listing(get("/v1/signals/overlays", Page[OverlayVersion]), limit)

    @call
    def version(self, version: int) -> Call[Overlay]:
        """A version of the overlay."""
        place = {"version": str(version)}
        return get("/v1/signals/overlays/{version}", Overlay, place=place)

    @call
    def check(self, text: str) -> Call[Effect]:
        """What an overlay would do, and all that is wrong with it; nothing is saved."""
        asked = send("PUT", _OVERLAY, Effect, body=NewOverlay(text), etag="*")
        return replace(asked, query={"check": True}, reads=True)

    @call
    def save(self, text: str, *, note: str = "", etag: str | None = None) -> Call[Effect]:
        """Save an overlay, which holds from now on.

        Raises `Invalid` with the lines at fault, `Changed` where `etag` is old.
        """
        asked = send("PUT", _OVERLAY, Effect, body=NewOverlay(text, note), etag=etag or "*")
        return replace(asked, query={"check": False})


class SignalGroup(Group, _Signals):
    """`client.signals`"""


class AsyncSignalGroup(AsyncGroup, _Signals):
    """`client.signals`"""
