"""A campaign from the first word to the vehicles, and a command given on a vehicle's page."""

import json
import re
import time

import paho.mqtt.client as paho
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
    page.get_by_test_id("save-campaign").click()
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


def test_vehicles_are_asked_for_what_they_keep(page: Page, cloud: Cloud):
    vehicle, campaign = "LTESTKEPT00000001", "/v1/campaigns/kept"
    whole = {
        "id": "kept", "trigger": {"every_ms": 1000}, "signals": [{"path": "Vehicle.Speed"}],
        "partitions": [{"id": "default"}, {"id": "slow", "upload": "on_request"}],
    }  # fmt: skip
    _post(page, cloud, "/v1/vehicles", {"id": vehicle})
    token = _post(page, cloud, f"/v1/vehicles/{vehicle}/token")["token"]
    row = {"id": "kept", "kind": "campaign", "version": 1, "hash": "0", "result": "active"}
    left = {"campaign": "kept", "partition": "slow", "until": time.time() * 1000}
    _check_in(cloud, vehicle, token, {"documents": [row], "forwarding": [left]})
    _post(page, cloud, "/v1/campaigns", {"document": whole})
    page.goto(f"{cloud.url}/campaigns/kept")
    expect(page.get_by_test_id("campaign-state")).to_have_text("Draft", timeout=LONG)
    ask = page.get_by_role("button", name="Ask for kept data")
    expect(ask).to_have_count(0)  # no vehicle has it
    _post(page, cloud, f"{campaign}/approve", {"version": 1})
    _post(page, cloud, f"{campaign}/start", {})
    page.reload()
    ask.click(timeout=LONG)
    dialog = page.get_by_role("dialog", name="Ask for kept data")
    expect(dialog.get_by_label("Store")).to_have_value("slow")
    dialog.get_by_label("Vehicle").fill("LTESTKEPT00000002")
    dialog.get_by_label("Vehicle").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("does not say that it holds", timeout=LONG)

    table = page.get_by_test_id("campaign-vehicles")
    expect(table).to_contain_text("Still to send: store slow, kept until 20", timeout=LONG)
    dialog.get_by_label("Vehicle").fill(vehicle)
    dialog.get_by_label("Store").select_option("All stores")
    dialog.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("1 vehicle asked. All stores, kept until now.")).to_be_visible()
    expect(dialog).to_have_count(0)
    given = page.request.get(f"{cloud.url}/v1/vehicles/{vehicle}/commands").json()["items"]
    assert [(one["name"], one["arguments"]) for one in given] == [("forward", {"campaign": "kept"})]
    _post(page, cloud, f"{campaign}/end")
    assert page.request.delete(f"{cloud.url}/v1/vehicles/{vehicle}").ok  # others count the fleet


def _post(page: Page, cloud: Cloud, path: str, body: object = None) -> dict[str, str]:
    answer = page.request.post(f"{cloud.url}{path}", data=body)
    assert answer.ok, answer.text()
    return answer.json()


def _check_in(cloud: Cloud, vehicle: str, token: str, told: object) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, vehicle)
    client.username_pw_set(vehicle, token)
    client.connect("127.0.0.1", cloud.mqtt)
    client.loop_start()
    client.publish(f"v1/{vehicle}/checkin", json.dumps(told), 1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


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


def test_a_command_is_given_and_cancelled(page: Page, cloud: Cloud):
    found = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"]
    page.goto(f"{cloud.url}/vehicles/{found[8]['id']}?tab=commands")
    page.get_by_test_id("give-command").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("select[name=name]").select_option("read-parameters")
    dialog.get_by_role("button", name="Give command").click()
    row = page.get_by_test_id("commands").get_by_role("row").filter(has_text="Read parameters")
    state = row.get_by_test_id("command-state")
    # the simulated vehicle never answers
    expect(state).to_have_text(re.compile("Waits|Sent"), timeout=LONG)
    row.get_by_role("button", name="Cancel").click()
    page.get_by_test_id("confirm").click()
    expect(state).to_have_text("Cancelled", timeout=LONG)
