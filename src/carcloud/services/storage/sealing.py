"""Bytes sealed with a tenant's key, in chunks, so that any range can be read.

Each blob has a key of its own, derived by HKDF-SHA-256 from the tenant's key and a random salt.
A chunk is AES-256-GCM over `CHUNK` bytes; its nonce is its number and whether it is the last one
(the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizar, 2015), so that chunks cannot
be moved, left out or cut off.
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carcloud.services.storage.errors import Unreadable

CHUNK = 64 * 1024  # bytes of plain text
TAG = 16  # bytes
_INFO = b"carcloud storage blob"


def cipher_of(key: bytes, salt: bytes) -> AESGCM:
    """The cipher of one blob."""
    return AESGCM(HKDF(SHA256(), 32, salt, _INFO).derive(key))


class Sealer:
    """Seals a stream of bytes."""

    def __init__(self, cipher: AESGCM) -> None:
        self._cipher = cipher
        self._held = b""
        self._number = 0

    def feed(self, data: bytes) -> bytes:
        """Sealed bytes that are ready. The last chunk is never sealed before `finish`."""
        held = self._held + data
        out = []
        at = 0
        while len(held) - at > CHUNK:
            out.append(self._seal(held[at : at + CHUNK], last=False))
            at += CHUNK
        self._held = held[at:]
        return b"".join(out)

    def finish(self) -> bytes:
        """The rest."""
        return self._seal(self._held, last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(nonce(self._number, last=last), chunk, None)
        self._number += 1
        return sealed


def nonce(number: int, *, last: bool) -> bytes:
    """The nonce of a chunk, 12 bytes."""
    return bytes(3) + number.to_bytes(8, "big") + bytes([last])


def sealed_span(start: int, end: int, size: int) -> tuple[int, int]:
    """(start, end) of the sealed bytes that hold the plain bytes from `start` to `end` > start."""
    first, last = start // CHUNK, (end - 1) // CHUNK
    chunks = max(1, -(-size // CHUNK))
    whole = size + chunks * TAG
    return first * (CHUNK + TAG), min(whole, (last + 1) * (CHUNK + TAG))


def opened(
    cipher: AESGCM, pieces: Iterator[bytes], start: int, end: int, size: int
) -> Iterator[bytes]:
    """The plain bytes from `start` to `end`, from the sealed bytes of `sealed_span`.

    Raises `Unreadable` if they are not what was sealed.
    """
    number, final = start // CHUNK, max(0, (size - 1) // CHUNK)
    skip, left = start % CHUNK, end - start
    held = b""
    for piece in pieces:
        held += piece
        at, out = 0, []
        while len(held) - at >= CHUNK + TAG or (number == final and _is_rest(held, at, size)):
            sealed = held[at : at + CHUNK + TAG]
            out.append(_open(cipher, number, sealed, last=number == final))
            at += len(sealed)
            number += 1
        held = held[at:]
        plain = b"".join(out)[skip : skip + left]
        if out:
            skip = 0
        left -= len(plain)
        if plain:
            yield plain
    if left:
        raise Unreadable("the sealed bytes end too early")


def _is_rest(held: bytes, at: int, size: int) -> bool:
    rest = size - max(0, (size - 1) // CHUNK) * CHUNK + TAG
    return len(held) - at == rest


def _open(cipher: AESGCM, number: int, sealed: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(nonce(number, last=last), sealed, None)
    except InvalidTag as error:
        raise Unreadable("the bytes were changed, or sealed with another key") from error
