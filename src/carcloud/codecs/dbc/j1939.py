"""J1939 identifiers, and the raw values that mean "no value" (SAE J1939-21, -71, NMEA 2000)."""

from collections.abc import Iterable
from typing import Final

from carcloud.codecs.dbc.database import Database, Message, Signal

ANY_SENDER = (0xFE, 0xFF)  # null and global address: the file means no certain sender
PDU2 = 240  # from this PF on, PS belongs to the PGN

# First raw value that is no datum: length in bits -> (reserved or error from, not available from).
_RESERVED = {
    2: (2, 3),
    8: (0xFB, 0xFF),
    16: (0xFB00, 0xFF00),
    32: (0xFB000000, 0xFF000000),
}


NMEA2000: Final = range(126208, 130816)
"""Groups of the second data page that NMEA 2000 has; the makers' own are not among them."""


def pgn(can_id: int) -> int:
    """The parameter group number of a 29-bit id; a destination address is taken out of it."""
    number = (can_id >> 8) & 0x3FFFF
    return number if (number >> 8) & 0xFF >= PDU2 else number & 0x3FF00


def missing_from(message: Message, signal: Signal) -> int | None:
    """The raw value from which on a signal of a J1939 message has no value; None where every
    value counts. In a group of NMEA 2000 that are the two highest: out of range, not available.

    Errors and reserved values that the file gives a label count as values.
    """
    if pgn(message.id) in NMEA2000:
        return _missing_of_nmea2000(signal)
    if signal.kind != "int" or signal.signed or signal.length not in _RESERVED:
        return None
    reserved, absent = _RESERVED[signal.length]
    return _unlabelled(signal, reserved, absent)


def _missing_of_nmea2000(signal: Signal) -> int | None:
    if signal.kind != "int" or signal.length < 2:
        return None
    absent = (1 << (signal.length - 1 if signal.signed else signal.length)) - 1
    return None if absent < 2 else _unlabelled(signal, absent - 1, absent)


def _unlabelled(signal: Signal, reserved: int, absent: int) -> int:
    return max([reserved, *(raw + 1 for raw in signal.labels if reserved <= raw < absent)])


class Finder:
    """Which message of some databases a frame is. The first database that knows it decides.

    J1939 messages are found by parameter group where no id is equal: by the sender that the file
    names, or any where it names none. `j1939` true takes all extended messages for J1939.
    """

    def __init__(self, databases: Iterable[Database], *, j1939: bool = False) -> None:
        self._tables: list[tuple[Database, dict[int, list[Message]]]] = []
        for database in databases:
            groups: dict[int, list[Message]] = {}
            for message in database.messages:
                if message.j1939 or (j1939 and message.extended):
                    groups.setdefault(pgn(message.id), []).append(message)
            self._tables.append((database, groups))

    def find(self, can_id: int, extended: bool) -> tuple[Message, bool] | None:
        """The message and whether it counts as J1939; None where no database knows the id."""
        for database, groups in self._tables:
            message = database.by_id.get((can_id, extended))
            group = groups.get(pgn(can_id), []) if extended else []
            if message is None:
                message = _of_group(group, can_id & 0xFF)
            if message is not None:
                return message, any(message is one for one in group)
        return None


def _of_group(group: list[Message], sender: int) -> Message | None:
    for wanted in ((sender,), ANY_SENDER):
        for message in group:
            if message.id & 0xFF in wanted:
                return message
    return group[0] if len(group) == 1 else None
