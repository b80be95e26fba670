"""The blobs port on obstore: a local folder, or any S3."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import LocalStore, S3Store

from carcloud.engines.blobs_writers import FileWriter, UploadWriter, link, sync_folder
from carcloud.ports.blobs import PIECE, BlobInfo, BlobWriter
from carcloud.ports.errors import Conflict, Full, NotFound, Unavailable

_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._=+@,~-]{1,200}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(r"[A-Za-z0-9._=+@,~/-]*")


class ObjectBlobs:
    """`ports.blobs.Blobs` in the folder or bucket at `where`."""

    def __init__(
        self, where: str | Path, options: Mapping[str, str] | None = None, *, attempts: int = 5
    ) -> None:
        """A path, or `s3://bucket/prefix` with obstore's `options` (endpoint, keys, region).

        A call to S3 is tried `attempts` times in 30 s before it is `Unavailable`. Raises
        `ValueError` for an option that there is not.
        """
        self._folder: Path | None = None
        self._store: Any
        if isinstance(where, str) and where.startswith("s3://"):
            self._store = _s3(where, dict(options or {}), attempts)
        else:
            self._folder = Path(where).absolute()
            with _port_errors("blobs"):
                self._store = LocalStore(self._folder, mkdir=True)

    def put(self, key: str, data: bytes) -> None:
        """Replace the whole blob atomically and durably; `ValueError` for a wrong key."""
        with _port_errors(_checked(key)):
            if self._folder is not None:
                _write_local(self._folder, key, data, replace=True)
            else:
                obstore.put(self._store, key, data)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """As `put`; raises `Conflict` if the key exists."""
        with _port_errors(_checked(key)):
            if self._folder is not None:
                _write_local(self._folder, key, data, replace=False)
            else:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)

    def writer(self, key: str) -> BlobWriter:
        """A new blob in pieces; see the port."""
        with _port_errors(_checked(key)):
            if self._folder is None:
                return _Guarded(UploadWriter(self._store, key), key)
            file = self._folder / key
            _make_folder(file.parent, self._folder)
            return _Guarded(FileWriter(file), key)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes of a blob in pieces; raises `NotFound` before the first."""
        if self._folder is not None:
            return self._read_local(_checked(key), start, length)
        return self._read_ranges(_checked(key), start, length)

    def file(self, key: str) -> Path | None:
        """The file of a blob in a local folder."""
        return None if self._folder is None else self._folder / _checked(key)

    def copy(self, source: str, target: str) -> None:
        """The same bytes under a further key."""
        with _port_errors(_checked(source)):
            if self._folder is None:
                obstore.copy(self._store, source, _checked(target))
                return
            file = self._folder / _checked(target)
            _make_folder(file.parent, self._folder)
            link(self._folder / source, file)

    def _read_local(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        with _port_errors(key), (Path(str(self._folder)) / key).open("rb", buffering=0) as blob:
            blob.seek(start)
            left = length
            while left is None or left > 0:
                piece = blob.read(PIECE if left is None else min(PIECE, left))
                if not piece:
                    return
                if left is not None:
                    left -= len(piece)
                yield piece

    def _read_ranges(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        with _port_errors(key):
            size = obstore.head(self._store, key)["size"]
            end = size if length is None else min(size, start + length)
            for at in range(start, end, 4 * PIECE):
                stop = min(end, at + 4 * PIECE)
                yield bytes(obstore.get_range(self._store, key, start=at, end=stop))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of a blob, fewer where it ends earlier; raises `NotFound`."""
        with _port_errors(_checked(key)):
            if start == 0 and length is None:
                return bytes(obstore.get(self._store, key).bytes())
            size = obstore.head(self._store, key)["size"]
            end = size if length is None else min(size, start + length)
            if start >= end:
                return b""
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def info(self, key: str) -> BlobInfo:
        """Size and tag of a blob; raises `NotFound`."""
        with _port_errors(_checked(key)):
            return _info(obstore.head(self._store, key))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Blobs whose key begins with `prefix`, in key order."""
        if not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/"):
            raise ValueError(f"not a prefix of blob keys: {prefix!r}")
        folder = prefix.rpartition("/")[0]  # stores list by whole folders
        with _port_errors(prefix):
            pages = obstore.list(self._store, folder or None)
            found = [_info(meta) for page in pages for meta in page]
        yield from sorted(
            (blob for blob in found if blob.key.startswith(prefix)), key=lambda blob: blob.key
        )

    def delete(self, key: str) -> None:
        """Remove a blob; nothing happens if it is not there."""
        with _port_errors(_checked(key)), suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def delete_all(self, folder: str) -> None:
        """Remove what lies below a folder; an upload to S3 that broke off is S3's to end."""
        with _port_errors(_checked(folder)):
            if self._folder is not None:
                with suppress(FileNotFoundError):
                    shutil.rmtree(self._folder / folder)
                return
            for page in obstore.list(self._store, folder):
                if paths := [meta["path"] for meta in page]:
                    obstore.delete(self._store, paths)


def _s3(url: str, options: dict[str, str], attempts: int) -> S3Store:
    parts = urlsplit(url)
    prefix = parts.path.strip("/") or None
    config: Any = options
    plain = options.get("endpoint", "").startswith("http://")
    client: Any = {"allow_http": True} if plain else {}
    retry: Any = {"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=30)}
    try:
        return S3Store(
            parts.netloc, prefix=prefix, config=config, client_options=client, retry_config=retry
        )
    except exceptions.BaseError as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key) > 800:
        raise ValueError(f"not a blob key: {key[:100]!r}")
    return key


def _info(meta: Any) -> BlobInfo:
    return BlobInfo(key=meta["path"], size=meta["size"], etag=meta["e_tag"])


def _write_local(folder: Path, key: str, data: bytes, *, replace: bool) -> None:
    """Write, sync, then name. obstore's own local put does not sync; `#123` names it hides."""
    file = folder / key
    _make_folder(file.parent, folder)
    draft = file.with_name(f"{file.name}#{secrets.randbits(63)}")
    try:
        with draft.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            draft.replace(file)
        else:
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(file.parent)


def _make_folder(wanted: Path, root: Path) -> None:
    """Make a folder below `root`, and the entries that name it durable."""
    missing = []
    while wanted != root and not wanted.is_dir():
        missing.append(wanted)
        wanted = wanted.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


class _Guarded:
    """A writer whose errors are those of the port."""

    def __init__(self, writer: BlobWriter, key: str) -> None:
        self._writer = writer
        self._key = key

    def write(self, data: bytes) -> None:
        with _port_errors(self._key):
            self._writer.write(data)

    def close(self) -> None:
        with _port_errors(self._key):
            self._writer.close()

    def abort(self) -> None:
        with _port_errors(self._key):
            self._writer.abort()


@contextmanager
def _port_errors(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"there is no blob {what!r}") from error
    except (FileExistsError, exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise Conflict(f"blob {what!r} exists") from error
    except (OSError, exceptions.BaseError) as error:
        words = str(error)
        if "No space left" in words or "Disk quota" in words or "InsufficientStorage" in words:
            raise Full(f"no room for blob {what!r}") from error
        raise Unavailable(f"blob {what!r}: {words.splitlines()[0]}") from error
