"""A statement as a file: CSV for accounting, PDF for people."""

import csv
import io

from carcloud.services.metering.types import Line, Statement

COLUMNS = (
    "tenant", "period", "month", "kind", "meter", "project", "quantity", "counted_in", "units",
    "unit", "free_units", "amount", "currency",
)  # fmt: skip


def as_csv(statement: Statement) -> str:
    """One row a line and project; `amount` adds up to the total.

    Quantity and units stand on the first row of a line, as they are not divided by project.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in statement.lines:
        projects = line.by_project or {"": line.amount}
        for index, (project, amount) in enumerate(sorted(projects.items())):
            counts = (line.quantity, line.counted_in, line.units, line.unit, line.free)
            writer.writerow(
                (
                    statement.tenant, statement.period, line.month, _kind(line), line.meter,
                    _harmless(project), *(counts if index == 0 else ("",) * len(counts)),
                    amount, statement.currency,
                )
            )  # fmt: skip
    return out.getvalue()


def as_pdf(statement: Statement, name: str) -> bytes:
    """Pages in A4; `name` of the tenant, in any script."""
    from carcloud.services.metering.statement_pdf import pages  # half a second of loading

    return pages(statement, name)


def _kind(line: Line) -> str:
    return "adjustment" if line.adjustment else "usage"


def _harmless(text: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
