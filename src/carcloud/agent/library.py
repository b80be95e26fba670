"""The documents a vehicle holds: campaigns, models and DBC files, kept on disk.

The cloud says on `documents` which the vehicle should hold, and sends each on `documents/{id}`:

    {"documents": [{"id": "braking", "kind": "campaign", "version": 3, "hash": "…"}]}
    {"id": "braking", "kind": "campaign", "version": 3, "hash": "…", "document": {…}}

`hash` is the SHA-256 of the document's canonical JSON; see `document_hash`. What is no longer in
the list is thrown away. Campaigns that are listed under `paused` instead are held as the others,
collect nothing, and have what they collected sent. Each document is acknowledged in the next
check-in.
"""

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carcloud.codecs.campaign.document import document_hash, parse_json
from carcloud.codecs.campaign.fields import DocumentError, Fields

log = logging.getLogger(__name__)

KINDS = ("campaign", "model", "dbc")
MOST_DOCUMENTS = 1000
MOST_BYTES = 1 << 24  # of a document: a DBC file may be large
_SHA256 = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cloud's list says of one document."""

    id: str
    kind: str
    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class Held:
    """A document that is held, and what became of it: active, paused, waiting or refused, and
    why."""

    wanted: Wanted
    document: Any
    result: str = "waiting"
    reason: str = ""


def write_safely(file: Path, text: str) -> None:
    """Replace a file at once: after a power cut it is the old one or the new one."""
    new = file.with_suffix(file.suffix + ".new")
    try:
        with new.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def write_if_possible(file: Path, text: str) -> None:
    """Replace a file as `write_safely` does; where that fails, it is told and the old one stays."""
    try:
        write_safely(file, text)
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error)


class Library:
    """What is held and what is wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with contextlib.suppress(OSError):  # what is taken is told then, one by one
            folder.mkdir(parents=True, exist_ok=True)
        self.held: dict[str, Held] = {}
        self.refused: dict[str, tuple[Wanted, str]] = {}
        self._wanted: dict[str, Wanted] | None = None
        self.paused: frozenset[str] = frozenset()  # of what is wanted, campaigns that rest
        for file in sorted(folder.glob("*.json")):
            try:
                self._keep(_read_document(file.read_bytes()))
            except (DocumentError, OSError):
                _remove(file)  # it comes again with the next list
        try:
            self._wanted, self.paused = _read_list((folder / "list").read_bytes())
        except (DocumentError, OSError):
            self._wanted = None

    def _keep(self, held: Held) -> None:
        self.held[held.wanted.id] = held

    def take_list(self, payload: bytes) -> None:
        """The cloud's complete list; raises `DocumentError`."""
        self._wanted, self.paused = _read_list(payload)
        write_if_possible(self._folder / "list", payload.decode())
        for name, held in list(self.held.items()):
            if name not in self._wanted:
                del self.held[name]
                _remove(self._file(held.wanted))
        self.refused = {
            name: each for name, each in self.refused.items() if self._wanted.get(name) == each[0]
        }

    def take(self, name: str, payload: bytes) -> bool:
        """One document; True where it is new. A bad one is remembered as refused."""
        if not payload:
            return False  # the retained message was removed: the list says what is to go
        try:
            held = _read_document(payload)
            if held.wanted.id != name:
                raise DocumentError("id", f"is {held.wanted.id!r}, the topic says {name!r}")
        except DocumentError as error:
            self.refuse(_as_listed(self._wanted, name), str(error))
            return True
        known = self.held.get(name)
        if known is not None and known.wanted == held.wanted:
            return False
        if self._wanted is not None and self._wanted.get(name) != held.wanted:
            return False  # an old one that is still under way
        self.refused.pop(name, None)
        self._keep(held)
        write_if_possible(self._file(held.wanted), payload.decode())
        return True

    def refuse(self, wanted: Wanted, reason: str) -> None:
        """Remember that a document cannot be used."""
        self.refused[wanted.id] = (wanted, reason)

    def settle(self, name: str, result: str, reason: str = "") -> None:
        """What became of a held document."""
        if name in self.held:
            self.held[name] = replace(self.held[name], result=result, reason=reason)

    def _file(self, wanted: Wanted) -> Path:
        # Ids come from outside: their hash is the name.
        return self._folder / f"{document_hash(wanted.id)[:32]}.json"

    @property
    def listed(self) -> frozenset[str]:
        """Ids that the cloud's list names, whether their documents can be used or not."""
        return frozenset((*(self._wanted or {}), *self.held))

    @property
    def missing(self) -> list[str]:
        """Ids that are wanted but not held as the list says."""
        return [
            name
            for name, wanted in (self._wanted or {}).items()
            if name not in self.held or self.held[name].wanted != wanted
        ]

    def of_kind(self, kind: str) -> list[Held]:
        """The held documents of one kind, by id."""
        return [each for _, each in sorted(self.held.items()) if each.wanted.kind == kind]

    def acknowledgements(self) -> list[dict[str, Any]]:
        """What the check-in says of each document."""
        rows = [
            _row(each.wanted, each.result, each.reason)
            for each in self.held.values()
            if each.wanted.id not in self.refused
        ]
        return rows + [_row(wanted, "refused", why) for wanted, why in self.refused.values()]


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):  # of a disk that is read-only: it is not listed
        file.unlink(missing_ok=True)


def _row(wanted: Wanted, result: str, reason: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": wanted.id, "kind": wanted.kind, "version": wanted.version, "hash": wanted.hash,
        "result": result,
    }  # fmt: skip
    return row | {"reason": reason} if reason else row


def _as_listed(listed: Mapping[str, Wanted] | None, name: str) -> Wanted:
    return (listed or {}).get(name) or Wanted(name, "campaign", 0, "")


def _wanted(fields: Fields) -> Wanted:
    return Wanted(
        id=fields.text("id", 100),
        kind=fields.choice("kind", KINDS),
        version=fields.integer("version", 1, 2**31 - 1),
        hash=fields.text("hash", _SHA256),
    )


def _read_list(payload: bytes) -> tuple[dict[str, Wanted], frozenset[str]]:
    """What is wanted, and the ids of what is paused of it."""
    fields = Fields(parse_json(payload))
    found = fields.items("documents", MOST_DOCUMENTS, _wanted, required=True)
    rest = fields.items("paused", MOST_DOCUMENTS, _wanted)
    listed = {each.id: each for each in found}
    paused = {each.id: each for each in rest if each.id not in listed}
    return listed | paused, frozenset(paused)


def _read_document(payload: bytes) -> Held:
    fields = Fields(parse_json(payload, MOST_BYTES))
    wanted, document = _wanted(fields), fields.take("document")
    fields.finish()
    try:
        told = document_hash(document)
    except RecursionError as error:
        raise DocumentError("document", "is nested too deeply") from error
    if told != wanted.hash:
        raise DocumentError("hash", "is not that of the document")
    return Held(wanted, document)
