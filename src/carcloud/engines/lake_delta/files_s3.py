"""A table's files in an S3 bucket, read through copies on the local disk.

Data files never change, so a copy is good for ever; what reads Parquet, DuckDB included, opens
the copy. So people's SQL runs without keys and without a network, as it does on a local lake.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from deltalake import DeltaTable
from obstore import exceptions
from obstore.store import S3Store

from carcloud.engines.lake_delta.files import Bytes, Entry, Unsure, write_synced
from carcloud.ports.errors import Full, Unavailable

_TOGETHER = 16  # files fetched at the same time
_IN_USE_S = 600.0  # a copy that was used so lately is not thrown away
_LOOK_EVERY = 64  # new copies between two looks at the size of all


class Cache:
    """Copies of objects in a folder, the least used thrown out first. Processes may share one."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder.absolute()
        self._most = most_bytes
        self._added = 0

    def find(self, key: str) -> Path | None:
        """The copy of an object, if there is one."""
        path = self.folder / key
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def keep(self, key: str, data: Bytes) -> Path:
        """Make a copy; it appears whole, and on disk."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".draft-{uuid.uuid4().hex}")
        write_synced(draft, data)
        draft.replace(path)
        self._added += 1
        if self._added % _LOOK_EVERY == 0:
            self.trim()
        return path

    def forget(self, key: str) -> None:
        """Remove a copy; one that is gone already is fine."""
        (self.folder / key).unlink(missing_ok=True)

    def trim(self) -> None:
        """Throw out the least used copies beyond the limit, but none that may be in use."""
        found = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):
                    path = Path(folder, name)
                    found.append((path.stat().st_mtime, path.stat().st_size, path))
        over = sum(size for _, size, _ in found) - self._most
        for used, size, path in sorted(found):
            if over <= 0 or used > time.time() - _IN_USE_S:
                return
            path.unlink(missing_ok=True)
            over -= size


class S3Place:
    """Where tables live: `s3://bucket/prefix`, by obstore's `options`, with a cache of copies."""

    def __init__(
        self, url: str, options: Mapping[str, str], cache: Cache, *, attempts: int = 5
    ) -> None:
        """A call is tried `attempts` times in 30 s before it is `Unavailable`."""
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.cache = cache
        self.delta_options = {f"aws_{name}": value for name, value in options.items()}
        plain = options.get("endpoint", "").startswith("http://")
        client: Any = {"allow_http": True, "timeout": "30s"} if plain else {"timeout": "30s"}
        if plain:
            self.delta_options["aws_allow_http"] = "true"
        config: Any = dict(options)
        retry: Any = {"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=30)}
        self.store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,
            client_options=client,
            retry_config=retry,
        )

    def at(self, folder: str) -> "S3Files":
        """The files below a folder of the bucket."""
        return S3Files(self, folder)

    def remove(self, folder: str) -> int:
        """Away with all objects below a folder; returns their number."""
        files = 0
        with _bucket_errors(f"removing {folder}"):
            for page in obstore.list(self.store, folder):
                if paths := [one["path"] for one in page]:
                    obstore.delete(self.store, paths)
                    files += len(paths)
        return files

    def forget(self, folder: str) -> None:
        """Away with the copies on this disk."""
        with _bucket_errors(f"removing copies of {folder}"):
            if (path := self.cache.folder / folder).is_dir():
                shutil.rmtree(path)


class S3Files:
    """Files below one folder of a bucket, by their path relative to it.

    A put that was answered is durable: that is the bucket's promise.
    """

    def __init__(self, place: S3Place, folder: str) -> None:
        self._place = place
        self._store = place.store
        self._cache = place.cache
        self._folder = folder
        self.root = f"{place.url}/{folder}"
        self.here = str(self._cache.folder / folder)

    def local(self, path: str) -> str:
        """The local copy of a file, fetched where there is none yet."""
        key = self._key(path)
        found = self._cache.find(key)
        if found is None:
            data = self.read(path)
            if data is None:
                raise Unavailable(f"lake: {path} is missing in the bucket")
            with _bucket_errors(f"copying {path}"):
                found = self._cache.keep(key, data)
        return str(found)

    def fetch(self, paths: Iterable[str]) -> None:
        """Have local copies of all these files, fetched side by side."""
        missing = [path for path in paths if self._cache.find(self._key(path)) is None]
        if missing:
            with ThreadPoolExecutor(min(_TOGETHER, len(missing))) as threads:
                for _ in threads.map(self.local, missing):
                    pass

    def read(self, path: str) -> bytes | None:
        """A file's content, or None where there is no such file."""
        with _bucket_errors(f"reading {path}"):
            try:
                return bytes(obstore.get(self._store, self._key(path)).bytes())
            except FileNotFoundError:
                return None

    def put(self, path: str, data: Bytes) -> None:
        """Write a file of a name nobody else uses, and keep a copy: it will be read soon."""
        with _bucket_errors(f"writing {path}"):
            obstore.put(self._store, self._key(path), bytes(memoryview(data)))
            self._cache.keep(self._key(path), data)

    def put_if_absent(self, path: str, data: Bytes) -> bool:
        """Make a file appear under `path`; False when the name is taken.

        Raises `Unsure` when no answer came: the file may appear yet. An answer that was lost and
        asked for again says that the name is taken; so a taken name is looked at, whether by us.
        """
        content = bytes(memoryview(data))
        try:
            with _bucket_errors(f"writing {path}"):
                obstore.put(
                    self._store, self._key(path), content, mode="create", use_multipart=False
                )
        except _Taken:
            return self._is(path, content)
        except Full:
            raise
        except Unavailable as error:
            raise Unsure(str(error)) from error
        return True

    def _is(self, path: str, content: bytes) -> bool:
        try:
            return self.read(path) == content
        except Unavailable as error:
            raise Unsure(str(error)) from error

    def sync(self, path: str) -> None:
        """Nothing: what is in the bucket is durable."""

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is fine."""
        with _bucket_errors(f"deleting {path}"), suppress(FileNotFoundError):
            obstore.delete(self._store, self._key(path))
        self._cache.forget(self._key(path))

    def entries(self, folder: str) -> list[Entry]:
        """The files directly in `folder`; none where there is no such folder."""
        with _bucket_errors(f"listing {folder}"):
            found = obstore.list_with_delimiter(self._store, self._key(folder))["objects"]
        return [
            Entry(
                f"{folder}/{one['path'].rsplit('/', 1)[1]}",
                one["size"],
                one["last_modified"].timestamp(),
            )
            for one in found
        ]

    def folders(self) -> list[str]:
        """The names of the folders directly below this one."""
        with _bucket_errors("listing the table"):
            found = obstore.list_with_delimiter(self._store, self._folder)["common_prefixes"]
        return [prefix.rstrip("/").rsplit("/", 1)[-1] for prefix in found]

    def delete_folder(self, folder: str, before: float) -> None:
        """Nothing: a bucket has no folders."""

    def delta(self) -> DeltaTable:
        """The table as delta-rs reads it."""
        return DeltaTable(self.root, storage_options=self._place.delta_options)

    def _key(self, path: str) -> str:
        return f"{self._folder}/{path}"


class _Taken(Exception):
    """The name is taken."""


@contextmanager
def _bucket_errors(what: str) -> Iterator[None]:
    """Turn errors of obstore and of the local disk into `Full` or `Unavailable`."""
    try:
        yield
    except (FileExistsError, exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise _Taken(what) from error
    except (OSError, exceptions.BaseError) as error:
        words = str(error)
        if any(sign in words for sign in ("No space left", "Disk quota", "InsufficientStorage")):
            raise Full(f"lake: no room left while {what}") from error
        raise Unavailable(f"lake: {what}: {words.splitlines()[0]}") from error
