"""Documents as vehicles get them: campaigns, models, and the list of what each should hold."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.mqtt.topics import prefix

LIST: Final = ""  # the id of the list itself in `vehicle_documents`


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list says of a document."""

    id: str
    kind: str
    version: int
    sha256: str

    @property
    def entry(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "id": self.id, "kind": self.kind, "version": self.version, "hash": self.sha256
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and what is retained on its topic."""

    listed: Listed
    payload: bytes

    @property
    def id(self) -> str:
        """Its id among those of a vehicle."""
        return self.listed.id


def document(name: str, kind: str, version: int, content: Mapping[str, Any]) -> Document:
    """A campaign or a model."""
    listed = Listed(name, kind, version, document_hash(content))
    return Document(listed, _json({**listed.entry, "document": content}))


def listing(wanted: Iterable[Listed], paused: Iterable[Listed]) -> Document:
    """The list of a vehicle: what it should hold, and campaigns for which it collects nothing
    now, but sends what it has collected."""
    content = {"documents": [each.entry for each in wanted]}
    if rest := [each.entry for each in paused]:
        content["paused"] = rest
    return Document(Listed(LIST, "list", 0, document_hash(content)), _json(content))


def topic(vehicle: str, name: str) -> str:
    """Where a document is retained, or the list."""
    return f"{prefix(vehicle)}documents{'/' if name else ''}{name}"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
