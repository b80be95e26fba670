"""Records of campaigns as rows: their samples for `signals`, and one row of each record."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from carcloud.codecs.campaign.gathering import RISEN_PATH
from carcloud.codecs.campaign.record import RawFrame, Record, RecordError, decode
from carcloud.services.telemetry.protocols import FurtherRows
from carcloud.services.telemetry.tables import CAMPAIGN_EVENTS, TABLES

_SCHEMA: Final = pa.schema(
    [
        each
        for table in TABLES
        if table.name == CAMPAIGN_EVENTS
        for each in table.columns
        if each.name not in ("received", "seq")
    ]
)

_LATEST_US: Final = 253_402_300_800_000_000  # the year 10000
_BUS: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # as Linux names interfaces
_CLASSIC, _MOST_PAYLOAD = 8, 64  # bytes of a frame of classic CAN, of CAN FD


class UnknownCampaignRecord(ValueError):
    """A record of a campaign that the tenant does not have."""


@dataclass(slots=True)
class CollectedRows:
    """The rows of `campaign_events` of one call of the decoder."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)

    def take(self, index: int, vehicle: str, record: Record, size: int) -> None:
        """One record of frame `index`, which was sent in `size` bytes."""
        series = [each for each in record.series if each.path != RISEN_PATH]
        risen = [each for each in record.series if each.path == RISEN_PATH]
        self.frame.append(index)
        self.rows.append(
            {
                "vehicle": vehicle,
                "time": record.time_us,
                "campaign": record.campaign,
                "version": min(record.version, 2**31 - 1),
                "event": record.event & (2**63 - 1),
                "partition": record.partition,
                "part": min(record.part, 2**31 - 1),
                "parts": min(record.parts, 2**31 - 1),
                "samples": sum(len(each.offsets_us) for each in series),
                "bytes": size,
                "dimensions": json.dumps(dict(record.dimensions), ensure_ascii=False),
                "fired": [str(name) for each in risen for names in each.values for name in names],
                "frames": [_candump(record.time_us, each) for each in record.frames],
                "digest": _digest(record),
            }
        )

    def further(self) -> Mapping[str, FurtherRows]:
        """As ingest wants them."""
        if not self.rows:
            return {}
        rows = pa.Table.from_pylist(self.rows, _SCHEMA)
        return {CAMPAIGN_EVENTS: FurtherRows(rows, np.array(self.frame, np.int32))}


def records_of(payload: bytes, known: Collection[str]) -> list[Record]:
    """The records of a message; raises `RecordError`, `UnknownCampaignRecord`."""
    found = decode(payload)
    for record in found:
        if record.campaign not in known:
            raise UnknownCampaignRecord(f"there is no campaign {record.campaign[:100]!r}")
        for series in record.series:
            _check_times(record, series.offsets_us)
            if series.path == RISEN_PATH and not all(map(_names, series.values)):
                raise RecordError(f"{RISEN_PATH}: a value is a list of texts")
        _check_times(record, [frame.offset_us for frame in record.frames])
        for frame in record.frames:
            _check_frame(frame)
    return found


def _check_times(record: Record, offsets_us: Sequence[int]) -> None:
    first = record.time_us + min(0, min(offsets_us, default=0))
    last = record.time_us + max(0, max(offsets_us, default=0))
    if first < 0 or last >= _LATEST_US:
        raise RecordError(f"a record of {record.campaign} has a time that cannot be")


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _check_frame(frame: RawFrame) -> None:
    """What makes a line of candump, and no other than that of the frame."""
    if frame.bus and not _BUS.fullmatch(frame.bus):
        raise RecordError(f"{frame.bus[:40]!r} is no name of a bus: 1 to 15 letters, digits, _ . -")
    if frame.can_id >> (29 if frame.extended else 11):
        raise RecordError(f"a frame has the id {frame.can_id:X}, too large for its kind")
    if len(frame.payload) > _MOST_PAYLOAD:
        raise RecordError(f"a frame has {len(frame.payload):,} bytes, more than {_MOST_PAYLOAD}")


def moments(record: Record) -> dict[int, dict[str, Any]]:
    """The samples of a record by time in us: signals of one moment are one row."""
    found: dict[int, dict[str, Any]] = {}
    for series in record.series:
        if series.path == RISEN_PATH:
            continue
        for offset, value in zip(series.offsets_us, series.values, strict=True):
            found.setdefault(record.time_us + offset, {})[series.path] = value
    return dict(sorted(found.items()))


def sizes(payload: bytes, records: Sequence[Record]) -> list[int]:
    """The bytes of a message shared out among its records; they add up to it."""
    each, rest = divmod(len(payload), max(1, len(records)))
    return [each + (at < rest) for at in range(len(records))]


def _candump(time_us: int, frame: RawFrame) -> str:
    at = time_us + frame.offset_us
    width = 8 if frame.extended else 3
    mark = "#" if len(frame.payload) <= _CLASSIC else "##0"
    name = f"{frame.can_id:0{width}X}{mark}{frame.payload.hex().upper()}"
    return f"({at // 1_000_000}.{at % 1_000_000:06d}) {frame.bus or 'can'} {name}"


def _digest(record: Record) -> int:
    key = (record.campaign, record.version, record.event, record.partition, record.part,
           record.parts)  # fmt: skip
    text = hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(text, "little", signed=True)
