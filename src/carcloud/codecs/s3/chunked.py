"""Bodies in `aws-chunked` coding: signed chunks, and trailers with checksums.

Source: "Signature Calculations: Transferring Payload in Multiple Chunks" and "Including
Trailing Headers", Amazon S3 API Reference.

    chunk    = hex size [";chunk-signature=" 64 hex] CRLF data CRLF
    last     = a chunk of size 0 without the CRLF of its data
    trailer  = *(name ":" value CRLF) CRLF
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.signature import (
    EMPTY_SHA256,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_TRAILER,
    Claim,
)

MOST_LINE = 300  # bytes of a chunk's head or a trailer line
MOST_CHUNK = 1 << 30  # bytes
_MOST_TRAILERS = 10
_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER = re.compile(rb"([A-Za-z0-9-]{1,80}):[ \t]*([!-~][ -~]{0,200})")
_SIGNATURE = "x-amz-trailer-signature"


@dataclass(slots=True)
class ChunkSigner:
    """The chain of chunk signatures, each over the one before."""

    key: bytes
    time: str
    scope: str
    previous: str  # the seed: the signature of the request itself

    @classmethod
    def of(cls, claim: Claim, key: bytes) -> "ChunkSigner":
        """The chain that begins with a request's signature."""
        return cls(key, claim.time, claim.scope, claim.signature)

    def chunk(self, digest: str) -> str:
        """The signature of the next chunk, whose data has this SHA-256."""
        return self._next(f"{EMPTY_SHA256}\n{digest}", "AWS4-HMAC-SHA256-PAYLOAD")

    def trailer(self, lines: bytes) -> str:
        """The signature of the trailers, `name:value` and a line feed each."""
        return self._next(hashlib.sha256(lines).hexdigest(), "AWS4-HMAC-SHA256-TRAILER")

    def _next(self, rest: str, kind: str) -> str:
        text = f"{kind}\n{self.time}\n{self.scope}\n{self.previous}\n{rest}"
        self.previous = hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
        return self.previous


class ChunkedBody:
    """Takes a body in pieces and gives its data back.

    What `feed` gives is not to be trusted before `finish` has returned.
    """

    def __init__(self, kind: str, signer: ChunkSigner | None) -> None:
        """`kind` is a word of `signature.STREAMING`; a signed kind needs a signer."""
        self._signer = signer if kind != UNSIGNED_TRAILER else None
        self._signed = kind != UNSIGNED_TRAILER
        self._has_trailer = kind in (UNSIGNED_TRAILER, SIGNED_CHUNKS_TRAILER)
        if self._signed and signer is None:
            raise ValueError("signed chunks need a signer")
        self._held = b""
        self._at = 0  # how much of it is dealt with
        self._left = 0  # bytes of the current chunk's data that have not come
        self._state = "head"
        self._wanted = ""  # signature of the current chunk
        self._hash = hashlib.sha256()
        self._lines: list[tuple[bytes, bytes]] = []
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Further bytes of the body; yields data. Raises `S3Error`."""
        self._held = self._held[self._at :] + data
        self._at = 0
        while self._at < len(self._held):
            if self._state == "data":
                yield self._data()
            elif self._state == "end":
                raise S3Error("InvalidRequest", "bytes follow the last chunk")
            elif not self._line():
                return

    def finish(self) -> None:
        """The body has ended; raises `S3Error` IncompleteBody if there is more to come."""
        if self._state != "end":
            raise S3Error("IncompleteBody")

    def _data(self) -> bytes:
        piece = self._held[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        if self._signed:
            self._hash.update(piece)
        if not self._left:
            self._check_chunk()
            self._state = "crlf"
        return piece

    def _line(self) -> bool:
        """Take one line; False while its end has not come."""
        end = self._held.find(b"\r\n", self._at, self._at + MOST_LINE + 2)
        if end < 0:
            if len(self._held) - self._at > MOST_LINE + 1:
                raise S3Error("InvalidRequest", "a line of the chunked body is too long")
            return False
        line, self._at = self._held[self._at : end], end + 2
        if self._state == "crlf":
            if line:
                raise S3Error("InvalidRequest", "a chunk does not end where it said")
            self._state = "head"
        elif self._state == "head":
            self._head(line)
        else:
            self._trailer(line)
        return True

    def _head(self, line: bytes) -> None:
        head = _HEAD.fullmatch(line)
        if head is None or (head[2] is not None) is not self._signed:
            raise S3Error("InvalidRequest", "the head of a chunk is not well formed")
        self._left = int(head[1], 16)
        if self._left > MOST_CHUNK:
            raise S3Error("InvalidRequest", "a chunk is too large")
        self._wanted = head[2].decode() if head[2] else ""
        self._hash = hashlib.sha256()
        if self._left:
            self._state = "data"
        else:
            self._check_chunk()
            self._state = "trailer"

    def _check_chunk(self) -> None:
        if self._signer is not None:
            made = self._signer.chunk(self._hash.hexdigest())
            if not hmac.compare_digest(made, self._wanted):
                raise S3Error("SignatureDoesNotMatch", "the signature of a chunk does not match")

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._end()
            return
        found = _TRAILER.fullmatch(line)
        if found is None or not self._has_trailer or len(self._lines) >= _MOST_TRAILERS:
            raise S3Error("InvalidRequest", "the trailer is not well formed")
        name = found[1].lower()
        if name.decode() in self.trailers:
            raise S3Error("InvalidRequest", "a trailer comes twice")
        self.trailers[name.decode()] = found[2].decode().strip()
        self._lines.append((name, found[2].strip()))

    def _end(self) -> None:
        self._state = "end"
        if self._signer is None or not self._has_trailer:
            return
        given = self.trailers.pop(_SIGNATURE, "")
        lines = b"".join(
            name + b":" + value + b"\n"
            for name, value in self._lines
            if name != _SIGNATURE.encode()
        )
        if not hmac.compare_digest(self._signer.trailer(lines), given):
            raise S3Error("SignatureDoesNotMatch", "the signature of the trailer does not match")
