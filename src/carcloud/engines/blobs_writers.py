"""Writing a blob in pieces: into a local file, or into an S3 multipart upload."""

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore

from carcloud.ports.errors import Conflict

WHOLE = 8 << 20  # bytes up to which a blob goes to S3 in one request
_PART = 8 << 20  # bytes of a part


class FileWriter:
    """A new file under its final name; `close` syncs it and the folder that names it."""

    def __init__(self, file: Path) -> None:
        """The folder is there; raises `FileExistsError`."""
        self._file = file
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(file, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Add bytes; `OSError` when there is no room."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        """Sync and close."""
        try:
            os.fsync(self._descriptor)
        finally:
            self._give_back()
        sync_folder(self._file.parent)

    def abort(self) -> None:
        """Remove the file."""
        self._give_back()
        self._file.unlink(missing_ok=True)

    def _give_back(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Aborted(Exception):
    """Ends an upload whose data will not come."""


class UploadWriter:
    """Small blobs are held and go in one request; larger ones stream from a thread."""

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._held: list[bytes] = []
        self._size = 0
        self._pieces: queue.Queue[bytes | _Aborted | None] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._closed = False

    def write(self, data: bytes) -> None:
        """Add bytes; raises what the upload failed with."""
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size >= _PART:
            if self._thread is None:
                self._thread = threading.Thread(target=self._upload, daemon=True)
                self._thread.start()
            self._hand_over(b"".join(self._held))
            self._held, self._size = [], 0

    def close(self) -> None:
        """Wait until all is stored."""
        rest = b"".join(self._held)
        if self._thread is None:
            obstore.put(self._store, self._key, rest, use_multipart=False)
        else:
            if rest:
                self._hand_over(rest)
            self._hand_over(None)
            self._thread.join()
            if self._error is not None:
                raise self._error
        self._closed = True

    def abort(self) -> None:
        """End the upload, and take back what was stored."""
        if self._thread is not None and self._thread.is_alive():
            self._hand_over(_Aborted())
            self._thread.join()
        if self._closed:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, self._key)

    def _hand_over(self, piece: "bytes | _Aborted | None") -> None:
        while self._thread is not None and self._thread.is_alive():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.2)
                return
        if self._error is not None and not isinstance(piece, _Aborted):
            raise self._error

    def _upload(self) -> None:
        try:
            obstore.put(
                self._store,
                self._key,
                self._taken(),
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=2,
            )
        except BaseException as error:  # noqa: BLE001 - raised again where the data comes from
            self._error = error

    def _taken(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, _Aborted):
                raise piece
            yield piece


def link(source: Path, target: Path) -> None:
    """A second name for a file that never changes, durably; raises `OSError`."""
    try:
        target.hardlink_to(source)
    except FileExistsError as error:
        raise Conflict(f"blob {target.name!r} exists") from error
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
