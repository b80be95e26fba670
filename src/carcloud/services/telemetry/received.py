"""Metering of what vehicles sent, from the lake itself, so that it is exact.

The table `frames` has each accepted frame once, with the stream sequence that it came in. What
lies between the sequence that metering has counted and the one that the lake has reached is
counted, and the new position is kept in the same transaction as the counts. Whatever is killed,
the next round begins where the last one that was kept ended.

A message is a report that became a row of `signals`: repeats, refused frames, logins and
heartbeats are not counted.
"""

import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from carcloud.model.ids import Tenant
from carcloud.model.usage import Usage
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.services.metering.api import Metering
from carcloud.services.telemetry.ingest_position import WRITER
from carcloud.services.telemetry.tables import RAW

log = logging.getLogger(__name__)

_STRETCH = 5_000  # sequences that are read together
_HOUR_US = 3_600_000_000
_COLUMNS = ("received", "reports", "size")


def count_received(lake: Lake, metering: Metering, tenants: Iterable[Tenant]) -> int:
    """Bring the meters of all tenants up to the lake; returns the messages counted. Blocks."""
    return sum(_count_tenant(lake, metering, tenant) for tenant in tenants)


def _count_tenant(lake: Lake, metering: Metering, tenant: Tenant) -> int:
    table, source = TableRef(tenant, RAW), f"lake.{tenant}.{RAW}"
    counted, reached = metering.position(source), lake.position(table, WRITER)
    if reached < counted:
        log.warning("the lake of %s was put back from %d to %d", tenant, counted, reached)
        metering.count_stretch(source, counted, reached, [])
        return 0
    messages = 0
    while counted < reached:
        until = min(reached, counted + _STRETCH)
        usages = _usages(tenant, _rows(lake, table, counted, until))
        if not metering.count_stretch(source, counted, until, usages):
            return messages  # another process counts
        messages += sum(usage.quantity for usage in usages if usage.meter == "messages")
        counted = until
    return messages


def _rows(lake: Lake, table: TableRef, after: int, until: int) -> pa.Table | None:
    """None where the table is from before frames said what they gave."""
    known = next((info for info in lake.tables(table.tenant) if info.name == table.name), None)
    if known is None or not {name for name, _ in known.columns}.issuperset(_COLUMNS):
        return None
    return lake.read(table, Slice(columns=_COLUMNS, after_seq=after, until_seq=until))


def _usages(tenant: Tenant, rows: pa.Table | None) -> list[Usage]:
    if rows is None or rows.num_rows == 0:
        return []
    reports = rows["reports"].fill_null(0).to_numpy()
    sizes = rows["size"].fill_null(0).to_numpy().astype(np.int64)
    hours = rows["received"].cast(pa.int64()).to_numpy() // _HOUR_US
    usages = []
    for hour in np.unique(hours).tolist():
        mine = hours == hour
        told = {
            "messages": int(reports[mine].sum()),
            "message_bytes": int(sizes[mine & (reports > 0)].sum()),
        }
        usages += [
            Usage("-", tenant, meter, quantity, hour * _HOUR_US)  # the position stands for ids
            for meter, quantity in told.items()
        ]
    return usages
