"""`carcloud forwarding`: links to further GB/T 32960 platforms from a terminal."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show

_COLUMNS = (
    "name", "address", "enabled", "connected", "forwarded", "waiting", "refused", "expired",
    "problem",
)  # fmt: skip
_WARNINGS = {
    "retention": "reports are lost, or about to be: raw frames are not kept longer",
    "reissue-window": "reports are too old to be sent, or about to be",
}

_file_option = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line = the password; without it, it is asked for.",
)


@click.group(
    "forwarding",
    cls=ExampleGroup,
    examples=(
        "carcloud forwarding list",
        "carcloud forwarding add city 192.0.2.10:32960 --platform CARCLOUD01 --user carcloud",
    ),
)
def command() -> None:
    """Forward the vehicles' frames to further GB/T 32960 platforms."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud forwarding list", "carcloud forwarding list --json"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_links(as_json: bool, client: Client) -> None:
    """List the links: how far each has come and what is wrong, if anything."""
    links = client.get("/v1/forwarding")["items"]
    if as_json:
        for link in links:
            click.echo(json.dumps(link, ensure_ascii=False))
        return
    show(_COLUMNS, ([_told(link).get(name) for name in _COLUMNS] for link in links))
    for link in links:
        if link["warning"]:
            click.echo(f"warning: {link['name']} is far behind: {_WARNINGS[link['warning']]}")


@command.command(
    "add",
    cls=ExampleCommand,
    examples=(
        "carcloud forwarding add city 192.0.2.10:32960 --platform CARCLOUD01 --user carcloud",
        "carcloud forwarding add city gate.example:32960 --platform CARCLOUD01 "
        "--user carcloud --password-file city.txt --tls",
    ),
)
@click.argument("name")
@click.argument("address", metavar="HOST:PORT")
@click.option("--platform", "platform_id", required=True, help="Our unique id on that platform.")
@click.option("--user", required=True, help="User name, as that platform gave it.")
@_file_option
@click.option(
    "--edition",
    type=click.Choice(["2016", "2025"]),
    default="2016",
    show_default=True,
    help="Edition of the platform login.",
)
@click.option("--tls", is_flag=True, help="Connect with TLS and check the certificate.")
@click.option("--disabled", is_flag=True, help="Do not begin yet.")
@with_client
def add(
    *,
    name: str,
    address: str,
    password_file: Path | None,
    edition: str,
    disabled: bool,
    client: Client,
    **given: Any,
) -> None:
    """Add a link NAME to the platform at HOST:PORT. It forwards what comes from now on."""
    host, port = _address(address)
    password = read_password(password_file)
    body = {"name": name, "host": host, "port": port, "password": password, **given}
    body |= {"edition": int(edition), "enabled": not disabled}
    client.send("POST", "/v1/forwarding", json=body)
    click.echo(f"{name} forwards to {host}:{port}" if not disabled else f"{name} is added")


@command.command("remove", cls=ExampleCommand, examples=("carcloud forwarding remove city --yes",))
@click.argument("name")
@click.confirmation_option(prompt="What waits for it will not be sent. Go on?", help="Do not ask.")
@with_client
def remove(name: str, client: Client) -> None:
    """Remove a link."""
    client.send("DELETE", _path(name))
    click.echo(f"{name} is removed")


@command.command("enable", cls=ExampleCommand, examples=("carcloud forwarding enable city",))
@click.argument("name")
@with_client
def enable(name: str, client: Client) -> None:
    """Let a link go on where it stopped."""
    _switch(client, name, on=True)
    click.echo(f"{name} is enabled")


@command.command("disable", cls=ExampleCommand, examples=("carcloud forwarding disable city",))
@click.argument("name")
@with_client
def disable(name: str, client: Client) -> None:
    """Stop a link; what comes meanwhile waits in the lake."""
    _switch(client, name, on=False)
    click.echo(f"{name} is disabled")


def read_password(file: Path | None) -> str:
    """The first line of a file, or what somebody types."""
    if file is not None:
        return file.read_text().split("\n", 1)[0].strip("\r")
    if not sys.stdin.isatty():
        raise Failure("there is nobody to ask for the password", "give --password-file FILE")
    return str(click.prompt("Password", hide_input=True))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"{text!r} is not HOST:PORT, as in 192.0.2.10:32960")
    return host.strip("[]"), int(port)


def _switch(client: Client, name: str, *, on: bool) -> None:
    seen = client.send("GET", _path(name))
    headers = {"if-match": seen.headers["etag"]}
    client.send("PATCH", _path(name), json={"enabled": on}, headers=headers)


def _told(link: dict[str, Any]) -> dict[str, Any]:
    return {**link, "address": f"{link['host']}:{link['port']}"}


def _path(name: str) -> str:
    return f"/v1/forwarding/{quote(name, safe='')}"
