"""The document of a vehicle model that agents get: its CAN signals, and of its DBC files what
those need."""

import json
from collections.abc import Iterable
from typing import Any, Final

from carcloud.codecs.dbc.reduced import reduced
from carcloud.services.vocabulary.mapping_types import (
    CanList,
    DbcFile,
    DbcFinding,
    Mapping,
    Rule,
)

LIMIT: Final = "vehicle_message_bytes"  # of a tenant: what may wait for one vehicle
_ENTRY: Final = 2_000  # bytes of an entry without its labels and elements, at most


def model_document(mapping: Mapping) -> dict[str, Any]:
    """As docs/agent.md says. Its hash is `codecs.campaign.document.document_hash`."""
    keys = {(one.message.id, one.message.extended) for rule in mapping.can for one in rule.can}
    texts = [(file, reduced(file.text, file.database, keys)) for file in mapping.dbc]
    return {
        "id": mapping.model,
        "version": mapping.version,
        "j1939": mapping.j1939,
        "dbc": [
            {"name": file.name, "text": text, **({"bus": file.bus} if file.bus else {})}
            for file, text in texts
            if text
        ],
        "signals": list(_signals(mapping.can)),
    }


def too_large(mapping: Mapping, most: int) -> DbcFinding | None:
    """What is told of a mapping whose document is of over `most` bytes: no agent would get it."""
    elements = sum(len(rule.can) + len(rule.labels) for rule in mapping.can)
    if sum(len(one.text) for one in mapping.dbc) + elements * _ENTRY <= most:
        return None
    size = len(json.dumps(model_document(mapping), ensure_ascii=False).encode())
    if size <= most or not mapping.dbc:
        return None
    largest: DbcFile = max(mapping.dbc, key=lambda one: len(one.text))
    return DbcFinding(
        largest.name, 1, "warning",
        f"agents need {size:,} bytes of this mapping, and {LIMIT} lets {most:,} wait for a vehicle",
        "it holds in the cloud, vehicles do not get it: map fewer messages, or raise the limit",
    )  # fmt: skip


def _signals(rules: Iterable[Rule]) -> Iterable[dict[str, Any]]:
    for rule in rules:
        elements = [{"message": one.message.name, "signal": one.signal.name} for one in rule.can]
        listed = isinstance(rule.source, CanList)
        entry: dict[str, Any] = {
            **({"elements": elements} if listed else elements[0]),
            "path": rule.path,
            "datatype": rule.signal.datatype,
        }
        if rule.labels:
            entry["labels"] = {str(raw): meaning for raw, meaning in rule.labels.items()}
        else:
            entry.update(scale=rule.scale, offset=rule.offset)
        yield entry
