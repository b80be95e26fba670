"""The folder of a backup: files with their checksums in a manifest that is written last."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

FORMAT = 1
MANIFEST = "manifest.json"
_PIECE = 1 << 20

Tell = Callable[[str, int], None]
"""Hears of progress: the part, and bytes done since the last time."""


class BrokenBackup(Exception):
    """The folder is no backup, not a whole one, or has changed since it was made."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StreamKept:
    """One durable stream: the sequences that are in the backup, and its readers' positions."""

    first: int
    last: int
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    version: str  # of carcloud
    revision: str  # of the records' tables
    begun: str
    ended: str
    streams: Mapping[str, StreamKept]
    records: Mapping[str, int]  # rows by table
    lake: Mapping[str, int]  # rows by `<tenant>/<table>`
    blobs: int
    files: Mapping[str, Kept]
    format: int = FORMAT


@dataclass(slots=True)
class Growing:
    """A file of a new backup while it is written."""

    out: BinaryIO
    tell: Callable[[int], None]
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0

    def add(self, piece: bytes) -> None:
        """Write a further piece."""
        self.out.write(piece)
        self.digest.update(piece)
        self.size += len(piece)
        self.tell(len(piece))


@dataclass(slots=True)
class Writer:
    """Writes files of a new backup."""

    root: Path
    tell: Tell
    files: dict[str, Kept] = field(default_factory=dict)

    def begin(self) -> None:
        """Make the folder, private to the owner; raises `BrokenBackup` where it is not empty."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.root.iterdir()):
            raise BrokenBackup(f"{self.root} is not empty: a backup needs a folder of its own")
        self.root.chmod(0o700)

    @contextmanager
    def file(self, name: str) -> Iterator["Growing"]:
        """A file that is written piece by piece; at the end of the block it is synced."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            growing = Growing(out, partial(self.tell, name.partition("/")[0]))
            yield growing
            out.flush()
            os.fsync(out.fileno())
        self.files[name] = Kept(growing.size, growing.digest.hexdigest())

    def write(self, name: str, pieces: Iterable[bytes]) -> int:
        """A file of its pieces, synced; returns its size."""
        with self.file(name) as file:
            for piece in pieces:
                file.add(piece)
        return file.size

    def forget(self, name: str) -> None:
        """Take a file back."""
        (self.root / name).unlink(missing_ok=True)
        self.files.pop(name, None)

    def end(self, manifest: Manifest) -> None:
        """The backup is whole when its manifest is there: after everything else, synced."""
        for folder in {f for name in self.files for f in (self.root / name).parents}:
            if folder.is_relative_to(self.root):
                sync_folder(folder)
        draft = self.root / f".{MANIFEST}"
        with draft.open("wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(manifest)))
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.root / MANIFEST)
        sync_folder(self.root)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a backup."""

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, root: Path) -> "Reader":
        """Raises `BrokenBackup`."""
        try:
            raw: Any = (root / MANIFEST).read_bytes()
            manifest = msgspec.json.decode(raw, type=Manifest)
        except FileNotFoundError as error:
            raise BrokenBackup(f"{root} has no {MANIFEST}: it is no backup, or no whole one") from (
                error
            )
        except (OSError, msgspec.DecodeError) as error:
            raise BrokenBackup(f"{root / MANIFEST}: {error}") from error
        if manifest.format != FORMAT:
            raise BrokenBackup(f"{root} has format {manifest.format}, and this reads {FORMAT}")
        return cls(root, manifest)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(kept.bytes for kept in self.manifest.files.values())

    def verify(self, tell: Tell) -> None:
        """Read everything; raises `BrokenBackup` for a file that is gone or has changed."""
        for name, kept in self.manifest.files.items():
            digest = hashlib.sha256()
            try:
                for piece in self.pieces(name):
                    digest.update(piece)
                    tell("verify", len(piece))
            except OSError as error:
                raise BrokenBackup(f"{name}: {error.strerror}") from error
            if digest.hexdigest() != kept.sha256:
                raise BrokenBackup(f"{name} is not what the manifest says: it was changed or cut")

    def names(self, below: str) -> list[str]:
        """Files below a folder, in order."""
        return sorted(name for name in self.manifest.files if name.startswith(f"{below}/"))

    def read(self, name: str) -> bytes:
        """A whole file."""
        return (self.root / name).read_bytes()

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file in pieces."""
        with (self.root / name).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def packed(values: Iterable[Any]) -> Iterator[bytes]:
    """Values as MessagePack, each after its length in four bytes."""
    encode = msgspec.msgpack.Encoder().encode
    for value in values:
        data = encode(value)
        yield len(data).to_bytes(4, "big") + data


def unpacked(pieces: Iterable[bytes]) -> Iterator[Any]:
    """What `packed` made of values."""
    decode, rest = msgspec.msgpack.Decoder().decode, bytearray()
    for piece in pieces:
        rest += piece
        at = 0
        while len(rest) - at >= 4 and len(rest) - at - 4 >= (
            size := int.from_bytes(rest[at : at + 4], "big")
        ):
            yield decode(bytes(rest[at + 4 : at + 4 + size]))
            at += 4 + size
        del rest[:at]


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
