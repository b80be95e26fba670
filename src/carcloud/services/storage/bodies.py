"""Bytes of objects on their way into blobs and out of them."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carcloud.codecs.s3.checksums import Algorithm
from carcloud.model.ids import Tenant
from carcloud.ports.blobs import Blobs, BlobWriter
from carcloud.services.storage.places import Places
from carcloud.services.storage.sealing import Sealer, cipher_of, opened, sealed_span
from carcloud.services.storage.types import Checksum, StoredBody

FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"


def new_id() -> str:
    """32 hexadecimal digits that grow with time, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def id_time_us(name: str) -> int:
    """When an id was made, in us; 0 for what is no id."""
    try:
        return int(name[:12], 16) * 1000
    except ValueError:
        return 0


def blob_key(tenant: Tenant, name: str) -> str:
    """Where the bytes with this id lie. The last digits spread the files over folders."""
    return f"{tenant}/objects/{name[-2:]}/{name}"


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of an object in one blob."""

    blob: str
    size: int
    sealed_by: str | None = None
    salt: str | None = None


class Body:
    """Bytes that come in pieces; they are kept when `finish` returns. Calls block.

    `write` and `finish` raise `Moved` once the tenant is deleted.
    """

    def __init__(
        self,
        blobs: Blobs,
        tenant: Tenant,
        sealing: tuple[str, bytes] | None,
        algorithm: Algorithm | None = None,
        *,
        check: Callable[[Tenant], None],
        blob: str | None = None,
        place: str | None = None,
    ) -> None:
        """`check` raises where nothing may be written any more; `blob` = where the bytes lie, else
        a name of their own among the objects; `place` = the mark of where they go."""
        self._check = partial(check, tenant)
        self.blob = blob or blob_key(tenant, new_id())
        self._place = place
        self.size = 0
        self._blobs = blobs
        self._writer: BlobWriter | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._algorithm = algorithm
        self._checksum = None if algorithm is None else algorithm.begin()
        self._sealed_by: str | None = None
        self._salt: bytes | None = None
        self._sealer: Sealer | None = None
        if sealing is not None:
            self._sealed_by, self._salt = sealing[0], secrets.token_bytes(16)
            self._sealer = Sealer(cipher_of(sealing[1], self._salt))

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._check()
        self.size += len(data)
        self._md5.update(data)
        if self._checksum is not None:
            self._checksum.update(data)
        self._open().write(data if self._sealer is None else self._sealer.feed(data))

    @property
    def md5(self) -> bytes:
        """The MD5 of what has come."""
        return self._md5.digest()

    @property
    def checksum(self) -> bytes | None:
        """The checksum of what has come, if one was asked for."""
        return None if self._checksum is None else self._checksum.digest()

    def finish(self) -> StoredBody:
        """Make the bytes durable."""
        self._check()
        writer = self._open()
        if self._sealer is not None:
            writer.write(self._sealer.finish())
        writer.close()
        told = None
        if self._algorithm is not None and (value := self.checksum) is not None:
            told = Checksum(self._algorithm.name, base64.b64encode(value).decode(), FULL)
        salt = None if self._salt is None else self._salt.hex()
        return StoredBody(self.blob, self.size, self.md5, told, self._sealed_by, salt, self._place)

    def abort(self) -> None:
        """Leave nothing behind, also after `finish`."""
        if self._writer is not None:
            self._writer.abort()

    def _open(self) -> BlobWriter:
        if self._writer is None:
            self._writer = self._blobs.writer(self.blob)
        return self._writer


class Reader:
    """Reads objects back."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def pieces(
        self, tenant: Tenant, extents: Sequence[Extent], start: int, end: int
    ) -> Iterator[bytes]:
        """The bytes from `start` to `end` of the blobs one after the other.

        Raises `NotFound`, `Unreadable`.
        """
        at = 0
        for extent in extents:
            first, last = max(start, at) - at, min(end, at + extent.size) - at
            if first < last:
                yield from self._read(tenant, extent, first, last)
            at += extent.size

    def file(self, tenant: Tenant, extents: Sequence[Extent]) -> Path | None:
        """The file that is the whole object, if there is one."""
        if len(extents) != 1 or extents[0].sealed_by is not None:
            return None
        return self._places.blobs(tenant).file(extents[0].blob)

    def _read(self, tenant: Tenant, extent: Extent, start: int, end: int) -> Iterator[bytes]:
        blobs = self._places.blobs(tenant)
        if extent.sealed_by is None or extent.salt is None:
            yield from blobs.read(extent.blob, start, end - start)
            return
        cipher: AESGCM = self._places.cipher(tenant, extent.sealed_by, extent.salt)
        first, last = sealed_span(start, end, extent.size)
        sealed = blobs.read(extent.blob, first, last - first)
        yield from opened(cipher, sealed, start, end, extent.size)
