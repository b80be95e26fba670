"""The base map that an operator sets is drawn and credited, or it is said that it cannot be had."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.supervisor import Supervisor
from tests.browser.conftest import Cloud, signed_in
from tests.browser.tiles import CREDIT, RED, tile_server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.soak,  # a cloud for each base map
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms
INLAND = "at=31.8,117.2,8"  # land on the offline outlines
SEA, LAND = (221, 229, 236), (246, 246, 243)  # colours of the light theme, lib/basemap.ts
PIXEL = """async data => {
    const blob = await (await fetch(`data:image/png;base64,${data}`)).blob()
    const canvas = new OffscreenCanvas(1, 1).getContext('2d')
    canvas.drawImage(await createImageBitmap(blob), 0, 0)
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
}"""


@pytest.fixture(scope="module")
def tiles() -> Iterator[str]:
    with tile_server() as origin:
        yield origin


@contextmanager
def cloud_with(folder: Path, tiles: str, credit: str = "") -> Iterator[Cloud]:
    given = {"web.tiles": tiles, "web.tiles_credit": credit}
    settings = Settings({"data": str(folder), "web.port": 0, "storage.port": 0, **given})
    admin = prepare(settings)
    assert admin is not None
    supervisor = Supervisor(settings, roles=("web",))
    try:
        supervisor.start()
        yield Cloud(supervisor.run.facts("web")["url"], admin[1], 0)
    finally:
        supervisor.stop()


def colour(page: Page, blank: Page, x: int = 900, y: int = 420) -> tuple[int, ...]:
    """What the screen shows at one place of the map."""
    shot = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    return tuple(blank.evaluate(PIXEL, base64.b64encode(shot).decode()))


def shows(page: Page, wanted: tuple[int, ...]) -> None:
    """Wait until the map has that colour, give or take what a screen may round."""
    blank = page.context.new_page()
    deadline = time.monotonic() + 90
    while True:
        seen = colour(page, blank)
        if all(abs(a - b) <= 3 for a, b in zip(seen, wanted, strict=True)):
            return
        assert time.monotonic() < deadline, f"the map shows {seen}, not {wanted}"
        page.wait_for_timeout(500)


@pytest.mark.parametrize(
    ("place", "credit", "wanted"),
    [
        ("{z}/{x}/{y}.png", CREDIT, RED),
        ("{z}/{x}/{y}.mvt", CREDIT, SEA),
        ("world.pmtiles", "", SEA),  # names whom to credit itself
    ],
)
def test_tiles_are_drawn_and_credited(
    browser: Browser, tiles: str, tmp_path: Path, place: str, credit: str, wanted: tuple[int, ...]
):
    with (
        cloud_with(tmp_path, f"{tiles}/{place}", credit) as cloud,
        signed_in(browser, cloud, color_scheme="light", also=tiles) as page,
    ):
        page.goto(f"{cloud.url}/?{INLAND}")
        shows(page, wanted)
        expect(page.locator(".maplibregl-ctrl-attrib")).to_contain_text(CREDIT)
        expect(page.get_by_test_id("tiles-unreadable")).to_have_count(0)
        expect(page.get_by_test_id("map-readout")).not_to_contain_text("Offline outlines")


@pytest.mark.parametrize("place", ["nowhere/{z}/{x}/{y}.png", "nowhere.pmtiles"])
def test_outlines_stand_in_for_tiles_that_cannot_be_read(
    browser: Browser, tiles: str, tmp_path: Path, place: str
):
    with (
        cloud_with(tmp_path, f"{tiles}/{place}") as cloud,
        signed_in(browser, cloud, color_scheme="light", also=tiles) as page,
    ):
        page.goto(f"{cloud.url}/?{INLAND}")
        note = page.get_by_test_id("tiles-unreadable")
        expect(note).to_contain_text("Offline outlines", timeout=LONG)
        shows(page, LAND)
        expect(page.locator(".maplibregl-ctrl-attrib")).to_contain_text("Natural Earth")
        with page.expect_request(lambda request: request.url.startswith(tiles)):
            note.get_by_role("button").click()
        expect(note).to_be_visible(timeout=LONG)
