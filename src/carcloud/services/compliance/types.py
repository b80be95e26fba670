"""What crosses the wall of the compliance service."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from carcloud.model.ids import Tenant

Warn = Literal["retention", "reissue-window"]


class LinkSpec(Struct, frozen=True, kw_only=True):
    """A further platform that gets a tenant's frames over GB/T 32960.3 clause 5."""

    name: str  # lower-case letters, digits and hyphens
    host: str
    port: int
    platform_id: str  # unique id of our platform on that link, up to 17 characters
    user: str  # up to 12 characters
    password: str  # up to 20 characters
    edition: int = 2016  # of the platform login; vehicles' frames go out in their own
    tls: bool = False
    enabled: bool = True

    def __repr__(self) -> str:
        return f"LinkSpec({self.name!r}, {self.host!r}, {self.port})"  # not the password


class LinkChange(Struct, frozen=True, kw_only=True):
    """A merge patch: what is unset stays."""

    host: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    platform_id: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    edition: int | UnsetType = UNSET
    tls: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        """The fields that are set."""
        return {k: v for k, v in msgspec.structs.asdict(self).items() if v is not UNSET}


class LinkState(Struct, frozen=True, kw_only=True):
    """A link without its password, and how far it has come."""

    tenant: Tenant
    name: str
    host: str
    port: int
    platform_id: str
    user: str
    edition: int
    tls: bool
    enabled: bool
    revision: int  # grows with each change by a person
    forwarded_seq: int = 0  # every frame up to this stream sequence has been dealt with
    forwarded: int = 0  # frames answered with success
    refused: int = 0  # frames given up after three error replies
    expired: int = 0  # frames that left the reissue window before they could be sent
    connected: bool = False
    problem: str | None = None
    created_us: int = 0
    updated_us: int = 0  # of the last progress; 0 = none yet


class Wait(Struct, frozen=True, kw_only=True):
    """What a link has before it."""

    frames: int  # in the lake beyond the link's position, and to be sent again
    again: int  # of these: answered with an error, to be sent again
    oldest_us: int | None = None  # when the oldest of them was received
    warning: Warn | None = None  # frames are lost, or about to be


class Outgoing(Struct, frozen=True):
    """A frame on its way to a further platform."""

    seq: int
    vehicle: str
    time_us: int  # collection time
    kind: str
    raw: bytes
    tries: int = 0  # times that it was answered with an error
    retry: int = 0  # number in the list of frames to be sent again; 0 = fresh from the lake


class Batch(Struct, frozen=True):
    """Frames to send now, and the stream sequence that is dealt with when they are answered."""

    seq: int
    frames: Sequence[Outgoing]


class Progress(Struct, frozen=True, kw_only=True):
    """What became of a batch."""

    forwarded: int = 0
    refused: int = 0
    expired: int = 0
    again: Sequence[Outgoing] = ()  # answered with an error; to be sent again
    again_at_us: int = 0


class PlatformAccount(Struct, frozen=True, kw_only=True):
    """A lower platform that may log in to us; its password is never told."""

    platform_id: str
    user: str
    created_us: int
    updated_us: int
