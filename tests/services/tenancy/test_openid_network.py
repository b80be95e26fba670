"""What asking a provider must not lead to: the inner network, hanging, asking again and again."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from carcloud.engines import openid_http
from carcloud.engines.openid_http import MOST_OF_HOST, OpenIdHttp, is_public
from carcloud.ports.openid import ProviderFailed
from carcloud.services.tenancy.provider_facts import METHODS, ProviderFacts


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://localhost:1/", "https://169.254.169.254/",
     "https://[::1]/", "https://10.0.0.1/", "file:///etc/passwd", "https://0.0.0.0/",
     "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://2130706433/"],
)  # fmt: skip
def test_the_inner_network_is_not_asked(url: str) -> None:
    with pytest.raises(ProviderFailed, match=r"public|https"):
        OpenIdHttp().get(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("192.0.2.1", False),  # documentation
        ("100.64.0.1", False),  # carrier-grade NAT
        ("192.88.99.1", False),  # 6to4 relays
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("::ffff:9.9.9.9", True),
        ("::ffff:10.0.0.1", False),
        ("::10.0.0.1", False),
        ("::9.9.9.9", False),
        ("64:ff9b::9.9.9.9", True),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b:1::9.9.9.9", False),
        ("2002:0909:0909::1", True),
        ("2002:0a00:0001::1", False),
        ("2002:7f00:0001::1", False),
        ("fec0::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::", False),
        ("::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@contextmanager
def _dripping(start: bytes) -> Iterator[str]:
    """A server that sends `start`, then a byte each 50 ms, for ever."""
    gone = threading.Event()

    def drip(listener: socket.socket) -> None:
        listener.settimeout(10)
        try:
            peer, _ = listener.accept()
        except OSError:  # whoever asks gave up before it came here
            return
        with peer:
            peer.sendall(start)
            while not gone.wait(0.05):
                try:
                    peer.sendall(b"a")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            gone.set()
            thread.join(10)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"],
    ids=["status", "header", "body"],
)
def test_a_server_that_drips_is_waited_for_no_longer_than_the_whole(start: bytes) -> None:
    with _dripping(start) as url:
        began = time.monotonic()
        with pytest.raises(ProviderFailed, match="does not answer"):
            OpenIdHttp(private=True, whole_s=0.5).get(url)
        assert 0.4 < time.monotonic() - began < 40


def test_a_slow_server_holds_only_so_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openid_http, "_TIMEOUT_S", 60)
    web = OpenIdHttp(private=True, whole_s=60)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        slow = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with ThreadPoolExecutor(MOST_OF_HOST) as pool:
            waiting = [pool.submit(web.get, slow) for _ in range(MOST_OF_HOST)]
            while sum(web._open.values()) < MOST_OF_HOST:
                time.sleep(0.01)
            with pytest.raises(ProviderFailed, match="requests wait for it"):
                web.get(slow)
            with pytest.raises(ProviderFailed, match="does not answer"):
                web.get("http://127.0.0.1:1/")  # others are asked
            silent.close()  # what waits is reset
            for one in waiting:
                with pytest.raises(ProviderFailed):
                    one.result()
    assert not web._open


ISSUER = "https://login.example"
GOOD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/a",
    "token_endpoint": f"{ISSUER}/t",
    "jwks_uri": f"{ISSUER}/k",
}


@dataclass
class Web:
    """A network in which one provider answers as the test says."""

    facts: Mapping[str, Any] | None = None
    keys: Mapping[str, Any] | None = None
    asked: list[str] = field(default_factory=list)

    def get(self, url: str) -> Mapping[str, Any]:
        self.asked.append(url)
        told = self.keys if url == GOOD["jwks_uri"] else self.facts
        if told is None:
            raise ProviderFailed(f"{url} is away")
        return told

    def post(
        self, url: str, form: Mapping[str, str], user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        raise AssertionError("facts are only read")


def test_a_provider_that_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    web = Web()
    facts = ProviderFacts(web)
    for _ in range(3):
        with pytest.raises(ProviderFailed, match="is away"):
            facts.of(ISSUER)
    assert len(web.asked) == 1
    with pytest.raises(ProviderFailed):
        facts.of("https://other.example")  # another one is asked
    assert len(web.asked) == 2
    web.facts = GOOD
    now[0] += 9.9
    with pytest.raises(ProviderFailed):
        facts.of(ISSUER)
    now[0] += 0.2
    assert facts.of(ISSUER) == GOOD
    for _ in range(3):
        with pytest.raises(ProviderFailed):
            facts.keys(ISSUER)
    assert web.asked.count(GOOD["jwks_uri"]) == 1
    assert facts.of(ISSUER) == GOOD  # what is known goes on
    web.keys = {"keys": []}
    now[0] += 10.1
    assert facts.keys(ISSUER) == web.keys


@pytest.mark.parametrize(
    "changed",
    [
        {METHODS: "client_secret_basic"},
        {METHODS: [7]},
        {METHODS: None},
        {METHODS: {"client_secret_basic": True}},
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://login.example/t"},
        {"jwks_uri": ["https://login.example/k"]},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_discovery_document_that_is_nonsense_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailed, match=ISSUER):
        ProviderFacts(Web({**GOOD, **changed})).of(ISSUER)
    good = {**GOOD, METHODS: ["private_key_jwt", "client_secret_post"]}
    assert ProviderFacts(Web(good)).of(ISSUER) == good
