"""`carcloud models`: models of vehicles and their mappings from a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.models_redecode import redecode
from carcloud.cli.tables import show_items

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OVERLAY = "/v1/signals/overlay"


@click.group(
    "models",
    cls=ExampleGroup,
    examples=("carcloud models list", "carcloud models mapping show van"),
)
def command() -> None:
    """Look at models of vehicles; say which of their raw data becomes which signal."""


@command.command("list", cls=ExampleCommand, examples=("carcloud models list",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_models(as_json: bool, client: Client) -> None:
    """List all models."""
    columns = ("id", "name", "maker", "protocol", "datum", "current_sign")
    show_items(columns, client.get("/v1/models")["items"], as_json=as_json)


@command.command(
    "add", cls=ExampleCommand, examples=("carcloud models add van --name Van --protocol mqtt",)
)
@click.argument("model")
@click.option("--name", help="What people call it; the id without it.")
@click.option("--maker", default="", help="Who makes it.")
@click.option("--protocol", default="mqtt", show_default=True, help="What its vehicles speak.")
@with_client
def add(model: str, name: str | None, maker: str, protocol: str, client: Client) -> None:
    """Add a model; the rest of it is set on its page in the console."""
    new = {"id": model, "name": name or model, "maker": maker, "protocol": protocol}
    client.send("POST", "/v1/models", json=new)
    click.echo(f"the model {model} is added")


command.add_command(redecode)


@command.group(
    "mapping",
    cls=ExampleGroup,
    examples=(
        "carcloud models mapping suggest van drive.dbc > van.yaml",
        "carcloud models mapping check van van.yaml --dbc drive.dbc",
        "carcloud models mapping set van van.yaml --dbc drive.dbc",
    ),
)
def mapping() -> None:
    """The mapping of a model: CAN, OBD-II and protocol fields to signals."""


@mapping.command(
    "show",
    cls=ExampleCommand,
    examples=("carcloud models mapping show van > van.yaml", "carcloud models mapping show van 3"),
)
@click.argument("model")
@click.argument("version", type=click.IntRange(1), required=False)
@with_client
def show_mapping(model: str, version: int | None, client: Client) -> None:
    """Print the mapping of MODEL that holds, or an earlier VERSION."""
    path = _place(model) if version is None else f"{_place(model)}s/{version}"
    click.echo(client.get(path)["text"], nl=False)


@mapping.command(
    "fields",
    cls=ExampleCommand,
    examples=(
        "carcloud models mapping fields van",
        "carcloud models mapping fields van --unmapped",
    ),
)
@click.argument("model")
@click.option("--unmapped", is_flag=True, help="Only those that land nowhere.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_fields(model: str, unmapped: bool, as_json: bool, client: Client) -> None:
    """List the raw fields of MODEL and the signals that they become."""
    found = client.get(_place(model))["fields"]
    if unmapped:
        found = [one for one in found if not one["paths"]]
    if not as_json:
        found = [{**one, "signals": ", ".join(one["paths"])} for one in found]
    show_items(("kind", "name", "unit", "signals", "place"), found, as_json=as_json)


@mapping.command("versions", cls=ExampleCommand, examples=("carcloud models mapping versions van",))
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_versions(model: str, as_json: bool, client: Client) -> None:
    """List the versions of MODEL's mapping, newest first."""
    columns = ("version", "created", "actor", "note", "dbc", "active")
    found = client.get(f"{_place(model)}s", limit=500)["items"]
    if not as_json:
        found = [{**one, "dbc": ", ".join(one["dbc"])} for one in found]
    show_items(columns, found, as_json=as_json)


@mapping.command(
    "dbc", cls=ExampleCommand, examples=("carcloud models mapping dbc van drive.dbc > drive.dbc",)
)
@click.argument("model")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Of an earlier version.")
@with_client
def show_dbc(model: str, name: str, version: int | None, client: Client) -> None:
    """Print the DBC file NAME of MODEL's mapping."""
    path = f"{_place(model)}/dbc/{quote(name, safe='')}"
    click.echo(client.get(path, version=version)["text"], nl=False)


@mapping.command(
    "check",
    cls=ExampleCommand,
    examples=("carcloud models mapping check van van.yaml --dbc drive.dbc",),
)
@click.argument("model")
@click.argument("file", type=_FILE)
@click.option("--dbc", "files", type=_FILE, multiple=True, help="A DBC file that it names.")
@with_client
def check(model: str, file: Path, files: tuple[Path, ...], client: Client) -> None:
    """Say what is wrong with the mapping in FILE; save nothing."""
    _tell(file, _put(client, model, _text(file), _texts(files), check=True))


@mapping.command(
    "set",
    cls=ExampleCommand,
    examples=("carcloud models mapping set van van.yaml --dbc drive.dbc --note 'First'",),
)
@click.argument("model")
@click.argument("file", type=_FILE)
@click.option("--dbc", "files", type=_FILE, multiple=True, help="A DBC file that it names.")
@click.option("--note", default="", help="What it is for.")
@click.option("--if-version", type=click.IntRange(0), help="Only if this version holds still.")
@with_client
def set_mapping(
    model: str,
    file: Path,
    files: tuple[Path, ...],
    note: str,
    if_version: int | None,
    client: Client,
) -> None:
    """Save the mapping in FILE, which holds for MODEL from now on.

    DBC files that are not given stay those of the version before.
    """
    text, texts = _text(file), _texts(files)
    _tell(file, _put(client, model, text, texts, check=True))
    tag = "*" if if_version is None else f'"{if_version}"'
    done = _put(client, model, text, texts, note=note, headers={"If-Match": tag})
    click.echo(f"version {done['version']} holds")


@mapping.command(
    "suggest",
    cls=ExampleCommand,
    examples=(
        "carcloud models mapping suggest van drive.dbc > van.yaml",
        "carcloud models mapping suggest van drive.dbc --save",
    ),
)
@click.argument("model")
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--overlay", type=click.Path(dir_okay=False, path_type=Path), help="Put it here.")
@click.option("--save", is_flag=True, help="Save the overlay and the mapping at once.")
@with_client
def suggest(
    model: str, files: tuple[Path, ...], overlay: Path | None, save: bool, client: Client
) -> None:
    """Print a first mapping of the DBC FILES for MODEL.

    Signals that the catalogue surely has are found; the others become nodes of your own below
    Vehicle.Private, which the overlay (--overlay) adds. --save saves both.
    """
    texts = _texts(files)
    held = client.send("GET", _OVERLAY)
    body = {"dbc": texts}
    found = client.send("POST", f"{_place(model)}/suggest", json=body).json()
    if overlay is not None:
        overlay.write_text(found["overlay"], encoding="utf-8")
    for path, source in found["matched"].items():
        click.echo(f"{source} is {path}", err=True)
    left = len(found["left_out"])
    click.echo(f"{found['private']} signals of your own, {left} left out", err=True)
    if not save:
        click.echo(found["mapping"], nl=False)
        return
    if found["overlay"] != held.json()["text"]:
        tag = {"If-Match": held.headers["etag"]}
        note = f"Signals of {', '.join(texts)}"[:200]
        saved = {"text": found["overlay"], "note": note}
        client.send("PUT", _OVERLAY, json=saved, headers=tag)
    done = _put(client, model, found["mapping"], texts, headers={"If-Match": "*"})
    click.echo(f"version {done['version']} holds, {done['signals']} signals")


def _place(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}/mapping"


def _put(
    client: Client,
    model: str,
    text: str,
    texts: dict[str, str],
    *,
    note: str = "",
    check: bool = False,
    headers: dict[str, str] | None = None,
) -> Any:
    body = {"text": text, "note": note, "dbc": texts}
    query = {"check": "true"} if check else {}
    answer = client.send("PUT", _place(model), query=query, json=body, headers=headers or {})
    return answer.json()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is no UTF-8 text", "save it as UTF-8") from error


def _texts(files: Sequence[Path]) -> dict[str, str]:
    """DBC files by name; those that are not UTF-8 are in the code page of Windows."""
    found = {}
    for file in files:
        data = file.read_bytes()
        try:
            found[file.name] = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            found[file.name] = data.decode("cp1252", "replace")
    return found


def _tell(file: Path, effect: Any) -> None:
    """What a mapping does; raises `Failure` where something is wrong with it."""
    for one in effect["dbc_findings"]:
        if one["level"] != "info":
            click.echo(f"{one['file']}:{one['line']}: {one['text']}: {one['action']}", err=True)
    for one in effect["findings"]:
        click.echo(f"{file}:{one['line']}: {one['node']}: {one['text']}", err=True)
    if effect["findings"]:
        count = len(effect["findings"])
        raise Failure(f"{count} findings, nothing was saved", "mend the lines named above")
    click.echo(f"{effect['signals']} signals")
