"""`carcloud completion`: the script that lets a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from carcloud.cli.examples import ExampleCommand


@click.command(
    "completion",
    cls=ExampleCommand,
    examples=(
        'eval "$(carcloud completion bash)"',
        "carcloud completion zsh > ~/.zfunc/_carcloud",
        "carcloud completion fish > ~/.config/fish/completions/carcloud.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has all three
    click.echo(kind(ctx.find_root().command, {}, "carcloud", "_CARCLOUD_COMPLETE").source())
