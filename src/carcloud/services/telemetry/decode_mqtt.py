"""Messages of MQTT as ingest wants them: batches of samples become rows, the rest is named.

A row is one moment of one vehicle. A signal that the catalogue does not have, or a value of
another type, makes a dead letter that names it; the rest of the message is kept as `partial`.
What is out of range is kept: ingest flags it. A row's digest covers what is stored of it: the
same values sent again, in whatever form or grouping of moments, are recognised.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import compress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.codecs.campaign.record import RecordError
from carcloud.codecs.mqtt.message import unpack_message
from carcloud.codecs.samples.batch import Batch, Form, InvalidBatch
from carcloud.codecs.samples.block import read_block
from carcloud.model.catalogue import CATALOGUE, Signal
from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, iso
from carcloud.services.telemetry.collected import (
    CollectedRows,
    UnknownCampaignRecord,
    moments,
    records_of,
    sizes,
)
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder, Fault
from carcloud.services.telemetry.samples import Laid, lay_out

CatalogueOf = Callable[[Tenant], Mapping[str, Signal]]
"""The signals of a tenant, by path; may raise `EngineError`."""

FUTURE_US: Final = 300 * 1_000_000  # that a vehicle's clock may be ahead
PAST_US: Final = 90 * DAY  # that a vehicle may keep what it could not send
CampaignsOf = Callable[[Tenant], Collection[str]]
"""The ids of a tenant's campaigns; may raise `EngineError`."""

_SIGNALS, _COLLECTED, _UNKNOWN = "signals", "collected", "unknown"
_KINDS: Final = {
    "signals": _SIGNALS,
    "collected": _COLLECTED,
    "checkin": "checkin",
    "state/reported": "reported",
}
_FORMS: Final[tuple[Form, ...]] = ("json", "cbor", "protobuf")
_CAMPAIGN: Final = len(_FORMS)  # the form of rows that campaigns collected
_SOURCES: Final = (*_FORMS, "campaign")
_CLAUSE, _CLAUSE_COLLECTED = "signals, version 1", "collected, version 1"
_TOLD: Final = 5  # reasons that one letter names


def decoder(
    catalogue: CatalogueOf = lambda _: CATALOGUE,
    campaigns: CampaignsOf = lambda _: (),
    *,
    future_us: int = FUTURE_US,
    past_us: int = PAST_US,
) -> Decoder:
    """The `protocols.Decoder` of MQTT. Moments outside (received - past, + future) are refused."""

    def decode(
        tenant: Tenant, vehicles: pa.Array, frames: pa.Array, received: pa.Array
    ) -> DecodedFrames:
        found = _Reading(received.to_numpy(), future_us, past_us, lambda: campaigns(tenant))
        pairs = zip(vehicles.to_pylist(), frames.to_pylist(), strict=True)
        for index, (vehicle, frame) in enumerate(pairs):
            found.take(index, vehicle, frame)
        found.read()
        return found.decoded(vehicles, catalogue(tenant))

    return decode


class _Reading:
    """What the frames of one call say: a frame, a time, values and a form of each row."""

    def __init__(
        self,
        received: npt.NDArray[np.int64],
        future_us: int,
        past_us: int,
        campaigns: Callable[[], Collection[str]],
    ) -> None:
        self._campaigns = campaigns
        self._collected = CollectedRows()
        self._least, self._most = received - past_us, received + future_us
        self._taken: list[tuple[int, str, int, bytes]] = []
        # frame, vehicle, bytes before the payload, payload
        self._frame: list[int] = []
        self._time: list[int] = []
        self._values: list[dict[str, Any]] = []
        self._form: list[int] = []
        self._kinds: list[str] = []
        self._times = np.full(len(received), -1, np.int64)
        self._faults: dict[int, Fault] = {}
        self._amiss: dict[int, Counter[str]] = {}

    def take(self, index: int, vehicle: str, frame: bytes) -> None:
        """One frame."""
        try:
            topic, payload = unpack_message(frame)
        except ValueError as error:
            self._kinds.append(_UNKNOWN)
            self._faults[index] = Fault(f"not a kept message: {error}", "", 0)
            return
        kind = _kind(topic, f"v1/{vehicle}/")
        self._kinds.append(kind)
        if kind == _UNKNOWN:
            self._faults[index] = Fault("no such topic of this vehicle", "topics, version 1", 2)
        if kind in (_SIGNALS, _COLLECTED):
            self._taken.append((index, vehicle, len(frame) - len(payload), payload))

    def read(self) -> None:
        """The payloads that were taken, in order."""
        is_batch = [self._kinds[index] == _SIGNALS for index, *_ in self._taken]
        batches = iter(read_block([one[3] for one in compress(self._taken, is_batch)]))
        for (index, vehicle, before, payload), batch in zip(self._taken, is_batch, strict=True):
            if batch:
                self._take_batch(index, before, next(batches))
            else:
                self._take_collected(index, vehicle, payload)

    def _take_batch(self, index: int, before: int, batch: Batch | InvalidBatch) -> None:
        """`before`: bytes of the frame before the payload."""
        if isinstance(batch, Batch):
            self._rows(index, batch)
            return
        at = None if batch.at is None else before + batch.at
        self._faults[index] = Fault(f"no batch of samples: {batch}", _CLAUSE, at)

    def _take_collected(self, index: int, vehicle: str, payload: bytes) -> None:
        try:
            records = records_of(payload, self._campaigns())
        except (RecordError, UnknownCampaignRecord) as error:
            self._faults[index] = Fault(str(error), _CLAUSE_COLLECTED)
            return
        for record, size in zip(records, sizes(payload, records), strict=True):
            if not self._least[index] <= record.time_us <= self._most[index]:
                reason = f"the trigger of {record.campaign} has a time that cannot be"
                self._amiss.setdefault(index, Counter())[reason] += 1
                continue
            self._collected.take(index, vehicle, record, size)
            self._times[index] = record.time_us
            for time, values in moments(record).items():
                self._frame.append(index)
                self._form.append(_CAMPAIGN)
                self._time.append(time)
                self._values.append(values)

    def _rows(self, index: int, batch: Batch) -> None:
        self._times[index] = batch.times[0]
        self._frame += [index] * len(batch.times)
        self._form += [_FORMS.index(batch.form)] * len(batch.times)
        self._time += batch.times
        self._values += batch.values

    def decoded(self, vehicles: pa.Array, catalogue: Mapping[str, Signal]) -> DecodedFrames:
        """All of it as ingest wants it."""
        frame, time = np.array(self._frame, np.int32), np.array(self._time, np.int64)
        form = np.array(self._form, np.int8)
        inside = (time >= self._least[frame]) & (time <= self._most[frame])
        if not inside.all():
            self._refuse_times(frame, time, np.flatnonzero(~inside))
            self._values = [self._values[row] for row in np.flatnonzero(inside).tolist()]
            frame, time, form = frame[inside], time[inside], form[inside]
        laid = lay_out(self._values, catalogue)
        for row, reason in laid.wrong:
            self._amiss.setdefault(int(frame[row]), Counter())[reason] += 1
        for index, reasons in self._amiss.items():
            clause = _CLAUSE_COLLECTED if self._kinds[index] == _COLLECTED else _CLAUSE
            self._faults[index] = Fault(_together(reasons), clause)
        rows = _table(vehicles, frame, time, form, laid)
        some = laid.kept > 0
        if not some.all():
            rows, frame = rows.filter(pa.array(some)), frame[some]
        return DecodedFrames(
            rows=rows,
            row_frame=frame,
            kinds=pa.array(self._kinds, pa.string()),
            times=self._times,
            faults=self._faults,
            further=self._collected.further(),
        )

    def _refuse_times(
        self, frame: npt.NDArray[np.int32], time: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]
    ) -> None:
        for row in rows.tolist():
            late = time[row] < self._least[frame[row]]
            reason = f"time {iso(int(time[row]))} is too {'long ago' if late else 'far ahead'}"
            self._amiss.setdefault(int(frame[row]), Counter())[reason] += 1
            if self._times[frame[row]] == time[row] and self._kinds[frame[row]] == _SIGNALS:
                self._times[frame[row]] = -1


def _kind(topic: str, own: str) -> str:
    rest = topic.removeprefix(own)
    if len(rest) == len(topic):
        return _UNKNOWN
    if rest in _KINDS:
        return _KINDS[rest]
    levels = rest.split("/")
    is_result = len(levels) == 3 and levels[0] == "commands" and levels[2] == "result"
    return "result" if is_result else _UNKNOWN


def _together(reasons: Counter[str]) -> str:
    told = "; ".join(list(reasons)[:_TOLD])
    return told if len(reasons) <= _TOLD else f"{told}; and {len(reasons) - _TOLD} more"


def _table(
    vehicles: pa.Array,
    frame: npt.NDArray[np.int32],
    time: npt.NDArray[np.int64],
    form: npt.NDArray[np.int8],
    laid: Laid,
) -> pa.Table:
    names = pa.array([f"mqtt.{name}" for name in _SOURCES], pa.string())
    return pa.table(
        {
            "vehicle": vehicles.take(pa.array(frame)),
            "time": pa.array(time).cast(pa.timestamp("us", "UTC")),
            "source": names.take(pa.array(form)),
            "digest": pa.array(laid.digest),
            "partial": pa.array(laid.kept < laid.given),
            "out_of_range": pa.repeat(False, len(frame)),
            **laid.columns,
        }
    )
