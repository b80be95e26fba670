"""`./dev bench`: list the benchmarks, or run some and print their figures."""

import argparse
import dataclasses
import inspect
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import facts, pace_ms

HERE = Path(__file__).parent


def names() -> list[str]:
    """The modules of this folder that define `rows`."""
    return sorted(
        file.stem
        for file in HERE.glob("*.py")
        if any(line.startswith("def rows(") for line in file.read_text().splitlines())
    )


def _module(name: str) -> ModuleType:
    return import_module(f"bench.{name}")


def method(name: str) -> str:
    """How a benchmark measures: the docstring of its module."""
    return inspect.cleandoc(_module(name).__doc__ or "")


def run(name: str, small: bool = False) -> list[dict[str, Any]]:
    """The figures of one benchmark as `{what, value, unit, target, peer, ratio, met}`."""
    rows = _module(name).rows
    documents = []
    for row in rows(small=True) if small else rows():
        documents.append(_document(row))
        _tell(documents[-1])
    return documents


def _tell(row: dict[str, Any]) -> None:
    """A figure as it comes in: a run that is broken off has shown something."""
    said = [_cell(row[column]) for column in ("what", "value", "unit", "target")]
    print(" ".join(filter(None, said)), file=sys.stderr, flush=True)


def _document(row: Any) -> dict[str, Any]:
    if hasattr(row, "document"):
        return dict(row.document())
    return dict(row) if isinstance(row, dict) else dataclasses.asdict(row)


def takes_small(module: ModuleType) -> bool:
    """Whether a benchmark can run in a few seconds."""
    return "small" in inspect.signature(module.rows).parameters


def show(name: str, documents: Sequence[dict[str, Any]], seconds: float) -> None:
    """Print the method and the figures of one benchmark."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"[bold]{name}[/bold]  ({seconds:.0f} s)")
    console.print(method(name), style="dim", markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("what", "value", "unit", "target", "peer", "ratio", "met"):
        table.add_column(column, justify="right" if column in ("value", "ratio") else "left")
    for row in documents:
        table.add_row(*(_cell(row[column.header]) for column in table.columns))  # type: ignore[index]
    console.print(table)
    console.print()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "[red]no[/red]"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
    return str(value)


def _listed(known: Sequence[str]) -> None:
    for name in known:
        print(f"{name:12} {method(name).splitlines()[0] if method(name) else ''}")
    print("\n./dev bench NAME [NAME...] [--json] [--small]")


def main() -> int:
    """Parse, run, print; exit code 2 for a name that does not exist."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="a list of rows instead of tables")
    parser.add_argument("--small", action="store_true", help="seconds, little data: does it work?")
    parser.add_argument("--out", type=Path, help="add rows, method and machine to this JSON file")
    given = parser.parse_args()
    known = names()
    if unknown := sorted(set(given.names) - set(known)):
        parser.error(
            f"no benchmark {', '.join(unknown)}; there are {', '.join(known) or 'none yet'}"
        )
    chosen = given.names or [name for name in known if given.small and takes_small(_module(name))]
    if not chosen:
        _listed(known)
        return 0
    if given.small and (whole := [name for name in chosen if not takes_small(_module(name))]):
        parser.error(f"{', '.join(whole)} cannot run small")
    everything = []
    for name in chosen:
        before, started = pace_ms(), time.perf_counter()
        documents = run(name, given.small)
        pace = f"{before:.0f} ms before, {pace_ms():.0f} ms after"
        everything += documents
        if not given.json:
            show(name, documents, time.perf_counter() - started)
            print(f"pace: {pace}\n")
        if given.out:
            keep(given.out, name, method(name), documents, pace)
    if given.json:
        print(json.dumps(everything, indent=1))
    else:
        print("  ".join(f"{key}: {value}" for key, value in facts().items()))
    return 0


def keep(file: Path, name: str, how: str, documents: list[dict[str, Any]], pace: str) -> None:
    """Replace one benchmark's figures in a JSON file, with method and machine beside them."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    machine = facts() | {"pace": pace}
    kept[name] = {"method": how, "machine": machine, "rows": documents}
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
