"""The parts that pages are made of: tables, navigation, notices."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import LASTING, VEHICLES, Cloud

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.innerText.trim()")


def test_arrow_keys_go_through_a_table(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/vehicles")
    links = page.get_by_test_id("vehicle-row").get_by_role("link")
    expect(links).to_have_count(VEHICLES, timeout=LONG)
    ids = [text.strip() for text in links.all_inner_texts()]
    links.first.focus()
    for key, place in [
        ("ArrowDown", 1),
        ("ArrowDown", 2),
        ("ArrowUp", 1),
        ("End", -1),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        assert focused(page) == ids[place], key
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/vehicles/{ids[0]}$"))


def test_a_row_opens_wherever_it_is_clicked(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/vehicles")
    row = page.get_by_test_id("vehicle-row").nth(2)
    vin = row.get_by_role("link").inner_text(timeout=LONG).strip()
    row.get_by_role("cell").nth(3).click()
    expect(page).to_have_url(re.compile(f"/vehicles/{vin}$"))


def test_a_long_list_grows_page_by_page(page: Page, cloud: Cloud):
    def fewer(route: Route) -> None:
        route.continue_(url=route.request.url.replace("limit=50", "limit=8"))

    page.route("**/v1/vehicles?*", fewer)
    page.goto(f"{cloud.url}/vehicles")
    rows = page.get_by_test_id("vehicle-row")
    for shown in (8, 16, VEHICLES):
        expect(rows).to_have_count(shown, timeout=LONG)
        if shown < VEHICLES:
            expect(page.locator("main")).to_contain_text(f"{shown} of {VEHICLES} shown")
            page.get_by_test_id("more").click()
    expect(page.get_by_test_id("more")).to_have_count(0)
    ids = rows.get_by_role("link").all_inner_texts()
    assert ids == sorted(set(ids))


def test_a_head_sorts_at_the_server_or_here(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/vehicles")
    page.get_by_role("button", name="Charge").click()
    head = page.get_by_role("columnheader", name="Charge")
    expect(head).to_have_attribute("aria-sort", "descending", timeout=LONG)
    expect(page).to_have_url(re.compile("sort=soc"))
    for name in ("b-10", "b-9"):
        made = page.request.post(
            f"{cloud.url}/v1/models",
            data={"id": name, "name": f"Model {name}", "protocol": "gbt32960", "datum": "WGS84"},
        )
        assert made.ok, made.text()
    page.goto(f"{cloud.url}/models")
    ids = page.get_by_test_id("models").get_by_role("row").get_by_text(re.compile(r"^b-(9|10)$"))
    expect(ids).to_have_count(2, timeout=LONG)
    head = page.get_by_role("columnheader", name="Identifier")
    for order, wanted in {"ascending": ["b-9", "b-10"], "descending": ["b-10", "b-9"]}.items():
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order, timeout=LONG)
        expect(ids).to_have_text(wanted)


def test_the_navigation_is_grouped_and_stays_folded(page: Page, cloud: Cloud):
    navigation = page.get_by_role("navigation")
    for group, name in {"Fleet": "Models", "Data": "SQL"}.items():
        expect(
            navigation.get_by_role("region", name=group).get_by_role("link", name=name)
        ).to_be_visible()
    wide = navigation.bounding_box()
    page.get_by_test_id("fold-navigation").click()
    page.reload()
    expect(page.get_by_test_id("fold-navigation")).to_have_attribute("aria-expanded", "false")
    narrow = navigation.bounding_box()
    assert wide and narrow and narrow["width"] < 64 < wide["width"]
    navigation.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=LONG)
    navigation.get_by_role("button", name="Go to").click()
    expect(page.get_by_role("dialog").get_by_role("option").first).to_contain_text("Map")


def test_a_notice_can_be_put_away(page: Page, cloud: Cloud):
    page.add_init_script(LASTING)
    page.goto(f"{cloud.url}/models")
    page.get_by_test_id("add-model").click()
    page.locator("dialog [name=id]").fill("notice")
    page.locator("dialog [name=name]").fill("Notice")
    page.locator("dialog .primary").click()
    toast = page.get_by_test_id("toast")
    expect(toast).to_contain_text("notice", timeout=LONG)
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)
