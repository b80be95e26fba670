"""The messages of docs/samples.proto as Google's own protobuf library has them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = Path(__file__).parents[3] / "docs" / "samples.proto"
_FIELD = re.compile(r"^ *(repeated )?(map<string, Value>|\w+) (\w+) = (\d+);")
_KIND = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "double": _KIND.TYPE_DOUBLE, "int64": _KIND.TYPE_INT64, "sint64": _KIND.TYPE_SINT64,
    "uint64": _KIND.TYPE_UINT64, "bool": _KIND.TYPE_BOOL, "string": _KIND.TYPE_STRING,
}  # fmt: skip


def messages() -> Mapping[str, Any]:
    """The classes by name, from the text of the file: what it says is what they do."""
    file = descriptor_pb2.FileDescriptorProto(name="samples.proto", syntax="proto3")
    file.package = re.search(r"^package (.+);", PROTO.read_text(), re.M)[1]
    for line in PROTO.read_text().splitlines():
        if found := re.match(r"message (\w+) {", line):
            message = file.message_type.add(name=found[1])
        elif "oneof" in line:
            message.oneof_decl.add(name="kind")
        elif found := _FIELD.match(line):
            _field(file.package, message, *found.groups())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{file.package}.{message.name}")
        )
        for message in file.message_type
    }


def _field(package: str, message: Any, repeated: str | None, kind: str, name: str, n: str) -> None:
    field = message.field.add(name=name, number=int(n))
    field.label = _KIND.LABEL_REPEATED if repeated else _KIND.LABEL_OPTIONAL
    if kind.startswith("map"):
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _field(package, entry, None, "string", "key", "1")
        _field(package, entry, None, "Value", "value", "2")
        field.label, kind = _KIND.LABEL_REPEATED, f"{message.name}.{entry.name}"
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = _KIND.TYPE_MESSAGE, f".{package}.{kind}"
    if message.oneof_decl:
        field.oneof_index = 0
