"""Data units of every command, from physical values; `frame.build` puts the frame around them.

Fields are given by the keys of the tables. `INVALID` and `ABNORMAL` in place of a value give the
sentinel, `Raw(code)` gives any code. All functions raise `EncodeError`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from carcloud.codecs.gbt32960 import times
from carcloud.codecs.gbt32960.constants import SIGNATURE_MARK, Encryption
from carcloud.codecs.gbt32960.errors import EncodeError
from carcloud.codecs.gbt32960.layout import Fields, Value
from carcloud.codecs.gbt32960.tables import (
    ACTIVATION_RESULT,
    ACTIVATION_SIGNED,
    BODIES,
    CONTROL,
    KEY_EXCHANGE,
    LOGIN_2016,
    LOGIN_2025,
    LOGOUT,
    PARAMETERS,
    PLATFORM_LOGIN,
    QUERY,
    READ_ONLY_PARAMETERS,
)
from carcloud.codecs.gbt32960.tables_2025 import SIGNATURE
from carcloud.codecs.gbt32960.writing import write_row, write_table

Parameter = tuple[int, Value]
"""Parameter id and its value; for user-defined ids (0x80..0xFE) the bytes as sent."""

Signer = Callable[[bytes], tuple[int, bytes, bytes]]
"""Signs bytes; returns the algorithm of S25 table 8, R and S."""

_CUSTOM_IDS: Final = range(0x80, 0xFF)
_PACK_CODE_SIZE: Final = 24  # GB/T 34014
_MAX_PARAMETERS: Final = 252


def encode_login(
    edition: int,
    time: datetime,
    serial: int,
    iccid: str,
    codes: Sequence[str] = (),
    *,
    packs_per_bms: Sequence[int] | None = None,
) -> bytes:
    """Vehicle login 0x01. `codes` are storage codes of equal length (2016) or pack codes (2025).

    2025 needs to know how the packs divide among battery management systems; the default is one
    system with all packs.
    """
    fields: Fields = {"time": time, "serial": serial, "iccid": iccid}
    joined = "".join(codes).encode("ascii")
    if edition == 2016:
        sizes = {len(code) for code in codes}
        if len(sizes) > 1:
            raise EncodeError("codes", "2016 wants codes of one length")
        size = sizes.pop() if sizes else 0
        fields |= {"subsystem_count": len(codes) or 1, "code_length": size, "codes": joined}
        return write_table(LOGIN_2016, fields)
    if any(len(code) != _PACK_CODE_SIZE for code in codes):
        raise EncodeError("codes", f"2025 wants pack codes of {_PACK_CODE_SIZE} characters")
    packs = [len(codes)] if packs_per_bms is None else packs_per_bms
    return write_table(LOGIN_2025, fields | {"packs_per_bms": packs, "pack_codes": joined})


def encode_logout(time: datetime, serial: int) -> bytes:
    """Vehicle logout 0x04 or platform logout 0x06; the serial number of the login it ends."""
    return write_table(LOGOUT, {"time": time, "serial": serial})


def encode_platform_login(
    time: datetime,
    serial: int,
    user: str,
    password: str,
    *,
    encryption_rule: int = Encryption.NONE,
) -> bytes:
    """Platform login 0x05."""
    fields: Fields = {"time": time, "serial": serial, "user": user, "password": password}
    return write_table(PLATFORM_LOGIN, fields | {"encryption_rule": encryption_rule})


def encode_item(edition: int, kind: int, fields: Mapping[str, Value]) -> bytes:
    """One item of a report: type byte and body."""
    table = BODIES[edition].get(kind)
    if table is None:
        raise EncodeError("type", f"0x{kind:02X} has no layout in {edition}")
    return bytes((kind,)) + write_table(table, fields)


def encode_report(
    edition: int, time: datetime, items: Iterable[tuple[int, Mapping[str, Value]]]
) -> bytes:
    """Realtime 0x02 or reissued 0x03 report: collection time and items as (type, fields)."""
    return times.write(time) + b"".join(encode_item(edition, kind, body) for kind, body in items)


def encode_signature(algorithm: int, r: bytes, s: bytes = b"") -> bytes:
    """The signature fields of S25 table 8, without the mark."""
    return write_table(SIGNATURE, {"algorithm": algorithm, "r": r, "s": s})


def sign_report(data: bytes, sign: Signer, *, signature_covers_mark: bool = False) -> bytes:
    """A 2025 report with its signature item at the end (S25 table 7)."""
    mark = bytes((SIGNATURE_MARK,))
    algorithm, r, s = sign(data + mark if signature_covers_mark else data)
    return data + mark + encode_signature(algorithm, r, s)


def encode_query(time: datetime, ids: Sequence[int]) -> bytes:
    """Query request 0x80."""
    return write_table(QUERY, {"time": time, "ids": ids})


def encode_parameters(edition: int, time: datetime, parameters: Sequence[Parameter]) -> bytes:
    """Query answer 0x80 or set request 0x81. Lengths 0x04 and 0x0D stand before their names."""
    if len(parameters) > _MAX_PARAMETERS:
        raise EncodeError("count", f"{len(parameters)} parameters, at most {_MAX_PARAMETERS}")
    codes: dict[str, list[int]] = {}
    body = b"".join(_parameter(edition, ident, value, codes) for ident, value in parameters)
    return times.write(time) + bytes((len(parameters),)) + body


def encode_set(edition: int, time: datetime, parameters: Sequence[Parameter]) -> bytes:
    """Set request 0x81; refuses the read-only parameters 0x07 and 0x08."""
    for ident, _ in parameters:
        if ident in READ_ONLY_PARAMETERS:
            raise EncodeError(f"0x{ident:02X}", "is read-only")
    return encode_parameters(edition, time, parameters)


def encode_control(time: datetime, command: int, argument: bytes = b"") -> bytes:
    """Terminal control 0x82; see `control` for the arguments of alarm and upgrade."""
    return write_table(CONTROL, {"time": time, "command": command, "argument": argument})


def encode_activation(
    time: datetime, chip_id: str, public_key: bytes, vin: str, sign: Signer
) -> bytes:
    """Activation 0x09 (2025), signed over everything before the signature."""
    fields: Fields = {"time": time, "chip_id": chip_id, "public_key": public_key, "vin": vin}
    signed = write_table(ACTIVATION_SIGNED, fields)
    return signed + encode_signature(*sign(signed))


def encode_activation_result(status: int, info: int) -> bytes:
    """Activation result 0x0A (2025): status 1 done, 2 failed; info 0 to 2 (S25 table B.4)."""
    return write_table(ACTIVATION_RESULT, {"status": status, "info": info})


def encode_key_exchange(
    algorithm: int, key: bytes, valid_from: datetime, valid_until: datetime
) -> bytes:
    """Data-unit key exchange 0x0B (2025)."""
    fields: Fields = {"algorithm": algorithm, "key": key}
    return write_table(
        KEY_EXCHANGE, fields | {"valid_from": valid_from, "valid_until": valid_until}
    )


def _parameter(edition: int, ident: int, value: Value, codes: dict[str, list[int]]) -> bytes:
    if ident in _CUSTOM_IDS:
        if not isinstance(value, bytes):
            raise EncodeError(f"0x{ident:02X}", "a user-defined parameter is given as bytes")
        return bytes((ident,)) + value
    row = PARAMETERS[edition].get(ident)
    if row is None:
        raise EncodeError(f"0x{ident:02X}", "is a reserved parameter")
    try:
        return bytes((ident,)) + write_row(row, value, codes)
    except KeyError:
        raise EncodeError(row.key, "needs its length before it") from None
