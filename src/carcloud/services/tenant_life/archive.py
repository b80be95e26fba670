"""A tar that is written once, front to back, in bounded memory; its manifest comes last."""

import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol

import msgspec

from carcloud.services.tenant_life.errors import Torn

FORMAT = 1
MANIFEST = "manifest.json"
_BLOCK = 512  # bytes, of a tar
_IN_MEMORY = 4 << 20  # bytes of a member of unknown size before it goes to a file
_PIECE = 1 << 20


class Out(Protocol):
    """Takes the bytes of the archive."""

    def write(self, data: bytes) -> None: ...


class Archive:
    """Members are added one after the other; `end` adds the manifest that names them all."""

    def __init__(self, out: Out, when_s: float) -> None:
        """`when_s` is the time that all members have, s since 1970."""
        self._out = out
        self._when_s = int(when_s)
        self._hash = hashlib.sha256()
        self._listed: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - see `close`
        self.members = 0

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """A member of just `size` bytes; raises `Torn` where the pieces are more or fewer."""
        self._begin(name, size)
        digest, left = hashlib.sha256(), size
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise Torn(f"{name} has grown while it was copied")
            digest.update(piece)
            self._put(piece)
        if left:
            raise Torn(f"{name} has shrunk while it was copied")
        self._put(bytes(-size % _BLOCK))
        line = {"name": name, "bytes": size, "sha256": digest.hexdigest()}
        self._listed.write((b",\n    " if self.members else b"\n    ") + msgspec.json.encode(line))
        self.members += 1

    def add_lines(self, name: str, lines: Iterable[bytes]) -> int:
        """A member of lines of JSON; returns their number."""
        count = 0
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            for line in lines:
                file.write(line + b"\n")
                count += 1
            self._add_file(name, file)
        return count

    def end(self, facts: Mapping[str, Any]) -> str:
        """Add the manifest and close the tar; returns the SHA-256 of it all."""
        head = msgspec.json.format(msgspec.json.encode({"format": FORMAT, **facts}), indent=2)
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            file.write(head.removesuffix(b"}").rstrip() + b',\n  "members": [')
            self._listed.seek(0)
            while piece := self._listed.read(_PIECE):
                file.write(piece)
            file.write(b"\n  ]\n}\n")
            size = file.tell()
            file.seek(0)
            self._begin(MANIFEST, size)
            while piece := file.read(_PIECE):
                self._put(piece)
            self._put(bytes(-size % _BLOCK))
        self._put(bytes(2 * _BLOCK))
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Give the list of members back."""
        self._listed.close()

    def _add_file(self, name: str, file: IO[bytes]) -> None:
        size = file.tell()
        file.seek(0)
        self.add(name, size, iter(lambda: file.read(_PIECE), b""))

    def _begin(self, name: str, size: int) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = size, 0o600, self._when_s
        self._put(header.tobuf(tarfile.PAX_FORMAT))

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._out.write(data)
