"""A running cloud with a small fleet, and a person's browser in front of it."""

import shutil
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Response,
    expect,
    sync_playwright,
)

from carcloud.app.first_start import prepare
from carcloud.codecs.gbt32960.frame import build
from carcloud.config import Settings
from carcloud.simulator.options import SimulateOptions
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor
from carcloud.web import console

QUIET = (
    "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
VEHICLES = 20
PATIENCE = 60_000  # ms; a machine may be busy with much else
expect.set_options(timeout=PATIENCE)
REFUSED: list[str] = []  # answers to the page of the test that runs
# Notices, and that something is copied, go by themselves, maybe before a busy machine has looked.
LASTING = """{
    const later = setTimeout
    const shown = [2000, 6000]
    window.setTimeout = (what, ms, ...rest) =>
        later(what, shown.includes(ms) ? 600000 : ms, ...rest)
}"""
SESSIONS: dict[str, list[Any]] = {}  # url of a cloud -> cookies of its administrator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: Any, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a person would have seen goes with a failure."""
    report = yield
    page = item.funcargs.get("page")
    if report.when == "call" and report.failed and page is not None and not page.is_closed():
        seen = [page.url, *REFUSED]
        try:
            seen.append(page.locator("body").inner_text(timeout=5_000))
        except Error as reason:
            seen.append(f"the page cannot be read: {reason}")
        report.sections.append(("The page", "\n".join(seen)))
    return report


@dataclass(frozen=True)
class Cloud:
    """Where it is and how to sign in."""

    url: str
    password: str
    port: int
    mqtt: int = 0

    def send_without_login(self, vin: str) -> None:
        """A report on a connection that has not logged in: it becomes a dead letter."""
        from carcloud.gateway.gbt32960.rules import time6

        body = time6(int((time.time() - 60) * 1e6)) + bytes.fromhex("0500073d8aa501dc89d0")
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            link.sendall(build(2016, 2, 0xFE, vin, body))
            link.recv(100)


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if not (console.PAGES / "index.html").exists():
        pytest.skip("the console is not built: ./dev does it")
    data: Path = tmp_path_factory.mktemp("cloud")
    settings = Settings(
        {
            "data": str(data),
            "web.port": 0,
            "storage.port": 0,
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            "openid.private": True,
            "tenants.registration": True,
        }
    )
    admin = prepare(settings)
    assert admin is not None
    supervisor = Supervisor(settings)
    stop = threading.Event()

    async def drive(port: int) -> None:
        import asyncio

        ended = asyncio.Event()
        options = SimulateOptions(port=port, vehicles=VEHICLES, seed=11, faults={"weak_cell": 1})
        running = asyncio.create_task(simulate(options, stop=ended))
        while not stop.is_set():
            await asyncio.sleep(0.1)
        ended.set()
        await running

    try:
        supervisor.start()
        gateway = supervisor.run.facts("gateway")
        port, mqtt = (gateway[each]["port"] for each in ("gbt32960", "mqtt"))
        fleet = threading.Thread(target=lambda: uvloop.run(drive(port)))
        fleet.start()
        made = Cloud(supervisor.run.facts("web")["url"], admin[1], port, mqtt)
        _wait_for_fleet(made)
        yield made
        stop.set()
        fleet.join()
    finally:
        stop.set()
        supervisor.stop()


def _wait_for_fleet(cloud: Cloud) -> None:
    """Until every vehicle has reported and what it told can be queried."""
    counted = {"sql": "SELECT count(DISTINCT vehicle) FROM signals"}
    deadline = time.monotonic() + 120
    with httpx.Client(base_url=cloud.url) as asked:
        signed = asked.post("/v1/session", json={"user": "admin", "password": cloud.password})
        signed.raise_for_status()
        while True:
            answer = asked.post("/v1/query", json=counted, timeout=PATIENCE / 1000)
            if answer.status_code == 200 and answer.json()["rows"] == [[VEHICLES]]:
                return
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.3)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(QUIET), timeout=2 * PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def signed_in(
    browser: Browser, cloud: Cloud, also: str = "blob:", **context: Any
) -> Iterator[Page]:
    """A signed-in person at their account, which asks little of the machine; a script error or a
    request to other places than the cloud, and what is `also` allowed, fails the test.
    """
    options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context}
    with browser.new_context(**options) as opened:
        yield from _watched(opened, cloud, also)


def _watched(opened: BrowserContext, cloud: Cloud, also: str) -> Iterator[Page]:
    opened.set_default_timeout(PATIENCE)
    page = opened.new_page()
    troubles: list[str] = []
    REFUSED.clear()
    page.on("response", _note_refusal)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((cloud.url, also, "blob:", "data:"))
            else troubles.append(f"foreign request {request.url}")
        ),
    )
    _sign_in(opened, cloud)
    page.goto(f"{cloud.url}/account")
    page.get_by_test_id("health-connected").wait_for()
    yield page
    opened.close()
    assert troubles == []


def _sign_in(context: BrowserContext, cloud: Cloud) -> None:
    """With the session of the test before, unless that has ended."""
    context.add_cookies(SESSIONS.get(cloud.url, []))
    if cloud.url in SESSIONS and context.request.get(f"{cloud.url}/v1/session").ok:
        return
    admin = {"user": "admin", "password": cloud.password}
    answer = context.request.post(f"{cloud.url}/v1/session", data=admin)
    assert answer.ok, answer.text()
    SESSIONS[cloud.url] = context.cookies()


def _note_refusal(answer: Response) -> None:
    if answer.status >= 400:
        REFUSED.append(f"{answer.status} {answer.request.method} {answer.url}")


def until(page: Page, expression: str, arg: Any = None, seconds: float = 60) -> None:
    """Wait until it is true; the page's own rules forbid Playwright's way, which is `eval`."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(100)


def wait_for_dead_letter(page: Page, cloud: Cloud, vehicle: str) -> None:
    """Until what a vehicle sent without a login is listed."""
    for _ in range(200):
        told = page.request.get(f"{cloud.url}/v1/dead-letters?vehicle={vehicle}").json()
        if told["items"]:
            return
        page.wait_for_timeout(300)
    pytest.fail(f"no dead letter of {vehicle}")


@pytest.fixture
def page(browser: Browser, cloud: Cloud) -> Iterator[Page]:
    """A person with a laptop who reads English."""
    with signed_in(browser, cloud) as page:
        yield page
