"""Bodies of the session: replies, registration, parameters, control, upgrade, identity, texts.

`2011`, `2013` and `2019` are the editions of JT/T 808; a table without a year is of all of them.
"""

from typing import Final

from carcloud.codecs.jt808.layout import (
    U8,
    U16,
    U32,
    Digits,
    Number,
    Opaque,
    Parameters,
    Records,
    Table,
    Text,
    Time,
    When,
)

EMPTY: Final = Table("empty", "empty body", ())

_REPLY_SERIAL: Final = Number("reply_serial", U16, "serial number of the message answered")
_PACKET_COUNT: Final = Number("packet_count", U8, "of them in this packet (2011)")

GENERAL_REPLY: Final = Table(
    "general_reply",
    "0x0001, 0x8001",
    (
        _REPLY_SERIAL,
        Number("reply_id", U16, "id of the message answered"),
        Number("result", U8, "0 success, 1 failure, 2 wrong, 3 not supported, 4 alarm handled"),
    ),
)
SERVER_TIME: Final = Table("server_time", "0x8004", (Time("server_time", "UTC", utc=True),))


def _retransmission(year: int, count: Number) -> Table:
    return Table(
        "retransmission",
        f"0x8003, 0x0005 of {year}",
        (
            Number("first_serial", U16, "serial number of the message's first packet"),
            count,
            Number("packet_numbers", U16, "missing packets, in order", count="count"),
        ),
    )


RETRANSMISSION_2013: Final = _retransmission(2013, Number("count", U8, "packets"))
RETRANSMISSION_2019: Final = _retransmission(2019, Number("count", U16, "packets"))

REGISTRATION_REPLY: Final = Table(
    "registration_reply",
    "0x8100",
    (
        _REPLY_SERIAL,
        Number("result", U8, "0 success, 1 vehicle known, 2 no vehicle, 3 terminal known, 4 none"),
        Text("auth_code", "rest", "authentication code", (When("result", equal=0),)),
    ),
)


def _registration(year: int, maker: int, model: int, terminal: int) -> Table:
    return Table(
        "registration",
        f"0x0100 of {year}",
        (
            Number("province", U16, "first two digits of the GB/T 2260 code; 0 platform default"),
            Number("city", U16, "last four digits; 0 platform default"),
            Text("maker", str(maker), "maker code"),
            Text("model", str(model), "terminal model"),
            Text("terminal_id", str(terminal), "capital letters and digits"),
            Number("plate_colour", U8, "1 blue, 2 yellow, 3 black, 4 white, 9 other, 0 no plate"),
            Text("plate", "rest", "licence plate; the VIN where there is none (2013, 2019)"),
        ),
    )


REGISTRATION_2011: Final = _registration(2011, 5, 8, 7)
REGISTRATION_2013: Final = _registration(2013, 5, 20, 7)
REGISTRATION_2019: Final = _registration(2019, 11, 30, 30)

AUTHENTICATION: Final = Table(
    "authentication", "0x0102", (Text("auth_code", "rest", "the code from 0x8100"),)
)
AUTHENTICATION_2019: Final = Table(
    "authentication",
    "0x0102 of 2019",
    (
        Number("code_length", U8, "bytes of the code"),
        Text("auth_code", "code_length", "the code from 0x8100"),
        Text("imei", "15", "IMEI of the terminal"),
        Text("software_version", "20", "software version"),
    ),
)

_ITEM_COUNT: Final = Number("count", U8, "parameters")
_ITEMS: Final = Parameters("items", "count", "the parameters")
_ITEMS_2011: Final = Parameters("items", "packet_count", "the parameters")
SET_PARAMETERS: Final = Table("set_parameters", "0x8103", (_ITEM_COUNT, _ITEMS))
SET_PARAMETERS_2011: Final = Table(
    "set_parameters", "0x8103 of 2011", (_ITEM_COUNT, _PACKET_COUNT, _ITEMS_2011)
)
PARAMETERS: Final = Table("parameters", "0x0104", (_REPLY_SERIAL, _ITEM_COUNT, _ITEMS))
PARAMETERS_2011: Final = Table(
    "parameters", "0x0104 of 2011", (_REPLY_SERIAL, _ITEM_COUNT, _PACKET_COUNT, _ITEMS_2011)
)
QUERY_PARAMETERS: Final = Table(
    "query_parameters",
    "0x8106",
    (
        Number("count", U8, "parameters asked for"),
        Number("ids", U32, "their ids", count="count"),
    ),
)
CONTROL: Final = Table(
    "terminal_control",
    "0x8105",
    (
        Number("command", U8, "1 upgrade, 2 connect, 3 off, 4 reset, 5 factory, 6 data, 7 radio"),
        Text("argument", "rest", "fields separated by ;"),
    ),
)


def attributes(year: int, maker: int, model: int, terminal: int) -> Table:
    """0x0107; some 2019 terminals send a maker code of 11 bytes."""
    return Table(
        "attributes",
        f"0x0107 of {year}",
        (
            Number("terminal_type", U16, "bits 0 passenger, 1 dangerous goods, 2 freight, 3 taxi"),
            Text("maker", str(maker), "maker code"),
            Text("model", str(model), "terminal model"),
            Text("terminal_id", str(terminal), "terminal id"),
            Digits("iccid", 10, "of the SIM card"),
            Number("hardware_length", U8, "bytes"),
            Text("hardware", "hardware_length", "hardware version"),
            Number("firmware_length", U8, "bytes"),
            Text("firmware", "firmware_length", "firmware version"),
            Number("gnss", U8, "bits 0 GPS, 1 Beidou, 2 GLONASS, 3 Galileo"),
            Number("modem", U8, "bits 0 GPRS, 1 CDMA, 2 TD-SCDMA, 3 WCDMA, 4 CDMA2000, 5 TD-LTE"),
        ),
    )


ATTRIBUTES_2013: Final = attributes(2013, 5, 20, 7)
ATTRIBUTES_2019: Final = attributes(2019, 5, 30, 30)
ATTRIBUTES_LONG_MAKER: Final = attributes(2019, 11, 30, 30)


def _upgrade(maker: int) -> Table:
    return Table(
        "upgrade_package",
        "0x8108",
        (
            Number("kind", U8, "0 terminal, 12 IC-card reader, 52 GNSS module"),
            Text("maker", str(maker), "maker code"),
            Number("version_length", U8, "bytes"),
            Text("version", "version_length", "version of the package"),
            Number("size", U32, "bytes"),
            Opaque("data", "size", "the package"),
        ),
    )


UPGRADE: Final = _upgrade(5)
UPGRADE_LONG_MAKER: Final = _upgrade(11)
UPGRADE_RESULT: Final = Table(
    "upgrade_result",
    "0x0108",
    (
        Number("kind", U8, "0 terminal, 12 IC-card reader, 52 GNSS module"),
        Number("result", U8, "0 success, 1 failure, 2 cancelled"),
    ),
)

TEXT: Final = Table(
    "text",
    "0x8300",
    (
        Number("flags", U8, "bits 0 urgent, 2 display, 3 TTS, 4 advertising, 5 CAN fault code"),
        Text("text", "rest", "GBK"),
    ),
)
TEXT_2019: Final = Table(
    "text",
    "0x8300 of 2019",
    (
        Number("flags", U8, "bits 0-1: 1 service, 2 urgent, 3 notice; 2 display, 3 TTS, 5 CAN"),
        Number("kind", U8, "1 notice, 2 service"),
        Text("text", "rest", "GBK"),
    ),
)
_EVENT: Final = Table(
    "event",
    "0x8301",
    (
        Number("id", U8, "event id"),
        Number("length", U8, "bytes"),
        Text("text", "length", "what the driver sees"),
    ),
)
_ANSWER: Final = Table(
    "answer",
    "0x8302, 0x8303",
    (
        Number("id", U8, "answer id, or kind of information"),
        Number("length", U16, "bytes"),
        Text("text", "length", "what the driver sees"),
    ),
)
_CONTACT: Final = Table(
    "contact",
    "0x8401",
    (
        Number("flag", U8, "1 incoming, 2 outgoing, 3 both"),
        Number("phone_length", U8, "bytes"),
        Text("phone", "phone_length", "number"),
        Number("name_length", U8, "bytes"),
        Text("name", "name_length", "name"),
    ),
)
_UNLESS_DELETED: Final = (When("action"),)


def _listed(name: str, clause: str, key: str, record: Table, *, of_2011: bool = False) -> Table:
    """Action 0 deletes all: what follows is not read (SmallChi sends it nevertheless)."""
    count = "packet_count" if of_2011 else "count"
    packet = (
        Number("packet_count", U8, "in this packet", when=_UNLESS_DELETED),
    )  # fmt: skip
    return Table(
        name,
        f"{clause} of 2011" if of_2011 else clause,
        (
            Number("action", U8, "0 delete all, 1 replace, 2 add, 3 modify, 4 delete listed"),
            Number("count", U8, "entries", when=_UNLESS_DELETED),
            *(packet if of_2011 else ()),
            Records(key, record, count, "the entries", _UNLESS_DELETED),
        ),
    )


EVENTS: Final = _listed("events", "0x8301", "events", _EVENT)
EVENTS_2011: Final = _listed("events", "0x8301", "events", _EVENT, of_2011=True)
MENU: Final = _listed("menu", "0x8303", "menu", _ANSWER)
MENU_2011: Final = _listed("menu", "0x8303", "menu", _ANSWER, of_2011=True)
PHONE_BOOK: Final = _listed("phone_book", "0x8401", "contacts", _CONTACT)
PHONE_BOOK_2011: Final = _listed("phone_book", "0x8401", "contacts", _CONTACT, of_2011=True)

EVENT: Final = Table("event_report", "0x0301", (Number("event_id", U8, "of 0x8301"),))
QUESTION: Final = Table(
    "question",
    "0x8302",
    (
        Number("flags", U8, "bits 0 urgent, 3 TTS, 4 advertising screen"),
        Number("length", U8, "bytes"),
        Text("question", "length", "GBK"),
        Records("answers", _ANSWER, "rest", "possible answers"),
    ),
)
ANSWER: Final = Table(
    "answer", "0x0302", (_REPLY_SERIAL, Number("answer_id", U8, "the answer chosen"))
)
SUBSCRIPTION: Final = Table(
    "subscription",
    "0x0303",
    (
        Number("kind", U8, "of information"),
        Number("flag", U8, "0 cancel, 1 subscribe"),
    ),
)
INFORMATION: Final = Table(
    "information",
    "0x8304",
    (
        Number("kind", U8, "of information"),
        Number("length", U16, "bytes"),
        Text("text", "length", "GBK"),
    ),
)
INFORMATION_2011: Final = Table(
    "information",
    "0x8304 of 2011",
    (
        Number("kind", U8, "of information"),
        Number("total_length", U16, "bytes of all packets"),
        Number("length", U16, "bytes of this packet"),
        Text("text", "length", "GBK"),
    ),
)
CALL: Final = Table(
    "call",
    "0x8400",
    (
        Number("flag", U8, "0 normal call, 1 listen-in"),
        Text("phone", "rest", "at most 20 bytes"),
    ),
)

RECORDER: Final = Table(
    "recorder_command",
    "0x8700, 0x8701",
    (
        Number("command", U8, "GB/T 19056 command word"),
        Opaque("data", "rest", "GB/T 19056 data block"),
    ),
)
RECORDER_UPLOAD: Final = Table(
    "recorder_data",
    "0x0700",
    (
        _REPLY_SERIAL,
        Number("command", U8, "GB/T 19056 command word"),
        Opaque("data", "rest", "GB/T 19056 data block"),
    ),
)
RECORDER_UPLOAD_2011: Final = Table(
    "recorder_data",
    "0x0700 of 2011",
    (
        _REPLY_SERIAL,
        Number("command", U8, "GB/T 19056 command word"),
        Number("total_length", U16, "bytes of all packets"),
        Number("length", U16, "bytes of this packet"),
        Opaque("data", "length", "GB/T 19056 data block"),
    ),
)
WAYBILL: Final = Table(
    "waybill",
    "0x0701",
    (
        Number("length", U32, "bytes"),
        Opaque("content", "length", "of the vendor"),
    ),
)
WAYBILL_PLAIN: Final = Table("waybill", "0x0701", (Text("text", "rest", "without a length"),))

DRIVER_2011: Final = Table(
    "driver",
    "0x0702 of 2011",
    (
        Number("name_length", U8, "bytes"),
        Text("name", "name_length", "driver's name"),
        Text("id_card", "20", "identity number"),
        Text("certificate", "40", "qualification number"),
        Number("issuer_length", U8, "bytes"),
        Text("issuer", "issuer_length", "who issued the certificate"),
    ),
)
DRIVER_STATE: Final = Table(
    "driver",
    "0x0702",
    (
        Number("state", U8, "1 card inserted, on duty; 2 card removed, off duty"),
        Time("time", "of the event"),
    ),
)
DRIVER_READ: Final = Table(
    "driver",
    "0x0702",
    (
        Number(
            "read_result", U8, "0 ok, 1 key check failed, 2 locked, 3 pulled, 4 data check failed"
        ),
    ),
)
DRIVER_CARD: Final = Table(
    "driver",
    "0x0702",
    (
        Number("name_length", U8, "bytes"),
        Text("name", "name_length", "driver's name"),
        Text("certificate", "20", "qualification number"),
        Number("issuer_length", U8, "bytes"),
        Text("issuer", "issuer_length", "who issued the certificate"),
        Digits("valid_until", 4, "YYYYMMDD"),
    ),
)
DRIVER_IDENTITY: Final = Table(
    "driver", "0x0702 of 2019", (Text("id_card", "20", "identity number"),)
)

PASS_THROUGH: Final = Table(
    "pass_through",
    "0x0900, 0x8900",
    (
        Number("kind", U8, "0 GNSS detail, 0x0B IC card, 0x41 and 0x42 serial ports, 0xF0- user"),
        Opaque("data", "rest", "as the device sent it"),
    ),
)
COMPRESSED: Final = Table(
    "compressed",
    "0x0901",
    (
        Number("length", U32, "bytes"),
        Opaque("data", "length", "GZIP of the message"),
    ),
)
PUBLIC_KEY: Final = Table(
    "public_key",
    "0x0A00, 0x8A00",
    (
        Number("e", U32, "RSA exponent"),
        Opaque("n", "128", "RSA modulus"),
    ),
)
