"""Reading vehicles from CSV: columns `id`, `vin`, `model`, `protocol`, `iccid`, `label:KEY`."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from carcloud.services.vehicles.errors import Invalid
from carcloud.services.vehicles.types import LineError

MAX_BYTES = 16 * 1024 * 1024
MAX_LINES = 200_000
MAX_ERRORS = 1_000  # told; further lines with errors are only left out
_FIELDS = ("id", "vin", "model", "protocol", "iccid")


@dataclass(frozen=True, slots=True)
class Line:
    """One vehicle of a file; absent columns and empty cells are None and change nothing."""

    number: int
    id: str
    vin: str | None
    model: str | None
    protocol: str | None
    iccid: str | None
    labels: dict[str, str]


def lines(text: str, errors: list[LineError]) -> Iterator[Line]:
    """The lines of a file; what is wrong with a line goes to `errors`.

    Raises `Invalid` if the file as a whole cannot be read: too large, or a wrong header.
    """
    if len(text) > MAX_BYTES:
        raise Invalid("body", f"at most {MAX_BYTES // 1024 // 1024} MB")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header = _header(reader)
    seen: dict[str, int] = {}
    try:
        for cells in reader:
            line = _line(reader.line_num, header, cells, errors)
            if line is None:
                continue
            if line.id in seen:
                detail = f"also on line {seen[line.id]}"
                errors.append(LineError(line.number, "id", detail))
                continue
            seen[line.id] = line.number
            if len(seen) > MAX_LINES:
                raise Invalid("body", f"at most {MAX_LINES} lines")
            yield line
    except csv.Error as error:
        errors.append(LineError(reader.line_num, "", f"not CSV: {error}"))


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise Invalid("body", "the first line must name the columns, at least id") from error
    for name in header:
        if name not in _FIELDS and not (name.startswith("label:") and len(name) > 6):
            raise Invalid(
                "body", f"unknown column {name[:60]!r}; known: {', '.join(_FIELDS)}, label:KEY"
            )
    if "id" not in header or len(set(header)) != len(header):
        raise Invalid("body", "the column id is needed, and each column once")
    return header


def _line(number: int, header: list[str], cells: list[str], errors: list[LineError]) -> Line | None:
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) != len(header):
        errors.append(LineError(number, "", f"{len(cells)} cells for {len(header)} columns"))
        return None
    filled = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    if "id" not in filled:
        errors.append(LineError(number, "id", "is empty"))
        return None
    return Line(
        number=number,
        id=filled["id"],
        vin=filled.get("vin"),
        model=filled.get("model"),
        protocol=filled.get("protocol"),
        iccid=filled.get("iccid"),
        labels={name[6:]: cell for name, cell in filled.items() if name.startswith("label:")},
    )
