"""A DBC file without what decoding some of its messages does not need.

Kept are the messages asked for, those of the same id or parameter group (which of them a frame is
depends on all), their value tables, types and multiplexing, and the attributes that say how they
are read. Comments, nodes and the rest are left out.
"""

import re
from collections.abc import Collection
from typing import Final

from carcloud.codecs.dbc.database import Database, Message
from carcloud.codecs.dbc.j1939 import pgn
from carcloud.codecs.dbc.parser import parse
from carcloud.codecs.dbc.statements import Findings, statements, text_of

Key = tuple[int, bool]  # id, extended

_ATTRIBUTES: Final = frozenset(
    {"VFrameFormat", "ProtocolType", "SystemMessageLongSymbol", "SystemSignalLongSymbol"}
)
_EXTENDED: Final = 1 << 31
_BY_ID = re.compile(r"(?:BO_|VAL_|SIG_VALTYPE_|SG_MUL_VAL_)\s+(\d{1,10})\b")
_ATTRIBUTE = re.compile(r'BA_(?:DEF_|DEF_DEF_)?\s+(?:BO_\s+|SG_\s+)?"(\w+)"')
_OF = re.compile(r'BA_\s+"\w+"\s+(?:BO_|SG_)\s+(\d{1,10})\b')


def reduced(text: str, database: Database, keys: Collection[Key]) -> str:
    """The text with these messages of `database`, which is what it says; "" where it has none of
    them. The whole text where less of it would say something else."""
    wanted = _wanted(database, keys)
    if not wanted:
        return ""
    lines = ['VERSION ""']
    inside = False
    for statement in statements(text_of(text.encode(), Findings()), Findings()):
        if statement.keyword == "BO_":
            inside = _is_of(_BY_ID, statement.text, wanted)
        if statement.keyword in ("BO_", "SG_"):
            if inside:
                lines.append(statement.text)
        elif _is_needed(statement.text, wanted):
            lines.append(f"{statement.text};")
    short = "\n".join(lines) + "\n"
    return short if _says_the_same(short, database, wanted) else text


def _wanted(database: Database, keys: Collection[Key]) -> set[Key]:
    groups = {pgn(number) for number, extended in keys if extended}
    return {
        (one.id, one.extended)
        for one in database.messages
        if (one.id, one.extended) in keys or (one.extended and pgn(one.id) in groups)
    }


def _is_of(pattern: re.Pattern[str], text: str, wanted: set[Key]) -> bool:
    found = pattern.match(text)
    if found is None:
        return False
    number = int(found[1])
    return (number & (_EXTENDED - 1), bool(number & _EXTENDED)) in wanted


def _is_needed(text: str, wanted: set[Key]) -> bool:
    attribute = _ATTRIBUTE.match(text)
    if attribute is None:
        return _is_of(_BY_ID, text, wanted)
    if attribute[1] not in _ATTRIBUTES:
        return False
    return _OF.match(text) is None or _is_of(_OF, text, wanted)


def _says_the_same(short: str, database: Database, wanted: set[Key]) -> bool:
    found, _ = parse(short.encode())
    return [_layout(one) for one in found.messages] == [
        _layout(one) for one in database.messages if (one.id, one.extended) in wanted
    ]


def _layout(message: Message) -> tuple[object, ...]:
    """What decoding needs of a message."""
    signals = tuple(
        (
            one.name, one.start, one.length, one.little_endian, one.signed, one.kind, one.factor,
            one.offset, one.unit, one.labels, one.switch, one.parent, one.ranges, one.decodable,
        )
        for one in message.signals
    )  # fmt: skip
    return (message.id, message.extended, message.name, message.length, message.fd,
            message.j1939, signals)  # fmt: skip
