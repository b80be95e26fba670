"""What a message says: typed, and as the JSON object that `carcloud decode` prints."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from carcloud.codecs.jt808.explain import explain
from carcloud.codecs.jt808.layout import Fields, Raw, Value
from carcloud.codecs.jt808.reading import Diagnosis
from carcloud.codecs.jt808.tables import message_name
from carcloud.codecs.jt808.tables_position import (
    ALARM_CODES,
    ALARM_MASKS,
    LOADS,
    ONLY_2019,
    SIGNAL_BITS,
    SOUTH,
    STATUS_BITS,
    WEST,
)

_HEX: Final = {"item": 2, "parameter": 4, "reply_id": 4}  # digits of ids


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded message."""

    edition: int  # 2011, 2013 or 2019
    message: int  # id
    vehicle: str  # terminal phone number without leading zeros
    serial: int
    packets: int = 1
    packet: int = 1  # 0: joined from all packets
    encryption: int = 0
    fields: Fields = {}
    partial: bool = False  # some of the body could not be read
    rest: bytes = b""  # that part, raw
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def name(self) -> str:
        """The message's name; `0xNNNN` for an id that no edition has."""
        return message_name(self.message)

    @property
    def reports(self) -> list[Fields]:
        """The position reports in it, in order: those that could be read."""
        records = self.fields.get("positions")
        found = (
            [record.get("position") for record in records if isinstance(record, dict)]
            if isinstance(records, list)
            else [self.fields.get("position")]
        )
        return [report for report in found if isinstance(report, dict)]

    @property
    def time(self) -> datetime | None:
        """UTC; of its first position report, or of the event; None without one."""
        for fields in (*self.reports[:1], self.fields):
            if isinstance(found := fields.get("time"), datetime):
                return found
        return None

    @property
    def out_of_range(self) -> bool:
        """True where a number lies outside what the standard allows."""
        return any(diagnosis.code == "out-of-range" for diagnosis in self.diagnoses)

    def fields_to_json(self) -> dict[str, Any]:
        """The fields as JSON values, and what their bits say."""
        document = fields_to_json(self.fields, self.edition)
        if self.fields:
            explain(self.message, self.edition, document)
        return document

    def to_json(self) -> dict[str, Any]:
        """The message as JSON values: a time that is none is null and named in `quality`."""
        document: dict[str, Any] = {
            "edition": self.edition,
            "message": self.name,
            "id": f"0x{self.message:04X}",
            "vehicle": self.vehicle,
            "serial": self.serial,
            "packets": self.packets,
            "packet": self.packet,
            "encryption": {0: "none", 1: "rsa"}.get(self.encryption, f"0x{self.encryption:x}"),
            "time": None if self.time is None else _instant(self.time),
            "fields": self.fields_to_json(),
            "partial": self.partial,
            "diagnoses": [msgspec.structs.asdict(diagnosis) for diagnosis in self.diagnoses],
        }
        if self.rest:
            document["rest"] = self.rest.hex()
        return document


def fields_to_json(fields: Fields, edition: int) -> dict[str, Any]:
    """Fields as JSON values, with `quality` where a value is missing; degrees have their sign."""
    document: dict[str, Any] = {}
    for key, value in fields.items():
        if key in _HEX and isinstance(value, int):
            document[key] = f"0x{value:0{_HEX[key]}X}"
        else:
            document[key] = _value(value, edition)
        if key == "alarm" and isinstance(value, int):
            document["alarms"] = alarm_names(edition, value)
        if key == "status" and isinstance(value, int):
            document |= {"states": list(_states(edition, value)), "load": LOADS[value >> 8 & 3]}
        if key == "signals" and isinstance(value, int):
            document["on"] = [name for bit, name in enumerate(SIGNAL_BITS) if value >> bit & 1]
    status = fields.get("status")
    if isinstance(status, int) and "latitude_deg" in fields:
        for key, bit in (("latitude_deg", SOUTH), ("longitude_deg", WEST)):
            document[key] = 0.0 - document[key] if status >> bit & 1 else document[key]
    quality = {key: "invalid" for key, value in fields.items() if isinstance(value, Raw)}
    return document | ({"quality": quality} if quality else {})


def alarm_names(edition: int, alarm: int) -> list[str]:
    """Names of the alarm bits that are set and have a meaning in the edition."""
    known = alarm & ALARM_MASKS[edition]
    return [name for bit, name in enumerate(ALARM_CODES) if known >> bit & 1]


def _states(edition: int, status: int) -> Iterator[str]:
    known = status if edition == 2019 else status & ~ONLY_2019
    return (name for bit, name in STATUS_BITS.items() if known >> bit & 1)


def _value(value: Value, edition: int) -> Any:
    match value:
        case None | Raw():
            return None
        case bytes():
            return value.hex()
        case datetime():
            return _instant(value)
        case dict():
            return fields_to_json(value, edition)
        case str() | int() | float():
            return value
        case _:
            return [_value(part, edition) for part in value]


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
