"""What crosses the wall of the service. Times are us since 1970, UTC; sizes are bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from carcloud.model.ids import Tenant
from carcloud.services.storage.api import StoredBody

Tell = Callable[[str, int], None]
"""Hears of progress: what is being copied, and bytes done since then. May raise `Ended`."""


class ExportState(StrEnum):
    """How far an export is."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """An archive of all that a tenant has."""

    id: str
    tenant: Tenant
    state: ExportState
    by: str
    created: int
    started: int | None = None
    ended: int | None = None
    expires: int | None = None
    attempt: int = 0
    part: str = ""
    done: int = 0
    expected: int = 0
    members: int = 0
    sha256: str | None = None
    error: str | None = None
    body: StoredBody | None = None  # of the archive, when it is ready

    @property
    def bytes(self) -> int:
        """Of the archive."""
        return 0 if self.body is None else self.body.size
