"""How the console looks and reads: both languages, both themes, a tablet, a keyboard."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from carcloud.model.catalogue import CATALOGUE
from tests.browser.conftest import Cloud, signed_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms
LOOKS = (Path(__file__).parent / "looks.js").read_text()
TEXTS = Path(__file__).parents[2] / "frontend" / "src" / "i18n"
GO = "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')) }"
# A clock that moves with every look: what reads the time again because it changed never ends.
HASTY = "{ const now = Date.now; let looks = 0; Date.now = () => now() + looks++ }"
TABLET = {"width": 1024, "height": 768}


def look(page: Page, what: str) -> Any:
    """The answer of one function of looks.js."""
    return page.evaluate(f"{LOOKS.strip()}.{what}()")


def places(page: Page, cloud: Cloud) -> Iterator[str]:
    """Every page and tab, one after the other, each when it shows its content."""
    page.goto(f"{cloud.url}/vehicles")
    vin = page.get_by_test_id("vehicle-row").first.get_by_role("link").inner_text(timeout=LONG)
    vehicle = f"/vehicles/{vin.strip()}"
    page.request.post(f"{cloud.url}/v1/models", data={"id": "zq-looks", "name": "Looks"})
    shown = {
        "/": "filter-all",
        f"/?vehicle={vin.strip()}": "vehicle-panel",
        "/vehicles": "vehicle-row",
        "/models": "models",
        "/models/zq-looks": "raw-fields",
        "/models/zq-looks?tab=mapping": "mapping-versions",
        vehicle: "cell-bars",
        f"{vehicle}?tab=plots": "signal-plot",
        f"{vehicle}?tab=frames": "frame-list",
        f"{vehicle}?tab=signals": "tab-panel",
        f"{vehicle}?tab=commands": "commands",
        f"{vehicle}?tab=details": "tab-panel",
        "/campaigns": "campaigns",
        "/campaigns/new": "campaign-condition",
        "/signals?view=tree": "branch-row",
        "/signals?view=list&signal=Vehicle.Speed": "signal-detail",
        "/signals?tab=overlay": "overlay-versions",
        "/sql": "run-sql",
        "/forwarding": "add-link",
        "/buckets": "buckets",
        "/jobs": "jobs",
        "/jobs?tab=schedules": "schedules",
        "/costs": "tab-panel",
        "/costs?tab=usage": "usage",
        "/quotas": "quotas",
        "/system": "system-roles",
        "/dead-letters": "dead-letters",
        "/people?user=admin": "user-detail",
        "/people?tab=roles&role=operator": "role-detail",
        "/people?tab=why": "who-can-row",
        "/people?tab=why&by=person": "may-do",
        "/keys?whose=all": "key-row",
        "/audit": "audit-row",
        "/tenants": "this-tenant",
        "/tenants?tab=all": "tenant-row",
        "/account": "session-row",
        "/nowhere": "missing",
    }
    for path, test_id in shown.items():
        page.evaluate(GO, path)
        page.get_by_test_id(test_id).first.wait_for(timeout=LONG)
        if "frames" in path:
            page.get_by_test_id("frame-list").get_by_role("button").first.click()
            page.get_by_test_id("field-table").wait_for(timeout=LONG)
        if path == "/sql":
            page.get_by_test_id("run-sql").click()
            page.get_by_test_id("result-table").wait_for(timeout=LONG)
        yield path


def catalogue(language: str) -> dict[str, str]:
    text = "".join(path.read_text() for path in sorted((TEXTS / language).glob("*.ts")))
    pairs = re.findall(r"^  '([\w.-]+)':\s+(?:'((?:[^'\\]|\\.)*)'|\"([^\"]*)\"),$", text, re.M)
    return {key: single or double for key, single, double in pairs}


# Names of columns, of the protocol's fields and of the first tenant are not the console's.
FOREIGN = {
    "Speed", "time", "status", "started", "off", "other", "none", "command", "success", "Default",
    "no", "Odometer",
}  # fmt: skip

SIGNALS = {step for path in CATALOGUE for step in path.split(".")}


@pytest.mark.parametrize(("language", "theme"), [("en-GB", "light"), ("zh-CN", "dark")])
def test_every_page_can_be_read_and_used(browser: Browser, cloud: Cloud, language: str, theme: str):
    """On a tablet: text stands out, controls have names, nothing is too wide, all is translated."""
    english, chinese = catalogue("en"), catalogue("zh")
    assert english.keys() == chinese.keys()
    foreign = {text for key, text in english.items() if text != chinese[key]} - FOREIGN
    reader = {"locale": language, "color_scheme": theme, "viewport": TABLET, "has_touch": True}
    reader["reduced_motion"] = "reduce"  # no colour is half way to another
    found: dict[str, Any] = {}
    with signed_in(browser, cloud, **reader) as page:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        parts = [int(part) for part in re.findall(r"\d+", background)[:3]]
        assert (sum(parts) < 3 * 64) == (theme == "dark")
        page.add_init_script(HASTY)
        for path in places(page, cloud):
            shown = [text for text in look(page, "texts") if len(text) > 1]
            findings = {what: look(page, what) for what in ("faint", "nameless", "wide")}
            actions = path == "/audit"  # whose names, campaign.start say, look like keys
            findings["keys"] = [text for text in shown if text in english and not actions]
            if language == "zh-CN":
                names = SIGNALS if "signals" in path or "/models/" in path else set()
                if actions:
                    names = audited(page, cloud)
                findings["untranslated"] = [t for t in shown if t in foreign - names]
            found |= {f"{path}: {what}": told for what, told in findings.items() if told}
    assert found == {}


def audited(page: Page, cloud: Cloud) -> set[str]:
    """What entries of the audit are about: names, whichever tests have run before."""
    entries = page.request.get(f"{cloud.url}/v1/audit", params={"limit": 100}).json()["items"]
    return {entry["subject"] for entry in entries}


def test_the_focus_is_seen(page: Page, cloud: Cloud):
    unseen = {}
    for path in ("/", "/vehicles", "/sql", "/dead-letters", "/models"):
        page.goto(f"{cloud.url}{path}")
        page.get_by_test_id("health-connected").wait_for()
        page.get_by_role("heading").first.wait_for(state="attached")
        for _ in range(22):
            page.keyboard.press("Tab")
            if element := look(page, "focus"):
                unseen.setdefault(path, []).append(element)
    assert unseen == {}


def first_vehicle(page: Page, cloud: Cloud, nth: int = 0) -> str:
    page.goto(f"{cloud.url}/vehicles")
    row = page.get_by_test_id("vehicle-row").nth(nth)
    return row.get_by_role("link").first.inner_text(timeout=LONG).strip()


def someone_else(page: Page, url: str, change: Callable[[], dict[str, Any]]) -> None:
    """Another person's edit of the same thing, through the API."""
    seen = page.request.get(url)
    headers = {"If-Match": seen.headers["etag"]}
    assert page.request.patch(url, data=change(), headers=headers).ok


def test_an_edit_that_comes_too_late_is_told(page: Page, cloud: Cloud):
    vin = first_vehicle(page, cloud)
    page.goto(f"{cloud.url}/vehicles/{vin}")
    page.get_by_test_id("edit-vehicle").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=labels]").fill("fleet=mine")
    someone_else(page, f"{cloud.url}/v1/vehicles/{vin}", lambda: {"labels": {"fleet": "theirs"}})
    dialog.get_by_role("button", name="Save").click()
    conflict = dialog.get_by_role("alert")
    expect(conflict).to_contain_text("changed", timeout=LONG)
    conflict.get_by_role("button").click()
    expect(dialog.locator("[name=labels]")).to_have_value("fleet=theirs", timeout=LONG)
    dialog.locator("[name=labels]").fill("fleet=mine")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0, timeout=LONG)
    expect(page.locator("main")).to_contain_text("mine")


def test_an_import_tells_which_lines_are_wrong(page: Page, cloud: Cloud):
    vin = first_vehicle(page, cloud, 1)
    page.get_by_role("button", name="Import CSV").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(f"id,label:fleet\n{vin},north\nnot a vehicle!,south\n")
    dialog.get_by_role("button", name="Import", exact=True).click()
    report = page.get_by_test_id("import-report")
    expect(report).to_contain_text("1 updated", timeout=LONG)
    expect(report).to_contain_text("Refused lines: 1")
    wrong = dialog.get_by_role("row").nth(1)
    expect(wrong).to_contain_text("3")
    expect(wrong).to_contain_text("id")


def test_a_result_is_saved_as_a_file(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/sql")
    expect(page.get_by_test_id("sql-times")).to_contain_text("AT TIME ZONE")
    page.get_by_test_id("run-sql").click()
    page.get_by_test_id("result-table").wait_for(timeout=LONG)
    first_bytes = {"csv": b"vehicle", "parquet": b"PAR1"}
    for kind, magic in first_bytes.items():
        with page.expect_download(timeout=LONG) as saving:
            page.get_by_test_id(f"export-{kind}").click()
        assert saving.value.suggested_filename.endswith(f".{kind}")
        assert Path(saving.value.path()).read_bytes().lstrip(b'"').startswith(magic)


def test_every_example_query_runs(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/sql")
    examples = page.get_by_label("Examples")
    for index in range(1, examples.get_by_role("option").count()):
        examples.select_option(index=index)
        expect(page.get_by_test_id("run-sql")).to_be_visible(timeout=LONG)
        problem = page.get_by_test_id("problem")
        expect(page.get_by_test_id("result-table").or_(problem)).to_be_visible(timeout=LONG)
        assert problem.count() == 0, index


def test_the_palette_finds_pages_and_vehicles(page: Page, cloud: Cloud):
    vin = first_vehicle(page, cloud, 2)
    page.keyboard.press("Control+k")
    page.keyboard.type(vin[-5:].lower())
    expect(page.get_by_role("dialog").get_by_role("option").first).to_contain_text(vin[-5:])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/vehicles/LTEST"))
    page.keyboard.press("Control+k")
    page.keyboard.type("sql")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/sql$"))
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_model_is_made_changed_and_given_to_a_vehicle(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/models")
    page.get_by_test_id("add-model").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=id]").fill("e-test")
    dialog.locator("[name=name]").fill("E Test")
    dialog.locator("[name=datum]").select_option("GCJ02")
    dialog.get_by_role("button", name="Add model").click()
    row = page.get_by_test_id("models").get_by_role("row").filter(has_text="e-test")
    expect(row).to_contain_text("GCJ-02", timeout=LONG)
    row.get_by_role("button").click()
    dialog.locator("[name=maker]").fill("Mine")
    someone_else(page, f"{cloud.url}/v1/models/e-test", lambda: {"maker": "Theirs"})
    dialog.get_by_role("button", name="Save").click()
    dialog.get_by_role("alert").get_by_role("button").click(timeout=LONG)
    expect(dialog.locator("[name=maker]")).to_have_value("Theirs", timeout=LONG)
    dialog.locator("[name=datum]").select_option("WGS84")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("WGS 84", timeout=LONG)
    vin = first_vehicle(page, cloud, 3)
    page.goto(f"{cloud.url}/vehicles/{vin}")
    page.get_by_test_id("edit-vehicle").click()
    dialog.locator("[name=model]").select_option("e-test")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("e-test", timeout=LONG)


def test_plots_compare_pick_elements_and_keep_their_zoom(page: Page, cloud: Cloud):
    vin = first_vehicle(page, cloud, 4)
    page.goto(f"{cloud.url}/vehicles/{vin}?tab=plots&signals=Vehicle.Speed")
    plot = page.get_by_test_id("signal-plot")
    plot.get_by_test_id("compare").click()
    page.get_by_role("combobox", name="Compare").fill("CellVoltage CellVoltages")
    # what the vehicle has is known by now
    expect(page.get_by_role("option").first).to_contain_text("CellVoltages", timeout=LONG)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"Vehicle\.Speed%7E.*CellVoltages%5B0%5D"))
    plot.get_by_test_id("plot-element").fill("8")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"CellVoltages%5B7%5D"))
    expect(plot).to_contain_text("V", timeout=LONG)
    plot.get_by_role("group").focus()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"), timeout=LONG)
    before = page.url
    page.reload()
    expect(page.get_by_role("button", name="Live")).to_have_attribute(
        "aria-pressed", "false", timeout=LONG
    )
    assert page.url == before


def test_a_cloud_that_is_away_for_a_moment_signs_nobody_out(page: Page, cloud: Cloud):
    page.route("**/v1/session", lambda route: route.fulfill(status=503))
    page.goto(f"{cloud.url}/vehicles")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible(timeout=30_000)
    page.unroute("**/v1/session")
    expect(page.get_by_test_id("vehicle-row").first).to_be_visible(timeout=30_000)


def test_a_page_whose_files_are_gone_says_so(page: Page, cloud: Cloud):
    page.evaluate("sessionStorage.setItem('carcloud.renewed', String(Date.now()))")
    page.route(re.compile("/assets/DeadLettersPage.*js"), lambda route: route.abort())
    page.get_by_role("link", name="Dead letters").click()
    failed = page.locator("main").get_by_role("alert")
    expect(failed).to_be_visible(timeout=LONG)
    page.unroute_all()
    failed.get_by_role("button").click()
    expect(page.get_by_test_id("dead-letters")).to_be_visible(timeout=LONG)


def test_the_map_opens_where_the_address_says(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/?at=31.8,117.2,10")
    readout = page.get_by_test_id("map-readout")
    expect(readout).to_contain_text("31.8", timeout=LONG)
    expect(readout).to_contain_text("Hefei")
    readout.get_by_role("button").click()
    expect(readout).to_contain_text("web.tiles")
