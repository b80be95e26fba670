"""Batches as JSON.

A row is `{"time": T, "values": {SIGNAL: VALUE, …}}`, a sample `{"signal": S, "time": T,
"value": V}`; a payload is one of them or an array of them. T is milliseconds since 1970 UTC, a
number that may have a fraction, or RFC 3339 text.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from carcloud.codecs.samples.batch import Batch, Gathering, InvalidBatch, Rows, check_size

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_BYTE: Final = re.compile(r"byte (\d+)")
_LATEST_MS: Final = 1e15


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    time: int | float | Annotated[datetime, Meta(tz=True)]
    values: dict[str, Any] | UnsetType = UNSET
    signal: str | UnsetType = UNSET
    value: Any = UNSET


_DECODER: Final = msgspec.json.Decoder(_Item | list[_Item])
_ENCODER: Final = msgspec.json.Encoder()


def read(payload: bytes) -> Batch:
    """What a payload says; raises `InvalidBatch`."""
    check_size(payload)
    try:
        found = _DECODER.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        place = _BYTE.search(str(error))
        raise InvalidBatch(str(error), None if place is None else int(place[1])) from error
    except UnicodeDecodeError as error:
        raise InvalidBatch("text that is not UTF-8", error.start) from error
    into = Gathering()
    for index, item in enumerate(found if isinstance(found, list) else (found,)):
        try:
            into.row(_microseconds(item.time), _values(item))
        except InvalidBatch as error:
            raise InvalidBatch(f"item {index}: {error}") from error
    return into.done("json")


def _values(item: _Item) -> dict[str, Any]:
    if item.signal is UNSET and item.value is UNSET and not isinstance(item.values, UnsetType):
        return item.values
    if item.values is UNSET and not isinstance(item.signal, UnsetType) and item.value is not UNSET:
        return {item.signal: item.value}
    raise InvalidBatch("either values, or signal and value")


def _microseconds(time: float | datetime) -> int:
    if isinstance(time, int):
        return time * 1000
    if isinstance(time, float):
        if not 0 < time < _LATEST_MS:
            raise InvalidBatch(f"time {time} ms is not between 1970 and 9999")
        return round(time * 1000)
    return (time - _EPOCH) // _US


def write(rows: Rows) -> bytes:
    """A payload of rows; times in ms, with a fraction where there is one."""
    return _ENCODER.encode([{"time": _milliseconds(at), "values": values} for at, values in rows])


def _milliseconds(time: int) -> float:
    whole, rest = divmod(time, 1000)
    return whole if not rest else time / 1000
