"""The checksums of S3: of whole objects, and of objects made from parts."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from carcloud.codecs.s3.errors import S3Error

CRC32C = 0x82F63B78  # Castagnoli, reflected; RFC 3720 B.4
CRC64NVME = 0x9A6C9329AC4BC9B5  # NVM Express base specification 2.0, reflected
_CRC32 = 0xEDB88320  # IEEE 802.3, reflected


class Running(Protocol):
    """A checksum that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Take further bytes in."""

    def digest(self) -> bytes:
        """The value, big-endian."""


class _Crc:
    """A CRC of `bits`; `step(data, before)` continues it."""

    def __init__(self, bits: int, step: Callable[[bytes, int], int]) -> None:
        self._bytes = bits // 8
        self._step = step
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row of the table."""

    name: str  # as in x-amz-checksum-<name>
    element: str  # as in documents
    size: int  # bytes
    begin: Callable[[], Running]
    polynomial: int = 0  # of a CRC


def _hash(name: str) -> Callable[[], Any]:
    return lambda: hashlib.new(name, usedforsecurity=False)


def crc32c(data: bytes, value: int = 0) -> int:
    """CRC-32C, continued from `value`."""
    return _quick()(data, value, CRC32C, 32)


def crc64nvme(data: bytes, value: int = 0) -> int:
    """CRC-64/NVME, continued from `value`."""
    return _quick()(data, value, CRC64NVME, 64)


ALGORITHMS: Mapping[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm("crc32", "ChecksumCRC32", 4, lambda: _Crc(32, zlib.crc32), _CRC32),
        Algorithm("crc32c", "ChecksumCRC32C", 4, lambda: _Crc(32, crc32c), CRC32C),
        Algorithm("crc64nvme", "ChecksumCRC64NVME", 8, lambda: _Crc(64, crc64nvme), CRC64NVME),
        Algorithm("sha1", "ChecksumSHA1", 20, _hash("sha1")),
        Algorithm("sha256", "ChecksumSHA256", 32, _hash("sha256")),
    )
}


def decoded(algorithm: Algorithm, text: str) -> bytes:
    """The bytes of a checksum in base64; raises `S3Error` InvalidRequest."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != algorithm.size:
        raise S3Error("InvalidRequest", f"x-amz-checksum-{algorithm.name} is not well formed")
    return value


def shown(value: bytes) -> str:
    """A checksum in base64."""
    return base64.b64encode(value).decode()


def composite(algorithm: Algorithm, parts: Sequence[bytes]) -> str:
    """The checksum of the parts' checksums, with their number behind it."""
    running = algorithm.begin()
    running.update(b"".join(parts))
    return f"{shown(running.digest())}-{len(parts)}"


def joined(algorithm: Algorithm, parts: Sequence[tuple[bytes, int]]) -> str:
    """The CRC of a whole object from (CRC, size) of its parts, without reading them."""
    bits = algorithm.size * 8
    whole = 0
    for value, size in parts:
        whole = _shifted(whole, size, algorithm.polynomial, bits) ^ int.from_bytes(value, "big")
    return shown(whole.to_bytes(algorithm.size, "big"))


def crc_reference(data: bytes, polynomial: int, bits: int, value: int = 0) -> int:
    """A reflected CRC, bit by bit: the plain form of `crc_kernel.crc`."""
    register = value ^ ((1 << bits) - 1)
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
    return register ^ ((1 << bits) - 1)


@lru_cache(maxsize=1)
def _quick() -> Callable[[bytes, int, int, int], int]:
    from carcloud.codecs.s3.crc_kernel import crc  # its compiler takes half a second to load

    return crc


def _shifted(value: int, zeros: int, polynomial: int, bits: int) -> int:
    """What `value` becomes when `zeros` bytes of zero follow: x^(8 * zeros) times it, modulo."""
    power, square = 1 << (bits - 1), _byte_power(polynomial, bits)
    while zeros:
        if zeros & 1:
            power = _product(power, square, polynomial, bits)
        square = _product(square, square, polynomial, bits)
        zeros >>= 1
    return _product(value, power, polynomial, bits)


def _byte_power(polynomial: int, bits: int) -> int:
    value = 1 << (bits - 1)
    for _ in range(8):
        value = (value >> 1) ^ (polynomial if value & 1 else 0)
    return value


def _product(one: int, other: int, polynomial: int, bits: int) -> int:
    """The product of two reflected polynomials modulo the CRC's."""
    product = 0
    mask = 1 << (bits - 1)
    while mask:
        if one & mask:
            product ^= other
        other = (other >> 1) ^ (polynomial if other & 1 else 0)
        mask >>= 1
    return product
