"""Data-unit encryption of header byte 21 (table 5).

Neither edition fixes mode, padding or initialisation vector, so a cipher is a plug-in: anything
with `code`, `encrypt` and `decrypt`. Only the data unit is encrypted, then the BCC is formed.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import gmssl_pyx
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from carcloud.codecs.gbt32960.constants import Encryption
from carcloud.codecs.gbt32960.errors import SecurityError
from carcloud.codecs.gbt32960.frame import Frame

_BLOCK: Final = 16  # bytes, AES and SM4
_PKCS1_OVERHEAD: Final = 11
_OAEP_OVERHEAD: Final = 66  # two SHA-256 hashes and two bytes
_SM2_CHUNK: Final = 255  # most that the library takes at a time
_DER_SEQUENCE: Final = 0x30
_POINT: Final = 0x04
_RAW_HEAD: Final = 1 + 64 + 32  # point mark, C1, C3


class DataUnitCipher(Protocol):
    """Encrypts and decrypts data units; both raise `SecurityError`."""

    @property
    def code(self) -> int:
        """Header byte 21."""

    def encrypt(self, data: bytes) -> bytes:
        """Clear data unit to the one sent."""

    def decrypt(self, data: bytes) -> bytes:
        """Data unit as sent to the clear one."""


@dataclass(frozen=True, slots=True)
class BlockCipher:
    """AES (128, 192 or 256 bits) or SM4, padded by PKCS#7.

    In CBC mode `iv` is fixed; without one, each data unit starts with its own random vector.
    """

    algorithm: Literal["AES", "SM4"]
    key: bytes
    mode: Literal["CBC", "ECB"] = "CBC"
    iv: bytes | None = None

    def __post_init__(self) -> None:
        sizes = (16, 24, 32) if self.algorithm == "AES" else (16,)
        if len(self.key) not in sizes:
            raise SecurityError("key", f"{self.algorithm} key of {len(self.key)} bytes")
        if self.iv is not None and len(self.iv) != _BLOCK:
            raise SecurityError("iv", f"{len(self.iv)} bytes, not {_BLOCK}")

    @property
    def code(self) -> int:
        """Header byte 21."""
        return Encryption.AES if self.algorithm == "AES" else Encryption.SM4

    def encrypt(self, data: bytes) -> bytes:
        """Clear data unit to the one sent."""
        padder = PKCS7(8 * _BLOCK).padder()
        padded = padder.update(data) + padder.finalize()
        iv = b"" if self.mode == "ECB" else self.iv or os.urandom(_BLOCK)
        encryptor = self._cipher(iv).encryptor()
        lead = b"" if self.iv else iv
        return lead + encryptor.update(padded) + encryptor.finalize()

    def decrypt(self, data: bytes) -> bytes:
        """Data unit as sent to the clear one."""
        iv = self.iv or b""
        if self.mode == "CBC" and self.iv is None:
            iv, data = data[:_BLOCK], data[_BLOCK:]
        if not data or len(data) % _BLOCK:
            raise SecurityError("length", f"{len(data)} bytes are not whole blocks")
        decryptor = self._cipher(iv).decryptor()
        unpadder = PKCS7(8 * _BLOCK).unpadder()
        try:
            padded = decryptor.update(data) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise SecurityError("padding", str(error)) from None

    def _cipher(self, iv: bytes) -> Cipher[modes.CBC | modes.ECB]:
        algorithm = algorithms.AES if self.algorithm == "AES" else algorithms.SM4
        # ECB is on the wire because fleets chose it; CBC is the default here.
        mode = modes.ECB() if self.mode == "ECB" else modes.CBC(iv)  # noqa: S305
        try:
            return Cipher(algorithm(self.key), mode)
        except UnsupportedAlgorithm as error:
            raise SecurityError("algorithm", str(error)) from None


@dataclass(frozen=True, slots=True)
class RsaCipher:
    """RSA over as many blocks as the data unit needs, PKCS#1 v1.5 or OAEP with SHA-256."""

    public_key: rsa.RSAPublicKey | None = None
    private_key: rsa.RSAPrivateKey | None = None
    scheme: Literal["PKCS1", "OAEP"] = "PKCS1"

    @property
    def code(self) -> int:
        """Header byte 21."""
        return Encryption.RSA

    def encrypt(self, data: bytes) -> bytes:
        """Clear data unit to the one sent."""
        if self.public_key is None:
            raise SecurityError("key", "no public key to encrypt with")
        overhead = _PKCS1_OVERHEAD if self.scheme == "PKCS1" else _OAEP_OVERHEAD
        step = self.public_key.key_size // 8 - overhead
        parts = (data[at : at + step] for at in range(0, max(len(data), 1), step))
        return b"".join(self.public_key.encrypt(part, self._padding()) for part in parts)

    def decrypt(self, data: bytes) -> bytes:
        """Data unit as sent to the clear one."""
        if self.private_key is None:
            raise SecurityError("key", "no private key to decrypt with")
        step = self.private_key.key_size // 8
        if not data or len(data) % step:
            raise SecurityError("length", f"{len(data)} bytes are not whole blocks of {step}")
        try:
            return b"".join(
                self.private_key.decrypt(data[at : at + step], self._padding())
                for at in range(0, len(data), step)
            )
        except ValueError as error:
            raise SecurityError("padding", str(error)) from None

    def _padding(self) -> padding.AsymmetricPadding:
        if self.scheme == "PKCS1":
            return padding.PKCS1v15()
        digest = hashes.SHA256()
        return padding.OAEP(padding.MGF1(digest), digest, None)


@dataclass(frozen=True, slots=True)
class Sm2Cipher:
    """SM2 public-key encryption (GM/T 0003.4, order C1 C3 C2, 64-byte point, 32-byte scalar).

    Sends one ASN.1 ciphertext for each 255 bytes, one after another; also reads a single raw
    04 | C1 | C3 | C2.
    """

    public_key: bytes | None = None
    private_key: bytes | None = None

    @property
    def code(self) -> int:
        """Header byte 21."""
        return Encryption.SM2

    def encrypt(self, data: bytes) -> bytes:
        """Clear data unit to the one sent."""
        if self.public_key is None:
            raise SecurityError("key", "no public key to encrypt with")
        parts = (data[at : at + _SM2_CHUNK] for at in range(0, len(data), _SM2_CHUNK))
        return b"".join(_gmssl(gmssl_pyx.sm2_encrypt, self.public_key, part) for part in parts)

    def decrypt(self, data: bytes) -> bytes:
        """Data unit as sent to the clear one."""
        if self.private_key is None:
            raise SecurityError("key", "no private key to decrypt with")
        if not data:
            raise SecurityError("length", "no ciphertext")
        if data[:1] == bytes((_POINT,)) and len(data) > _RAW_HEAD:
            data = _sm2_der(data)
        return b"".join(
            _gmssl(gmssl_pyx.sm2_decrypt, self.private_key, part) for part in _der_values(data)
        )


def encrypted(frame: Frame, cipher: DataUnitCipher) -> tuple[int, bytes]:
    """Encryption code and data unit to give to `frame.build` in place of a clear frame's."""
    return cipher.code, cipher.encrypt(frame.data) if frame.data else b""


def decrypted(frame: Frame, cipher: DataUnitCipher) -> Frame:
    """The frame with its data unit in clear; raises `SecurityError`.

    `raw` stays as sent. Frames without encryption, and empty data units, pass unchanged.
    """
    if frame.encryption == Encryption.NONE:
        return frame
    if frame.encryption != cipher.code:
        detail = f"the frame says 0x{frame.encryption:02x}, the key is for 0x{cipher.code:02x}"
        raise SecurityError("algorithm", detail)
    clear = cipher.decrypt(frame.data) if frame.data else b""
    return msgspec.structs.replace(frame, data=clear, encryption=int(Encryption.NONE))


def _gmssl(call: Callable[[bytes, bytes], bytes], key: bytes, data: bytes) -> bytes:
    try:
        return call(key, data)
    except (gmssl_pyx.GmsslInnerError, ValueError) as error:
        raise SecurityError("sm2", str(error)) from None


def _der_values(data: bytes) -> Iterator[bytes]:
    """Splits ASN.1 sequences that follow one another."""
    at = 0
    while at < len(data):
        if data[at] != _DER_SEQUENCE or at + 2 > len(data):
            raise SecurityError("asn1", f"no SM2 ciphertext at byte {at}")
        end = at + 2 + data[at + 1]
        if data[at + 1] & 0x80:
            lengths = data[at + 1] & 0x7F
            start = at + 2 + lengths
            end = start + int.from_bytes(data[at + 2 : start], "big")
        if end > len(data):
            raise SecurityError("asn1", f"the SM2 ciphertext at byte {at} is cut off")
        yield data[at:end]
        at = end


def _sm2_der(raw: bytes) -> bytes:
    """04 | x | y | C3 | C2 as the ASN.1 sequence of GM/T 0009."""
    x, y = (int.from_bytes(raw[at : at + 32], "big") for at in (1, 33))
    point = _der(0x02, _der_integer(x)) + _der(0x02, _der_integer(y))
    rest = _der(0x04, raw[65:_RAW_HEAD]) + _der(0x04, raw[_RAW_HEAD:])
    return _der(_DER_SEQUENCE, point + rest)


def _der_integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
