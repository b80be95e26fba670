"""The tar stream that comes out of a sandbox. Whoever wrote it may mean harm."""

import re
import tarfile
from pathlib import Path
from typing import BinaryIO

MOST_FILES = 10_000
_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._=+@,~-]{1,100}")
_MB = 1 << 20


class BadOutput(Exception):
    """What came out is not what a sandbox sends; the message is for the job's log."""


def unpack(stream: BinaryIO, folder: Path, most_mb: int) -> tuple[list[str], list[str]]:
    """Write regular files below `folder`; returns their names, and names that were left out.

    Raises `BadOutput` for more than `most_mb` or 10,000 files, or for no tar at all.
    """
    kept: list[str] = []
    left_out: list[str] = []
    room = most_mb * _MB
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for entry in tar:
                room -= max(0, entry.size)
                if room < 0 or len(kept) >= MOST_FILES:
                    raise BadOutput(f"more than {most_mb} MB or {MOST_FILES} files in /job/out")
                if not entry.isreg() or not _is_name(entry.name):
                    left_out.append(entry.name[:100])
                    continue
                _write(tar, entry, folder / entry.name)
                kept.append(entry.name)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise BadOutput(f"the files in /job/out did not come out whole: {error}") from error
    return kept, left_out


def _is_name(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= 6 and len(name) <= 200 and all(_PART.fullmatch(part) for part in parts)


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(entry)
    if source is None:
        raise BadOutput(f"{entry.name} has no content")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        while piece := source.read(1 << 20):
            out.write(piece)
