"""The port of OpenID Connect providers over HTTP: no redirects, no surprises, no inner network.

Tenants choose the addresses of their providers. So that nobody makes carcloud ask what only it can
reach, names are resolved here, and addresses that are not public are refused unless allowed.
"""

import base64
import ipaddress
import json
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore

from carcloud.ports.openid import ProviderFailed, ProviderRefused

_TIMEOUT_S = 5.0
_WHOLE_S = 10.0  # of one answer
_MOST_BYTES = 1_000_000


class OpenIdHttp:
    """`private`: providers on private networks may be asked, and without TLS."""

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._pool = httpcore.ConnectionPool(
            max_connections=8,
            keepalive_expiry=30.0,
            network_backend=httpcore.SyncBackend() if private else _PublicOnly(),
        )

    def get(self, url: str) -> Mapping[str, Any]:
        """The JSON object at an address; raises `ProviderFailed`."""
        status, body = self._ask("GET", url, {}, b"")
        if status != 200:
            raise ProviderFailed(f"{url} answered {status}")
        return _object(url, body)

    def post(
        self, url: str, form: Mapping[str, str], user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        """The JSON object that answers a form; raises `ProviderFailed`, `ProviderRefused`."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if user is not None:  # RFC 6749 §2.3.1: both are form-encoded first
            pair = ":".join(quote(one, safe="") for one in user)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        status, body = self._ask("POST", url, headers, urlencode(form).encode())
        told = _object(url, body)
        if status in (400, 401):
            raise ProviderRefused(str(told.get("error", status))[:60])
        if status != 200:
            raise ProviderFailed(f"{url} answered {status}")
        return told

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._private and parts.scheme == "http"):
            raise ProviderFailed(f"{url}: only https is asked")
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), _TIMEOUT_S)
        sent: dict[bytes | str, bytes | str] = {"Host": parts.netloc, "Accept": "application/json"}
        for name, value in headers.items():
            sent[name] = value
        if method == "POST":
            sent["Content-Length"] = str(len(content))
        until = time.monotonic() + _WHOLE_S
        try:
            with self._pool.stream(
                method, url, headers=sent, content=content, extensions={"timeout": timeout}
            ) as answer:
                return answer.status, _bounded(answer.iter_stream(), url, until)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise ProviderFailed(f"{parts.netloc} does not answer: {error}") from error
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise ProviderFailed(f"{url}: {error}") from error


class _PublicOnly(httpcore.SyncBackend):
    """Connects to public addresses only; what was checked is what is connected to."""

    def connect_tcp(self, host: str, port: int, *args: Any, **more: Any) -> httpcore.NetworkStream:
        """A connection to a public address of the host."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known") from error
        for one in found:
            address = ipaddress.ip_address(str(one[4][0]).partition("%")[0])
            if address.is_global and not address.is_multicast:
                return super().connect_tcp(str(address), port, *args, **more)
        raise httpcore.ConnectError(f"{host} is not a public address")


def _bounded(chunks: Iterable[bytes], url: str, until: float) -> bytes:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > _MOST_BYTES or time.monotonic() > until:
            raise ProviderFailed(f"{url} answers too much, or too slowly")
    return body


def _object(url: str, body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError as error:
        raise ProviderFailed(f"{url} did not answer with JSON") from error
    if not isinstance(told, dict):
        raise ProviderFailed(f"{url} did not answer with an object")
    return told
