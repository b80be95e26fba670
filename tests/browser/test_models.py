"""The page of a model: its raw fields, its mapping with findings by line, its versions."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud

LONG = 30_000
DBC = 'BO_ 291 Wheels: 8 ECU\n SG_ Spd : 0|16@1+ (0.1,0) [0|400] "mph" ECU\n'
WRONG = "dbc: [drive.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.Spd, unit: V}\n"


def test_a_mapping_is_written_with_its_findings_and_lands(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/models")
    made = page.evaluate(
        """async () => (await fetch('/v1/models', {method: 'POST',
            headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({id: 'zq-van', name: 'Van'})})).status"""
    )
    assert made == 201
    page.goto(f"{cloud.url}/models/zq-van")
    fields = page.get_by_test_id("raw-fields")
    expect(fields).to_contain_text("jt808.door2_open", timeout=LONG)
    page.get_by_test_id("edit-mapping").click()
    files = [{"name": "drive.dbc", "mimeType": "text/plain", "buffer": DBC.encode()}]
    page.get_by_test_id("mapping-dbc").set_input_files(files)
    page.get_by_test_id("mapping-text").fill(WRONG)
    effect = page.get_by_test_id("mapping-effect")
    expect(effect).to_contain_text("Line 3", timeout=LONG)
    expect(page.get_by_test_id("save-mapping")).to_be_disabled()
    page.get_by_test_id("mapping-text").fill(WRONG.replace(", unit: V", ""))
    expect(effect).to_contain_text("Maps 1 signals", timeout=LONG)
    page.get_by_test_id("save-mapping").click()
    expect(page.get_by_test_id("mapping-versions")).to_contain_text("drive.dbc", timeout=LONG)
    page.get_by_role("searchbox").fill("Wheels.Spd")
    expect(fields).to_contain_text("Vehicle.Speed", timeout=LONG)
    expect(fields).not_to_contain_text("jt808", timeout=LONG)
