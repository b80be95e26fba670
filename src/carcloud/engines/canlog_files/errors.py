"""What goes wrong with a file."""

from pathlib import Path


class LogFileError(Exception):
    """A file cannot be read as a bus log: path, place in it ("line 12"; "" for all), reason."""

    def __init__(self, path: Path, place: str, reason: str) -> None:
        super().__init__(f"{path}, {place}: {reason}" if place else f"{path}: {reason}")
        self.path = path
        self.place = place
        self.reason = reason
