"""GB/T 32960 frames as ingest wants them: reports through the columnar decoder, the rest named.

Encrypted reports are decrypted first where the vehicle's key is known (`Decrypt`); where it is
not, the frame becomes a dead letter and can be processed again once the key is there. Vehicles
whose model has another datum or sign of current are corrected afterwards; then come the fields
that the mappings of models name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.codecs.gbt32960.columnar import FAULTS, decode_block
from carcloud.codecs.gbt32960.constants import (
    HEADER_SIZE,
    MIN_FRAME,
    Command,
    Encryption,
    command_name,
)
from carcloud.codecs.gbt32960.named_columns import Block
from carcloud.model.ids import Tenant
from carcloud.services.telemetry.datum import DATUM, LATITUDE, to_wgs84
from carcloud.services.telemetry.decrypt_gbt32960 import Decrypt
from carcloud.services.telemetry.fields import MappingsOf, with_fields
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder, Fault
from carcloud.services.vehicles.api import CurrentSign, Datum, Reporting

Styles = Callable[[Sequence[str]], Mapping[str, Reporting]]
"""How those of these vehicles report whose models are special; may raise `EngineError`."""

_BATTERY: Final = "Vehicle.Powertrain.TractionBattery"
_SIGNED_BY_MODEL: Final = (f"{_BATTERY}.CurrentCurrent", f"{_BATTERY}.CurrentPower")

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
_NAMES: Final = [command_name(code) for code in range(256)]
_KINDS: Final = pa.array([*_NAMES, *(f"{name}-answer" for name in _NAMES)], pa.string())


def decoder(
    decrypt: Decrypt | None = None,
    styles: Styles | None = None,
    mappings: MappingsOf | None = None,
    maps: Callable[[Tenant], bool] = lambda _: True,
) -> Decoder:
    """The `protocols.Decoder` of GB/T 32960; `mappings` tells which further fields become which
    signals. It is asked only where `maps` says that a model of the tenant names any."""

    def decode(
        tenant: Tenant, vehicles: pa.Array, frames: pa.Array, received: pa.Array
    ) -> DecodedFrames:
        faults: dict[int, Fault] = {}
        if decrypt is not None:
            frames = _in_clear(vehicles, frames, received, decrypt, faults)
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
        rows = block.rows if styles is None else _by_model(block.rows, styles)
        row_frame = report_index[block.row_frame]
        if mappings is not None and rows.num_rows and maps(tenant):
            names = rows["vehicle"].combine_chunks()
            known = mappings(tenant, names.unique().to_pylist())
            if known:
                rows = with_fields(
                    rows, names, known, "gbt32960", lambda which: Block(frames, row_frame[which])
                )
        return DecodedFrames(
            rows=to_wgs84(rows),
            row_frame=row_frame,
            kinds=_kinds(commands, answers),
            times=_times(headers, frames),
            faults=faults,
        )

    return decode


def _in_clear(
    vehicles: pa.Array,
    frames: pa.Array,
    received: pa.Array,
    decrypt: Decrypt,
    faults: dict[int, Fault],
) -> pa.Array:
    """The frames with encrypted reports in clear; those that cannot be are named in `faults`."""
    headers = _headers(frames)
    command, answer, encryption = headers[:, 2], headers[:, 3] != 0xFE, headers[:, 21]
    sealed = (encryption >= Encryption.RSA) & (encryption <= Encryption.SM4) & ~answer
    sealed &= (command == Command.REALTIME) | (command == Command.REISSUE)
    if not sealed.any():
        return frames
    clear = frames.to_pylist()
    for index in np.flatnonzero(sealed).tolist():
        try:
            clear[index] = decrypt(vehicles[index].as_py(), clear[index], received[index].as_py())
        except ValueError as error:
            faults[index] = Fault(f"not decrypted: {error}", "6.2 table 5", HEADER_SIZE)
    return pa.array(clear, pa.binary())


def _by_model(rows: pa.Table, styles: Styles) -> pa.Table:
    """Sign of current and datum of 2016 positions as the vehicles' models say."""
    if rows.num_rows == 0:
        return rows
    coded = rows["vehicle"].combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    special = styles(names)
    if not special:
        return rows
    which = coded.indices.to_numpy()
    charge = [
        _is(special, name, lambda one: one.current_sign == CurrentSign.CHARGE) for name in names
    ]
    shifted = [_is(special, name, lambda one: one.datum == Datum.GCJ02) for name in names]
    return _marked_gcj02(_negated(rows, np.array(charge)[which]), np.array(shifted)[which])


def _is(special: Mapping[str, Reporting], name: str, what: Callable[[Reporting], bool]) -> bool:
    found = special.get(name)
    return found is not None and what(found)


def _negated(rows: pa.Table, these: npt.NDArray[np.bool_]) -> pa.Table:
    """Battery current, and the power derived from it, with the other sign in some rows."""
    if not these.any():
        return rows
    for path in _SIGNED_BY_MODEL:
        if path in rows.column_names:
            column = rows[path]
            turned = pc.subtract(pa.scalar(0, column.type), column)  # no negative zero
            at = rows.column_names.index(path)
            rows = rows.set_column(at, path, pc.if_else(pa.array(these), turned, column))
    return rows


def _marked_gcj02(rows: pa.Table, these: npt.NDArray[np.bool_]) -> pa.Table:
    """The datum GCJ02 in those rows of 2016 with a position; 2025 reports say theirs."""
    if not these.any() or LATITUDE not in rows.column_names:
        return rows
    old = pc.starts_with(rows["source"].cast(pa.string()), "gbt32960.2016")
    mark = pc.and_(pc.and_(pa.array(these), old), rows[LATITUDE].is_valid())
    if DATUM not in rows.column_names:
        column = pc.if_else(mark, "GCJ02", pa.scalar(None, pa.string()))
        return rows.append_column(DATUM, column)
    column = rows[DATUM]
    told = pc.if_else(mark, "GCJ02", column.cast(pa.string()))
    if pa.types.is_dictionary(column.type):
        told = told.dictionary_encode().cast(column.type)
    return rows.set_column(rows.column_names.index(DATUM), DATUM, told)


def _headers(frames: pa.Array) -> npt.NDArray[np.uint8]:
    """The first 30 bytes of each frame (header and time); zeros beyond a short frame. (n, 30)"""
    offsets, data = _buffers(frames)
    width = HEADER_SIZE + 6
    found = np.zeros((len(frames), width), np.uint8)
    whole = np.diff(offsets) >= width
    if whole.any():
        at_each_byte = np.lib.stride_tricks.sliding_window_view(data, width)
        found[whole] = at_each_byte[offsets[:-1][whole]]
    short = np.flatnonzero(~whole)
    if len(data) and len(short):
        at = offsets[short, None] + np.arange(width)
        inside = at < offsets[short + 1, None]
        found[short] = np.where(inside, data[np.minimum(at, len(data) - 1)], 0)
    return found


def _buffers(frames: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    _, offset_buffer, data_buffer = frames.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[
        frames.offset : frames.offset + len(frames) + 1
    ]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    return offsets.astype(np.int64), data


def _kinds(commands: npt.NDArray[np.uint8], answers: npt.NDArray[np.bool_]) -> pa.Array:
    return _KINDS.take(pa.array(commands + answers * np.int16(256)))


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
