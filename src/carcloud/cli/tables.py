"""Tables and times as a terminal shows them."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 10_000  # columns; when nobody looks, nothing is cut


def console() -> Console:
    """Standard output; as wide as needed when it is not a terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A plain table; numbers to the right."""
    made = Table(title=title, box=None, pad_edge=False, title_justify="left", header_style="bold")
    kept = [list(row) for row in rows]
    for index, name in enumerate(columns):
        right = any(_is_number(row[index]) for row in kept)
        made.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in kept:
        made.add_row(*(_plain(value) for value in row))
    return made


def show(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    console().print(table(columns, rows))


def show_items(
    columns: Sequence[str], items: Iterable[Mapping[str, Any]], *, as_json: bool
) -> None:
    """Print what a list of the API holds: a table of `columns`, or one JSON object a line."""
    if as_json:
        for item in items:
            click.echo(json.dumps(item, ensure_ascii=False))
    else:
        show(columns, ([item.get(name) for name in columns] for item in items))


def text(value: Any) -> str:
    """One value as a cell shows it: nothing for null, `key=value` for labels."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " ".join(f"{key}={text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(text(inner) for inner in value)
    return str(value)


def _plain(value: Any) -> str:
    # Square brackets would otherwise be read as markup.
    return text(value).replace("[", r"\[")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
