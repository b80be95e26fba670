"""CAN uploads of JT/T 808 (0x0705) as rows, where the model of a vehicle maps CAN signals.

A message tells the time of day of its first frame alone, so all its values stand at that moment;
of a signal that it has several times the last stays. Its data field always has eight bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.digest import digest
from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.message import Message
from carcloud.codecs.jt808.packets import parse_message
from carcloud.codecs.jt808.times import BEIJING
from carcloud.model.time import DAY, from_us, to_us
from carcloud.services.telemetry.can_mapped import MappedCan
from carcloud.services.telemetry.can_rows import lay_rows
from carcloud.services.telemetry.protocols import Fault
from carcloud.services.vocabulary.mapping_types import Mapping as ModelMapping

CAN_UPLOAD: Final = 0x0705
_SECOND_BUS, _EXTENDED, _ID = 1 << 31, 1 << 30, (1 << 29) - 1
_CLAUSE: Final = "0x0705 (J13 8.51, J19 8.54)"


@dataclass(frozen=True, slots=True)
class Uploads:
    """Rows (r,), the frame each came from int32 (r,), and what is wrong with others."""

    rows: pa.Table | None
    row_frame: npt.NDArray[np.int32]
    times: Mapping[int, int]  # us, of each message that gave rows
    faults: Mapping[int, Fault]


def uploads(
    where: Sequence[int], given: Sequence[Sequence[Any]], mappings: Mapping[str, ModelMapping]
) -> Uploads:
    """The messages of vehicles with a mapping; `where`: their numbers in the block, `given`: their
    vehicles, frames and times of reception in us."""
    parts: list[pa.Table] = []
    owner: list[int] = []
    times: dict[int, int] = {}
    faults: dict[int, Fault] = {}
    for index, vehicle, raw, at in zip(where, *given, strict=True):
        mapping = mappings.get(vehicle)
        if mapping is None or not mapping.can:
            continue
        try:
            frame = parse_message(raw)
            message = decode(frame)
            rows = _rows(frame, message, at, mapping)
        except FrameError as error:
            faults[index] = Fault(error.code, error.clause, error.offset)
            continue
        for note in message.diagnoses:
            if note.code == "overrun":  # fewer frames than it says: those that are here are rows
                faults[index] = Fault(note.code, note.clause, note.offset)
        if rows.num_rows:
            parts.append(rows.add_column(0, "vehicle", pa.repeat(vehicle, rows.num_rows)))
            owner += [index] * rows.num_rows
            times[index] = rows["time"].cast(pa.int64())[0].as_py()
    table = pa.concat_tables(parts, promote_options="default") if parts else None
    return Uploads(table, np.array(owner, np.int32), times, faults)


def _rows(frame: Frame, message: Message, received_us: int, mapping: ModelMapping) -> pa.Table:
    """Rows of one message; its digest is that of its bytes. Raises `FrameError`."""
    fields = message.fields
    time_us = moment(fields["time"], received_us)
    reading = MappedCan(mapping)
    found = reading.feed(_frames(fields["frames"], time_us))
    rows = lay_rows([*found, *reading.finish()])
    count = rows.num_rows
    at = rows.column_names.index("digest")
    rows = rows.set_column(at, "digest", pa.repeat(pa.scalar(digest(frame.body)), count))
    rows = rows.append_column("source", pa.repeat(f"jt808.{frame.edition}.0705", count))
    return rows.append_column("partial", pa.repeat(message.partial, count))


def moment(time_of_day: Any, received_us: int) -> int:
    """The time of day (hhmmss and four digits of ms, GMT+8) next to reception, in us UTC.

    Raises `FrameError` for what is no time.
    """
    text = str(getattr(time_of_day, "digits", time_of_day)).zfill(10)
    near = from_us(received_us).astimezone(BEIJING)
    try:
        hour, minute, second, ms = int(text[:2]), int(text[2:4]), int(text[4:6]), int(text[6:])
        found = near.replace(hour=hour, minute=minute, second=second, microsecond=0)
        found += timedelta(milliseconds=_checked(ms))
    except ValueError as error:
        raise FrameError("time", 0, _CLAUSE, f"{text} is no time of day") from error
    return _nearest(found, received_us)


def _checked(ms: int) -> int:
    if ms >= 1000:
        raise ValueError(ms)
    return ms


def _nearest(found: datetime, received_us: int) -> int:
    """Sent at 23:59:59 and received after midnight, it is of yesterday."""
    us = to_us(found)
    return us - round((us - received_us) / DAY) * DAY


def _frames(given: Any, time_us: int) -> CanFrames:
    ids = np.array([one["id"] for one in given], np.int64)
    data = b"".join(one["data"] for one in given)
    return CanFrames.build(
        np.full(len(ids), time_us * 1000, np.int64),
        (ids & _ID).astype(np.uint32),
        np.frombuffer(data, np.uint8),
        np.full(len(ids), 8, np.uint16),
        bus=((ids & _SECOND_BUS) != 0).astype(np.uint8),
        extended=(ids & _EXTENDED) != 0,
        clock="host_utc",
    )
