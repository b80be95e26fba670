"""Encryption of data units and signatures, with real keys."""

import base64

import gmssl_pyx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples as ex

from carcloud.codecs.gbt32960.constants import Encryption
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_activation, encode_signature, sign_report
from carcloud.codecs.gbt32960.errors import SecurityError
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.codecs.gbt32960.security import (
    BlockCipher,
    RsaCipher,
    Sm2Cipher,
    decrypted,
    encrypted,
)
from carcloud.codecs.gbt32960.signature import (
    ecc_signer,
    rsa_signer,
    sm2_public_key,
    sm2_signer,
    verify,
    verify_message,
)

SM2_PUBLIC, SM2_PRIVATE = gmssl_pyx.sm2_key_generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
ECC_KEY = ec.generate_private_key(ec.SECP256R1())
KEY = bytes(range(16))
REPORT = parse(ex.REALTIME_2025).data[:151]

CIPHERS = {
    "AES-128 CBC": BlockCipher("AES", KEY),
    "AES-128 CBC, fixed vector": BlockCipher("AES", KEY, iv=KEY),
    "AES-128 ECB": BlockCipher("AES", KEY, "ECB"),
    "AES-256 CBC": BlockCipher("AES", KEY * 2),
    "SM4 CBC": BlockCipher("SM4", KEY),
    "SM4 CBC, fixed vector": BlockCipher("SM4", KEY, iv=KEY),
    "SM4 ECB": BlockCipher("SM4", KEY, "ECB"),
    "RSA PKCS1": RsaCipher(RSA_KEY.public_key(), RSA_KEY),
    "RSA OAEP": RsaCipher(RSA_KEY.public_key(), RSA_KEY, "OAEP"),
    "SM2": Sm2Cipher(SM2_PUBLIC, SM2_PRIVATE),
}
CODES = {
    "AES": Encryption.AES,
    "SM4": Encryption.SM4,
    "RSA": Encryption.RSA,
    "SM2": Encryption.SM2,
}


def _point(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _der(key, encoding=Encoding.DER, form=PublicFormat.SubjectPublicKeyInfo):
    return key.public_key().public_bytes(encoding, form)


MODULUS = RSA_KEY.public_key().public_numbers().n.to_bytes(256, "big")
# SubjectPublicKeyInfo of an SM2 key: fixed head (RFC 8998 names), then the point.
SM2_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
SM2_DER = SM2_HEAD + b"\x04" + SM2_PUBLIC
SM2_PEM = (
    b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(SM2_DER) + b"-----END PUBLIC KEY-----\n"
)

SIGNERS = {
    "SM2": sm2_signer(SM2_PRIVATE, SM2_PUBLIC),
    "RSA": rsa_signer(RSA_KEY),
    "ECC": ecc_signer(ECC_KEY),
}
PUBLIC_KEYS = {
    "SM2 point": SM2_PUBLIC,
    "SM2 marked point": b"\x04" + SM2_PUBLIC,
    "SM2 DER": SM2_DER,
    "SM2 PEM": SM2_PEM,
    "RSA modulus": MODULUS + b"\x01\x00\x01",
    "RSA DER": _der(RSA_KEY),
    "RSA PKCS1": _der(RSA_KEY, form=PublicFormat.PKCS1),
    "RSA PEM": _der(RSA_KEY, Encoding.PEM),
    "ECC marked point": _point(ECC_KEY),
    "ECC point": _point(ECC_KEY)[1:],
    "ECC DER": _der(ECC_KEY),
    "ECC PEM": _der(ECC_KEY, Encoding.PEM),
}


@pytest.mark.parametrize("name", CIPHERS)
def test_an_encrypted_report_goes_through_the_wire(name):
    cipher = CIPHERS[name]
    code, data = encrypted(parse(ex.REALTIME_2025), cipher)
    assert code == CODES[name[:3]]
    frame = parse(build(2025, 2, 0xFE, ex.VEHICLE, data, encryption=code))
    assert decode(frame).partial
    clear = decrypted(frame, cipher)
    assert clear.data == parse(ex.REALTIME_2025).data
    assert (clear.encryption, clear.raw) == (1, frame.raw)
    assert decode(clear).items == decode(parse(ex.REALTIME_2025)).items


@pytest.mark.parametrize("name", CIPHERS)
@settings(max_examples=10)
@given(data=st.binary(min_size=1, max_size=600))
def test_any_data_unit(name, data):
    assert CIPHERS[name].decrypt(CIPHERS[name].encrypt(data)) == data


@pytest.mark.parametrize("name", CIPHERS)
@pytest.mark.parametrize("data", [b"", b"x", bytes(15), bytes(255)])
def test_what_cannot_be_decrypted(name, data):
    with pytest.raises(SecurityError):
        CIPHERS[name].decrypt(data)


def test_known_sm4_block():
    """GB/T 32907-2016 annex A.1: key and text are the same 16 bytes."""
    text = bytes.fromhex("0123456789abcdeffedcba9876543210")
    wanted = bytes.fromhex("681edf34d206965e86b3e94f536e4246")
    assert BlockCipher("SM4", text, "ECB").encrypt(text)[:16] == wanted


def test_random_vectors_differ():
    cipher = CIPHERS["AES-128 CBC"]
    assert cipher.encrypt(REPORT) != cipher.encrypt(REPORT)


def test_raw_sm2_ciphertext_is_read():
    der = gmssl_pyx.sm2_encrypt(SM2_PUBLIC, b"hello")
    at, numbers = 2, []
    for _ in range(4):
        size = der[at + 1]
        numbers.append(der[at + 2 : at + 2 + size])
        at += 2 + size
    x, y = (number[-32:].rjust(32, b"\x00") for number in numbers[:2])
    assert (
        Sm2Cipher(private_key=SM2_PRIVATE).decrypt(b"\x04" + x + y + b"".join(numbers[2:]))
        == b"hello"
    )


def test_frames_pass_or_are_refused_by_their_code():
    plain = parse(ex.REALTIME_2025)
    assert decrypted(plain, CIPHERS["SM2"]) is plain
    frame = parse(build(2025, 2, 0xFE, ex.VEHICLE, bytes(32), encryption=Encryption.SM4))
    with pytest.raises(SecurityError, match="algorithm"):
        decrypted(frame, CIPHERS["AES-128 CBC"])


@pytest.mark.parametrize(("algorithm", "size"), [("AES", 15), ("AES", 0), ("SM4", 24)])
def test_keys_of_wrong_size(algorithm, size):
    with pytest.raises(SecurityError, match="key"):
        BlockCipher(algorithm, bytes(size))


@pytest.mark.parametrize("name", PUBLIC_KEYS)
@pytest.mark.parametrize("covers_mark", [False, True])
def test_signed_reports_verify(name, covers_mark):
    key = PUBLIC_KEYS[name]
    data = sign_report(REPORT, SIGNERS[name[:3]], signature_covers_mark=covers_mark)
    frame = parse(build(2025, 3, 0xFE, ex.VEHICLE, data))
    message = decode(frame, signature_covers_mark=covers_mark)
    assert message.signed == len(REPORT) + covers_mark
    assert verify_message(frame, message, key)
    other = decode(frame, signature_covers_mark=not covers_mark)
    assert not verify_message(frame, other, key)


@pytest.mark.parametrize("name", PUBLIC_KEYS)
def test_a_changed_byte_or_signature_does_not_verify(name):
    key = PUBLIC_KEYS[name]
    algorithm, r, s = SIGNERS[name[:3]](REPORT)
    assert verify(REPORT, algorithm, r, s, key)
    assert not verify(REPORT[:-1] + b"\x00", algorithm, r, s, key)
    assert not verify(REPORT, algorithm, r[:-1] + bytes((r[-1] ^ 1,)), s, key)
    assert not verify(REPORT, algorithm, b"", b"", key)


@pytest.mark.parametrize("name", SIGNERS)
def test_an_activation_verifies_with_the_key_it_brings(name):
    key = next(key for label, key in PUBLIC_KEYS.items() if label.startswith(name))
    time = decode(parse(ex.ACTIVATION)).time
    assert time is not None
    data = encode_activation(time, "CHIP00000001", key, ex.VEHICLE, SIGNERS[name])
    frame = parse(build(2025, 9, 0xFE, ex.VEHICLE, data))
    message = decode(frame)
    assert message.fields["public_key"] == key
    assert verify_message(frame, message, key)


def test_frames_without_a_signature_do_not_verify():
    frame = parse(ex.REALTIME_2016)
    assert not verify_message(frame, decode(frame), SM2_PUBLIC)


def test_reserved_algorithms_are_named():
    data = REPORT + b"\xff" + encode_signature(1, b"\x01", b"\x02").replace(b"\x01", b"\x09", 1)
    frame = parse(build(2025, 2, 0xFE, ex.VEHICLE, data))
    with pytest.raises(SecurityError, match="reserved"):
        verify_message(frame, decode(frame), SM2_PUBLIC)


@pytest.mark.parametrize("algorithm", [1, 2, 3])
@pytest.mark.parametrize(
    "key", [b"", b"\x00" * 64, b"\x30\x03abc", b"-----BEGIN nonsense", bytes(100)]
)
def test_unusable_keys_are_errors(algorithm, key):
    with pytest.raises(SecurityError):
        verify(REPORT, algorithm, b"\x01", b"\x02", key)


def test_sm2_keys_normalise():
    assert sm2_public_key(SM2_PEM) == SM2_PUBLIC
