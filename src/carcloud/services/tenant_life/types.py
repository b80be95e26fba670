"""What crosses the wall of the service. Times are us since 1970, UTC; sizes are bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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


class DeletionState(StrEnum):
    """How far a deletion is."""

    WAITING = "waiting"  # until it is due, and approved
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """The steps of a deletion, in order. Each may be done again."""

    COUNT = "count"
    CLOSE = "close"
    DRAIN = "drain"
    LAKE = "lake"
    BLOBS = "blobs"
    RECORDS = "records"
    SCRUB = "scrub"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The deletion of a tenant, asked for, going on or done."""

    id: str
    tenant: Tenant
    state: DeletionState
    asked_by: str
    asked: int
    due: int
    approved_by: str | None
    cancelled_by: str | None
    step: Step
    round: int
    began: int | None
    ended: int | None
    since: int
    problem: str | None
    marks: Mapping[str, Any]
    before: Mapping[str, Any] | None
    certificate: Mapping[str, Any] | None
    entry: int | None
    entry_hash: str | None
