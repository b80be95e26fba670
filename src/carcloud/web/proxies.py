"""The address of a client behind balancers that are trusted, read so that nobody can forge it.

Each proxy appends the address that it was asked from. So the header is read from the right, while
the address that told the next one is a trusted proxy; what stands further left may be anybody's
invention.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, Literal

from litestar.types import Receive, Send

from carcloud.config import InvalidSetting, Settings

Header = Literal["x-forwarded-for", "forwarded"]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST = 50  # addresses of a header


class TrustedProxies:
    """Networks of proxies, and the header that they set; `client` is pure."""

    def __init__(self, networks: Sequence[_Network], header: Header = "x-forwarded-for") -> None:
        self._networks = networks
        self._header = header.encode()

    @classmethod
    def of(cls, settings: Settings) -> "TrustedProxies":
        """As the settings say; raises `InvalidSetting`."""
        text = settings.text("web.trusted_proxies")
        try:
            networks = [ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()]
        except ValueError as error:
            raise InvalidSetting(f"web.trusted_proxies: {error}") from error
        forwarded = settings.text("web.proxy_header") == "forwarded"
        return cls(networks, "forwarded" if forwarded else "x-forwarded-for")

    def client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """The address of who asked, when `peer` opened the connection."""
        if not self._trusts(peer):
            return peer
        told = b",".join(value for name, value in headers if name.lower() == self._header)
        address = peer
        parts = told.decode("latin-1").split(",")
        for part in reversed(parts[-_MOST:]):
            found = _address(_for(part) if self._header == b"forwarded" else part)
            if found is None:
                return address  # what is no address was not written by a proxy of ours
            address = found
            if not self._trusts(address):
                break
        return address

    def https(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a trusted proxy says that it was asked over TLS."""
        if not self._trusts(peer):
            return False
        for name, value in reversed(headers):
            text = value.decode("latin-1").rpartition(",")[2].strip().lower()
            if self._header == b"forwarded" and name.lower() == b"forwarded":
                return "proto=https" in text.replace('"', "").replace(" ", "").split(";")
            if self._header != b"forwarded" and name.lower() == b"x-forwarded-proto":
                return text == "https"
        return False

    def _trusts(self, text: str) -> bool:
        found = _address(text) if self._networks else None
        if found is None:
            return False
        address = ipaddress.ip_address(found)
        return any(address in network for network in self._networks)


class Behind:
    """An ASGI application that sees the client of its proxies as its own."""

    def __init__(self, app: Any, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope.get("client"):
            peer = scope["client"][0]
            client = self._proxies.client(peer, scope["headers"])
            if client != peer:
                scope["client"] = (client, 0)
            if self._proxies.https(peer, scope["headers"]):
                scope["scheme"] = "https"
        await self._app(scope, receive, send)


def _for(element: str) -> str:
    """The `for` of one element of `Forwarded` (RFC 7239 §4)."""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip().strip('"')
    return ""


def _address(text: str) -> str | None:
    """An address without port and brackets, as Python writes it; None if it is none."""
    plain = text.strip()
    if plain.startswith("["):
        plain = plain[1:].partition("]")[0]
    elif plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        found = ipaddress.ip_address(plain)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
