"""A statement as pages to print."""

import io
from decimal import Decimal
from html import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from carcloud.model.meters import METER
from carcloud.model.time import iso
from carcloud.services.metering.types import Statement

_FONT, _CHINESE = "Helvetica", "STSong-Light"  # the second for names that Latin-1 has not
_GREY = colors.HexColor("#667085")


def pages(statement: Statement, name: str) -> bytes:
    """Pages in A4; `name` of the tenant, in any script."""
    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
    out = io.BytesIO()
    title = f"Statement {statement.tenant} {statement.period}"
    page = SimpleDocTemplate(
        out, pagesize=A4, title=title, author="carcloud", invariant=1,
        leftMargin=18 * mm, rightMargin=18 * mm, topMargin=18 * mm, bottomMargin=18 * mm,
    )  # fmt: skip
    page.build([*_head(statement, name), _lines(statement), *_foot(statement)])
    return out.getvalue()


def _head(statement: Statement, name: str) -> list[Flowable]:
    styles = getSampleStyleSheet()
    small = ParagraphStyle("small", parent=styles["Normal"], textColor=_GREY, fontSize=9)
    state = "open: amounts will still change"
    if statement.closed_us is not None:
        state = f"closed {iso(statement.closed_us)}"
    whose = statement.tenant if name == statement.tenant else f"{name} ({statement.tenant})"
    return [
        Paragraph(f"Statement {statement.period}", styles["Title"]),
        Paragraph(_text(whose), styles["Heading3"]),
        Paragraph(f"Months in UTC. Price book {statement.price_book}. {state}.", small),
        Spacer(1, 6 * mm),
    ]


def _lines(statement: Statement) -> Table:
    rows: list[list[object]] = [["", "units", "free", "amount"]]
    body = getSampleStyleSheet()["BodyText"]
    for line in statement.lines:
        what = METER[line.meter].help if line.meter in METER else line.meter
        if line.adjustment:
            what += f" (adjustment for {line.month})"
        units, free = (f"{number:,f} {line.unit}" for number in (line.units, line.free))
        rows.append([Paragraph(_text(what), body), units, free, _money(line.amount, statement)])
    rows.append(["Total", "", "", f"{_money(statement.total, statement)} {statement.currency}"])
    made = Table(rows, colWidths=[72 * mm, 40 * mm, 30 * mm, 32 * mm], repeatRows=1)
    made.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), _FONT, 9),
                ("FONT", (0, -1), (-1, -1), f"{_FONT}-Bold", 10),
                ("TEXTCOLOR", (0, 0), (-1, 0), _GREY),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -2), 0.4, colors.HexColor("#d0d5dd")),
            ]
        )
    )
    return made


def _foot(statement: Statement) -> list[Flowable]:
    small = ParagraphStyle("small", fontName=_FONT, fontSize=8, textColor=_GREY)
    by_project: dict[str, Decimal] = {}
    for line in statement.lines:
        for project, amount in line.by_project.items():
            by_project[project] = by_project.get(project, Decimal(0)) + amount
    told: list[Flowable] = [Spacer(1, 6 * mm)]
    if len(by_project) > 1:
        parts = (f"{project} {_money(n, statement)}" for project, n in sorted(by_project.items()))
        told.append(Paragraph(_text("By project: " + ", ".join(parts)), small))
    if statement.digest:
        told.append(Paragraph(f"SHA-256 of the closed record: {statement.digest}", small))
    return told


def _money(amount: Decimal, statement: Statement) -> str:
    return f"{amount:,.{statement.decimals}f}"


def _text(text: str) -> str:
    """Markup for a paragraph; what Helvetica lacks in a font that every reader brings."""
    if all(ord(letter) < 256 for letter in text):
        return escape(text)
    return f'<font name="{_CHINESE}">{escape(text)}</font>'
