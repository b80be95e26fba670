"""Buckets, jobs, costs, quotas and the system, as a person meets them."""

import io
import re
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cloud

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
LONG = 60_000  # ms


def picture() -> bytes:
    """A PNG of 3 x 2 pixels (PNG specification, 5: chunks with their CRC)."""
    rows = b"".join(b"\0" + bytes((200, 40, 90)) * 3 for _ in range(2))

    def chunk(name: bytes, data: bytes) -> bytes:
        whole = name + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def table() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"vehicle": ["A1", "B2"], "Vehicle.Speed": [12.5, None]}), sink)
    return sink.getvalue()


def file(name: str, data: bytes, media: str = "application/octet-stream") -> Any:
    return {"name": name, "mimeType": media, "buffer": data}


@pytest.fixture(scope="module")
def bucket() -> str:
    return f"drives-{time.time_ns()}"


def test_a_bucket_is_made_filled_and_looked_into(page: Page, cloud: Cloud, bucket: str):
    page.goto(f"{cloud.url}/buckets")
    page.get_by_test_id("add-bucket").click()
    page.get_by_role("dialog").locator("[name=name]").fill(bucket)
    page.get_by_role("dialog").get_by_role("button", name="Make a bucket").click()
    expect(page).to_have_url(re.compile(f"/buckets/{bucket}$"), timeout=LONG)
    log = bytes(range(256)) * 4000
    files = [file("raw.bin", log), file("front.png", picture(), "image/png")]
    page.get_by_test_id("upload-files").set_input_files([*files, file("speeds.parquet", table())])
    rows = page.get_by_test_id("object-row")
    expect(rows).to_have_count(3, timeout=LONG)
    done = page.locator("[data-testid=upload-row][data-state=done]")
    expect(done).to_have_count(3, timeout=LONG)
    with page.expect_download(timeout=LONG) as saving:
        page.get_by_role("link", name="Download raw.bin").click()
    assert saving.value.suggested_filename == "raw.bin"
    assert Path(saving.value.path()).read_bytes() == log
    rows.filter(has_text="front.png").get_by_role("button").first.click()
    image = page.get_by_test_id("preview-image")
    expect(image).to_be_visible(timeout=LONG)
    expect(image).to_have_js_property("naturalWidth", 3, timeout=LONG)
    expect(image).to_have_js_property("naturalHeight", 2)
    rows.filter(has_text="speeds").get_by_role("button").first.click()
    preview = page.get_by_test_id("preview-table")
    expect(preview).to_contain_text("Vehicle.Speed", timeout=LONG)
    expect(preview.get_by_role("row").nth(1)).to_contain_text("12.5")
    page.get_by_role("button", name="Delete raw.bin").click()
    page.get_by_test_id("confirm").click()
    expect(rows).to_have_count(2, timeout=LONG)


def test_a_dropped_file_lands_in_the_folder_that_is_open(page: Page, cloud: Cloud, bucket: str):
    page.goto(f"{cloud.url}/buckets/{bucket}?prefix=2026/05/")
    page.get_by_test_id("objects").evaluate(
        """(objects) => {
            const data = new DataTransfer()
            data.items.add(new File(['clear road'], 'notes.txt', { type: 'text/plain' }))
            const event = new DragEvent('drop', { dataTransfer: data, bubbles: true })
            objects.dispatchEvent(event)
        }""",
        timeout=LONG,
    )
    row = page.get_by_test_id("object-row").filter(has_text="notes.txt")
    row.get_by_role("button").first.click(timeout=LONG)
    expect(page.get_by_test_id("preview-text")).to_have_text("clear road", timeout=LONG)
    page.get_by_role("navigation", name="Folder").get_by_role("button").first.click()
    expect(page.get_by_test_id("object-row").first).to_contain_text("2026", timeout=LONG)


def test_versions_are_kept_and_clients_are_told_where(page: Page, cloud: Cloud, bucket: str):
    page.goto(f"{cloud.url}/buckets/{bucket}?tab=settings")
    page.get_by_test_id("turn-versioning").click(timeout=LONG)
    expect(page.locator("main")).to_contain_text("Versions are kept", timeout=LONG)
    page.get_by_test_id("add-rule").click()
    page.get_by_role("dialog").locator("[name=prefix]").fill("tmp/")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_test_id("rules")).to_contain_text("deleted after 30 d", timeout=LONG)
    page.get_by_role("tab", name="Connect").click()
    endpoint = page.get_by_test_id("s3-endpoint").inner_text(timeout=LONG)
    assert page.request.get(endpoint).headers["content-type"].startswith("application/xml")


STEPS = {
    "kind": "query-export",
    "name": "Many steps",
    "params": {
        "sql": "SELECT 1 AS one WHERE {from} < {to}",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-05-01T00:00:00Z",
        "step_hours": 1,
    },
}


def test_a_job_is_started_watched_and_cancelled(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/jobs")
    page.get_by_test_id("start-job").click()
    dialog = page.get_by_role("dialog")
    params = STEPS["params"]
    for name, value in params.items():  # type: ignore[attr-defined]
        dialog.locator(f"[name='params.{name}']").fill(str(value))
    dialog.locator("[name=name]").fill(str(STEPS["name"]))
    dialog.get_by_role("button", name="Start a job").click()
    log = page.get_by_test_id("job-log")
    expect(log).to_contain_text("rows-0003.parquet", timeout=LONG)
    expect(page.get_by_test_id("job-state").first).to_have_text("Running")
    page.get_by_test_id("pause-log").click()
    shown = log.inner_text()
    expect(page.locator("main")).to_contain_text(re.compile(r"New lines: \d"), timeout=LONG)
    assert log.inner_text() == shown
    page.get_by_test_id("cancel-job").click()
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("job-state").first).to_have_text("Cancelled", timeout=LONG)
    expect(page.get_by_test_id("artifacts")).to_contain_text("rows-0000.parquet")
    page.get_by_test_id("job-again").click()
    expect(dialog.locator("[name='params.step_hours']")).to_have_value("1")


def test_a_job_shows_its_table_which_sql_reads_and_a_person_drops(page: Page, cloud: Cloud):
    params = {"sql": "SELECT 'seen' AS word", "table": {"name": "shown_by_a_job"}}
    job = page.request.post(
        f"{cloud.url}/v1/jobs", data={"kind": "query-export", "params": params}
    ).json()
    page.goto(f"{cloud.url}/jobs/{job['id']}")
    table = page.get_by_test_id("job-tables")
    expect(table).to_contain_text("1 row added", timeout=LONG)
    table.get_by_role("link", name="shown_by_a_job").click()
    page.get_by_test_id("run-sql").click(timeout=LONG)
    expect(page.get_by_test_id("result-summary")).to_contain_text("1 row in", timeout=LONG)
    expect(page.get_by_role("grid").or_(page.get_by_role("table"))).to_contain_text("seen")
    page.get_by_text("shown_by_a_job", exact=True).click()
    page.get_by_role("button", name="Drop table shown_by_a_job").click()
    page.locator("[name=typed]").fill("shown_by_a_job")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_text("shown_by_a_job", exact=True)).to_have_count(0, timeout=LONG)
    names = [one["name"] for one in page.request.get(f"{cloud.url}/v1/tables").json()["items"]]
    assert "shown_by_a_job" not in names
    assert "signals" in names


def test_a_schedule_tells_its_next_times_and_is_paused(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/jobs?tab=schedules")
    page.get_by_test_id("add-schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=name]").fill("nightly")
    dialog.locator("[name=timezone]").fill("Asia/Shanghai")
    dialog.locator("[name=cron]").fill("61 * * * *")
    expect(dialog.get_by_test_id("cron-times")).to_contain_text("no times", timeout=LONG)
    dialog.locator("[name=cron]").fill("45 3 * * *")
    expect(dialog.get_by_test_id("cron-times")).to_contain_text("03:45", timeout=LONG)
    dialog.get_by_role("button", name="Add schedule").click()
    row = page.get_by_test_id("schedule-row").filter(has_text="nightly")
    row.get_by_role("button", name="Pause").click(timeout=LONG)
    expect(row).to_contain_text("Paused", timeout=LONG)


PRICES = {
    "name": "Shown",
    "currency": "CNY",
    "first_month": "2020-01",
    "prices": {"api_requests": {"free": "0", "tiers": [{"price": "0.25"}]}},
}


def until_charged(page: Page, cloud: Cloud) -> None:
    """Until requests to the API are on the bill: at the turn of a month there are none yet."""
    for _ in range(600):
        lines = page.request.get(f"{cloud.url}/v1/costs").json()["statement"]["lines"]
        if "api_requests" in [one["meter"] for one in lines]:
            return
        page.wait_for_timeout(100)
    pytest.fail("no request was counted")


def test_costs_follow_the_price_book_and_a_budget_watches_them(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/costs")
    page.get_by_test_id("no-prices").get_by_role("link").click(timeout=LONG)
    page.get_by_test_id("add-prices").click(timeout=LONG)
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=name]").fill(PRICES["name"])
    dialog.locator("[name=first_month]").fill(PRICES["first_month"])
    dialog.locator("[name='api_requests.price']").fill("0.25")
    dialog.get_by_role("button", name="Add price book").click()
    expect(page.get_by_test_id("price-book")).to_contain_text("¥0.25 / request", timeout=LONG)
    until_charged(page, cloud)
    page.goto(f"{cloud.url}/costs")
    line = page.get_by_test_id("cost-lines").get_by_role("row").filter(has_text="API requests")
    expect(line).to_contain_text("¥", timeout=LONG)
    costs = page.request.get(f"{cloud.url}/v1/costs").json()["statement"]
    (api,) = [one for one in costs["lines"] if one["meter"] == "api_requests"]
    assert float(api["amount"]) == pytest.approx(0.25 * float(api["units"]), abs=0.006)
    expect(page.get_by_test_id("bar-plot").locator("canvas")).to_be_visible()
    with page.expect_download(timeout=LONG) as saving:
        page.get_by_test_id("statement-pdf").click()
    assert Path(saving.value.path()).read_bytes().startswith(b"%PDF")
    page.get_by_role("tab", name="Budgets").click()
    page.get_by_test_id("add-budget").click(timeout=LONG)
    dialog.locator("[name=name]").fill("All of it")
    dialog.locator("[name=amount]").fill("5000")
    dialog.locator("[name=thresholds]").fill("half")
    dialog.get_by_role("button", name="Add budget").click()
    expect(dialog).to_contain_text("Whole numbers")
    dialog.locator("[name=thresholds]").fill("50, 90")
    dialog.get_by_role("button", name="Add budget").click()
    expect(page.get_by_test_id("budget-row")).to_contain_text("¥5,000", timeout=LONG)
    page.get_by_role("tab", name="Usage", exact=True).click()
    expect(page.get_by_test_id("usage")).to_contain_text("API requests", timeout=LONG)


def test_a_quota_is_shown_and_given_a_value_of_its_own(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/quotas")
    row = page.get_by_test_id("quota-row").filter(has_text="Vehicles")
    expect(row).to_contain_text("of 1,000,000 vehicles", timeout=LONG)
    assert row.get_by_role("meter").get_attribute("aria-valuemax") == "1000000"
    row.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Use the default").uncheck()
    dialog.locator("[name=value]").fill("900000")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("of 900,000 vehicles", timeout=LONG)
    expect(row).to_contain_text("Own")
    row.get_by_role("button").click()
    dialog.get_by_label("Use the default").check()
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Default", timeout=LONG)


def test_the_system_shows_its_processes_and_engines(page: Page, cloud: Cloud):
    page.goto(f"{cloud.url}/system")
    roles = page.get_by_test_id("system-role")
    expect(roles).to_have_count(4, timeout=LONG)
    for name in ("Gateway", "Ingest", "Jobs", "Web"):
        expect(roles.filter(has_text=name)).to_contain_text("Up", timeout=LONG)
    version = page.get_by_test_id("version").inner_text().removeprefix("carcloud ")
    expect(roles.first).to_contain_text(version)
    engines = page.get_by_test_id("system-engines").get_by_role("row")
    expect(engines.filter(has_text="Answers")).to_have_count(5, timeout=LONG)
