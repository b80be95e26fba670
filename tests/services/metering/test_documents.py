"""Statements as CSV and PDF."""

import csv
import io
from decimal import Decimal as D

from pypdf import PdfReader

from carcloud.services.metering.documents import as_csv, as_pdf
from tests.services.metering.conftest import A, moment
from tests.services.metering.test_costs import BOOK, use


def made(metering, clock):
    metering.create_book(BOOK, actor="root")
    metering.count([
        use("1", 900), use("2", 300, project="=lab"), use("3", 3_600, meter="vehicle_hours"),
    ])  # fmt: skip
    clock.now = moment(2026, 4, 2)
    return metering.close(A, 202603, actor="root")


def test_csv_rows_add_up_to_the_total(local, clock):
    statement = made(local, clock)
    rows = list(csv.DictReader(io.StringIO(as_csv(statement))))
    assert sum(D(row["amount"]) for row in rows) == statement.total == D("10.70")
    assert sum(int(row["quantity"] or 0) for row in rows) == 1200 + 3_600
    assert {row["project"] for row in rows} == {"main", "'=lab"}  # no formula
    assert {(row["kind"], row["currency"], row["month"]) for row in rows} == {
        ("usage", "CNY", "2026-03")
    }


def test_pdf_says_what_the_statement_says_in_any_script(local, clock):
    statement = made(local, clock)
    pdf = as_pdf(statement, "车云 <&> Ltd")
    assert pdf == as_pdf(statement, "车云 <&> Ltd")  # the same bytes each time
    reader = PdfReader(io.BytesIO(pdf))
    text = "\n".join(page.extract_text() for page in reader.pages)
    for told in (
        "Statement 2026-03",
        "车云 <&> Ltd (a)",
        "10.70 CNY",
        "1,200 message",
        "By project",
    ):
        assert told in text, text
    assert statement.digest in text
    assert reader.metadata.title == "Statement a 2026-03"
