"""Signatures of 2025 reports and activations (S25 tables 8, B.3).

The text names the algorithms and nothing else. In use, and done here: SM2 with SM3 and the
default user id, R and S of 32 bytes; RSA PKCS#1 v1.5 with SHA-256, all of it in R; ECC as ECDSA
on P-256 with SHA-256, R and S of 32 bytes.
"""

import base64
import binascii
from typing import Final

import gmssl_pyx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from carcloud.codecs.gbt32960.constants import SignatureAlgorithm
from carcloud.codecs.gbt32960.encode import Signer
from carcloud.codecs.gbt32960.errors import SecurityError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.codecs.gbt32960.layout import Fields
from carcloud.codecs.gbt32960.message import Message

_SCALAR: Final = 32  # bytes of R, S and a coordinate
_EXPONENT: Final = b"\x01\x00\x01"
_PEM: Final = b"-----BEGIN"
_DER: Final = b"\x30"
_MODULI: Final = (128, 256, 384, 512)  # bytes
_CURVE: Final = ec.SECP256R1()


def signed_bytes(frame: Frame, message: Message) -> bytes | None:
    """What the signature of a decoded frame covers; None for a frame without a signature."""
    return None if message.signed is None else frame.data[: message.signed]


def verify_message(frame: Frame, message: Message, public_key: bytes) -> bool:
    """Whether the signature of a decoded report or activation is that key's.

    False for a frame without a signature. Raises `SecurityError` for an unusable key or a
    reserved algorithm.
    """
    signed, fields = signed_bytes(frame, message), _signature_fields(message)
    if signed is None or fields is None:
        return False
    algorithm, r, s = fields["algorithm"], fields["r"], fields["s"]
    if not isinstance(algorithm, int) or not isinstance(r, bytes) or not isinstance(s, bytes):
        raise SecurityError("algorithm", "reserved signature algorithm (S25 table 8)")
    return verify(signed, algorithm, r, s, public_key)


def verify(data: bytes, algorithm: int, r: bytes, s: bytes, public_key: bytes) -> bool:
    """Whether (R, S) signs `data`; `public_key` in any form that the readers below take."""
    match algorithm:
        case SignatureAlgorithm.SM2:
            return _verify_sm2(data, r, s, sm2_public_key(public_key))
        case SignatureAlgorithm.RSA:
            return _verify_rsa(data, r + s, rsa_public_key(public_key))
        case SignatureAlgorithm.ECC:
            return _verify_ecc(data, r, s, ecc_public_key(public_key))
        case _:
            raise SecurityError("algorithm", f"reserved signature algorithm {algorithm}")


def sm2_signer(private_key: bytes, public_key: bytes) -> Signer:
    """Signs with SM2; 32-byte scalar and 64-byte point."""

    def sign(data: bytes) -> tuple[int, bytes, bytes]:
        r, s = decode_dss_signature(gmssl_pyx.sm2_sign(private_key, public_key, data))
        return SignatureAlgorithm.SM2, r.to_bytes(_SCALAR, "big"), s.to_bytes(_SCALAR, "big")

    return sign


def rsa_signer(private_key: rsa.RSAPrivateKey) -> Signer:
    """Signs with RSA."""

    def sign(data: bytes) -> tuple[int, bytes, bytes]:
        signature = private_key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return SignatureAlgorithm.RSA, signature, b""

    return sign


def ecc_signer(private_key: ec.EllipticCurvePrivateKey) -> Signer:
    """Signs with ECDSA; a key on P-256."""

    def sign(data: bytes) -> tuple[int, bytes, bytes]:
        r, s = decode_dss_signature(private_key.sign(data, ec.ECDSA(hashes.SHA256())))
        return SignatureAlgorithm.ECC, r.to_bytes(_SCALAR, "big"), s.to_bytes(_SCALAR, "big")

    return sign


def rsa_public_key(wire: bytes) -> rsa.RSAPublicKey:
    """PEM, DER, or the bare modulus followed by its exponent, as seen in activations."""
    size = len(wire) - len(_EXPONENT)
    if size in _MODULI and wire.endswith(_EXPONENT):
        numbers = rsa.RSAPublicNumbers(65537, int.from_bytes(wire[:size], "big"))
        try:
            return numbers.public_key()
        except ValueError as error:
            raise SecurityError("key", str(error)) from None
    key = _load(wire)
    if not isinstance(key, rsa.RSAPublicKey):
        raise SecurityError("key", "no RSA key")
    return key


def ecc_public_key(wire: bytes) -> ec.EllipticCurvePublicKey:
    """PEM, DER, or a point of 33, 64 or 65 bytes on P-256."""
    if (wire[:1] != _DER and not wire.startswith(_PEM)) or len(wire) == 2 * _SCALAR:
        point = b"\x04" + wire if len(wire) == 2 * _SCALAR else wire
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
        except ValueError as error:
            raise SecurityError("key", str(error)) from None
    key = _load(wire)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != _CURVE.name:
        raise SecurityError("key", "no key on P-256")
    return key


def sm2_public_key(wire: bytes) -> bytes:
    """PEM, DER, or a point of 33, 64 or 65 bytes, as the 64 bytes of both coordinates."""
    if wire.startswith(_PEM):
        body = b"".join(line for line in wire.splitlines() if not line.startswith(b"-"))
        try:
            wire = base64.b64decode(body)
        except binascii.Error as error:
            raise SecurityError("key", str(error)) from None
    if len(wire) > 65 and wire[:1] == _DER:
        wire = wire[-65:]  # SubjectPublicKeyInfo ends with the uncompressed point
    try:
        return bytes(gmssl_pyx.normalize_sm2_public_key(wire))
    except (gmssl_pyx.GmsslInnerError, ValueError) as error:
        raise SecurityError("key", str(error)) from None


def _verify_sm2(data: bytes, r: bytes, s: bytes, point: bytes) -> bool:
    try:
        return bool(gmssl_pyx.sm2_verify(point, data, _der_pair(r, s)))
    except gmssl_pyx.GmsslInnerError:
        return False


def _verify_rsa(data: bytes, signature: bytes, key: rsa.RSAPublicKey) -> bool:
    try:
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _verify_ecc(data: bytes, r: bytes, s: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    try:
        key.verify(_der_pair(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _der_pair(r: bytes, s: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _load(wire: bytes) -> object:
    load = (
        serialization.load_pem_public_key
        if wire.startswith(_PEM)
        else serialization.load_der_public_key
    )
    try:
        return load(wire)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SecurityError("key", str(error)) from None


def _signature_fields(message: Message) -> Fields | None:
    for item in message.items:
        if item.name == "signature":
            return item.fields
    match message.fields.get("signature"):
        case [dict() as record]:
            return record
        case _:
            return None
