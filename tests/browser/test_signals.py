"""The page of the signals: the catalogue as a tree and a list, the tenant's overlay on it."""

import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Cloud, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
LONG = 60_000  # ms
SPEED = "Vehicle.Speed"
WRONG = "Vehicle.Cabin.DoorCount:\n  type: attribute\n  max: 3\n  unit: km\n"


def row(page: Page, path: str):
    return page.locator(f"[data-path='{path}']")


def until_right_below(told: Locator, line: Locator) -> None:
    """Both may move while the page settles."""
    deadline = time.monotonic() + LONG / 1000
    while True:
        places = told.bounding_box(), line.bounding_box()
        if all(places):
            below = places[1]["y"] + places[1]["height"]
            if places[0]["y"] == pytest.approx(below, abs=2):
                return
        assert time.monotonic() < deadline, places
        told.page.wait_for_timeout(100)


def test_the_tree_is_gone_through_by_keys(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?view=tree")
    grid = page.get_by_test_id("signals")
    row(page, "Vehicle.ADAS").wait_for(timeout=LONG)
    grid.focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(row(page, "Vehicle.ADAS")).to_have_attribute("aria-expanded", "true")
    expect(page).to_have_url(re.compile(r"signal=Vehicle\.ADAS\.ABS\.IsEnabled"))
    for _ in range(2):  # to its branch, and close that
        page.keyboard.press("ArrowLeft")
    expect(row(page, "Vehicle.ADAS.ABS")).to_have_attribute("aria-expanded", "false")
    expect(row(page, "Vehicle.ADAS.ABS.IsEnabled")).to_have_count(0)


def test_a_list_of_all_draws_what_is_in_sight(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?view=list")
    page.get_by_test_id("signal-row").first.wait_for(timeout=LONG)
    grid = page.get_by_test_id("signals")
    assert int(grid.get_attribute("aria-rowcount") or 0) > 1_300
    grid.focus()
    page.keyboard.press("End")
    last = page.get_by_test_id("signal-row").last
    expect(last).to_have_attribute("data-path", re.compile("Vehicle.Width"))
    expect(last).to_be_in_viewport()
    assert page.get_by_test_id("signal-row").count() < 80


def test_a_signal_is_found_and_told(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?view=list")
    page.get_by_role("searchbox").fill("speed km/h float")
    row(page, SPEED).click(timeout=LONG)
    detail = page.get_by_test_id("signal-detail")
    expect(detail).to_contain_text("km/h", timeout=LONG)
    page.reload()  # the address says it all; by now a vehicle has told its speed
    expect(detail).to_contain_text(re.compile(r"\d+ vehicles?"), timeout=LONG)


def test_a_wrong_overlay_is_told_at_its_line_and_a_mended_one_saved(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?tab=overlay")
    editor = page.get_by_test_id("overlay-text")
    editor.wait_for(timeout=LONG)
    until(page, "document.querySelector('[data-testid=overlay-effect]')?.innerText > ''")
    save = page.get_by_test_id("save-overlay")
    editor.fill(WRONG)
    told = page.get_by_test_id("finding-at-line")
    expect(told).to_contain_text("Vehicle.Cabin.DoorCount", timeout=LONG)
    until_right_below(told, editor.locator(".cm-line", has_text="unit: km"))
    page.get_by_test_id("overlay-effect").get_by_role("button", name="Line 4").click()
    expect(save).to_be_disabled()
    editor.fill(WRONG.replace("  unit: km\n", ""))
    expect(told).to_have_count(0, timeout=LONG)
    expect(save).to_be_enabled(timeout=LONG)
    page.get_by_role("textbox", name="What it is for").fill("Three doors")
    save.click()
    newest = page.get_by_test_id("overlay-version").first
    expect(newest).to_contain_text("Three doors", timeout=LONG)
    page.get_by_role("tab", name="Catalogue").click()
    page.goto(f"{cloud.url}/signals?signal=Vehicle.Cabin.DoorCount")
    expect(page.get_by_test_id("overlay-differences")).to_contain_text("≤ 3", timeout=LONG)
    _take_back(page, cloud)


def test_an_overlay_that_is_not_saved_is_there_again_after_another_page(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?tab=overlay")
    editor = page.get_by_test_id("overlay-text")
    editor.wait_for(timeout=LONG)
    expect(editor).to_have_attribute("contenteditable", "true", timeout=LONG)
    page.get_by_role("button", name="Begin with an example").click(timeout=LONG)
    expect(page.get_by_test_id("unsaved")).to_be_visible()
    page.get_by_role("link", name="Models", exact=True).click()
    editor.wait_for(state="detached")
    page.go_back()
    expect(editor).to_contain_text("Vehicle.Cooler.Temperature", timeout=LONG)
    expect(page.get_by_test_id("overlay-effect")).to_contain_text("Adds 2", timeout=LONG)
    page.get_by_test_id("discard").click()
    page.reload()
    page.get_by_role("button", name="Begin with an example").wait_for(timeout=LONG)


def _take_back(page: Page, cloud: Cloud) -> None:
    """Others look at a catalogue without it, and at the text of none."""
    url = f"{cloud.url}/v1/signals/overlay"
    headers = {"If-Match": page.request.get(url).headers["etag"]}
    assert page.request.put(url, data={"text": "", "note": "none"}, headers=headers).ok
