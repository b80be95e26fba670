"""Every message: its id, its name, who sends it, and the layout of its body by edition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from carcloud.codecs.jt808 import tables_areas as areas
from carcloud.codecs.jt808 import tables_media as media
from carcloud.codecs.jt808 import tables_position as position
from carcloud.codecs.jt808 import tables_session as session
from carcloud.codecs.jt808.layout import Table

EDITIONS: Final = (2011, 2013, 2019)
Sender = Literal["terminal", "platform"]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One message id; `tables` by edition, each also for later editions that have none."""

    id: int
    name: str
    sender: Sender
    tables: Mapping[int, Table]

    def table(self, edition: int) -> Table:
        """The body's layout; that of the nearest edition where it has none of its own.

        The 2019 text lists some ids without their chapters, and 2013 terminals send 2019's.
        """
        older = [year for year in self.tables if year <= edition]
        return self.tables[max(older) if older else min(self.tables)]


def _type(number: int, name: str, *tables: Table, **by_year: Table) -> MessageType:
    """A layout of all editions, or one keyword `yNNNN` for each edition that begins another."""
    found = dict.fromkeys((2011,), tables[0]) if tables else {}
    found |= {int(year[1:]): table for year, table in by_year.items()}
    return MessageType(number, name, "platform" if number >= 0x8000 else "terminal", found)


def _same(names: Mapping[int, str], table: Table) -> tuple[MessageType, ...]:
    return tuple(_type(number, name, table) for number, name in names.items())


_WITHOUT_BODY: Final = {
    0x0002: "heartbeat",
    0x0003: "deregistration",
    0x0004: "time-query",
    0x8104: "query-all-parameters",
    0x8107: "query-attributes",
    0x8201: "query-position",
    0x8204: "link-check",
    0x8702: "query-driver",
}
_DELETIONS: Final = {
    0x8601: "delete-circles",
    0x8603: "delete-rectangles",
    0x8605: "delete-polygons",
    0x8607: "delete-routes",
}

_SESSION: Final = (
    *_same(_WITHOUT_BODY, session.EMPTY),
    *_same({0x0001: "terminal-reply", 0x8001: "platform-reply"}, session.GENERAL_REPLY),
    _type(0x8004, "time-answer", session.SERVER_TIME),
    *(
        _type(
            number,
            name,
            y2013=session.RETRANSMISSION_2013,
            y2019=session.RETRANSMISSION_2019,
        )
        for number, name in {0x8003: "retransmission", 0x0005: "terminal-retransmission"}.items()
    ),
    _type(
        0x0100,
        "registration",
        session.REGISTRATION_2011,
        y2013=session.REGISTRATION_2013,
        y2019=session.REGISTRATION_2019,
    ),
    _type(0x8100, "registration-reply", session.REGISTRATION_REPLY),
    _type(
        0x0102, "authentication", session.AUTHENTICATION, y2019=session.AUTHENTICATION_2019
    ),
    _type(0x8103, "set-parameters", session.SET_PARAMETERS_2011, y2013=session.SET_PARAMETERS),
    _type(0x0104, "parameters", session.PARAMETERS_2011, y2013=session.PARAMETERS),
    _type(0x8106, "query-parameters", session.QUERY_PARAMETERS),
    _type(0x8105, "terminal-control", session.CONTROL),
    _type(
        0x0107, "attributes", y2013=session.ATTRIBUTES_2013, y2019=session.ATTRIBUTES_2019
    ),
    _type(0x8108, "upgrade-package", session.UPGRADE),
    _type(0x0108, "upgrade-result", session.UPGRADE_RESULT),
)  # fmt: skip
_POSITIONS: Final = (
    _type(0x0200, "position", position.REPORT),
    _type(0x0201, "position-answer", position.REPORT, y2013=position.ANSWER),
    _type(0x0500, "vehicle-control-result", position.ANSWER),
    _type(0x8202, "tracking", position.TRACKING),
    _type(0x8203, "confirm-alarm", position.CONFIRMATION),
    _type(0x0704, "position-batch", position.BATCH),
    _type(0x0705, "can", position.CAN),
)
_TEXTS: Final = (
    _type(0x8300, "text", session.TEXT, y2019=session.TEXT_2019),
    _type(0x8301, "set-events", session.EVENTS_2011, y2013=session.EVENTS),
    _type(0x0301, "event", session.EVENT),
    _type(0x8302, "question", session.QUESTION),
    _type(0x0302, "question-answer", session.ANSWER),
    _type(0x8303, "set-menu", session.MENU_2011, y2013=session.MENU),
    _type(0x0303, "subscription", session.SUBSCRIPTION),
    _type(0x8304, "information", session.INFORMATION_2011, y2013=session.INFORMATION),
    _type(0x8400, "call", session.CALL),
    _type(0x8401, "set-phone-book", session.PHONE_BOOK_2011, y2013=session.PHONE_BOOK),
)
_AREAS: Final = (
    _type(
        0x8500, "vehicle-control", areas.VEHICLE_CONTROL, y2019=areas.VEHICLE_CONTROL_2019
    ),
    MessageType(0x8600, "set-circles", "platform", areas.CIRCLES),
    MessageType(0x8602, "set-rectangles", "platform", areas.RECTANGLES),
    _type(0x8604, "set-polygon", areas.POLYGON, y2019=areas.POLYGON_2019),
    MessageType(0x8606, "set-route", "platform", areas.ROUTE),
    *_same(_DELETIONS, areas.DELETE_AREAS),
    _type(0x8608, "query-areas", areas.QUERY_AREAS),
    _type(0x0608, "areas", areas.AREAS),
)  # fmt: skip
_RECORDS: Final = (
    *_same({0x8700: "recorder-command", 0x8701: "recorder-parameters"}, session.RECORDER),
    _type(
        0x0700,
        "recorder-data",
        session.RECORDER_UPLOAD_2011,
        y2013=session.RECORDER_UPLOAD,
    ),
    _type(0x0701, "waybill", session.WAYBILL),
    _type(0x0702, "driver", session.DRIVER_2011, y2013=session.DRIVER_STATE),
    *_same({0x0900: "pass-through", 0x8900: "pass-through-down"}, session.PASS_THROUGH),
    _type(0x0901, "compressed", session.COMPRESSED),
    *_same({0x0A00: "public-key", 0x8A00: "platform-public-key"}, session.PUBLIC_KEY),
)
_MEDIA: Final = (
    _type(0x0800, "media-event", media.MEDIA_EVENT),
    _type(0x0801, "media", media.MEDIA_2011, y2013=media.MEDIA),
    _type(0x8800, "media-reply", media.MEDIA_REPLY_2011, y2013=media.MEDIA_REPLY),
    _type(0x8801, "shoot", media.SHOOT),
    _type(0x0805, "shoot-result", media.SHOOT_RESULT),
    _type(0x8802, "search-media", media.SEARCH),
    _type(0x0802, "media-found", media.FOUND_2011, y2013=media.FOUND),
    _type(0x8803, "upload-media", media.UPLOAD),
    _type(0x8804, "record-sound", media.RECORD),
    _type(0x8805, "upload-one", media.UPLOAD_ONE),
)

MESSAGES: Final[Mapping[int, MessageType]] = {
    one.id: one for one in (*_SESSION, *_POSITIONS, *_TEXTS, *_AREAS, *_RECORDS, *_MEDIA)
}
"""Every message of sections 4 and 6 of the three editions, by id."""

_OTHERWISE: Final[Mapping[int, Table]] = {
    0x0107: session.ATTRIBUTES_LONG_MAKER,
    0x8108: session.UPGRADE_LONG_MAKER,
    0x0701: session.WAYBILL_PLAIN,
}
_OTHERWISE_2011: Final[Mapping[int, Table]] = {0x0802: media.FOUND_2011_COUNTED}


def otherwise(number: int, edition: int) -> Table | None:
    """A second layout in the field, taken where the first one does not end with the body."""
    of_2011 = _OTHERWISE_2011.get(number) if edition == 2011 else None
    return of_2011 or _OTHERWISE.get(number)


def message_name(number: int) -> str:
    """The name of a message id; one that no edition has gives `0xNNNN`."""
    known = MESSAGES.get(number)
    return f"0x{number:04x}" if known is None else known.name
