"""Logs of attempts: one stream of bytes, kept in parts whose keys say where they begin."""

import time
from dataclasses import dataclass, field

from carcloud.model.ids import Tenant
from carcloud.ports.blobs import Blobs
from carcloud.services.compute.keys import log_key, log_prefix, offset_of
from carcloud.services.compute.types import LogPart

PART_BYTES = 256_000  # a part is written when it has so many
PART_S = 1.0  # or when its first byte has waited so long
MOST_READ = 1_000_000  # bytes of one answer


@dataclass(slots=True)
class LogWriter:
    """The log of one running attempt. `most` bytes are kept, then a last line says so."""

    tenant: Tenant
    job: str
    attempt: int
    most: int
    size: int = 0  # bytes, with those that are not written yet
    _waiting: bytearray = field(default_factory=bytearray)
    _since: float = 0.0  # monotonic s
    _full: bool = False

    def add(self, text: str) -> tuple[int, str]:
        """Take text in; returns where it begins and what was taken of it."""
        if self._full:
            return self.size, ""
        data = text.encode(errors="replace")
        if self.size + len(data) > self.most:
            self._full = True
            kept = data[: self.most - self.size].decode(errors="ignore")
            text = kept + f"\n[the log ends here: {self.most // 1_000_000} MB (compute.log_mb)]\n"
            data = text.encode()
        start = self.size
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting += data
        self.size += len(data)
        return start, text

    def is_due(self) -> bool:
        """Whether a part is to be written."""
        late = time.monotonic() - self._since >= PART_S
        return bool(self._waiting) and (late or len(self._waiting) >= PART_BYTES)

    @property
    def waiting(self) -> int:
        """Bytes that are not written yet."""
        return len(self._waiting)

    def write(self, blobs: Blobs) -> None:
        """Write what waits as one part; raises `Full`, `Unavailable`, and then it still waits."""
        data = bytes(self._waiting)
        if data:
            start = self.size - len(self._waiting)
            blobs.put(log_key(self.tenant, self.job, self.attempt, start), data)
            del self._waiting[: len(data)]
            self._since = time.monotonic()


def read(
    blobs: Blobs, tenant: Tenant, job: str, attempt: int, start: int, limit: int = MOST_READ
) -> LogPart:
    """Bytes of a log from `start` on (negative: so many from its end), as far as written."""
    parts = [(offset_of(blob.key), blob) for blob in blobs.list(log_prefix(tenant, job, attempt))]
    size = parts[-1][0] + parts[-1][1].size if parts else 0
    begin = max(0, size + start) if start < 0 else min(start, size)
    found = bytearray()
    for offset, blob in parts:
        if len(found) >= limit or offset + blob.size <= begin:
            continue
        skip = max(0, begin - offset)
        found += blobs.get(blob.key, skip, limit - len(found))
    return LogPart(attempt, begin, begin + len(found), size, bytes(found))


def remove(blobs: Blobs, tenant: Tenant, job: str) -> None:
    """Delete the logs of all attempts."""
    for blob in list(blobs.list(log_prefix(tenant, job))):
        blobs.delete(blob.key)
