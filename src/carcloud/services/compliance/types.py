"""What crosses the wall of the compliance service."""

from msgspec import Struct

from carcloud.model.ids import Tenant


class LinkSpec(Struct, frozen=True, kw_only=True):
    """A further platform that gets a tenant's frames over GB/T 32960.3 clause 5."""

    name: str  # lower-case letters, digits and hyphens
    host: str
    port: int
    platform_id: str  # unique id of our platform on that link, up to 17 characters
    user: str  # up to 12 characters
    password: str  # up to 20 characters
    tls: bool = False
    enabled: bool = True


class LinkState(Struct, frozen=True, kw_only=True):
    """How far a link has come."""

    tenant: Tenant
    name: str
    forwarded_seq: int = 0  # every frame up to this stream sequence has been answered
    forwarded: int = 0  # frames answered with success
    refused: int = 0  # frames given up after three error replies
    expired: int = 0  # frames that left the reissue window before they could be sent
    connected: bool = False
    problem: str | None = None
    updated_us: int = 0


class Outgoing(Struct, frozen=True):
    """A frame on its way to a further platform."""

    seq: int
    vehicle: str
    time_us: int  # collection time
    kind: str
    raw: bytes
