"""Vehicles are asked for what they keep, in a tenant of its own: other tests count the fleet."""

import json
import time

import paho.mqtt.client as paho
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import LASTING, Cloud
from tests.browser.test_access import PASSWORD, person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms


def test_vehicles_are_asked_for_what_they_keep(page: Page, browser: Browser, cloud: Cloud):
    owner = {"name": "kim", "password": PASSWORD}
    _post(page, cloud, "/v1/tenants", {"id": "keeping", "name": "Keeping Fleet", "owner": owner})
    with person(browser, cloud, "kim", PASSWORD) as kim:
        ask_for_kept_data(kim, cloud)


def ask_for_kept_data(page: Page, cloud: Cloud) -> None:
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
    page.add_init_script(LASTING)
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


def test_a_command_with_a_password_waits_and_is_cancelled(
    page: Page, browser: Browser, cloud: Cloud
):
    owner = {"name": "lou", "password": PASSWORD}
    _post(page, cloud, "/v1/tenants", {"id": "asking", "name": "Asking Fleet", "owner": owner})
    with person(browser, cloud, "lou", PASSWORD) as lou:
        _post(lou, cloud, "/v1/vehicles", {"id": "LTESTKEPT00000003"})
        lou.goto(f"{cloud.url}/vehicles/LTESTKEPT00000003?tab=commands")
        lou.get_by_test_id("give-command").click()
        dialog = lou.get_by_role("dialog")
        dialog.locator("select[name=name]").select_option("change-server")
        dialog.locator("input[name='arguments.address']").fill("192.0.2.1")
        password = dialog.locator("input[name='arguments.password']")
        expect(password).to_have_attribute("type", "password")
        password.fill("open-sesame")
        dialog.get_by_role("button", name="Give command").click()
        row = lou.get_by_test_id("commands").get_by_role("row").filter(has_text="192.0.2.1")
        expect(row).to_contain_text("password=(hidden)", timeout=LONG)
        state = row.get_by_test_id("command-state")
        expect(state).to_have_text("Waits", timeout=LONG)
        row.get_by_role("button", name="Cancel").click()
        lou.get_by_test_id("confirm").click()
        expect(state).to_have_text("Cancelled", timeout=LONG)
        expect(lou.get_by_test_id("commands")).not_to_contain_text("open-sesame")


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
