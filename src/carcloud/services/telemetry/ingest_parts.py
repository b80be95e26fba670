"""The pieces of a micro-batch: messages by tenant and protocol, and what they add to tables."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from carcloud.model import blocks
from carcloud.model.ids import Tenant
from carcloud.ports.stream import Message
from carcloud.services.telemetry.ingest_rows import unreadable

_BLOCK_COLUMNS = pa.schema([*blocks.BLOCK_SCHEMA, pa.field("seq", pa.int64())])
_EMPTY_BLOCK = _BLOCK_COLUMNS.empty_table()


@dataclass(slots=True)
class Parts:
    """What one micro-batch adds to one tenant's tables."""

    signals: list[pa.Table] = field(default_factory=list)
    frames: list[pa.Table] = field(default_factory=list)
    letters: list[pa.Table] = field(default_factory=list)
    further: dict[str, list[pa.Table]] = field(default_factory=dict)
    rows: int = 0  # of `signals`
    columns: set[str] = field(default_factory=set)

    def growth(self, rows: pa.Table) -> int:
        """By how many cells these rows make the table of all of `signals` larger."""
        width = len(self.columns.union(rows.column_names))
        count: int = self.rows + rows.num_rows
        return count * width - self.rows * len(self.columns)

    def grow(self, rows: pa.Table) -> None:
        """Count rows that are to come."""
        self.rows += rows.num_rows
        self.columns.update(rows.column_names)


def grouped(batch: Iterable[Message]) -> dict[tuple[Tenant, str], list[Message]]:
    """Messages by tenant and protocol, which their subjects name."""
    groups: dict[tuple[Tenant, str], list[Message]] = {}
    for message in batch:
        _, tenant, protocol = message.subject.split(".", 2)
        groups.setdefault((Tenant(tenant), protocol), []).append(message)
    return groups


def joined(
    tenant: Tenant,
    protocol: str,
    messages: list[Message],
    into: Parts,
    contexts: list[str],
    hopeless: Collection[int],
) -> pa.Table:
    """All frames of some messages with their stream sequence; unreadable messages are letters.

    Appends to `contexts` the traces that the messages carry.
    """
    parts = [pa.table(_EMPTY_BLOCK)]
    for message in messages:
        if message.seq in hopeless:
            into.letters.append(unreadable(protocol, message, "it made ingest fail"))
            continue
        try:
            block = blocks.unpack(tenant, protocol, message.data)
        except blocks.InvalidBlock as error:
            into.letters.append(unreadable(protocol, message, str(error)))
            continue
        if block.trace is not None:
            contexts.append(block.trace)
        seqs = pa.array(np.full(len(block), message.seq, np.int64))
        parts.append(pa.Table.from_batches([block.frames]).append_column("seq", seqs))
    return pa.concat_tables(parts)


def flat(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def together(parts: list[pa.Table]) -> pa.Table | None:
    """One table with the columns of all; None without any."""
    if not parts:
        return None
    return pa.concat_tables(parts, promote_options="default")
