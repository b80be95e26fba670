"""All that a tenant has: exported whole. Calls block; use a thread."""

from collections.abc import Callable

from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.storage.api import Storage
from carcloud.services.tenant_life.contents import Contents
from carcloud.services.tenant_life.errors import (
    Ended,
    ExportGoing,
    NotReady,
    Torn,
    Undecided,
    UnknownExport,
)
from carcloud.services.tenant_life.exports import Exports
from carcloud.services.tenant_life.maker import Maker
from carcloud.services.tenant_life.reach import Reach
from carcloud.services.tenant_life.store import metadata
from carcloud.services.tenant_life.types import Export, ExportState

__all__ = [
    "Contents", "Ended", "Export", "ExportGoing", "ExportState", "Exports", "Maker", "NotReady",
    "Reach", "TenantLife", "Torn", "Undecided", "UnknownExport", "metadata",
]  # fmt: skip


class TenantLife:
    """The service as routes call it; its parts are `exports`."""

    def __init__(
        self, records: Records, storage: Storage, *, now: Callable[[], int] = now_us
    ) -> None:
        records.create(metadata)
        self.exports = Exports(records, storage, now)
