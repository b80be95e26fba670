"""What a frame says: typed, and as the JSON object that `carcloud decode` prints."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from carcloud.codecs.gbt32960.constants import Encryption, Flag, command_name
from carcloud.codecs.gbt32960.layout import Fields, Marker, Raw, Value
from carcloud.codecs.gbt32960.reading import Diagnosis
from carcloud.codecs.gbt32960.tables import ALARM_BITS, ALARM_CODES


class Item(msgspec.Struct, frozen=True):
    """One body of a report, or one parameter of a query answer or a set request."""

    type: int  # type byte of a body, id of a parameter
    name: str
    fields: Fields
    offset: int  # of the type byte, in the data unit


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded frame."""

    edition: int
    command: int
    flag: int
    vehicle: str  # unique id of the header
    encryption: int
    time: datetime | None = None  # UTC; collection time, or that of the command
    fields: Fields = {}
    items: tuple[Item, ...] = ()
    partial: bool = False  # some of the data unit could not be read
    rest: bytes = b""  # that part, raw
    signed: int | None = None  # bytes of the data unit that the signature covers
    mark: int | None = None  # where the mark 0xFF of a report's signature stands in the data unit
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def out_of_range(self) -> bool:
        """True where a number lies outside the range that the standard calls valid."""
        return any(diagnosis.code == "out-of-range" for diagnosis in self.diagnoses)

    def to_json(self) -> dict[str, Any]:
        """The message as JSON values: sentinels are null and named in `quality`."""
        document: dict[str, Any] = {
            "edition": self.edition,
            "command": command_name(self.command),
            "flag": _name(Flag, self.flag),
            "vehicle": self.vehicle,
            "encryption": _name(Encryption, self.encryption),
            "time": None if self.time is None else _instant(self.time),
            "fields": fields_to_json(self.fields),
            "items": [self._item(item) for item in self.items],
            "partial": self.partial,
            "diagnoses": [msgspec.structs.asdict(diagnosis) for diagnosis in self.diagnoses],
        }
        if self.rest:
            document["rest"] = self.rest.hex()
        return document

    def _item(self, item: Item) -> dict[str, Any]:
        document = {"type": f"0x{item.type:02X}", "name": item.name, **fields_to_json(item.fields)}
        document.update(_derived(self.edition, item))
        return document


def fields_to_json(fields: Fields) -> dict[str, Any]:
    """Fields as JSON values, with `quality` where a value is missing."""
    document: dict[str, Any] = {key: _value(value) for key, value in fields.items()}
    quality = dict(_quality(fields))
    if quality:
        document["quality"] = quality
    return document


def gear_position(edition: int, gear: int) -> int | None:
    """Low nibble of the gear byte (A.1); None where bit 7 of a 2025 gear says invalid."""
    return None if edition == 2025 and gear & 0x80 else gear & 0x0F


def alarm_names(edition: int, flags: int) -> list[str]:
    """Names of the general alarm bits that are set and defined in the edition."""
    return [ALARM_CODES[bit] for bit in range(ALARM_BITS[edition]) if flags >> bit & 1]


def _derived(edition: int, item: Item) -> dict[str, Any]:
    """Bit fields spelt out (A.1 gear, table 15 position status, table 18 alarm flags)."""
    gear, flags = item.fields.get("gear"), item.fields.get("flags")
    if item.name == "vehicle" and isinstance(gear, int):
        return {
            "gear_position": gear_position(edition, gear),
            "is_brake_force_active": bool(gear & 0x10),
            "is_drive_force_active": bool(gear & 0x20),
        }
    status = item.fields.get("status")
    if item.name == "position" and isinstance(status, int):
        return {
            "is_valid": not status & 1,
            "is_south": bool(status & 2),
            "is_west": bool(status & 4),
        }
    if item.name == "alarm" and isinstance(flags, int):
        return {"alarms": alarm_names(edition, flags)}
    return {}


def _value(value: Value) -> Any:
    match value:
        case Marker() | Raw():
            return None
        case bytes():
            return value.hex()
        case datetime():
            return _instant(value)
        case dict():
            return fields_to_json(value)
        case str() | int() | float():
            return value
        case _:
            return [_value(part) for part in value]


def _quality(fields: Fields) -> Iterator[tuple[str, str]]:
    """Why values are missing; `cell_v[3]` names an element. Records carry their own."""
    for key, value in fields.items():
        parts: Sequence[Value] = value if isinstance(value, list) else [value]
        for index, part in enumerate(parts):
            name = f"{key}[{index}]" if isinstance(value, list) else key
            if isinstance(part, Marker):
                yield name, part.value
            elif isinstance(part, Raw):
                yield name, "out_of_range"


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _name(names: type[Flag] | type[Encryption], code: int) -> str:
    known = names._value2member_map_
    return names(code).name.lower() if code in known else f"0x{code:02x}"
