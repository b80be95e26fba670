"""GB/T 32960 frames as ingest wants them: reports through the columnar decoder, the rest named.

Encrypted reports are decrypted first where the vehicle's key is known (`Decrypt`); where it is
not, the frame becomes a dead letter and can be processed again once the key is there.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.codecs.gbt32960.columnar import FAULTS, decode_block
from carcloud.codecs.gbt32960.constants import HEADER_SIZE, MIN_FRAME, Command, command_name
from carcloud.services.telemetry.datum import to_wgs84
from carcloud.services.telemetry.protocols import DecodedFrames, Fault

Decrypt = Callable[[str, bytes], bytes]
"""(vehicle, encrypted frame) -> the frame in clear; raises `ValueError` with the reason."""

_TIMED = frozenset(
    {
        Command.LOGIN,
        Command.REALTIME,
        Command.REISSUE,
        Command.LOGOUT,
        Command.PLATFORM_LOGIN,
        Command.PLATFORM_LOGOUT,
    }
)
_BEIJING_US = 8 * 3600 * 1_000_000


def decoder(decrypt: Decrypt | None = None) -> Callable[[pa.Array, pa.Array], DecodedFrames]:
    """The `protocols.Decoder` of GB/T 32960."""

    def decode(vehicles: pa.Array, frames: pa.Array) -> DecodedFrames:
        faults: dict[int, Fault] = {}
        if decrypt is not None:
            frames = _in_clear(vehicles, frames, decrypt, faults)
        headers = _headers(frames)
        commands, answers = headers[:, 2], headers[:, 3] != 0xFE
        reports = (commands == Command.REALTIME) | (commands == Command.REISSUE)
        report_index = np.flatnonzero(reports & ~answers).astype(np.int32)
        block = decode_block(frames.take(pa.array(report_index)))
        for index in np.flatnonzero(block.fault).tolist():
            fault = FAULTS[int(block.fault[index])]
            faults.setdefault(
                int(report_index[index]),
                Fault(fault.code, fault.clause, int(block.fault_offset[index])),
            )
        return DecodedFrames(
            rows=to_wgs84(block.rows),
            row_frame=report_index[block.row_frame],
            kinds=_kinds(commands, answers),
            times=_times(headers, frames),
            faults=faults,
        )

    return decode


def _in_clear(
    vehicles: pa.Array, frames: pa.Array, decrypt: Decrypt, faults: dict[int, Fault]
) -> pa.Array:
    encryption = _headers(frames)[:, 21]
    sealed = np.flatnonzero((encryption >= 2) & (encryption <= 5)).tolist()
    if not sealed:
        return frames
    clear = frames.to_pylist()
    for index in sealed:
        try:
            clear[index] = decrypt(vehicles[index].as_py(), clear[index])
        except ValueError as error:
            faults[index] = Fault(f"not decrypted: {error}", "6.2 table 5", HEADER_SIZE)
    return pa.array(clear, pa.binary())


def _headers(frames: pa.Array) -> npt.NDArray[np.uint8]:
    """The first 30 bytes of each frame (header and time); zeros beyond a short frame. (n, 30)"""
    offsets, data = _buffers(frames)
    width = HEADER_SIZE + 6
    if not len(data):
        return np.zeros((len(frames), width), np.uint8)
    at = offsets[:-1, None] + np.arange(width)
    inside = at < offsets[1:, None]
    return np.where(inside, data[np.minimum(at, len(data) - 1)], 0).astype(np.uint8)


def _buffers(frames: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    _, offset_buffer, data_buffer = frames.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[
        frames.offset : frames.offset + len(frames) + 1
    ]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    return offsets.astype(np.int64), data


def _kinds(commands: npt.NDArray[np.uint8], answers: npt.NDArray[np.bool_]) -> pa.Array:
    names = np.array([command_name(code) for code in range(256)], object)
    kinds = names[commands]
    kinds[answers] += "-answer"
    return pa.array(kinds.tolist(), pa.string())


def _times(headers: npt.NDArray[np.uint8], frames: pa.Array) -> npt.NDArray[np.int64]:
    """us since 1970 of the time at the head of the data unit; -1 where there is none."""
    offsets, _ = _buffers(frames)
    timed = np.isin(headers[:, 2], list(_TIMED)) & (np.diff(offsets) >= MIN_FRAME + 6)
    fields = headers[:, HEADER_SIZE:].astype(np.int64)
    year, month, day, hour, minute, second = fields.T
    timed &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    timed &= (hour < 24) & (minute < 60) & (second < 60)
    months = (30 * 12 + year * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    us = ((days * 24 + hour) * 60 + minute) * 60 + second
    return np.where(timed, us * 1_000_000 - _BEIJING_US, -1)
