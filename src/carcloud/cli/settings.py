"""`carcloud settings`: the table of settings with the values that hold now."""

import json

import click

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.tables import show
from carcloud.config import SETTINGS, Settings, variable


@click.command(
    "settings",
    cls=ExampleCommand,
    examples=(
        "carcloud settings",
        "carcloud --set web.port=8080 settings",
        "carcloud settings gateway.",
    ),
)
@click.argument("prefix", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: name to value.")
@click.pass_obj
def command(settings: Settings, prefix: str, as_json: bool) -> None:
    """List every setting: its value now, its default, and what it does.

    PREFIX keeps only the settings whose name starts with it. Each setting is also an environment
    variable: web.port is CARCLOUD_WEB_PORT.
    """
    rows = [setting for setting in SETTINGS if setting.name.startswith(prefix)]
    if not rows:
        raise click.BadParameter(f"no setting starts with {prefix!r}", param_hint="PREFIX")
    if as_json:
        click.echo(json.dumps({row.name: settings[row.name] for row in rows}, indent=1))
        return
    show(
        ("setting", "value", "default", "variable", "what it does"),
        (
            (
                row.name,
                _shown(settings[row.name]),
                _shown(row.default),
                variable(row.name),
                row.help,
            )
            for row in rows
        ),
    )


def _shown(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)
