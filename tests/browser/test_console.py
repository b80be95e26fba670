"""The console in a real browser, before a running cloud with a moving fleet."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import VEHICLES, Cloud, until, wait_for_dead_letter

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
]
SECONDS = 1000  # ms
LONG = 60 * SECONDS


def test_a_wrong_password_is_told_and_the_right_one_opens_the_map(browser, cloud):
    page = browser.new_page()
    page.goto(cloud.url)
    page.locator("input[name=user]").fill("admin")
    page.locator("input[name=password]").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong", timeout=LONG)
    page.locator("input[name=password]").fill(cloud.password)
    page.keyboard.press("Enter")
    page.get_by_test_id("map-readout").wait_for(timeout=LONG)
    page.close()


def test_the_map_shows_vehicles_that_move(page: Page, cloud: Cloud):
    page.goto(cloud.url)
    until(page, f"window.carcloudMap?.shown >= {VEHICLES}")
    expect(page.get_by_test_id("health-connected")).to_contain_text(str(VEHICLES), timeout=LONG)
    before = page.evaluate(
        "Object.fromEntries(carcloudMap.ids().map(id => [id, carcloudMap.position(id)]))"
    )
    until(
        page,
        """before => Object.entries(before).some(([id, was]) => {
            const now = carcloudMap.position(id)
            return was && now && (now.lon !== was.lon || now.lat !== was.lat)
        })""",
        arg=before,
    )


def test_the_list_finds_a_vehicle_and_its_page_plots_a_signal(page: Page):
    page.get_by_role("link", name="Vehicles").click()
    rows = page.get_by_test_id("vehicle-row")
    expect(rows).to_have_count(VEHICLES, timeout=LONG)
    vin = rows.nth(3).get_by_role("link").first.inner_text().strip()
    page.get_by_role("searchbox").fill(vin[-6:])
    expect(rows).to_have_count(1, timeout=LONG)
    rows.first.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(f"/vehicles/{vin}"))
    expect(page.get_by_test_id("state-tiles")).to_contain_text("km/h", timeout=LONG)
    expect(page.get_by_test_id("cell-bars")).to_contain_text("96", timeout=LONG)
    page.get_by_role("tab", name="Plots").click()
    plot = page.get_by_test_id("signal-plot").first
    expect(plot.locator("canvas").first).to_be_visible(timeout=LONG)
    painted = """canvas => {
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        return data.some((value, index) => index % 4 === 3 && value > 0)
    }"""
    canvas = plot.locator("canvas").first
    for _ in range(100):  # it is drawn anew with what comes
        if canvas.evaluate(painted):
            break
        page.wait_for_timeout(100)
    assert canvas.evaluate(painted)
    page.get_by_role("tab", name="Frames").click()
    page.get_by_test_id("frame-list").get_by_role("button").first.click()
    expect(page.get_by_test_id("field-table")).to_contain_text("speed", timeout=LONG)


def test_a_token_is_made_shown_once_replaced_and_revoked(page: Page):
    page.get_by_role("link", name="Vehicles").click()
    expect(page.get_by_test_id("vehicle-row")).to_have_count(VEHICLES)
    page.get_by_test_id("vehicle-row").nth(7).get_by_role("link").first.click()
    page.get_by_role("tab", name="Details").click()
    card, dialog = page.get_by_test_id("vehicle-token"), page.get_by_role("dialog")
    secret = dialog.get_by_test_id("secret")
    expect(card).to_contain_text("None.", timeout=LONG)
    card.get_by_test_id("make-token").click()
    expect(secret).to_contain_text("cvt_", timeout=LONG)
    first = secret.inner_text()
    dialog.get_by_role("button", name="Done").click()
    expect(card).to_contain_text("It was shown once", timeout=LONG)
    expect(page.locator("body")).not_to_contain_text("cvt_")
    card.get_by_test_id("make-token").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Replace token").click()
    expect(secret).to_contain_text("cvt_", timeout=LONG)
    assert secret.inner_text() != first
    dialog.get_by_role("button", name="Done").click()
    card.get_by_test_id("revoke-token").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Revoke token").click()
    expect(card).to_contain_text("None.", timeout=LONG)


def test_the_sql_page_answers_and_explains_errors(page: Page):
    page.get_by_role("link", name="SQL").click()
    editor = page.get_by_test_id("sql-editor")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("SELECT count(DISTINCT vehicle) AS cars FROM signals")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("result-table")).to_contain_text(str(VEHICLES), timeout=LONG)
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("DROP TABLE signals")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("problem")).to_contain_text("SELECT", timeout=LONG)


RUNNING = """(await (await fetch('/metrics')).text())
    .split('\\n').filter(line => /^carcloud_queries_running.* [1-9]/.test(line)).length"""


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_a_running_query_is_cancelled_on_the_server(page: Page, cloud: Cloud, how: str):
    page.get_by_role("link", name="SQL").click()
    page.get_by_test_id("sql-editor").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("SELECT sum(hash(range)) FROM range(100000000000000)")
    page.keyboard.press("Control+Enter")
    cancel = page.get_by_test_id("cancel-sql")
    expect(cancel).to_be_visible()
    until(page, f"async () => {RUNNING} > 0")
    with page.expect_response(lambda answer: "/v1/queries/" in answer.url) as told:
        cancel.click() if how == "button" else page.keyboard.press("Escape")
    assert (told.value.request.method, told.value.status) == ("DELETE", 204)
    expect(page.get_by_test_id("result-summary")).to_have_text("Cancelled.")
    expect(page.get_by_test_id("run-sql")).to_be_visible()
    until(page, f"async () => {RUNNING} === 0")  # processes tell their figures once a second
    assert page.get_by_test_id("problem").count() == 0


def test_a_dead_letter_is_inspected_and_processed_again(page: Page, cloud: Cloud):
    vin = "LTESTVNA4A0000777"
    cloud.send_without_login(vin)
    wait_for_dead_letter(page, cloud, vin)
    page.get_by_role("link", name="Dead letters").click()
    row = page.get_by_test_id("dead-letters").get_by_role("row").filter(has_text=vin)
    row.first.get_by_role("button").click()
    detail = page.get_by_test_id("dead-letter-detail")
    expect(detail).to_contain_text("B.1", timeout=LONG)
    expect(detail.get_by_test_id("hex")).to_be_visible()
    detail.get_by_test_id("reprocess").click()
    expect(page.get_by_test_id("outcome")).to_contain_text(re.compile("stored", re.I), timeout=LONG)


def test_language_and_theme_are_kept(page: Page, cloud: Cloud):
    page.get_by_test_id("language").click()
    expect(page.locator("html")).to_have_attribute("lang", re.compile("zh"))
    expect(page.get_by_role("link", name="车辆")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="车辆")).to_be_visible(timeout=LONG)


def test_everything_is_reached_by_keyboard(page: Page):
    seen = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement?.getAttribute('href')"))
    assert {"/", "/vehicles", "/sql", "/dead-letters"} <= seen
    names = page.evaluate(
        """[...document.querySelectorAll('button, a[href], input, select')]
            .filter(el => el.offsetParent && !(el.innerText?.trim() || el.ariaLabel || el.title
                || el.labels?.length || el.placeholder || el.getAttribute('aria-labelledby')))
            .map(el => el.outerHTML.slice(0, 120))"""
    )
    assert names == []
