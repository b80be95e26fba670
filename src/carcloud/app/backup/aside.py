"""A data folder while a restore fills it: marked, and put back as it was where that fails."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from carcloud.app.backup.folder import sync_folder
from carcloud.model.time import iso, now_us
from carcloud.rundir import RunDir

_STAYS = ("run", "logs", "restoring", "lost+found")
_BEFORE = "before-restore-"


@contextmanager
def restoring(
    run: RunDir, *, aside: bool, outside: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    """Mark a folder that this process has claimed as half restored until the block ends well.

    With `aside` its contents lie in a folder inside it then. Where the block fails, what it made
    is removed and they come back. The mark stays where that does not make all good again: after a
    kill, with engines `outside` of the folder, or with files that were there and did not move.
    """
    marked = run.mark.exists()
    moved = _new_folder(run.data) if aside and _contents(run.data) else None
    _mark(run.mark, f"What was there before is in {moved}.\n" if moved else "")
    if moved is not None:
        _move(_contents(run.data), moved)
    clean = not _contents(run.data)
    try:
        yield
    except BaseException:
        if clean:
            _give_back(run.data, moved)
            if not (marked or outside):
                _unmark(run.mark)
        raise
    _unmark(run.mark)
    if moved is not None:
        tell(f"What was there is in {moved} now.")


def _give_back(data: Path, moved: Path | None) -> None:
    for path in _contents(data):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if moved is not None:
        _move(list(moved.iterdir()), data)
        moved.rmdir()


def _contents(data: Path) -> list[Path]:
    """What is the installation's own, and no older one set aside."""
    return [
        path
        for path in data.iterdir()
        if path.name not in _STAYS and not path.name.startswith(_BEFORE)
    ]


def _new_folder(data: Path) -> Path:
    stamp = "".join(mark for mark in iso(now_us())[:23] if mark.isalnum())
    folder = data / f"{_BEFORE}{stamp}"
    folder.mkdir(mode=0o700)
    return folder


def _move(paths: list[Path], into: Path) -> None:
    for path in paths:
        path.rename(into / path.name)
    sync_folder(into)
    if paths:
        sync_folder(paths[0].parent)


def _mark(mark: Path, words: str) -> None:
    with mark.open("a") as out:
        out.write(words)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(mark.parent)


def _unmark(mark: Path) -> None:
    mark.unlink()
    sync_folder(mark.parent)
