"""What a person types: parse, call, print. `main` is the `carcloud` command."""

from carcloud.cli.root import main

__all__ = ["main"]
