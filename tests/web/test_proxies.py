"""Whose address it is behind balancers: never what a stranger says."""

import asyncio
import ipaddress
from typing import Any

import pytest

from carcloud.config import InvalidSetting, Settings
from carcloud.web.proxies import Behind, TrustedProxies

NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")]
FOR, FORWARDED = b"x-forwarded-for", b"forwarded"


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),  # a stranger who claims to be a proxy
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1"),  # the left one is forged
        ("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2", "198.51.100.1"),  # two proxies
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # somebody inside
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2001:DB8:0::5, 2a00::1", "2a00::1"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(peer: str, told: str, client: str) -> None:
    proxies = TrustedProxies(NETWORKS)
    assert proxies.client(peer, [(FOR, told.encode())]) == client
    lines = [(FOR, one.encode()) for one in told.split(",")]
    assert proxies.client(peer, lines) == client  # as several headers
    assert proxies.client(peer, [(FORWARDED, b"for=203.0.113.99")]) in (peer, peer[7:])


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ('for="[2a00::1]:80";proto=https', "2a00::1"),
        ("for=203.0.113.7, for=198.51.100.1;by=10.0.0.9", "198.51.100.1"),
        ("for=198.51.100.1, For=10.0.0.2", "198.51.100.1"),
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_where_it_is_the_header(told: str, client: str) -> None:
    proxies = TrustedProxies(NETWORKS, "forwarded")
    headers = [(FORWARDED, told.encode()), (FOR, b"203.0.113.99")]
    assert proxies.client("10.0.0.1", headers) == client
    assert proxies.client("192.0.2.9", headers) == "192.0.2.9"


def test_tls_is_believed_of_proxies_only() -> None:
    proxies = TrustedProxies(NETWORKS)
    assert proxies.https("10.0.0.1", [(b"x-forwarded-proto", b"http, https")])
    assert not proxies.https("10.0.0.1", [(b"x-forwarded-proto", b"https, http")])
    assert not proxies.https("192.0.2.9", [(b"x-forwarded-proto", b"https")])
    assert TrustedProxies(NETWORKS, "forwarded").https(
        "10.0.0.1", [(FORWARDED, b'for=198.51.100.1; proto="https"')]
    )


def test_settings_say_whom_to_trust() -> None:
    headers = [(FOR, b"198.51.100.1")]
    assert TrustedProxies.of(Settings()).client("127.0.0.1", headers) == "127.0.0.1"
    some = Settings({"web.trusted_proxies": "127.0.0.1, 10.0.0.0/8"})
    assert TrustedProxies.of(some).client("127.0.0.1", headers) == "198.51.100.1"
    with pytest.raises(InvalidSetting):
        TrustedProxies.of(Settings({"web.trusted_proxies": "10.0.0.1/8"}))


async def _seen(scope: dict[str, Any]) -> dict[str, Any]:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    seen: dict[str, Any] = {}
    await Behind(app, TrustedProxies(NETWORKS))(scope, None, None)  # type: ignore[arg-type]
    return seen


def test_an_application_sees_the_client() -> None:
    scope = {
        "type": "http", "client": ("10.0.0.1", 5), "scheme": "http",
        "headers": [(FOR, b"198.51.100.1"), (b"x-forwarded-proto", b"https")],
    }  # fmt: skip
    seen = asyncio.run(_seen(scope))
    assert (seen["client"], seen["scheme"]) == (("198.51.100.1", 0), "https")
