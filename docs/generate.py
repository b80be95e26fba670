"""Write the generated parts of the documentation: `./dev docs`.

A page has `<!-- generated: NAME -->` … `<!-- end -->` where a table of the code is shown, and
```console blocks that call `carcloud decode`, whose output is what the command prints now.
`tests/test_docs.py` fails where a page is not what this would write.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import click

from carcloud import config
from carcloud.cli import main as carcloud
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.model.limits import LIMITS
from carcloud.model.meters import METERS
from carcloud.model.streams import STREAMS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))

_SECTION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CONSOLE = re.compile(r"(```console\n\$ ([^\n]*carcloud decode[^\n]*)\n).*?(```)", re.DOTALL)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def settings() -> str:
    """Every setting, from `config.SETTINGS`."""
    rows = []
    for setting in config.SETTINGS:
        default = setting.default
        if isinstance(default, bool):
            default = str(default).lower()
        told = setting.help
        if setting.choices:
            told += f" ({', '.join(f'`{choice}`' for choice in setting.choices)})"
        shown = f"`{default}`" if default != "" else "empty"
        rows.append((f"`{setting.name}`", shown, told))
    return table(("setting", "default", "what it does"), rows)


def metrics() -> str:
    """Every metric, from the table of the telemetry service."""
    from carcloud.services.telemetry.api import METRICS

    rows = []
    for metric in METRICS:
        labels = "".join(f", by `{label}`" for label in metric.labels)
        limits = f" ({', '.join(f'`{name}`' for name in metric.settings)})"
        told = metric.help + labels + (limits if metric.settings else "")
        roles = ", ".join(metric.roles) or "all"
        rows.append((f"`carcloud_{metric.name}`", metric.kind, roles, told))
    return table(("metric", "kind", "role", "means"), rows)


def streams() -> str:
    """Every stream, from `model/streams.py`."""
    return table(
        ("stream", "subjects", "kept", "carries"),
        (
            (f"`{each.name}`", f"`{each.subjects}`", "yes" if each.durable else "no", each.carries)
            for each in STREAMS
        ),
    )


def limits() -> str:
    """Every quota, from `model/limits.py`."""
    return table(
        ("limit", "unit", "bound", "default", "what it limits"),
        (
            (f"`{each.name}`", each.unit, each.bound.value, f"{each.default:,}", each.help)
            for each in LIMITS
        ),
    )


def meters() -> str:
    """Every meter, from `model/meters.py`."""
    return table(
        ("meter", "priced by", "counted in", "what it counts"),
        ((f"`{each.name}`", each.unit, each.counted_in, each.help) for each in METERS),
    )


def cli() -> str:
    """Every visible command with its options and examples."""
    return "\n\n".join(_command(path, command) for path, command in commands())


def commands() -> list[tuple[str, click.Command]]:
    """Path and command of everything that `--help` shows, groups before what is in them."""
    return _below("carcloud", carcloud)


def _below(path: str, command: click.Command) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            if inner is not None and not inner.hidden and name != "role":
                found += _below(f"{path} {name}", inner)
    return found


def _command(path: str, command: click.Command) -> str:
    ctx = click.Context(command, info_name=path)
    depth = "##" if path.count(" ") < 2 else "###"
    parts = [f"{depth} {path}", _paragraphs(command.help or "")]
    parts.append(f"`{' '.join(command.get_usage(ctx).split()).removeprefix('Usage: ')}`")
    records = [each.get_help_record(ctx) for each in command.params]
    options = [(f"`{record[0]}`", record[1]) for record in records if record and record[1]]
    if options:
        parts.append(table(("option", "what it does"), options))
    if isinstance(command, ExampleCommand | ExampleGroup) and command.examples:
        parts.append("```sh\n" + "\n".join(command.examples) + "\n```")
    return "\n\n".join(parts)


def _paragraphs(text: str) -> str:
    lines = [line.strip() for line in text.replace("\b", "").strip().splitlines()]
    return "\n".join(lines)


def vss() -> str:
    """Which field of a report fills which signal, from the codec's own table."""
    from carcloud.codecs.gbt32960.vss import COMPUTED, TARGETS
    from carcloud.model.signals import CATALOGUE

    sources: dict[str, set[str]] = {path: {text} for path, text in COMPUTED.items()}
    for target in TARGETS:
        path = target.path.replace("Motor1.", "Motor*n*.") if target.instance else target.path
        if target.instance < 2:
            sources.setdefault(path, set()).add(f"`{target.table}.{target.key}`")
    units = {path: spec.unit for path, spec in CATALOGUE.items()}
    return table(
        ("signal", "unit", "from"),
        (
            (path, units.get(path.replace("*n*", "1")) or "", ", ".join(sorted(found)))
            for path, found in sorted(sources.items())
        ),
    )


def vss_jt808() -> str:
    """Which field of a JT/T 808 position report fills which signal."""
    from carcloud.codecs.jt808.vss import (
        COMPUTED,
        SIGNAL_FLAGS,
        STATUS_FLAGS,
        STATUS_FLAGS_2019,
    )

    sources = dict(COMPUTED)
    sources |= {path: f"status bit {bit}" for path, bit in STATUS_FLAGS.items()}
    sources |= {path: f"status bit {bit}, 2019" for path, bit in STATUS_FLAGS_2019.items()}
    sources |= {path: f"item 0x25 bit {bit}" for path, bit in SIGNAL_FLAGS.items()}
    return table(("signal", "from"), sorted(sources.items()))


def routes() -> str:
    """Every route of the OpenAPI document, by tag."""
    from carcloud.web.application import Services, create_app

    # The document is made from the routes alone; nothing is called, so no service is needed.
    services = Services(*(cast(Any, None) for _ in dataclasses.fields(Services)))
    document = create_app(services, config.Settings()).openapi_schema.to_schema()
    rows: dict[str, list[tuple[str, str]]] = {}
    for path, item in document["paths"].items():
        for method in ("get", "post", "patch", "put", "delete"):
            if operation := item.get(method):
                tag = operation.get("tags", ["other"])[0]
                route = (f"`{method.upper()} {path}`", operation.get("summary", ""))
                rows.setdefault(tag, []).append(route)
    parts = []
    for tag in document.get("tags", []):
        found = table(("route", "what"), rows.pop(tag["name"], []))
        parts.append(f"### {tag['name']}\n\n{tag.get('description', '')}.\n\n{found}")
    assert not rows, f"routes with tags that are not described: {sorted(rows)}"  # noqa: S101
    return "\n\n".join(parts)


def benchmarks() -> str:
    """The figures of `docs/benchmarks.json`, written by `./dev bench NAME --out`."""
    file = DOCS / "benchmarks.json"
    if not file.exists():
        return "No run has been recorded yet: `./dev bench NAME --out docs/benchmarks.json`."
    parts = []
    for name, run in json.loads(file.read_text()).items():
        rows = ([_figure(row[key]) for key in _COLUMNS] for row in run["rows"])
        machine = "; ".join(f"{key} {value}" for key, value in run["machine"].items())
        parts.append(
            f"### {name}\n\n{table(_COLUMNS, rows)}\n\n{run['method']}\n\nMachine: {machine}."
        )
    return "\n\n".join(parts)


_COLUMNS = ("what", "value", "unit", "target", "peer", "ratio", "met")


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
    return str(value)


SECTIONS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "metrics": metrics,
    "streams": streams,
    "limits": limits,
    "meters": meters,
    "cli": cli,
    "vss": vss,
    "routes": routes,
    "benchmarks": benchmarks,
    "vss_jt808": vss_jt808,
}


def run_console(command: str) -> str:
    """What a command of a ```console block prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    return done.stdout


def written(text: str) -> str:
    """The page as it should be."""
    text = _SECTION.sub(lambda at: f"{at[1]}\n{SECTIONS[at[2]]()}\n\n{at[3]}", text)
    if find_spec("carcloud.codecs.gbt32960.describe") is None:
        return text
    return _CONSOLE.sub(lambda at: f"{at[1]}{run_console(at[2])}{at[3]}", text)


def main() -> None:
    """Rewrite the pages that are not as they should be; exit code 1 if one cannot be made."""
    failed = False
    for page in PAGES:
        text = page.read_text()
        try:
            wanted = written(text)
        except (ImportError, subprocess.CalledProcessError) as error:
            print(f"cannot make {page.relative_to(ROOT)}: {error}", file=sys.stderr)
            failed = True
            continue
        if wanted != text:
            page.write_text(wanted)
            print(f"rewrote {page.relative_to(ROOT)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
