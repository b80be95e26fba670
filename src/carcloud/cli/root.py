"""The `carcloud` command: global options, and the table of commands, each loaded when called."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from carcloud import __version__
from carcloud.cli.examples import ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.config import InvalidSetting, Settings, load


@dataclass(frozen=True, slots=True)
class Row:
    """One command: module `carcloud.cli.<module>` has it as `command`."""

    name: str
    module: str
    help: str
    hidden: bool = False


COMMANDS = (
    Row("demo", "demo", "Run the whole cloud on this machine with a simulated fleet."),
    Row("up", "up", "Start the cloud for real use."),
    Row("restart", "restart", "Replace web or gateway processes without a gap."),
    Row("migrate", "migrate", "Bring the tables of the records to another revision."),
    Row("backup", "backup", "Copy the whole installation to a folder."),
    Row("restore", "restore", "Make an installation of a backup."),
    Row("status", "status", "Show what a running cloud is doing."),
    Row("vehicles", "vehicles", "List, add, import and change vehicles."),
    Row("models", "models", "Look at models; say which of their data becomes which signal."),
    Row("signals", "signals", "Look at the signals there are, and change them for yourself."),
    Row("campaigns", "campaigns", "Decide what vehicles collect, and follow it."),
    Row("commands", "commands", "Give commands to vehicles; their desired state."),
    Row("forwarding", "forwarding", "Forward vehicles to further GB/T 32960 platforms."),
    Row("platforms", "platforms", "Let lower GB/T 32960 platforms log in."),
    Row("jobs", "jobs", "Have work done in the background, and see how it goes."),
    Row("invitations", "invitations", "Invite people by a link that works once."),
    Row("login-providers", "login_providers", "Let people sign in at OpenID Connect providers."),
    Row("users", "users", "Add and remove people and service accounts."),
    Row("roles", "roles", "See and change who may do what."),
    Row("keys", "keys", "Make and revoke API keys."),
    Row("audit", "audit", "Search, export and check the record of changes."),
    Row("tenants", "tenants", "Make, suspend and resume tenants; projects."),
    Row("buckets", "buckets", "Make, list, change and remove buckets."),
    Row("objects", "objects", "List, put, get and remove objects in buckets."),
    Row("usage", "usage", "Show what the tenant used, by meter."),
    Row("costs", "costs", "See what the tenant costs; budgets, statements, prices."),
    Row("quotas", "quotas", "See what a tenant may take, and change it."),
    Row("query", "query", "Ask the lake in SQL."),
    Row("tables", "lake_tables", "List tables of the lake, drop those that jobs made."),
    Row("decode", "decode", "Decode captured frames to JSON."),
    Row("agent", "agent", "The vehicle's side: reads CAN, runs campaigns, sends, obeys."),
    Row("can", "can", "Read logs of CAN buses."),
    Row("simulate", "simulate", "Drive a simulated fleet against any address."),
    Row("settings", "settings", "List every setting, its value and what it does."),
    Row("completion", "completion", "Print the completion script of a shell."),
    Row("role", "role", "Run one role of the cloud; the supervisor calls this.", hidden=True),
)


class LazyGroup(ExampleGroup):
    """A group whose commands are imported when they are called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return [row.name for row in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; None for a name outside the table."""
        for row in COMMANDS:
            if row.name == cmd_name:
                command = import_module(f"carcloud.cli.{row.module}").command
                assert isinstance(command, click.Command)  # noqa: S101 - the table says so
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands in `--help`, from the table alone."""
        rows = [(row.name, row.help) for row in COMMANDS if not row.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _pairs(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, as in web.port=8080")
        pairs[name.strip()] = value.strip()
    return pairs


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        "carcloud demo",
        "carcloud up --help",
        "carcloud status --watch",
        "carcloud query 'SELECT count(*) FROM signals'",
    ),
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of settings.",
)
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="A setting for this run, over file and environment; may be repeated.",
)
@click.version_option(__version__, prog_name="carcloud")
@click.pass_context
def main(ctx: click.Context, config: Path | None, given: dict[str, str]) -> None:
    """An open automotive cloud: connected vehicles on one platform."""
    ctx.obj = settings_of(config, given)


def settings_of(config: Path | None, given: dict[str, str]) -> Settings:
    """The settings of a file and the command line; raises `Failure`."""
    try:
        return load(config, given)
    except InvalidSetting as error:
        raise Failure(str(error), "`carcloud settings` lists all of them") from error
