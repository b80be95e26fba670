"""How far ingest has brought the lake: each commit of a table carries a stream sequence."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant
from carcloud.ports.errors import Conflict
from carcloud.ports.lake import Lake, TableRef
from carcloud.services.telemetry.ingest_rows import those
from carcloud.services.telemetry.tables import CAMPAIGN_EVENTS, LETTERS, RAW, SIGNALS

WRITER = "ingest"
_TABLES = (SIGNALS, RAW, LETTERS, CAMPAIGN_EVENTS)


def lake_position(lake: Lake, tenants: Iterable[Tenant]) -> int:
    """The highest stream sequence in any table of these tenants; 0 for an empty lake."""
    refs = [TableRef(tenant, name) for tenant in tenants for name in _TABLES]
    return max((lake.position(ref, WRITER) for ref in refs), default=0)


class Positions:
    """Where this ingest left each table, and the only way in which it writes them."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._at: dict[TableRef, int] = {}

    def forget(self) -> None:
        """What is remembered may not be in the lake: look anew."""
        self._at.clear()

    def of(self, ref: TableRef) -> int:
        """Where this ingest left a table, or found it at first.

        It is not read anew for each batch: where another ingest has gone on meanwhile, the next
        commit must fail, as this one does not remember the other's reports.
        """
        if ref not in self._at:
            self._at[ref] = self._lake.position(ref, WRITER)
        return self._at[ref]

    def append(self, ref: TableRef, rows: pa.Table, seq: int) -> None:
        """Bring a table to `seq` by the rows that lie beyond where it is.

        Raises `Conflict` where another ingest has gone on, `EngineError`.
        """
        position = self.of(ref)
        if position:
            rows = those(rows, pc.greater(rows["seq"], position).to_numpy())
        if position >= seq:
            return
        if not self._lake.append(ref, rows, writer=WRITER, seq=seq, after=position):
            raise Conflict(f"another ingest has brought {ref.name} to {seq} or beyond")
        self._at[ref] = seq
