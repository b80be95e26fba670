"""The options that say where a role holds."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def scope_options(command: Command) -> Command:
    """Give a command --project and --label; see `scope_of`."""
    label = click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE",
        help="Only where this label matches; may be repeated.",
    )  # fmt: skip
    project = click.option("--project", help="Only inside this project.")
    return project(label(command))


def scope_of(project: str | None, labels: tuple[str, ...]) -> dict[str, Any]:
    """The scope as the API takes it; everything without a project and labels."""
    pairs = {}
    for text in labels:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in depot=north")
        pairs[key] = value
    return {"project": project, "labels": pairs}


def scope_text(scope: dict[str, Any]) -> str:
    """A scope as a table shows it."""
    if scope["project"] is not None:
        return f"project {scope['project']}"
    return " ".join(f"{key}={value}" for key, value in scope["labels"].items()) or "everything"
