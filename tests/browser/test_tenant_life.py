"""A tenant exported and deleted by hand, in the console."""

import tarfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud
from tests.browser.test_access import LONG, PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]


def test_a_tenant_is_exported_and_its_deletion_asked_for_and_cancelled(
    page: Page,
    cloud: Cloud,
    tmp_path: Path,
):
    owner = {"name": "depart-owner", "password": PASSWORD}
    body = {"id": "depart", "name": "Depart Fleet", "owner": owner}
    assert page.request.post(f"{cloud.url}/v1/tenants", data=body).ok
    page.goto(f"{cloud.url}/tenants?tab=all")
    row = page.get_by_test_id("tenant-row").filter(has_text="Depart Fleet")
    row.get_by_role("button", name="Export or delete").click(timeout=LONG)
    page.get_by_test_id("start-export").click()
    made = page.get_by_test_id("export-row")
    expect(made).to_contain_text("Ready", timeout=LONG)
    with page.expect_download() as fetched:
        made.get_by_role("link", name="Download").click()
    file = tmp_path / "depart.tar"
    fetched.value.save_as(file)
    with tarfile.open(file) as archive:
        assert archive.getnames()[-1] == "manifest.json"
    expect(page.get_by_test_id("ask-deletion")).to_be_disabled()  # it is active
    suspended = {"state": "suspended"}
    assert page.request.patch(f"{cloud.url}/v1/tenants/depart", data=suspended).ok
    page.reload()
    row.get_by_role("button", name="Export or delete").click(timeout=LONG)
    page.get_by_test_id("ask-deletion").click(timeout=LONG)
    expect(page.get_by_test_id("confirm")).to_be_disabled()
    page.locator("input[name=typed]").fill("depart")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("deletion-facts")).to_contain_text("Waiting", timeout=LONG)
    expect(row).to_contain_text("Being deleted", timeout=LONG)
    page.get_by_test_id("cancel-deletion").click()
    page.get_by_test_id("confirm").click()
    expect(row).to_contain_text("Suspended", timeout=LONG)
    state = page.request.get(f"{cloud.url}/v1/tenants/depart/deletion").json()["state"]
    assert state == "cancelled"
