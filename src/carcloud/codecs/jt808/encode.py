"""Bodies of every message from physical values; `frame.build_message` puts frames around them."""

from collections.abc import Mapping

from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.layout import Table, Text, Value
from carcloud.codecs.jt808.tables import EDITIONS, MESSAGES, otherwise
from carcloud.codecs.jt808.tables_position import ANSWER, REPORT
from carcloud.codecs.jt808.tables_session import DRIVER_CARD, DRIVER_IDENTITY, DRIVER_READ
from carcloud.codecs.jt808.writing import write_report, write_table

_ANSWER, _WAYBILL, _DRIVER, _FOUND = 0x0201, 0x0701, 0x0702, 0x0802


def encode(message: int, edition: int, fields: Mapping[str, Value]) -> bytes:
    """The body of a message; fields by the keys of its table, counts and lengths may be left out.

    Raises `EncodeError` for an unknown message or edition, a missing field, and a value that the
    wire cannot carry.
    """
    if message not in MESSAGES or edition not in EDITIONS:
        raise EncodeError("message", f"0x{message:04X} of {edition} has no layout")
    table = MESSAGES[message].table(edition)
    other = otherwise(message, edition)
    if other is not None and _is_otherwise(message, table, other, fields):
        table = other
    if message == _ANSWER and edition != 2019:  # 2011 by its text without the reply serial
        table = ANSWER if "reply_serial" in fields else REPORT
    body = write_table(table, fields)
    if message == _DRIVER and edition != 2011:
        for first, table in (
            ("read_result", DRIVER_READ),
            ("name", DRIVER_CARD),
            ("id_card", DRIVER_IDENTITY),
        ):
            if first in fields:
                body += write_table(table, fields)
    return body


def _is_otherwise(message: int, table: Table, other: Table, fields: Mapping[str, Value]) -> bool:
    """The fields fit the second layout of a message only."""
    if message == _WAYBILL:
        return "content" not in fields
    if message == _FOUND:
        return "packet_count" in fields
    return _fits(other, fields) and not _fits(table, fields)


def _fits(table: Table, fields: Mapping[str, Value]) -> bool:
    texts = [row for row in table.rows if isinstance(row, Text) and row.count.isdecimal()]
    return all(_bytes_of(fields.get(row.key)) <= int(row.count) for row in texts)


def _bytes_of(text: Value) -> int:
    wire = text.encode("gbk", "replace") if isinstance(text, str) else text
    return len(wire) if isinstance(wire, bytes) else 0


def encode_position(fields: Mapping[str, Value]) -> bytes:
    """A body of 0x0200 from its own fields; those not given are 0. Raises `EncodeError`."""
    return write_report(fields)
