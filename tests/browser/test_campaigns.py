"""A campaign from the first word to the vehicles, and a command given on a vehicle's page."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms


def test_a_campaign_is_written_mended_tried_approved_and_runs(page: Page, cloud: Cloud):
    page.get_by_role("link", name="Campaigns").click()
    page.get_by_test_id("new-campaign").click()
    page.locator("input[name=name]").fill("Browser test: speeding")
    expect(page.locator("input[name=id]")).to_have_value("browser-test-speeding")
    condition = page.get_by_test_id("campaign-condition")
    condition.click()
    page.keyboard.insert_text("Vehicle.Spe > 120 && Vehicle.IsMoving")
    wrong = page.get_by_test_id("expression-error")
    expect(wrong).to_have_text(re.compile(r"Character 1:\s*there is no signal Vehicle.Spe"))
    with page.expect_response(
        lambda answer: answer.request.method == "POST" and answer.url == f"{cloud.url}/v1/campaigns"
    ) as told:
        page.get_by_test_id("save-campaign").click()
    assert told.value.status == 400
    expect(wrong).to_be_visible()
    expect(page).to_have_url(re.compile("/campaigns/new$"))  # it is not saved

    condition.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("Vehicle.Speed > 120")
    expect(page.get_by_test_id("campaign-check")).to_contain_text("Can be saved", timeout=LONG)
    page.get_by_test_id("add-signal").fill("Vehicle.Speed")
    page.get_by_role("option", name="Vehicle.Speed").first.click()
    expect(page.get_by_test_id("campaign-json")).to_have_value(
        re.compile('"path": "Vehicle.Speed"')
    )
    page.get_by_role("tab", name="Dry run").click()
    page.get_by_test_id("dry-run").click()
    expect(page.get_by_test_id("dry-run-result")).to_contain_text("Would trigger", timeout=LONG)

    page.get_by_test_id("save-campaign").click()
    page.get_by_test_id("campaign-approve").click()
    page.get_by_test_id("confirm").click()
    state = page.get_by_test_id("campaign-state")
    expect(state).to_have_text("Approved", timeout=LONG)
    page.get_by_test_id("campaign-start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    expect(state).to_have_text("Running", timeout=LONG)
    expect(page.get_by_test_id("campaign-tiles")).to_contain_text("In the target", timeout=LONG)
    for step, after in (("end", "Ended"), ("delete", None)):
        page.get_by_test_id(f"campaign-{step}").click()
        page.get_by_test_id("confirm").click()
        if after:
            expect(state).to_have_text(after, timeout=LONG)
    expect(page).to_have_url(re.compile("/campaigns$"), timeout=LONG)


def test_a_signal_goes_into_a_campaign_and_what_is_not_saved_comes_back(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/signals?signal=Vehicle.Speed")
    page.get_by_test_id("to-campaign").click(timeout=LONG)
    document = page.get_by_test_id("campaign-json")
    expect(document).to_have_value(re.compile('"path": "Vehicle.Speed"'), timeout=LONG)
    page.locator("input[name=name]").fill("Begun")
    page.get_by_role("link", name="Models", exact=True).click()
    document.wait_for(state="detached")
    page.goto(f"{cloud.url}/campaigns/new?signal=Vehicle.IsMoving")
    expect(page.get_by_test_id("restored")).to_be_visible(timeout=LONG)
    expect(document).to_have_value(re.compile('"id": "begun"(.|\n)*Speed(.|\n)*IsMoving'))
    page.get_by_test_id("restored").get_by_role("button").click()
    expect(document).not_to_have_value(re.compile("begun|Vehicle"))
    page.reload()
    expect(page.locator("input[name=name]")).to_have_value("", timeout=LONG)


def test_a_command_is_given_and_executed(page: Page, cloud: Cloud):
    found = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"]
    page.goto(f"{cloud.url}/vehicles/{found[8]['id']}?tab=commands")
    page.get_by_test_id("give-command").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("select[name=name]").select_option("read-parameters")
    dialog.get_by_role("button", name="Give command").click()
    row = page.get_by_test_id("commands").get_by_role("row").filter(has_text="Read parameters")
    state = row.get_by_test_id("command-state")
    expect(state).to_have_text("Executed", timeout=LONG)
