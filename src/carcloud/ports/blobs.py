"""The blobs port: named byte strings. Calls block; use a thread."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob without its bytes."""

    key: str
    size: int
    etag: str | None


class Blobs(Protocol):
    """Keys are `/`-separated and begin with the tenant. Methods raise `Unavailable`, `Full`."""

    def put(self, key: str, data: bytes) -> None:
        """Replace the whole blob atomically and durably."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        """As `put`; raises `Conflict` if the key exists."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of a blob; raises `NotFound`."""

    def info(self, key: str) -> BlobInfo:
        """Size and tag of a blob; raises `NotFound`."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Blobs whose key begins with `prefix`, in key order."""

    def delete(self, key: str) -> None:
        """Remove a blob; nothing happens if it is not there."""
