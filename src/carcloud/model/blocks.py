"""A frame block: the raw frames of many vehicles of one tenant in one stream message.

The gateway writes blocks, ingest reads them. A block is one Arrow IPC stream with one record
batch, so the frames of a block lie in one contiguous buffer that a columnar decoder walks
without copying.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from carcloud.model.ids import Tenant

BLOCK_SCHEMA = pa.schema(
    [
        pa.field("vehicle", pa.string(), nullable=False),
        pa.field("received", pa.int64(), nullable=False),  # us since 1970, UTC
        pa.field("fault", pa.string()),  # why the gateway refused the frame; null = accepted
        pa.field("frame", pa.binary(), nullable=False),  # the bytes as they came off the wire
    ]
)


_TRACE = b"carcloud.trace"  # metadata of the schema


class InvalidBlock(ValueError):
    """The bytes are not a frame block."""


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """Frames of one tenant and one protocol, in order of arrival."""

    tenant: Tenant
    protocol: str
    frames: pa.RecordBatch  # BLOCK_SCHEMA
    trace: str | None = None  # the context that the writer gave, see ports/tracing.py

    def __len__(self) -> int:
        return int(self.frames.num_rows)


def pack(
    vehicles: Sequence[str],
    received: Sequence[int],
    faults: Sequence[str | None],
    frames: Sequence[bytes],
    *,
    trace: str | None = None,
) -> bytes:
    """Frames of one tenant and protocol as the bytes of a block; `trace` travels with it."""
    batch = pa.record_batch(
        [
            pa.array(vehicles, pa.string()),
            pa.array(received, pa.int64()),
            pa.array(faults, pa.string()),
            pa.array(frames, pa.binary()),
        ],
        schema=BLOCK_SCHEMA,
    )
    if trace is not None:
        batch = batch.replace_schema_metadata({_TRACE: trace})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack(tenant: Tenant, protocol: str, data: bytes) -> FrameBlock:
    """The block that `pack` wrote; raises `InvalidBlock`."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            batch = reader.read_next_batch()
            batch.validate(full=True)
            fields = batch.schema.names
    except (pa.ArrowException, OSError, ValueError, KeyError, StopIteration) as error:
        raise InvalidBlock(str(error)) from error
    if batch.schema != BLOCK_SCHEMA:
        raise InvalidBlock(f"columns {fields}")
    trace = (batch.schema.metadata or {}).get(_TRACE)
    plain = batch.replace_schema_metadata(None)
    return FrameBlock(tenant, protocol, plain, trace and trace.decode("ascii", "replace"))
