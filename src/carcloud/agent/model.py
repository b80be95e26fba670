"""A vehicle's model: which signals of which CAN messages are which signals of the catalogue.

    {"id": "truck-7", "version": 1, "dbc": [{"text": "VERSION ..."}],
     "signals": [{"message": "EEC1", "signal": "EngineSpeed",
                  "path": "Vehicle.Powertrain.CombustionEngine.Speed"}]}

A list has `elements`, [{"message": "Cells", "signal": "Cell_1"}, ...], in place of one source.
A DBC is given as `text`, as the id of another `document`, or, in a local file only, as a `file`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from carcloud.codecs.campaign.checking import SignalType
from carcloud.codecs.campaign.document import parse_json
from carcloud.codecs.campaign.expression import MAX_PATH
from carcloud.codecs.campaign.fields import DocumentError, Fields
from carcloud.codecs.dbc.database import Database, Message, Signal
from carcloud.codecs.dbc.j1939 import Finder
from carcloud.codecs.dbc.parser import parse

MOST_MAPPINGS = 50_000
MOST_DBC = 50
MOST_ELEMENTS = 1_000  # of a list
_TEXT = 16 << 20  # characters of a DBC
_DATATYPES = (
    "boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float",
    "double", "string",
)  # fmt: skip

ReadDbc = Callable[[str, str], bytes]
"""Bytes of a DBC that a model names: "file" or "document", and the name. Raises `KeyError`."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One signal of a message and what it is in the catalogue.

    The value is `scale` times the physical value of the DBC, plus `offset`; or the entry of
    `labels` for the raw value, and nothing where there is none. `datatype` is that of the value,
    of a list that of its elements.
    """

    message: Message
    signal: Signal
    path: str
    datatype: str
    scale: float = 1
    offset: float = 0
    labels: Mapping[int, Any] = field(default_factory=dict)
    element: int | None = None  # of a list, from 0
    size: int = 1  # elements of the list


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """A model with its databases read."""

    id: str
    version: int
    databases: tuple[tuple[str | None, Database], ...]  # with the bus, None for every bus
    mappings: tuple[Mapped, ...]
    j1939: bool
    types: Mapping[str, SignalType]

    def catalogue(self, path: str) -> SignalType | None:
        """The type of a signal that this vehicle provides, else None."""
        return self.types.get(path)

    def finder(self, bus: str) -> Finder:
        """What finds the message of a frame of one bus."""
        mine = [database for on, database in self.databases if on in (None, bus)]
        return Finder(mine, j1939=self.j1939)


def no_dbc(kind: str, name: str) -> bytes:
    """For models that bring their DBC along."""
    raise KeyError(f"{kind} {name}")


def beside(folder: Path) -> ReadDbc:
    """Reads the DBC files of a local model, by names relative to its folder."""

    def read(kind: str, name: str) -> bytes:
        if kind != "file":
            raise KeyError(f"{kind} {name}")
        return (folder / name).read_bytes()

    return read


def parse_model(document: bytes | str | object, read_dbc: ReadDbc = no_dbc) -> VehicleModel:
    """Read a model document; raises `DocumentError` with the field."""
    if isinstance(document, bytes | str):
        document = parse_json(document)
    fields = Fields(document)
    databases = fields.items("dbc", MOST_DBC, lambda each: _database(each, read_dbc), required=True)
    messages: dict[str, Message] = {}
    for _, database in databases:
        for message in database.messages:
            messages.setdefault(message.name, message)
    entries = fields.items("signals", MOST_MAPPINGS, lambda each: _mapped(each, messages))
    mappings = tuple(mapped for entry in entries for mapped in entry)
    model = VehicleModel(
        id=fields.text("id", 100, "model"),
        version=fields.integer("version", 1, 2**31 - 1, 1),
        databases=databases,
        mappings=mappings,
        j1939=fields.boolean("j1939", False),
        types={each.path: _type(each) for each in mappings},
    )
    fields.finish()
    seen: set[str] = set()
    for at, (each, *_) in enumerate(entries):
        if each.path in seen:
            raise DocumentError(f"signals[{at}].path", f"{each.path} is mapped twice")
        seen.add(each.path)
    return model


def _type(mapped: Mapped) -> SignalType:
    texts = (text for text in mapped.labels.values() if isinstance(text, str))
    datatype = mapped.datatype if mapped.element is None else f"{mapped.datatype}[]"
    return SignalType(datatype, tuple(dict.fromkeys(texts)))


def _database(fields: Fields, read_dbc: ReadDbc) -> tuple[str | None, Database]:
    fields.take("name", None)
    bus = fields.text("bus", 32, None)
    kinds = [kind for kind in ("text", "file", "document") if fields.has(kind)]
    if len(kinds) != 1:
        raise DocumentError(fields.name("text"), "a DBC is either text, file or document")
    (kind,) = kinds
    given = fields.text(kind, _TEXT)
    try:
        data = given.encode() if kind == "text" else read_dbc(kind, given)
    except (KeyError, OSError) as error:
        raise DocumentError(fields.name(kind), f"cannot be read: {error}") from error
    database, _ = parse(data)
    return bus, database


def _mapped(fields: Fields, messages: Mapping[str, Message]) -> tuple[Mapped, ...]:
    """One entry: one signal, or the elements of a list."""

    def source(each: Fields) -> tuple[Message, Signal]:
        return _source(each, messages)

    listed = fields.has("elements")
    if listed:
        sources = fields.items("elements", MOST_ELEMENTS, source)
        if not sources:
            raise DocumentError(fields.name("elements"), "a list has at least one element")
    else:
        sources = (source(fields),)
    labels = _labels(fields)
    texts = any(isinstance(each, str) for each in labels.values())
    ending = "[]" if listed else ""
    kinds = tuple(f"{kind}{ending}" for kind in _DATATYPES)
    usual = f"{'string' if texts else 'double'}{ending}"
    common = Mapped(
        *sources[0],
        path=fields.text("path", MAX_PATH),
        datatype=fields.choice("datatype", kinds, usual).removesuffix("[]"),
        scale=fields.number("scale", 1),
        offset=fields.number("offset", 0),
        labels=labels,
    )
    if not listed:
        return (common,)
    return tuple(
        replace(common, message=message, signal=signal, element=at, size=len(sources))
        for at, (message, signal) in enumerate(sources)
    )


def _source(fields: Fields, messages: Mapping[str, Message]) -> tuple[Message, Signal]:
    message = messages.get(fields.text("message", 500))
    if message is None:
        raise DocumentError(fields.name("message"), "no DBC of this model has this message")
    signal = message.signal_by_name.get(fields.text("signal", 500))
    if signal is None or not signal.decodable:
        reason = "cannot be decoded" if signal else f"{message.name} has no such signal"
        raise DocumentError(fields.name("signal"), reason)
    return message, signal


def _labels(fields: Fields) -> dict[int, Any]:
    value = fields.take("labels", {})
    if not isinstance(value, Mapping):
        raise DocumentError(fields.name("labels"), "expected an object")
    labels = {}
    for raw, meaning in value.items():
        try:
            labels[int(raw)] = meaning
        except ValueError as error:
            name = fields.name("labels")
            raise DocumentError(name, f"{raw!r:.40} is no raw value") from error
        if not isinstance(meaning, str | int | float):
            raise DocumentError(fields.name("labels"), f"{raw}: expected a text or a number")
    return labels
