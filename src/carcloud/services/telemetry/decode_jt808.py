"""JT/T 808 messages as ingest wants them: position reports through the columnar decoder.

A frame as the gateway keeps it is one message: a frame as on the wire, or all its packets one
after another. Messages without a position (media, pass-through …) stay raw frames; CAN uploads
become rows where a mapping says what they mean. A report that comes again, alone or in a batch,
has the same content and so the same digest.

A report whose time is outside (received - past, received + future) gives no row: the frame has a
fault that names the first of them. So one frame reaches no more dates than that span has. Media
are kept whatever time their position has.
"""

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.codecs.fields import OneByOne
from carcloud.codecs.jt808.columnar import FAULTS, DecodedBlock, decode_block
from carcloud.codecs.jt808.named import parts
from carcloud.codecs.jt808.tables import message_name
from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.services.telemetry.datum import DATUM, LATITUDE, to_wgs84
from carcloud.services.telemetry.decode_gbt32960 import Styles
from carcloud.services.telemetry.decode_jt808_can import CAN_UPLOAD, Uploads, uploads
from carcloud.services.telemetry.decode_mqtt import FUTURE_US, PAST_US
from carcloud.services.telemetry.fields import MappingsOf, Rows, with_fields
from carcloud.services.telemetry.ingest_rows import plain
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder, Fault
from carcloud.services.vehicles.api import Datum

_UNREADABLE: Final = 0  # message id where there is no header
_MEDIA: Final = 0x0801
_CLAUSE: Final = next(fault.clause for fault in FAULTS if fault.code == "time")


def decoder(
    styles: Styles | None = None,
    mappings: MappingsOf | None = None,
    *,
    future_us: int = FUTURE_US,
    past_us: int = PAST_US,
) -> Decoder:
    """The `protocols.Decoder` of JT/T 808; `styles` tells whose positions are GCJ02, `mappings`
    which further fields and CAN uploads become which signals.

    Reports of times outside (received - past, received + future) are refused.
    """

    def decode(
        tenant: Tenant, vehicles: pa.Array, frames: pa.Array, received: pa.Array
    ) -> DecodedFrames:
        block = decode_block(frames)
        faults = _faults(block)
        came = received.to_numpy()
        block = _inside(block, came - past_us, came + future_us, faults)
        # The gateway knows the terminal: its registration stands above what a header says.
        names = vehicles.take(pa.array(block.row_frame))
        rows = block.rows.set_column(0, "vehicle", names)
        if styles is not None and rows.num_rows:
            rows = _by_model(rows, names, styles)
        if mappings is not None and rows.num_rows:
            known = mappings(tenant, names.unique().to_pylist())
            if known:
                rows = with_fields(rows, names, known, "jt808", partial(_one_by_one, block))
        decoded = DecodedFrames(
            rows=to_wgs84(rows),
            row_frame=block.row_frame,
            kinds=_kinds(block.message),
            times=block.time,
            faults=faults,
        )
        where = np.flatnonzero((block.message == CAN_UPLOAD) & (block.fault == 0))
        if mappings is None or not len(where):
            return decoded
        chosen = [one.take(pa.array(where)).to_pylist() for one in (vehicles, frames, received)]
        known = mappings(tenant, chosen[0])
        return _with(decoded, uploads(where.tolist(), chosen, known)) if known else decoded

    return decode


def _one_by_one(block: DecodedBlock, which: Rows) -> OneByOne:
    return OneByOne([parts(block.report(row)) for row in which.tolist()])


def _with(decoded: DecodedFrames, more: Uploads) -> DecodedFrames:
    """With the rows of CAN uploads; those of a frame stay together."""
    rows, row_frame = decoded.rows, decoded.row_frame
    if more.rows is not None:
        rows = pa.concat_tables([plain(rows), more.rows], promote_options="default")
        row_frame = np.concatenate([row_frame, more.row_frame])
        order = np.argsort(row_frame, kind="stable")
        rows, row_frame = rows.take(pa.array(order)), row_frame[order]
    times = decoded.times.copy()
    for index, time_us in more.times.items():
        times[index] = time_us
    faults = {**decoded.faults, **more.faults}
    return DecodedFrames(rows, row_frame, decoded.kinds, times, faults)


def _faults(block: DecodedBlock) -> dict[int, Fault]:
    found = {}
    for index in np.flatnonzero(block.fault).tolist():
        fault = FAULTS[int(block.fault[index])]
        found[index] = Fault(fault.code, fault.clause, int(block.fault_offset[index]))
    return found


def _inside(
    block: DecodedBlock,
    least: npt.NDArray[np.int64],
    most: npt.NDArray[np.int64],
    faults: dict[int, Fault],
) -> DecodedBlock:
    """The rows of times within `least` and `most` (us, of each frame); the rest makes faults."""
    time, frame = block.rows["time"].cast(pa.int64()).to_numpy(), block.row_frame
    inside = (time >= least[frame]) & (time <= most[frame])
    if inside.all():
        return block
    wrong, first, counts = np.unique(frame[~inside], return_index=True, return_counts=True)
    named = time[~inside][first]
    for index, one, count in zip(wrong.tolist(), named.tolist(), counts.tolist(), strict=True):
        if block.message[index] == _MEDIA:
            continue
        reason = f"time {iso(one)} is too {'long ago' if one < least[index] else 'far ahead'}"
        more = f"; and {count - 1} more" if count > 1 else ""
        before = f"{faults[index].reason}; " if index in faults else ""
        faults[index] = Fault(f"{before}{reason}{more}", _CLAUSE)
    outside = (block.time < least) | (block.time > most)
    return replace(
        block,
        rows=block.rows.filter(pa.array(inside)),
        row_frame=frame[inside],
        time=np.where(outside, -1, block.time),
        place=block.place[inside],
    )


def _kinds(messages: npt.NDArray[np.int64]) -> pa.Array:
    """The name of each message; "unreadable" where it has no header."""
    ids, which = np.unique(messages, return_inverse=True)
    names = ["unreadable" if one == _UNREADABLE else message_name(one) for one in ids.tolist()]
    return pa.array(names, pa.string()).take(pa.array(which.reshape(-1)))


def _by_model(rows: pa.Table, names: pa.Array, styles: Styles) -> pa.Table:
    """The datum GCJ02 in rows with a position of vehicles whose models report so."""
    if LATITUDE not in rows.column_names:
        return rows
    coded = names.dictionary_encode()
    known = coded.dictionary.to_pylist()
    special = styles(known)
    shifted = [name in special and special[name].datum == Datum.GCJ02 for name in known]
    if not any(shifted):
        return rows
    mark = pc.and_(pa.array(np.array(shifted)[coded.indices.to_numpy()]), rows[LATITUDE].is_valid())
    return rows.append_column(DATUM, pc.if_else(mark, "GCJ02", pa.scalar(None, pa.string())))
