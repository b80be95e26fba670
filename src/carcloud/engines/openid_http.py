"""The port of OpenID Connect providers over HTTP: no redirects, no surprises, no inner network.

Tenants choose the addresses of their providers. So that nobody makes carcloud ask what only it can
reach, names are resolved here, and addresses that are not public are refused unless allowed. Each
request has a connection and a deadline of its own, however slowly the other side sends.
"""

import base64
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore

from carcloud.ports.openid import ProviderFailed, ProviderRefused

_TIMEOUT_S = 5.0  # without a byte
_WHOLE_S = 10.0  # of one request
_MOST_BYTES = 1_000_000
MOST_OF_HOST = 8  # requests at the same time
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_NOT_PUBLIC = (  # of what `is_global` takes for public
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible, RFC 4291 §2.5.5.1
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 inside a network, RFC 8215
    ipaddress.IPv6Network("fec0::/10"),  # site-local, RFC 3879
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
)


class OpenIdHttp:
    """`private`: providers on private networks may be asked, and without TLS. `whole_s`: the
    longest that one request takes, besides looking up the name."""

    def __init__(self, *, private: bool = False, whole_s: float = _WHOLE_S) -> None:
        self._private = private
        self._whole_s = whole_s
        self._tls = httpcore.default_ssl_context()
        self._open: Counter[str] = Counter()  # requests under way, by host
        self._guard = threading.Lock()

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
        timeout = dict.fromkeys(("connect", "read", "write"), _TIMEOUT_S)
        host = parts.netloc.rpartition("@")[2]
        sent: dict[bytes | str, bytes | str] = {"Host": host, "Accept": "application/json"}
        for name, value in headers.items():
            sent[name] = value
        if method == "POST":
            sent["Content-Length"] = str(len(content))
        try:
            with (
                self._turn(host),
                self._connection(url) as connection,
                connection.stream(
                    method, url, headers=sent, content=content, extensions={"timeout": timeout}
                ) as answer,
            ):
                return answer.status, _bounded(answer.iter_stream(), url)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise ProviderFailed(f"{host} does not answer: {error}") from error
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise ProviderFailed(f"{url}: {error}") from error

    @contextmanager
    def _turn(self, host: str) -> Iterator[None]:
        """A slow provider holds some of the threads that ask, not all of them."""
        with self._guard:
            if self._open[host] >= MOST_OF_HOST:
                raise ProviderFailed(f"{host} does not answer: {MOST_OF_HOST} requests wait for it")
            self._open[host] += 1
        try:
            yield
        finally:
            with self._guard:
                self._open[host] -= 1
                if not self._open[host]:
                    del self._open[host]

    def _connection(self, url: str) -> httpcore.HTTPConnection:
        until = time.monotonic() + self._whole_s
        return httpcore.HTTPConnection(
            origin=httpcore.URL(url).origin,
            ssl_context=self._tls,
            network_backend=_Network(until, private=self._private),
        )


class _Network(httpcore.SyncBackend):
    """Connects to public addresses only, unless `private`; what was checked is what is connected
    to. Nothing on the connection lasts beyond `until`, of the monotonic clock."""

    def __init__(self, until: float, *, private: bool) -> None:
        self._until = until
        self._private = private

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **more: Any
    ) -> httpcore.NetworkStream:
        """A connection to the host."""
        where = host if self._private else _public_address(host, port)
        left = _left(self._until, timeout)
        return _Timed(super().connect_tcp(where, port, left, *args, **more), self._until)


class _Timed(httpcore.NetworkStream):
    """A stream on which nothing lasts beyond `until`."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._until, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._until, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._until, timeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float, timeout: float | None) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("it takes too long")
    return left if timeout is None else min(left, timeout)


def _public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"{host} is not known") from error
    for one in found:
        address = ipaddress.ip_address(str(one[4][0]).partition("%")[0])
        if is_public(address):
            return str(address)
    raise httpcore.ConnectError(f"{host} is not a public address")


def is_public(address: _Address) -> bool:
    """Whether it belongs to the internet at large, and so does the IPv4 address that it carries,
    if it carries one: mapped, translated (NAT64) or tunnelled (6to4)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _bounded(chunks: Iterable[bytes], url: str) -> bytes:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > _MOST_BYTES:
            raise ProviderFailed(f"{url} answers too much")
    return body


def _object(url: str, body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderFailed(f"{url} did not answer with JSON") from error
    if not isinstance(told, dict):
        raise ProviderFailed(f"{url} did not answer with an object")
    return told
