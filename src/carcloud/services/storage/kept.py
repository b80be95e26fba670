"""Bytes of a tenant that lie in no bucket, in its own place and sealed as its objects are."""

from collections.abc import Iterator

from carcloud.model.ids import Tenant
from carcloud.services.storage.bodies import Body, Extent, Reader
from carcloud.services.storage.places import Places
from carcloud.services.storage.types import StoredBody


class Kept:
    """Whoever writes such bytes remembers what `Body.finish` gives, and removes them."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._reader = Reader(places)

    def body(self, tenant: Tenant, name: str) -> Body:
        """Bytes to come, under `<tenant>/<name>`; `name` is used this once."""
        mark = self._places.mark(tenant)  # before the blobs: never newer than they
        sealing, blobs = self._places.sealing(tenant), self._places.blobs(tenant)
        check = self._places.check_writable
        return Body(blobs, tenant, sealing, check=check, blob=f"{tenant}/{name}", place=mark)

    def read(self, tenant: Tenant, body: StoredBody, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end` in pieces; raises `NotFound`, `Unreadable`."""
        extent = Extent(body.blob, body.size, body.key, body.salt)
        return self._reader.pieces(tenant, [extent], start, end)

    def remove(self, tenant: Tenant, blob: str) -> None:
        """Away with the bytes; nothing happens where there are none."""
        self._places.blobs(tenant).delete(blob)
