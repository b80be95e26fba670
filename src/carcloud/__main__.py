"""`python -m carcloud` is the `carcloud` command."""

from carcloud.cli import main

if __name__ == "__main__":
    main(prog_name="carcloud")
