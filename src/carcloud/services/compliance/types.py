"""What crosses the wall of the compliance service."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from carcloud.model.ids import Tenant
from carcloud.services.compliance.checks import NAME

Warn = Literal["retention", "reissue-window"]


_PRINTABLE = r"^[\x20-\x7e]*$"
Name = Annotated[str, Meta(pattern=f"^{NAME}$", max_length=40)]
Host = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:-]*$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
PlatformId = Annotated[str, Meta(min_length=1, max_length=17, pattern=_PRINTABLE)]
User = Annotated[str, Meta(min_length=1, max_length=12, pattern=_PRINTABLE)]
Password = Annotated[str, Meta(min_length=1, max_length=20, pattern=_PRINTABLE)]
Edition = Literal[2016, 2025]


class LinkSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further platform: where it listens, and what it gave us to log in with."""

    name: Name
    host: Host
    port: Port
    platform_id: PlatformId  # unique id of our platform on that link
    user: User
    password: Password
    edition: Edition = 2016  # of the platform login; vehicles' frames go out in their own
    tls: bool = False
    enabled: bool = True

    def __repr__(self) -> str:
        return f"LinkSpec({self.name!r}, {self.host!r}, {self.port})"  # not the password


class LinkChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): what is absent stays."""

    host: Host | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    platform_id: PlatformId | UnsetType = UNSET
    user: User | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    edition: Edition | UnsetType = UNSET
    tls: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        """The fields that are set."""
        return {k: v for k, v in msgspec.structs.asdict(self).items() if v is not UNSET}


class LinkFacts(Struct, frozen=True, kw_only=True):
    """A link without its password, and what has become of its frames."""

    name: str
    host: str
    port: int
    platform_id: str
    user: str
    edition: int
    tls: bool
    enabled: bool
    connected: bool = False
    problem: str | None = None
    forwarded: int = 0  # frames answered with success
    refused: int = 0  # frames given up after three error replies
    expired: int = 0  # frames that left the reissue window before they could be sent

    def facts(self) -> dict[str, Any]:
        """The fields of this class by name."""
        return {name: getattr(self, name) for name in LinkFacts.__struct_fields__}


class LinkState(LinkFacts, frozen=True, kw_only=True):
    """A link of one tenant, and how far it has come."""

    tenant: Tenant
    revision: int  # grows with each change by a person
    forwarded_seq: int = 0  # every frame up to this stream sequence has been dealt with
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
