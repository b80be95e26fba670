"""Where a table's files live. One small class, so that an object store can take its place."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deltalake import DeltaTable

from carcloud.ports.errors import Full, Unavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Unsure(Unavailable):
    """A file became visible, but whether it would outlive a power cut is unknown."""


class Bytes(Protocol):
    """Anything that `os.write` takes."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn an operating-system error into `Full` or `Unavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full(f"lake: no room left while {what}") from error
        raise Unavailable(f"lake: {what}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a listing shows it; `modified` in seconds since 1970."""

    path: str
    size: int
    modified: float


class Files(Protocol):
    """Files below one table's folder, by their path relative to it. What was put is durable.

    Methods raise `Unavailable` and `Full`.
    """

    root: str  # for messages, and for other libraries
    here: str  # the folder of this machine below which `local` finds all files

    def local(self, path: str) -> str:
        """Where a file that never changes can be opened on this machine."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Prepare for `local` of all of them."""

    def read(self, path: str) -> bytes | None:
        """A file's content, or None where there is no such file."""

    def put(self, path: str, data: Bytes) -> None:
        """Write a file of a name nobody else uses."""

    def put_if_absent(self, path: str, data: Bytes) -> bool:
        """Make a whole file appear; False when the name is taken; `Unsure` when nobody knows."""

    def sync(self, path: str) -> None:
        """Make durable what another library wrote."""

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is fine."""

    def entries(self, folder: str) -> list[Entry]:
        """The files directly in `folder`."""

    def folders(self) -> list[str]:
        """The names of the folders directly below this one."""

    def delete_folder(self, folder: str, before: float) -> None:
        """Remove an empty folder that was last changed before a time (s since 1970)."""

    def delta(self) -> DeltaTable:
        """The table as delta-rs reads it."""


class Place(Protocol):
    """Where all tables live."""

    def at(self, folder: str) -> Files:
        """The files below a folder."""

    def remove(self, folder: str) -> int:
        """Away with a folder and all below it; returns the number of files."""

    def forget(self, folder: str) -> None:
        """Away with copies of what lies below a folder."""


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def at(self, folder: str) -> "LocalFiles":
        """The files below a folder."""
        return LocalFiles(self._root / folder)

    def remove(self, folder: str) -> int:
        """Away with a folder, and with the one that holds it if nothing else is in there."""
        path, files = self._root / folder, 0
        with engine_errors(f"removing {folder}"):
            if path.is_dir():
                files = sum(len(names) for _, _, names in os.walk(path))
                shutil.rmtree(path)
            with suppress(OSError):  # not there, or not empty
                path.parent.rmdir()
            if self._root.is_dir():
                _sync_folder(self._root)
        return files

    def forget(self, folder: str) -> None:
        """Nothing: there are no copies."""


class LocalFiles:
    """`Files` in a local folder. Every write is synced."""

    def __init__(self, root: Path) -> None:
        self.root = self.here = str(root)

    def local(self, path: str) -> str:
        """The absolute path of a file."""
        return f"{self.root}/{path}"

    def fetch(self, paths: Iterable[str]) -> None:
        """Nothing: they are here."""

    def delta(self) -> DeltaTable:
        """The table as delta-rs reads it."""
        return DeltaTable(self.root)

    def read(self, path: str) -> bytes | None:
        """A file's content, or None where there is no such file."""
        with engine_errors(f"reading {path}"):
            try:
                return Path(self.local(path)).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, path: str, data: Bytes) -> None:
        """Write a file of a name nobody else uses; on an error nothing of it stays."""
        with engine_errors(f"writing {path}"):
            target = Path(self.local(path))
            try:
                self._make_folder(target.parent)
                write_synced(target, data)
            except FileNotFoundError:  # an empty folder may be tidied away just now
                self._make_folder(target.parent)
                write_synced(target, data)
            _sync_folder(target.parent)

    def put_if_absent(self, path: str, data: Bytes) -> bool:
        """Make a whole, synced file appear under `path`; False when the name is taken.

        Raises `Unsure` when it appeared and only the folder could not be synced.
        """
        with engine_errors(f"writing {path}"):
            target = Path(self.local(path))
            self._make_folder(target.parent)
            draft = target.with_name(f".draft-{uuid.uuid4().hex}")
            try:
                write_synced(draft, data)
                os.link(draft, target)
            except FileExistsError:
                return False
            finally:
                draft.unlink(missing_ok=True)
            try:
                _sync_folder(target.parent)
            except OSError as error:
                raise Unsure(f"lake: syncing {path}: {error.strerror or error}") from error
            return True

    def sync(self, path: str) -> None:
        """Force to disk a file that another library wrote."""
        with engine_errors(f"syncing {path}"):
            handle = os.open(self.local(path), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            _sync_folder(Path(self.local(path)).parent)

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is fine."""
        with engine_errors(f"deleting {path}"):
            Path(self.local(path)).unlink(missing_ok=True)

    def entries(self, folder: str) -> list[Entry]:
        """The files directly in `folder`; none where there is no such folder."""
        with engine_errors(f"listing {folder}"):
            found = []
            try:
                entries = [*os.scandir(self.local(folder))]
            except FileNotFoundError:
                return []
            for entry in entries:
                with suppress(FileNotFoundError):  # deleted since the listing
                    if entry.is_file():
                        stat = entry.stat()
                        found.append(Entry(f"{folder}/{entry.name}", stat.st_size, stat.st_mtime))
            return found

    def folders(self) -> list[str]:
        """The names of the folders directly below the table's."""
        with engine_errors("listing the table"):
            try:
                return [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
            except FileNotFoundError:
                return []

    def delete_folder(self, folder: str, before: float) -> None:
        """Remove a folder when it is empty and was last changed before a time (s since 1970)."""
        with suppress(OSError):  # not empty: somebody has just written into it
            if Path(self.local(folder)).stat().st_mtime < before:
                Path(self.local(folder)).rmdir()

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, synced into their parents."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def write_synced(target: Path, data: Bytes) -> None:
    """Write a new file; on an error nothing of it stays."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
