"""The raw fields of a model, and where each lands: the view behind a mapping."""

from collections.abc import Iterator

from carcloud.codecs.can.obd_pids import PARTS
from carcloud.codecs.dbc import Message
from carcloud.codecs.dbc import Signal as DbcSignal
from carcloud.services.vocabulary.mapping_types import (
    CODES,
    PROTOCOLS,
    CanList,
    CanSource,
    FieldSource,
    Mapping,
    ObdCodeSource,
    ObdSource,
    RawField,
    Rule,
)

_KINDS = {CanSource: "can", ObdSource: "obd", ObdCodeSource: "obd", FieldSource: "field"}


def raw_fields(mapping: Mapping) -> tuple[RawField, ...]:
    """All of the mapping's DBC files, then PIDs and protocol fields, mapped or not."""
    landing: dict[tuple[str, str], list[str]] = {}
    for rule in mapping.rules:
        if isinstance(rule.source, CanList):
            for at, element in enumerate(rule.source.elements):
                landing.setdefault(("can", element.name), []).append(f"{rule.path}[{at}]")
        else:
            key = _KINDS[type(rule.source)], rule.source.name
            landing.setdefault(key, []).append(rule.path)
    listed = list(_listed(mapping))
    known = {(one.kind, one.name) for one in listed}
    others = [
        RawField("field", rule.source.name, _what(rule), rule.source.unit, ())
        for rule in mapping.rules
        if not rule.can and (_KINDS[type(rule.source)], rule.source.name) not in known
    ]
    return tuple(
        RawField(one.kind, one.name, one.place, one.unit, tuple(paths))
        if (paths := landing.get((one.kind, one.name)))
        else one
        for one in (*listed, *dict.fromkeys(others))
    )


def _what(rule: Rule) -> str:
    told = rule.source.field.what if isinstance(rule.source, FieldSource) else ""
    return told or "item of the vendor"


def _listed(mapping: Mapping) -> Iterator[RawField]:
    seen: set[str] = set()
    for file in mapping.dbc:
        for message in file.database.messages:
            if message.name in seen:
                continue
            seen.add(message.name)
            for signal in message.signals:
                name = f"{message.name}.{signal.name}"
                yield RawField("can", name, _place(message, signal), signal.unit, ())
    for pid, values in PARTS.items():
        for part, known in enumerate(values):
            yield RawField("obd", ObdSource(pid, part).name, known.name, known.unit, ())
    for name, mode in CODES.items():
        yield RawField("obd", name, f"trouble codes, mode {mode:02X}", "", ())
    for protocol, named in PROTOCOLS.items():
        for field in named.table().values():
            yield RawField("field", f"{protocol}.{field.name}", field.what, field.unit, ())


def _place(message: Message, signal: DbcSignal) -> str:
    digits = 8 if message.extended else 3
    order = "little-endian" if signal.little_endian else "big-endian"
    text = f"0x{message.id:0{digits}X} bit {signal.start}, {signal.length} bits, {order}"
    return text if signal.decodable else f"{text}, not decodable"
