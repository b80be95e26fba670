"""The page on which links to further platforms and accounts of lower ones are kept.

The cloud forwards to itself: its own listener plays the further platform.
"""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LASTING

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_link_is_added_watched_and_stopped(cloud, page: Page) -> None:
    page.goto(f"{cloud.url}/forwarding")
    page.get_by_test_id("grant-platform").click()
    page.locator("input[name=platform_id]").fill("LOWERPLATFORM0001")
    page.locator("input[name=user]").fill("maker")
    page.locator("input[name=password]").fill("kept between us")
    page.locator("dialog .primary").click()
    expect(page.get_by_test_id("platforms")).to_contain_text("LOWERPLATFORM0001")

    page.get_by_test_id("add-link").click()
    for name, value in {
        "name": "upper", "host": "127.0.0.1", "port": str(cloud.port), "user": "maker",
        "platform_id": "LOWERPLATFORM0001", "password": "kept between us",
    }.items():  # fmt: skip
        page.locator(f"dialog input[name={name}]").fill(value)
    page.locator("dialog .primary").click()
    state = page.get_by_test_id("link-state")
    expect(state).to_have_text("Connected")
    forwarded = page.get_by_test_id("links").locator("tbody tr").first.locator("td").nth(3)
    expect(forwarded).to_have_text(re.compile(r"[1-9]"))

    page.get_by_role("button", name="Disable").click()
    expect(state).to_have_text("Disabled")
    page.get_by_test_id("links").get_by_role("button", name="Remove").click()
    confirm = page.get_by_test_id("confirm")
    expect(confirm).to_be_disabled()
    page.locator("input[name=typed]").fill("uppe")
    expect(confirm).to_be_disabled()
    page.locator("input[name=typed]").fill("upper")
    confirm.click()
    expect(page.get_by_text("No links.")).to_be_visible()
    page.get_by_test_id("platforms").get_by_role("button", name="Revoke").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_text("No other platform may log in.")).to_be_visible()


def test_a_wrong_field_is_named_beside_it(cloud, page: Page) -> None:
    page.goto(f"{cloud.url}/forwarding")
    page.get_by_test_id("add-link").click()
    for name, value in {
        "name": "Upper Case", "host": "127.0.0.1", "user": "u", "platform_id": "P", "password": "p",
    }.items():  # fmt: skip
        page.locator(f"dialog input[name={name}]").fill(value)
    page.locator("dialog .primary").click()
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(re.compile("Lower-case.*a-z"))
    expect(page.locator("dialog [role=alert]")).to_have_count(1)


def test_a_password_that_is_made_here_is_shown_once(cloud, page: Page) -> None:
    page.add_init_script(LASTING)
    page.goto(f"{cloud.url}/forwarding")
    page.get_by_test_id("grant-platform").click()
    page.locator("input[name=platform_id]").fill("LOWERPLATFORM0002")
    page.locator("input[name=user]").fill("maker")
    page.locator("dialog .primary").click()
    expect(page.get_by_test_id("toast")).to_contain_text("LOWERPLATFORM0002")
    secret = page.get_by_test_id("secret").locator(".secret")
    expect(secret).to_have_text(re.compile(r"^[A-Za-z2-9]{20}$"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Password").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    made = secret.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == made
    page.get_by_role("button", name="Done").click()
    page.reload()
    expect(page.get_by_test_id("platforms")).to_contain_text("LOWERPLATFORM0002")
    assert made not in page.content()
    page.get_by_test_id("platforms").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("alertdialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_text("No other platform may log in.")).to_be_visible()
