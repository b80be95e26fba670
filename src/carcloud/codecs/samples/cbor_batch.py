"""Batches as CBOR (RFC 8949): the shapes of JSON, times as integers of us since 1970 UTC.

Definite and indefinite lengths, half to double floats. No tags, no names twice in a map.
"""

from io import BytesIO
from typing import Any, Final, NoReturn

import cbor2

from carcloud.codecs.samples.batch import Batch, Gathering, InvalidBatch, Rows, check_size

_DEPTH: Final = 6  # of containers: array, item, values, array, and room for a clear error
_ITEM: Final = frozenset({"time", "values"})
_SAMPLE: Final = frozenset({"time", "signal", "value"})
_TAGS: Final = (
    0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000,
    55799,
)  # fmt: skip


def _refuse(*_: Any) -> NoReturn:
    raise ValueError("tags are not taken")


_NO_TAGS: Final = dict.fromkeys(_TAGS, _refuse)  # those that the library would read by itself


def read(payload: bytes) -> Batch:
    """What a payload says; raises `InvalidBatch`."""
    check_size(payload)
    source = BytesIO(payload)
    try:
        found = cbor2.CBORDecoder(
            source,
            tag_hook=_refuse,
            semantic_decoders=_NO_TAGS,
            max_depth=_DEPTH,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except cbor2.CBORDecodeError as error:
        raise InvalidBatch(f"CBOR: {error}", min(source.tell(), len(payload))) from error
    if source.tell() != len(payload):
        raise InvalidBatch("bytes after the end", source.tell())
    into = Gathering()
    for index, item in enumerate(found if isinstance(found, list) else (found,)):
        try:
            into.row(*_row(item))
        except InvalidBatch as error:
            raise InvalidBatch(f"item {index}: {error}") from error
    return into.done("cbor")


def _row(item: Any) -> tuple[int, dict[str, Any]]:
    if type(item) is not dict:
        raise InvalidBatch("a map is wanted")
    keys = item.keys()
    if keys == _ITEM:
        values = item["values"]
        if type(values) is not dict or not set(map(type, values)) <= {str}:
            raise InvalidBatch("values: a map by names of signals is wanted")
    elif keys == _SAMPLE:
        if type(item["signal"]) is not str:
            raise InvalidBatch("signal: text is wanted")
        values = {item["signal"]: item["value"]}
    else:
        raise InvalidBatch("either time and values, or time, signal and value")
    if type(item["time"]) is not int:
        raise InvalidBatch("time: an integer of us since 1970 is wanted")
    return item["time"], values


def write(rows: Rows) -> bytes:
    """A payload of rows."""
    return cbor2.dumps([{"time": at, "values": dict(values)} for at, values in rows])
