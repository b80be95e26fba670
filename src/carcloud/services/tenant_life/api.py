"""All that a tenant has: exported whole, deleted with a certificate. Calls block; use a thread."""

from collections.abc import Callable

from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.storage.api import Storage
from carcloud.services.tenant_life.census import Census
from carcloud.services.tenant_life.contents import Contents
from carcloud.services.tenant_life.deleter import Deleter
from carcloud.services.tenant_life.deletions import Deletions
from carcloud.services.tenant_life.errors import (
    Ended,
    ExportGoing,
    NoDeletion,
    NotConfirmed,
    NotReady,
    NotSuspended,
    NotYet,
    TooLate,
    Torn,
    Undecided,
    UnknownExport,
)
from carcloud.services.tenant_life.exports import Exports
from carcloud.services.tenant_life.maker import Maker
from carcloud.services.tenant_life.reach import Reach
from carcloud.services.tenant_life.steps import Steps
from carcloud.services.tenant_life.store import metadata
from carcloud.services.tenant_life.types import (
    Deletion,
    DeletionState,
    Export,
    ExportState,
    Step,
)

__all__ = [
    "Census", "Contents", "Deleter", "Deletion", "DeletionState", "Deletions", "Ended", "Export",
    "ExportGoing", "ExportState", "Exports", "Maker", "NoDeletion", "NotConfirmed", "NotReady",
    "NotSuspended", "NotYet", "Reach", "Step", "Steps", "TenantLife", "TooLate", "Torn",
    "Undecided", "UnknownExport", "metadata",
]  # fmt: skip


class TenantLife:
    """The service as routes call it; its parts are `exports` and `deletions`, see there."""

    def __init__(
        self,
        records: Records,
        storage: Storage,
        *,
        days: Callable[[], float] = lambda: 7.0,
        second_person: Callable[[], bool] = lambda: False,
        now: Callable[[], int] = now_us,
    ) -> None:
        records.create(metadata)
        self.exports = Exports(records, storage, now)
        self.deletions = Deletions(records, days, second_person, now)
