"""The one way in which a command ends without success: what went wrong, and what to do next."""

import click


class Failure(click.ClickException):
    """Printed as `Error: <what>; <next step>` on one line, with exit code 1."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what}; {next_step}" if next_step else what)
