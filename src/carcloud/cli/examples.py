"""The examples at the end of a command's `--help`, kept line by line."""

from typing import Any

import click


class _Examples(click.Command):
    """Shows `examples` below the options."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write one example a line."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")


class ExampleCommand(_Examples):
    """A command with examples."""


class ExampleGroup(_Examples, click.Group):
    """A group of commands with examples."""
