"""Pages on which access is given, looked into and taken back."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page, expect

from carcloud.model.time import now_us
from carcloud.services.tenancy import totp
from tests.browser.conftest import Cloud, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms
PASSWORD = "correct horse battery"


@contextmanager
def person(
    browser: Browser, cloud: Cloud, name: str, password: str, path: str = "/account"
) -> Iterator[Page]:
    """Somebody signed in at a browser of their own, on a page that is drawn faster than the map;
    a script error fails the test."""
    laptop = {"width": 1280, "height": 800}
    with browser.new_context(viewport=laptop, locale="en-GB") as context:
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"{cloud.url}{path}")
        page.locator("input[name=user]").fill(name)
        page.locator("input[name=password]").fill(password)
        page.keyboard.press("Enter")
        page.get_by_test_id("account-menu").wait_for(timeout=LONG)
        yield page
    assert troubles == []


def add(page: Page, cloud: Cloud, name: str, role: str) -> None:
    body = {"name": name, "password": PASSWORD, "role": role}
    made = page.request.post(f"{cloud.url}/v1/users", data=body)
    assert made.ok, made.text()


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    return totp.code_at(base64.b32decode(secret), totp.step_at(now_us()))


def offered(page: Page) -> list[str]:
    return page.get_by_role("navigation").get_by_role("listitem").all_inner_texts()


def test_a_person_is_added_and_sees_only_what_they_may(page: Page, browser: Browser, cloud: Cloud):
    page.goto(f"{cloud.url}/people")
    page.get_by_test_id("add-person").click()
    page.locator("dialog input[name=user]").fill("Pat")
    page.locator("dialog select[name=role]").select_option("auditor")
    page.locator("dialog .primary").click()
    name = page.locator("dialog input[name=user]")
    expect(name).to_have_attribute("aria-invalid", "true", timeout=LONG)
    name.fill("pat")
    page.locator("dialog .primary").click()
    made = page.get_by_test_id("secret").locator(".secret").inner_text(timeout=LONG)
    page.get_by_role("button", name="Done").click()
    detail = page.get_by_test_id("user-detail")
    expect(detail.get_by_test_id("user-grants")).to_contain_text("Auditor", timeout=LONG)

    with person(browser, cloud, "pat", made, "/") as theirs:
        expect(theirs.get_by_role("link", name="Audit")).to_be_visible(timeout=LONG)
        assert {"Audit", "People", "Models"} <= set(offered(theirs))
        assert not {"Map", "SQL", "Dead letters"} & set(offered(theirs))
        # the map is not theirs to begin with
        expect(theirs).not_to_have_url(re.compile("/$"))
        theirs.goto(f"{cloud.url}/sql")
        expect(theirs.get_by_test_id("not-allowed")).to_contain_text("queries:run", timeout=LONG)
        theirs.goto(f"{cloud.url}/people")
        expect(theirs.get_by_test_id("person-row").first).to_be_visible(timeout=LONG)
        expect(theirs.get_by_test_id("add-person")).to_have_count(0)

    detail.get_by_test_id("give-role").click()
    page.locator("dialog select[name=role]").select_option("operator")
    page.locator("dialog select[name=scope]").select_option("labels")
    page.locator("dialog textarea[name=labels]").fill("depot=north")
    page.locator("dialog .primary").click()
    expect(detail.get_by_test_id("user-grants")).to_contain_text("depot=north", timeout=LONG)
    detail.get_by_role("button", name="Take back: Auditor").click()
    page.get_by_test_id("confirm").click()
    expect(detail.get_by_test_id("user-grants")).not_to_contain_text("Auditor", timeout=LONG)
    detail.get_by_test_id("disable").click()
    page.get_by_test_id("confirm").click()
    expect(detail).to_contain_text("Disabled", timeout=LONG)


def test_who_is_held_to_labels_sees_those_vehicles_on_the_map_and_in_sql(
    page: Page, browser: Browser, cloud: Cloud
):
    vin = page.request.get(f"{cloud.url}/v1/vehicles").json()["items"][4]["id"]
    labelled(page, cloud, vin, {"shift": "nights"})
    body = {"name": "nina", "password": PASSWORD, "role": "operator"}
    body |= {"scope": {"labels": {"shift": "nights"}}}
    made = page.request.post(f"{cloud.url}/v1/users", data=body)
    assert made.ok, made.text()

    with person(browser, cloud, "nina", PASSWORD, "/sql") as hers:
        expect(hers.get_by_test_id("sql-within")).to_contain_text("shift=nights", timeout=LONG)
        assert {"Map", "SQL", "Vehicles"} <= set(offered(hers))
        counts = hers.get_by_test_id("health-connected")
        expect(counts).to_have_text(re.compile(r"^1\s*/\s*1$"), timeout=LONG)
        expect(hers.get_by_test_id("health-dead-letters")).to_have_count(0)
        editor = hers.get_by_test_id("sql-editor")
        editor.click()
        hers.keyboard.press("Control+a")
        hers.keyboard.insert_text("SELECT DISTINCT vehicle FROM signals")
        hers.keyboard.press("Control+Enter")
        expect(hers.get_by_test_id("result-summary")).to_contain_text("1 row", timeout=LONG)
        expect(hers.get_by_label("Result", exact=True).first).to_contain_text(vin)

        hers.goto(f"{cloud.url}/?vehicle={vin}")
        until(hers, f"JSON.stringify(window.carcloudMap?.ids()) === '[\"{vin}\"]'")
        expect(hers.get_by_test_id("vehicle-panel")).to_contain_text("km/h", timeout=LONG)
        labelled(page, cloud, vin, {"shift": None})
        until(hers, "window.carcloudMap?.ids().length === 0")
        expect(hers.get_by_test_id("vehicle-panel")).to_have_count(0, timeout=LONG)


def labelled(page: Page, cloud: Cloud, vin: str, labels: dict[str, str | None]) -> None:
    changed = page.request.patch(
        f"{cloud.url}/v1/vehicles/{vin}", data={"labels": labels}, headers={"If-Match": "*"}
    )
    assert changed.ok, changed.text()


def test_a_role_is_made_and_who_can_why_answers(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/people?tab=roles")
    page.get_by_test_id("add-role").click()
    page.locator("dialog input[name=id]").fill("reader")
    page.locator("dialog input[name=name]").fill("Reader")
    page.locator("dialog .primary").click()
    expect(page.locator("dialog [role=alert]")).to_contain_text("at least one", timeout=LONG)
    page.locator("dialog input[value='audit:read']").check()
    page.locator("dialog .primary").click()
    detail = page.get_by_test_id("role-detail")
    expect(detail).to_contain_text("audit:read", timeout=LONG)
    detail.get_by_test_id("change-role").click()
    page.locator("dialog input[value='usage:read']").check()
    page.locator("dialog .primary").click()
    expect(detail).to_contain_text("usage:read", timeout=LONG)

    add(page, cloud, "rita", "reader")
    page.goto(f"{cloud.url}/people?tab=why&action=audit:read")
    row = page.get_by_test_id("who-can-row").filter(has_text="rita")
    expect(row).to_contain_text("Reader", timeout=LONG)
    row.get_by_role("link").click()
    may = page.get_by_test_id("may-do")
    expect(may).to_contain_text("usage:read", timeout=LONG)
    expect(may).not_to_contain_text("vehicles:write")


def test_a_key_is_made_used_and_revoked_and_the_audit_tells(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/keys")
    page.get_by_test_id("make-key").click()
    page.locator("dialog input[name=name]").fill("dashboard")
    page.locator("dialog select[name=bound]").select_option("some")
    page.locator("dialog input[value='vehicles:read']").check()
    page.locator("dialog .primary").click()
    secret = page.get_by_test_id("secret").locator(".secret")
    expect(secret).to_have_count(2, timeout=LONG)  # the key, and the one for S3
    key = secret.first.inner_text()
    page.get_by_role("button", name="Done").click()
    bearer = {"Authorization": f"Bearer {key}"}
    asked = page.context.browser.new_context(extra_http_headers=bearer).request
    assert asked.get(f"{cloud.url}/v1/vehicles").status == 200
    assert asked.get(f"{cloud.url}/v1/users").status == 403
    page.reload()
    row = page.get_by_test_id("key-row").filter(has_text="dashboard")
    expect(row).to_contain_text("vehicles:read", timeout=LONG)
    assert key not in page.content()
    row.get_by_role("button", name="Revoke").click()
    page.get_by_test_id("confirm").click()
    expect(row).to_have_count(0, timeout=LONG)
    for _ in range(600):  # callers are remembered for a moment
        if (status := asked.get(f"{cloud.url}/v1/vehicles").status) == 401:
            break
        page.wait_for_timeout(100)
    assert status == 401

    page.goto(f"{cloud.url}/audit")
    page.get_by_role("combobox", name="Action").fill("key.*")
    rows = page.get_by_test_id("audit-row")
    expect(rows.filter(has_not_text="key.")).to_have_count(0, timeout=LONG)
    expect(rows.first).to_contain_text("key.revoke", timeout=LONG)
    rows.filter(has_text="key.create").first.get_by_role("button").click()
    diff = page.get_by_test_id("audit-diff")
    expect(diff).to_contain_text("dashboard", timeout=LONG)
    expect(page.get_by_test_id("audit-detail")).to_contain_text("127.0.0.1")
    with page.expect_download() as told:
        page.get_by_test_id("audit-export").click()
    lines = told.value.path().read_text().splitlines()
    assert lines and all('"action":"key.' in line for line in lines)
    page.get_by_test_id("audit-verify").click()
    expect(page.get_by_test_id("chain")).to_contain_text("Nothing was altered", timeout=LONG)
    page.get_by_role("checkbox", name="Refused only").check()
    expect(rows).to_have_count(0, timeout=LONG)  # none of them is about keys


def test_a_tenant_is_made_suspended_and_let_in_again(page: Page, browser: Browser, cloud: Cloud):
    page.goto(f"{cloud.url}/tenants?tab=all")
    page.get_by_test_id("make-tenant").click()
    for name, value in {"id": "north", "name": "North Fleet", "owner": "olga"}.items():
        page.locator(f"dialog input[name={name}]").fill(value)
    page.locator("dialog input[name=password]").fill(PASSWORD)
    page.locator("dialog .primary").click()
    row = page.get_by_test_id("tenant-row").filter(has_text="North Fleet")
    row.get_by_role("button", name="Suspend").click(timeout=LONG)
    expect(page.get_by_test_id("confirm")).to_be_disabled()
    page.locator("input[name=typed]").fill("north")
    page.get_by_test_id("confirm").click()
    expect(row).to_contain_text("Suspended", timeout=LONG)
    answer = {"user": "olga", "password": PASSWORD}
    assert page.request.post(f"{cloud.url}/v1/session", data=answer).status == 401
    row.get_by_role("button", name="Resume").click()
    page.get_by_test_id("confirm").click()
    expect(row).to_contain_text("Active", timeout=LONG)
    with person(browser, cloud, "olga", PASSWORD) as theirs:
        theirs.goto(f"{cloud.url}/tenants")
        expect(theirs.get_by_test_id("this-tenant")).to_contain_text("North Fleet", timeout=LONG)
        expect(theirs.get_by_role("tab")).to_have_count(0)  # other tenants are not hers to see
        theirs.get_by_test_id("add-project").click()
        theirs.locator("dialog input[name=id]").fill("lab")
        theirs.locator("dialog input[name=name]").fill("Lab")
        theirs.locator("dialog .primary").click()
        expect(theirs.get_by_test_id("projects")).to_contain_text("Lab", timeout=LONG)


def test_somebody_looks_after_their_own_account(page: Page, browser: Browser, cloud: Cloud):
    add(page, cloud, "sue", "viewer")
    with (
        person(browser, cloud, "sue", PASSWORD) as other,
        person(browser, cloud, "sue", PASSWORD, "/keys") as here,
    ):
        here.get_by_test_id("account-menu").click()
        expect(here.get_by_test_id("own-account")).to_be_focused()
        here.keyboard.press("Enter")
        expect(here.get_by_test_id("who-am-i")).to_contain_text("sue", timeout=LONG)
        expect(here.get_by_test_id("what-i-may")).to_contain_text("vehicles:read")
        rows = here.get_by_test_id("session-row")
        expect(rows).to_have_count(2, timeout=LONG)
        here.get_by_test_id("change-password").click()
        fields = {"current": PASSWORD, "password": PASSWORD + "!", "again": PASSWORD}
        for name, value in fields.items():
            here.locator(f"dialog input[name={name}]").fill(value)
        here.locator("dialog .primary").click()
        expect(here.locator("dialog [role=alert]")).to_contain_text("not the same")
        here.locator("dialog input[name=again]").fill(PASSWORD + "!")
        here.locator("dialog .primary").click()
        expect(rows).to_have_count(1, timeout=LONG)
        other.goto(f"{cloud.url}/account")
        expect(other.locator("input[name=password]")).to_be_visible(timeout=LONG)
        here.get_by_test_id("account-menu").click()
        here.get_by_test_id("sign-out").click()
        expect(here.locator("input[name=user]")).to_be_visible(timeout=LONG)


def test_a_guest_switches_between_tenants(page: Page, browser: Browser, cloud: Cloud):
    founded = {
        "id": "guests",
        "name": "Guest House",
        "owner": {"name": "gil", "password": PASSWORD},
    }
    assert page.request.post(f"{cloud.url}/v1/tenants", data=founded).ok
    wanted = {"note": "gil", "role": "viewer"}
    link = page.request.post(f"{cloud.url}/v1/invitations", data=wanted).json()["link"]
    with person(browser, cloud, "gil", PASSWORD) as theirs:
        expect(theirs.get_by_role("link", name="People")).to_be_visible(timeout=LONG)
        secret = {"secret": link.rpartition("#")[2]}
        assert theirs.request.post(f"{cloud.url}/v1/session/invitation/join", data=secret).ok
        theirs.reload()
        theirs.get_by_test_id("account-menu").click(timeout=LONG)
        theirs.get_by_test_id("switch-tenant").filter(has_text="Default").click()
        menu = theirs.get_by_test_id("account-menu")
        expect(menu).to_contain_text("Default", timeout=LONG)
        expect(theirs.get_by_role("link", name="People")).to_have_count(0)
        theirs.goto(f"{cloud.url}/account")
        expect(theirs.get_by_test_id("who-am-i")).to_contain_text("Default", timeout=LONG)


def test_an_invited_person_comes_in_at_a_provider(page: Page, browser: Browser, cloud: Cloud):
    with oidc_provider_mock.run_server_in_thread() as server:
        page.goto(f"{cloud.url}/people?tab=providers")
        page.get_by_test_id("add-provider").click(timeout=LONG)
        form = page.locator("dialog")
        expect(form).to_contain_text(f"{cloud.url}/v1/session/openid/callback")
        issuer = f"http://localhost:{server.server_port}"
        for name, value in {"id": "North", "name": "North Fleet", "issuer": issuer}.items():
            form.locator(f"input[name={name}]").fill(value)
        form.locator("input[name=client_id]").fill("carcloud")
        form.locator("input[name=client_secret]").fill("of the client")
        form.locator(".primary").click()
        bad = form.locator("input[name=id]")
        expect(bad).to_have_attribute("aria-invalid", "true", timeout=LONG)
        bad.fill("north-login")
        form.locator(".primary").click()
        row = page.get_by_test_id("provider-row").filter(has_text="North Fleet")
        expect(row).to_contain_text("Only by invitation", timeout=LONG)

        note = {"note": "ines@example.com", "role": "viewer"}
        link = page.request.post(f"{cloud.url}/v1/invitations", data=note).json()["link"]
        with browser.new_context(locale="en-GB") as context:
            ines = context.new_page()
            ines.goto(link)
            ines.locator("input[name=name]").fill("ines", timeout=LONG)
            ines.get_by_role("button", name="Continue with North Fleet").click()
            ines.locator("input[name=sub]").fill("ines-there", timeout=LONG)
            ines.keyboard.press("Enter")
            expect(ines.get_by_test_id("account-menu")).to_contain_text("ines", timeout=LONG)

        add(page, cloud, "rosa", "viewer")
        with person(browser, cloud, "rosa", PASSWORD) as rosa:
            connect_account(rosa, cloud)
        page.goto(f"{cloud.url}/people?tab=providers")
        row.get_by_role("button", name="Edit: North Fleet").click(timeout=LONG)
        choice = form.locator("select[name=secret]")
        expect(choice).to_have_value("keep")
        form.locator("input[name=client_id]").fill("another")  # to which it was not given
        expect(choice).to_have_value("new")
        expect(form.locator("input[name=client_secret]")).to_have_value("")
        page.keyboard.press("Escape")
        row.get_by_role("button", name="Remove: North Fleet").click()
        page.get_by_test_id("confirm").click()
        expect(row).to_have_count(0, timeout=LONG)


def connect_account(page: Page, cloud: Cloud) -> None:
    """Connect one's account to North Fleet, sign in there, disconnect it again."""
    page.goto(f"{cloud.url}/account")
    panel, dialog = page.get_by_test_id("connection"), page.locator("dialog")
    panel.get_by_role("button", name="Connect to North Fleet").click(timeout=LONG)
    dialog.locator("input[name=password]").fill("a wrong password")
    dialog.locator(".primary").click()
    wrong = dialog.locator("input[name=password]")
    expect(wrong).to_have_attribute("aria-invalid", "true", timeout=LONG)
    wrong.fill(PASSWORD)
    dialog.locator(".primary").click()
    page.locator("input[name=sub]").fill("rosa-there", timeout=LONG)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alertdialog")).to_contain_text("rosa-there", timeout=LONG)
    expect(panel).to_contain_text("Not connected")
    page.get_by_test_id("confirm").click()
    expect(panel).to_contain_text("rosa-there", timeout=LONG)

    assert page.request.delete(f"{cloud.url}/v1/session").ok
    page.goto(f"{cloud.url}/?provider=no-such")
    expect(page.get_by_role("alert")).to_contain_text("no-such", timeout=LONG)
    page.goto(f"{cloud.url}/?provider=north-login")
    page.get_by_role("button", name="Sign in with North Fleet").click(timeout=LONG)
    page.locator("input[name=sub]").fill("rosa-there", timeout=LONG)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("account-menu")).to_contain_text("rosa", timeout=LONG)

    page.goto(f"{cloud.url}/account")
    panel.get_by_role("button", name="Disconnect").click(timeout=LONG)
    dialog.locator("input[name=password]").fill(PASSWORD)
    dialog.locator(".primary").click()
    expect(panel).to_contain_text("Not connected", timeout=LONG)


def test_anybody_makes_a_tenant_where_that_is_allowed(browser: Browser, cloud: Cloud):
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(cloud.url)
        page.get_by_role("link", name="Make a tenant").click(timeout=LONG)
        for name, value in {"name": "Harbour", "id": "Harbour 1", "user": "hanna"}.items():
            page.locator(f"input[name={name}]").fill(value)
        page.locator("input[name=password]").fill(PASSWORD)
        page.get_by_role("button", name="Make it and sign in").click()
        bad = page.locator("input[name=id]")
        expect(bad).to_have_attribute("aria-invalid", "true", timeout=LONG)
        expect(bad).to_be_focused()
        bad.fill("harbour")
        page.get_by_role("button", name="Make it and sign in").click()
        expect(page.get_by_test_id("account-menu")).to_contain_text("hanna", timeout=LONG)
        page.goto(f"{cloud.url}/tenants")
        expect(page.get_by_test_id("this-tenant")).to_contain_text("Harbour", timeout=LONG)


def test_a_page_that_found_nothing_asks_again(page: Page, cloud: Cloud):
    made = page.request.post(f"{cloud.url}/v1/buckets", data={"name": "asked-again"})
    assert made.ok, made.text()
    away = {"status": 503, "title": "away", "detail": "records do not answer"}
    page.route("**/v1/buckets/asked-again", lambda route: route.fulfill(status=503, json=away))
    page.goto(f"{cloud.url}/buckets/asked-again?tab=settings")
    again = page.get_by_test_id("again")
    expect(again).to_be_visible(timeout=LONG)
    page.unroute("**/v1/buckets/asked-again")
    again.click()
    expect(page.get_by_test_id("problem")).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("Project main")).to_be_visible()


def test_a_tenant_asks_for_a_second_factor(page: Page, browser: Browser, cloud: Cloud):
    owner = {"name": "otto", "password": PASSWORD}
    tenant = {"id": "south", "name": "South Fleet", "owner": owner}
    assert page.request.post(f"{cloud.url}/v1/tenants", data=tenant).ok
    with person(browser, cloud, "otto", PASSWORD) as otto:
        add(otto, cloud, "petra", "operator")
        otto.goto(f"{cloud.url}/tenants")
        otto.get_by_test_id("turn-rule").click(timeout=LONG)
        otto.get_by_test_id("confirm").click()
        expect(otto.get_by_role("alertdialog")).to_contain_text("your own", timeout=LONG)
        otto.keyboard.press("Escape")
        here = f"{cloud.url}/v1/session/second-factor"
        told = otto.request.post(here, data={"password": PASSWORD}).json()
        assert otto.request.put(here, data={"code": code_of(told["secret"])}).ok
        otto.get_by_test_id("turn-rule").click()
        otto.get_by_test_id("confirm").click()
        expect(otto.get_by_test_id("second-factor-rule")).to_contain_text("Needed", timeout=LONG)
    with browser.new_context(locale="en-GB") as context:
        petra = context.new_page()
        petra.goto(f"{cloud.url}/vehicles")
        petra.locator("input[name=user]").fill("petra")
        petra.locator("input[name=password]").fill(PASSWORD)
        petra.keyboard.press("Enter")
        first = petra.get_by_test_id("second-factor-first")
        expect(first).to_contain_text("South Fleet asks everybody", timeout=LONG)
        expect(petra.get_by_role("navigation")).to_have_count(0)
        assert petra.request.get(f"{cloud.url}/v1/vehicles").status == 403
        first.get_by_role("button", name="Turn on").click()
        petra.locator("dialog input[name=password]").fill(PASSWORD)
        petra.locator("dialog .primary").click()
        secret = petra.get_by_test_id("totp-secret").inner_text(timeout=LONG)
        petra.locator("dialog input[name=code]").fill(code_of(secret.replace(" ", "")))
        petra.locator("dialog .primary").click()
        expect(petra.get_by_test_id("recovery-codes")).to_be_visible(timeout=LONG)
        petra.get_by_role("button", name="Done").click()
        expect(petra.get_by_test_id("account-menu")).to_contain_text("petra", timeout=LONG)
        assert petra.request.get(f"{cloud.url}/v1/vehicles").ok
