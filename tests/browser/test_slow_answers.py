"""The console while the cloud takes long to answer: nothing that a person does then is lost."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Cloud, wait_for_dead_letter
from tests.browser.test_models import BOOST, FILES, make, put_back

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms


class Held:
    """Requests that wait until the test lets them go."""

    def __init__(self, page: Page, method: str, url: str) -> None:
        self._page, self._method = page, method
        self._routes: list[Route] = []
        self._held = True
        page.route(re.compile(url), self._take)

    def _take(self, route: Route) -> None:
        if self._held and route.request.method == self._method:
            self._routes.append(route)
        else:
            route.fallback()

    def wait(self) -> None:
        """Until one is held."""
        for _ in range(600):
            if self._routes:
                return
            self._page.wait_for_timeout(100)
        pytest.fail(f"no {self._method} was sent")

    @property
    def count(self) -> int:
        return len(self._routes)

    def let_go(self) -> None:
        self._held = False
        for route in self._routes:
            route.fallback()
        self._routes.clear()

    def refuse(self, **answer: Any) -> None:
        """Answer those that are held; what comes later goes on."""
        self._held = False
        for route in self._routes:
            route.fulfill(**answer)
        self._routes.clear()


def test_a_mapping_is_not_written_on_while_another_text_is_on_its_way(page: Page, cloud: Cloud):
    held = page.request.get(f"{cloud.url}/v1/signals/overlay").json()["text"]
    place = make(page, cloud, "zq-slow")
    reading = Held(page, "GET", r"/zq-slow/mapping$")
    page.goto(f"{place}?tab=mapping")
    text = page.get_by_test_id("mapping-text")
    reading.wait()
    expect(text).to_have_attribute("aria-readonly", "true", timeout=LONG)
    files = page.get_by_test_id("mapping-dbc")
    expect(files).to_have_count(0)
    reading.let_go()
    files.set_input_files(FILES, timeout=LONG)
    suggesting = Held(page, "POST", r"/mapping/suggest")
    page.get_by_test_id("mapping-suggest").click()
    suggesting.wait()
    expect(text).to_have_attribute("aria-readonly", "true")
    expect(files).to_be_disabled()
    suggesting.let_go()
    expect(text).to_contain_text("Wheels.Boost", timeout=LONG)
    expect(text).not_to_have_attribute("aria-readonly", "true")
    text.fill("dbc: [drive.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.Spd}\n")
    saving = Held(page, "PUT", r"/zq-slow/mapping$")
    page.get_by_test_id("save-mapping").click(timeout=LONG)
    saving.wait()
    expect(text).to_have_attribute("aria-readonly", "true")
    saving.let_go()
    fields = page.get_by_test_id("raw-fields")
    page.get_by_role("searchbox").fill("Wheels")
    expect(fields).to_contain_text("Vehicle.Speed", timeout=LONG)
    expect(fields).not_to_contain_text(BOOST)
    put_back(page, cloud, held)  # it was saved with the mapping


def test_a_dialog_stays_until_its_answer_has_come(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/models")
    page.get_by_test_id("add-model").click(timeout=LONG)
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=id]").fill("zq-late")
    dialog.locator("[name=name]").fill("Late")
    adding = Held(page, "POST", r"/v1/models$")
    dialog.locator(".primary").click()
    adding.wait()
    for _ in range(3):  # a browser closes a dialog at the second, whatever the page says
        page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(dialog.get_by_role("button", name="Close")).to_be_disabled()
    adding.let_go()
    expect(dialog).to_have_count(0, timeout=LONG)
    expect(page.get_by_test_id("models")).to_contain_text("zq-late", timeout=LONG)


def test_a_refusal_gives_the_form_back_with_the_focus_where_it_was(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/models")
    page.get_by_test_id("add-model").click(timeout=LONG)
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=id]").fill("zq-again")
    name = dialog.locator("[name=name]")
    name.fill("Again")
    away = {"status": 503, "title": "away", "detail": "records do not answer"}
    adding = Held(page, "POST", r"/v1/models$")
    name.press("Enter")
    adding.wait()
    adding.refuse(status=503, json=away)
    expect(dialog.get_by_role("alert")).to_contain_text("do not answer", timeout=LONG)
    expect(name).to_be_focused()
    page.keyboard.type(" and again")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("models")).to_contain_text("Again and again", timeout=LONG)


def test_whoever_went_on_is_not_called_back(page: Page, cloud: Cloud):
    page.get_by_role("link", name="Buckets").click()
    page.get_by_test_id("add-bucket").click(timeout=LONG)
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=name]").fill("made-late")
    adding = Held(page, "POST", r"/v1/buckets$")
    dialog.locator(".primary").click()
    adding.wait()
    page.go_back()
    expect(page.get_by_test_id("session-row").first).to_be_visible(timeout=LONG)
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        adding.let_go()
    assert answer.value.status == 201
    expect(page).to_have_url(re.compile("/account$"))
    page.get_by_role("link", name="Buckets").click()
    expect(page.get_by_test_id("buckets")).to_contain_text("made-late", timeout=LONG)
    expect(page).to_have_url(re.compile("/buckets$"))


def test_a_campaign_is_not_written_on_while_it_is_saved(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/campaigns/new")
    name = page.locator("input[name=name]")
    name.fill("Saved late", timeout=LONG)
    page.get_by_test_id("campaign-condition").click()
    page.keyboard.insert_text("Vehicle.Speed > 120")
    saving = Held(page, "POST", r"/v1/campaigns$")
    page.get_by_test_id("save-campaign").click()
    saving.wait()
    page.keyboard.press("Tab")
    page.keyboard.type("lost")
    expect(name).to_have_value("Saved late")
    expect(page.locator("[inert]").get_by_test_id("campaign-condition")).to_have_count(1)
    saving.let_go()
    expect(page).to_have_url(re.compile("/campaigns/saved-late$"), timeout=LONG)
    expect(page.get_by_test_id("campaign-state")).to_have_text("Draft", timeout=LONG)


def token_made(page: Page, cloud: Cloud, vehicle: str) -> Held:
    """A token is made on the vehicle's page; the answer that tells of it is held."""
    page.goto(f"{cloud.url}/vehicles/{vehicle}?tab=details")
    card = page.get_by_test_id("vehicle-token")
    expect(card).to_contain_text("None.", timeout=LONG)
    reading = Held(page, "GET", f"/v1/vehicles/{vehicle}$")
    card.get_by_test_id("make-token").click()
    page.get_by_role("dialog").get_by_role("button", name="Done").click(timeout=LONG)
    reading.wait()
    return reading


def test_a_token_is_known_before_the_next_one_can_be_made(page: Page, cloud: Cloud):
    vin = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"][9]["id"]
    reading = token_made(page, cloud, vin)
    card = page.get_by_test_id("vehicle-token")
    expect(card.get_by_test_id("make-token")).to_be_disabled()
    reading.let_go()
    expect(card.get_by_test_id("make-token")).to_have_text(re.compile("Replace"), timeout=LONG)


def test_plots_wait_for_an_answer_that_takes_longer_than_they_follow(page: Page, cloud: Cloud):
    vin = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"][6]["id"]
    reading = Held(page, "GET", f"/v1/vehicles/{vin}/signals")
    page.goto(f"{cloud.url}/vehicles/{vin}?tab=plots&signals=Vehicle.Speed")
    reading.wait()
    page.wait_for_timeout(3_500)  # it follows every 3 s
    assert reading.count == 1
    reading.let_go()
    plot = page.get_by_test_id("signal-plot")
    expect(plot).to_contain_text(re.compile(r"\d km/h"), timeout=LONG)


def test_what_is_typed_of_a_vehicle_stays_when_a_late_answer_tells_of_it(page: Page, cloud: Cloud):
    vin = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"][12]["id"]
    reading = token_made(page, cloud, vin)
    card = page.get_by_test_id("vehicle-token")
    page.get_by_test_id("edit-vehicle").click()
    labels = page.get_by_role("dialog").locator("[name=labels]")
    labels.fill("fleet=mine")
    reading.let_go()
    expect(card).to_contain_text("It was shown once", timeout=LONG)
    expect(labels).to_have_value("fleet=mine")


def test_the_palette_finds_vehicles_that_are_told_while_somebody_types(page: Page, cloud: Cloud):
    vin = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"][5]["id"]
    telling = Held(page, "GET", "/v1/live")
    page.goto(f"{cloud.url}/models")
    page.get_by_role("heading", name="Models").wait_for(timeout=LONG)
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog")
    palette.get_by_role("combobox").fill(vin)
    telling.wait()
    expect(palette.get_by_role("option")).to_have_count(0)
    telling.let_go()
    expect(palette.get_by_role("option")).to_contain_text(vin, timeout=LONG)


def test_the_palette_opens_again_at_once(page: Page, cloud: Cloud):
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog")
    palette.get_by_role("combobox").fill("models")
    # the next key comes before the event that tells of the closing
    keys = """async input => {
        const press = (target, key, more) =>
            target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, ...more }))
        press(input, 'Enter')
        for (let turn = 0; turn < 20; turn++) await null
        press(document.body, 'k', { ctrlKey: true })
    }"""
    palette.get_by_role("combobox").evaluate(keys)
    expect(page).to_have_url(re.compile("/models$"))
    expect(page.get_by_test_id("models")).to_be_visible(timeout=LONG)  # the event of closing came
    expect(palette).to_be_visible()


def test_a_file_is_not_replaced_unasked_before_the_list_has_come(page: Page, cloud: Cloud):
    bucket = f"{cloud.url}/v1/buckets"
    assert page.request.post(bucket, data={"name": "asks-late"}).ok
    place = f"{bucket}/asks-late/object?key=notes.txt"
    assert page.request.put(place, data="kept").ok
    listing = Held(page, "GET", r"/asks-late/objects")
    page.goto(f"{cloud.url}/buckets/asks-late")
    listing.wait()
    note = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"other"}
    page.get_by_test_id("upload-files").set_input_files(note)
    listing.let_go()
    expect(page.get_by_role("alertdialog")).to_contain_text("notes.txt", timeout=LONG)
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel").click()
    assert page.request.get(place).text() == "kept"


def test_what_became_of_a_dead_letter_stands_at_that_letter(page: Page, cloud: Cloud):
    vins = ("LTESTVNA4A0000771", "LTESTVNA4A0000772")
    for vin in vins:
        cloud.send_without_login(vin)
    for vin in vins:
        wait_for_dead_letter(page, cloud, vin)
    page.goto(f"{cloud.url}/dead-letters")
    rows = page.get_by_test_id("dead-letters").get_by_role("row")
    first, second = (rows.filter(has_text=vin) for vin in vins)
    first.get_by_role("button").click(timeout=LONG)
    trying = Held(page, "POST", "/reprocess$")
    page.get_by_test_id("reprocess").click()
    trying.wait()
    second.get_by_role("button").click()
    expect(page.get_by_test_id("dead-letter-detail")).to_contain_text(vins[1])
    trying.let_go()
    expect(first).to_contain_text("stored", ignore_case=True, timeout=LONG)
    expect(second).not_to_contain_text("stored", ignore_case=True)
    expect(page.get_by_test_id("outcome")).to_have_count(0)
