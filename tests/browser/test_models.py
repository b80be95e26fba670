"""The page of a model: its raw fields, its mapping with findings at their lines, its versions."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
LONG = 30_000
DBC = """\
BO_ 291 Wheels: 8 ECU
 SG_ Spd : 0|16@1+ (0.1,0) [0|400] "mph" ECU
 SG_ Boost : 16|8@1+ (1,0) [0|0] "kPa" ECU
"""
FILES = [{"name": "drive.dbc", "mimeType": "text/plain", "buffer": DBC.encode()}]
WRONG = "dbc: [drive.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.Spd, unit: V}\n"
BOOST = "Vehicle.Private.Wheels.Boost"


def make(page: Page, cloud: Cloud, model: str) -> str:
    """A new model; where its page is."""
    body = {"id": model, "name": "Van"}
    assert page.request.post(f"{cloud.url}/v1/models", data=body).status == 201
    return f"{cloud.url}/models/{model}"


def put_back(page: Page, cloud: Cloud, text: str) -> None:
    """The overlay as it was: other tests know nothing of another."""
    overlay = f"{cloud.url}/v1/signals/overlay"
    headers = {"If-Match": page.request.get(overlay).headers["etag"]}
    assert page.request.put(overlay, data={"text": text}, headers=headers).ok


def test_a_mapping_is_written_with_its_findings_and_lands(page: Page, cloud: Cloud):
    page.goto(make(page, cloud, "zq-van"))
    fields = page.get_by_test_id("raw-fields")
    expect(fields).to_contain_text("jt808.door2_open", timeout=LONG)
    page.get_by_test_id("write-mapping").click()
    page.get_by_test_id("mapping-dbc").set_input_files(FILES)
    text = page.get_by_test_id("mapping-text")
    text.fill(WRONG)
    effect = page.get_by_test_id("mapping-effect")
    expect(effect).to_contain_text("Line 3", timeout=LONG)
    expect(page.get_by_test_id("finding-at-line")).to_contain_text("Vehicle.Speed")
    expect(page.get_by_test_id("save-mapping")).to_be_disabled()
    text.fill(WRONG.replace(", unit: V", ""))
    expect(effect).to_contain_text("Maps 1 signal", timeout=LONG)
    page.get_by_test_id("save-mapping").click()
    page.get_by_role("searchbox").fill("Wheels.Spd")
    expect(fields).to_contain_text("Vehicle.Speed", timeout=LONG)
    expect(fields).not_to_contain_text("jt808", timeout=LONG)
    page.get_by_role("tab", name="Mapping").click()
    expect(page.get_by_test_id("mapping-versions")).to_contain_text("drive.dbc", timeout=LONG)


def test_a_suggestion_is_saved_with_its_overlay_only_when_the_person_saves(
    page: Page, cloud: Cloud
):
    overlay = f"{cloud.url}/v1/signals/overlay"
    held = page.request.get(overlay).json()
    page.goto(f"{make(page, cloud, 'zq-suggested')}?tab=mapping")
    page.get_by_test_id("mapping-dbc").set_input_files(FILES)
    page.get_by_test_id("mapping-suggest").click()
    proposed = page.get_by_test_id("mapping-proposed")
    proposed.locator("summary").click(timeout=LONG)
    expect(proposed).to_contain_text(BOOST)
    expect(page.get_by_test_id("mapping-effect")).to_contain_text("Maps 2 signals", timeout=LONG)
    assert page.request.get(overlay).json() == held

    # somebody who leaves and comes back finds it all
    page.get_by_role("link", name="Vehicles", exact=True).first.click()
    page.get_by_test_id("mapping-text").wait_for(state="detached")
    page.go_back()
    expect(proposed).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("mapping-text")).to_contain_text("Wheels.Boost")
    page.get_by_test_id("save-mapping").click(timeout=LONG)
    expect(page.get_by_test_id("raw-fields")).to_contain_text(BOOST, timeout=LONG)
    assert BOOST in page.request.get(overlay).json()["added"]
    put_back(page, cloud, held["text"])
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text(BOOST, timeout=LONG)
