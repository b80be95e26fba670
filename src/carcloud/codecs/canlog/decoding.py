"""Decoding a log block by block: single frames, messages of several frames, OBD-II answers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.assembly import Assembler
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.isotp import IsoTp
from carcloud.codecs.can.obd import NO_ANSWERS, ObdAnswers, ObdSeries, decode_obd, is_obd_id
from carcloud.codecs.canlog.layers import Layer
from carcloud.codecs.dbc.columnar import BusDatabase, Decoded, LogDecoder
from carcloud.codecs.dbc.columnar_values import Column

OBD = "OBD2"  # the message that answers of OBD-II have in tables


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values of one signal of one sender; arrays (n,).

    time: int64, ns, as the frames have it. value: float64. missing: the frame says there is none.
    label_of, label: the index into `labels` of each value's text, -1 for none.
    frame: int64, values of one frame have one number.
    """

    message: str
    signal: str
    unit: str
    bus: int
    can_id: int
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    missing: NDArray[np.bool_]
    frame: NDArray[np.int64]
    labels: tuple[str, ...] = ()
    label_of: NDArray[np.int64] | None = None


@dataclass
class Tally:
    """What was read and decoded so far. unknown: frames by (bus, extended, identifier)."""

    frames: int = 0
    decoded: int = 0  # frames and messages of several frames that a database knows
    values: int = 0
    first: int | None = None  # ns
    last: int | None = None
    backwards: int = 0  # frames older than the one before
    by_message: Counter[str] = field(default_factory=Counter)  # values
    unknown: Counter[tuple[int, bool, int]] = field(default_factory=Counter)
    assembled: Counter[str] = field(default_factory=Counter)  # messages by layer
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (layer, reason)

    def see(self, frames: CanFrames) -> None:
        if not len(frames):
            return
        self.frames += len(frames)
        before = frames.time[0] if self.last is None else self.last
        self.backwards += int(np.count_nonzero(frames.time < np.r_[before, frames.time[:-1]]))
        low, self.last = int(frames.time.min()), int(frames.time[-1])
        self.first = low if self.first is None else min(self.first, low)


class LogDecoding:
    """Frames in, values out; messages may begin in one block and end in another.

    j1939: take all extended messages of the databases for J1939. obd: decode answers of OBD-II.
    buses: those to read; None for all.
    """

    def __init__(
        self,
        databases: Iterable[BusDatabase],
        layers: Iterable[Layer] = (),
        *,
        j1939: bool = False,
        obd: bool = False,
        buses: frozenset[int] | None = None,
    ) -> None:
        every = list(databases)
        self.tally = Tally()
        self._buses = buses
        self._layers = [(layer, Assembler(layer.transport)) for layer in layers]
        self._single = LogDecoder(every, j1939=j1939)
        self._groups = LogDecoder(every, j1939=True)
        self._obd = Assembler(IsoTp()) if obd else None
        self._next_frame = 0

    def feed(self, frames: CanFrames) -> list[Values]:
        """All values that this block completes."""
        decoded, answers = self.columns(frames)
        found: list[Values] = []
        for series in answers.series:
            base, self._next_frame = self._next_frame, self._next_frame + len(series.time)
            found.append(_answers(series, base))
        for one in decoded:
            base = self._next_frame
            self._next_frame += max((len(column.frames) for column in one.columns), default=0)
            found += [_values(column, base) for column in one if len(column.time)]
        for values in found:
            self.tally.values += len(values.time)
            self.tally.by_message[values.message] += len(values.time)
        return found

    def columns(self, frames: CanFrames) -> tuple[list[Decoded], ObdAnswers]:
        """What this block completes: columns as the databases have them, layer by layer, and
        answers of OBD-II. `tally` counts no values here."""
        if self._buses is not None:
            frames = frames.select(np.isin(frames.bus, sorted(self._buses)))
        self.tally.see(frames)
        ordinary = frames.messages()
        answers = NO_ANSWERS
        if self._obd is not None:
            answers = decode_obd(self._obd.feed(ordinary))
        found: list[Decoded] = []
        left = np.ones(len(ordinary), np.bool_)
        for layer, assembler in self._layers:
            messages = assembler.feed(ordinary)
            self.tally.assembled[layer.name] += len(messages)
            found += self._decode(self._groups if layer.j1939 else self._single, messages)
            left &= ~layer.claims(ordinary)
        return found + self._decode(self._single, ordinary.select(left)), answers

    def finish(self) -> None:
        """Counts messages that were never completed."""
        for layer, assembler in self._layers:
            assembler.finish()
            for reason, count in assembler.dropped.items():
                self.tally.dropped[layer.name, reason] += count

    def _decode(self, decoder: LogDecoder, frames: CanFrames) -> list[Decoded]:
        if not len(frames):
            return []
        decoded = decoder.decode(frames)
        self.tally.decoded += decoded.frames
        unknown = decoded.unknown
        if self._obd is not None:
            unknown = {key: n for key, n in unknown.items() if not is_obd_id(key[2], key[1])}
        self.tally.unknown.update(unknown)
        return [decoded]


def _values(column: Column, base: int) -> Values:
    labels, label_of = _labels(column)
    return Values(
        column.message.name,
        column.signal.name,
        column.signal.unit,
        column.bus,
        column.can_id,
        column.time,
        column.value,
        column.missing,
        column.index + base,
        labels,
        label_of,
    )


def _labels(column: Column) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """The texts that occur, and which of them each value has: one look-up for each raw value."""
    known = column.signal.labels
    if not known or column.signal.kind != "int":
        return (), None
    distinct, which = np.unique(column.raw(), return_inverse=True)
    texts = [known.get(int(raw)) for raw in distinct.tolist()]
    labels = tuple(text for text in texts if text is not None)
    place = np.cumsum([text is not None for text in texts]) - 1
    number = np.where([text is not None for text in texts], place, -1)
    return labels, number[which].astype(np.int64)


def _answers(series: ObdSeries, base: int) -> Values:
    size = len(series.time)
    return Values(
        OBD,
        series.parameter.name,
        series.parameter.unit,
        0,
        series.ecu,
        series.time,
        series.value,
        np.zeros(size, np.bool_),
        np.arange(base, base + size),
    )
