"""OBD-II (SAE J1979, ISO 15031-5): what engines and other control units answer to a tester.

Takes messages of ISO-TP (`isotp.IsoTp`), from 0x7E8 to 0x7EF and from 0x18DAF1xx.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.obd_pids import PARTS, PIDS, Pid

ANSWER = 0x40  # added to the mode that was asked
REFUSED = 0x7F
LIVE, STORED_CODES, PENDING_CODES, VEHICLE, PERMANENT_CODES = 0x01, 0x03, 0x07, 0x09, 0x0A
VIN_BYTES = 17


# ISO 14229-1, table of negative response codes
REASONS = {
    0x10: "general reject",
    0x11: "service not supported",
    0x12: "subfunction not supported",
    0x13: "incorrect message length or format",
    0x21: "busy, repeat request",
    0x22: "conditions not correct",
    0x31: "request out of range",
    0x33: "security access denied",
    0x78: "response pending",
    0x7F: "service not supported in active session",
}


@dataclass(frozen=True, slots=True, eq=False)
class ObdSeries:
    """Answers of one control unit for one value of a parameter.

    time: int64 (k,), ns as in the frames. value: float64 (k,). part: which of the parameter's
    values, from 0.
    """

    ecu: int  # identifier of its answers
    pid: int
    parameter: Pid
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    part: int = 0


@dataclass(frozen=True, slots=True)
class ObdRefusal:
    """A control unit did not do what was asked. mode: the one that was asked."""

    time: int
    ecu: int
    mode: int
    code: int

    @property
    def reason(self) -> str:
        return REASONS.get(self.code, f"code 0x{self.code:02X}")


@dataclass(frozen=True, slots=True)
class ObdCodes:
    """Trouble codes such as "P0301". mode: 3 stored, 7 pending, 10 permanent."""

    time: int
    ecu: int
    mode: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObdVin:
    """The vehicle identification number that a control unit tells (mode 09, PID 02)."""

    time: int
    ecu: int
    vin: str


@dataclass(frozen=True, slots=True)
class ObdAnswers:
    """All answers of a log.

    counts: answers by (mode, PID), PID -1 for modes without one; also those of PIDs that are not
        in the table
    """

    series: tuple[ObdSeries, ...]
    refusals: tuple[ObdRefusal, ...]
    codes: tuple[ObdCodes, ...]
    vins: tuple[ObdVin, ...]
    counts: dict[tuple[int, int], int]


NO_ANSWERS = ObdAnswers((), (), (), (), {})


def answers_of(messages: CanFrames) -> CanFrames:
    """Those of the identifiers with which control units answer a tester."""
    standard = ~messages.extended & (messages.can_id >= 0x7E8) & (messages.can_id <= 0x7EF)
    extended = messages.extended & ((messages.can_id >> 8) == 0x18DAF1)
    return messages.select(standard | extended)


def is_obd_id(can_id: int, extended: bool) -> bool:
    """Whether testers ask, or control units answer, by this identifier (ISO 15765-4)."""
    if extended:
        return can_id == 0x18DB33F1 or can_id >> 8 == 0x18DAF1 or can_id & 0x1FFF00FF == 0x18DA00F1
    return 0x7DF <= can_id <= 0x7EF


def decode_obd(messages: CanFrames) -> ObdAnswers:
    """Answers in messages that ISO-TP put together; without a length byte."""
    answers = answers_of(messages)
    head = answers.matrix(3).astype(np.int64)
    mode = head[:, 0] - ANSWER
    counts: dict[tuple[int, int], int] = {}
    has_pid = np.isin(mode, [LIVE, VEHICLE])
    for key in np.unique(np.c_[mode, np.where(has_pid, head[:, 1], -1)], axis=0).tolist():
        if key[0] in (LIVE, STORED_CODES, PENDING_CODES, VEHICLE, PERMANENT_CODES):
            same = (mode == key[0]) & (~has_pid | (head[:, 1] == key[1]))
            counts[key[0], key[1]] = int(np.count_nonzero(same))
    refused = np.flatnonzero((head[:, 0] == REFUSED) & (answers.length >= 3))
    return ObdAnswers(
        tuple(_live(answers.select(mode == LIVE))),
        tuple(
            ObdRefusal(
                int(answers.time[i]), int(answers.can_id[i]), int(head[i, 1]), int(head[i, 2])
            )
            for i in refused
        ),
        tuple(_codes(answers, mode)),
        tuple(_vins(answers.select((mode == VEHICLE) & (head[:, 1] == 2)))),
        counts,
    )


def _live(answers: CanFrames) -> Iterator[ObdSeries]:
    """Mode 01; an answer may hold up to six parameters, one after the other."""
    found: dict[tuple[int, int, int], list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = {}
    at = np.ones(len(answers), np.int64)
    rows = answers
    while len(rows):
        pids = _byte(rows, at)
        left = rows.length.astype(np.int64) - at - 1
        size = np.array([PIDS[p].size if p in PIDS else 1 << 16 for p in range(256)])[pids]
        good = (left >= size) & (size <= 4)
        rows, at, pids, size = rows.select(good), at[good], pids[good], size[good]
        for pid in np.unique(pids).tolist():
            mine = pids == pid
            some, start = rows.select(mine), at[mine] + 1
            for part, value in enumerate(PARTS[pid]):
                number = _number(some, start, value)
                for ecu in np.unique(some.can_id).tolist():
                    one = some.can_id == ecu
                    key = ecu, pid, part
                    found.setdefault(key, []).append((some.time[one], number[one]))
        at = at + 1 + size
        more = at < rows.length
        rows, at = rows.select(more), at[more]
    for (ecu, pid, part), pieces in sorted(found.items()):
        time = np.concatenate([piece[0] for piece in pieces])
        number = np.concatenate([piece[1] for piece in pieces])
        order = np.argsort(time, kind="stable")
        scale = PARTS[pid][part]
        values = number[order] * scale.factor / scale.divisor + scale.offset
        yield ObdSeries(ecu, pid, scale, time[order], values, part)


def _number(frames: CanFrames, start: NDArray[np.int64], value: Pid) -> NDArray[np.int64]:
    """The number of a value of the parameter whose bytes begin at `start` of each payload."""
    number = np.zeros(len(frames), np.int64)
    for byte in value.bytes:
        number = number << 8 | _byte(frames, start + byte)
    number &= value.mask
    if value.signed:
        half = 1 << (8 * len(value.bytes) - 1)
        number = (number ^ half) - half
    return number


def _byte(frames: CanFrames, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The byte at a place of each payload; 0 behind its end."""
    inside = at < frames.length
    where = np.where(inside, frames.start + at, 0)
    if not len(frames.payload):
        return np.zeros(len(frames), np.int64)
    return np.where(inside, frames.payload[where], 0).astype(np.int64)


def _codes(answers: CanFrames, mode: NDArray[np.int64]) -> Iterator[ObdCodes]:
    """`mode + 0x40, count, two bytes for each code`."""
    for i in np.flatnonzero(np.isin(mode, [STORED_CODES, PENDING_CODES, PERMANENT_CODES])):
        payload = answers.payload_of(int(i))
        pairs = [payload[k : k + 2] for k in range(2, len(payload) - 1, 2)]
        codes = tuple(trouble_code(*pair) for pair in pairs if pair != b"\0\0")
        yield ObdCodes(int(answers.time[i]), int(answers.can_id[i]), int(mode[i]), codes)


def trouble_code(high: int, low: int) -> str:
    """Two bytes as in SAE J2012: P, C, B or U and four digits."""
    return f"{'PCBU'[high >> 6]}{high >> 4 & 3}{high & 15:X}{low:02X}"


def _vins(answers: CanFrames) -> Iterator[ObdVin]:
    """`49 02 count` and 17 characters; shorter ones are filled with zeros at the left."""
    for i in range(len(answers)):
        text = answers.payload_of(i)[3:].strip(b"\0")
        if len(text) == VIN_BYTES and text.isalnum():
            yield ObdVin(int(answers.time[i]), int(answers.can_id[i]), text.decode("ascii"))
