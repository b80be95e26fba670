"""The blobs port: named byte strings. Calls block; use a thread."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PIECE = 1 << 20  # bytes that `read` yields at a time


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob without its bytes."""

    key: str
    size: int
    etag: str | None


class BlobWriter(Protocol):
    """A blob that is being written piece by piece. One thread at a time."""

    def write(self, data: bytes) -> None:
        """Add bytes."""

    def close(self) -> None:
        """The blob is whole, durable and readable when this returns."""

    def abort(self) -> None:
        """Leave nothing behind; also after `close`."""


class Blobs(Protocol):
    """Keys are `/`-separated and begin with the tenant. Methods raise `Unavailable`, `Full`."""

    def put(self, key: str, data: bytes) -> None:
        """Replace the whole blob atomically and durably."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        """As `put`; raises `Conflict` if the key exists."""

    def writer(self, key: str) -> BlobWriter:
        """Write a blob in pieces, with bounded memory, under a key that is used this once.

        Before `close` returns, and after a crash before that, a part of the blob may be seen
        under the key: whoever needs to know whether it is whole remembers what was closed.
        Raises `Conflict` if the key exists, here or in `close`.
        """

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of a blob; raises `NotFound`."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The same in pieces of about `PIECE` bytes; raises `NotFound` before the first."""

    def file(self, key: str) -> Path | None:
        """The file that is the blob, where the engine has it as one; it may not exist."""

    def copy(self, source: str, target: str) -> None:
        """The same bytes under a further key, durably; raises `NotFound`, `Conflict`.

        Not for blobs that `put` changes later.
        """

    def info(self, key: str) -> BlobInfo:
        """Size and tag of a blob; raises `NotFound`."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Blobs whose key begins with `prefix`, in key order."""

    def delete(self, key: str) -> None:
        """Remove a blob; nothing happens if it is not there."""

    def delete_all(self, folder: str) -> None:
        """Remove what lies below `folder/`, also what was never closed."""
