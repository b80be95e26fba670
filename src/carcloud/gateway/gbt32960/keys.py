"""Keys of 2025 vehicles at the gateway: activation 0x09 and key exchange 0x0B.

Both are rare and write to the registry, so they are answered in a thread, through a desk like
that of the logins; a session takes nothing else meanwhile.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag, SignatureAlgorithm
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_activation_result
from carcloud.codecs.gbt32960.errors import FrameError, SecurityError
from carcloud.codecs.gbt32960.frame import Frame, bcc, build
from carcloud.codecs.gbt32960.layout import Fields
from carcloud.codecs.gbt32960.report_security import SignatureRule, opened, signature_fault
from carcloud.codecs.gbt32960.security import BlockCipher, decrypted
from carcloud.codecs.gbt32960.signature import rsa_public_key, verify_message
from carcloud.gateway.admission import Admission
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.telemetry.decrypt_gbt32960 import (
    CIPHER_NAMES,
    PlatformKeys,
    block_ciphers,
    has_block_key,
)
from carcloud.services.vehicles.api import (
    Activation,
    ActivationRefusal,
    DataKey,
    Invalid,
    Unknown,
    Vehicles,
)

_LONGEST_KEY: Final = 2048  # bytes of a public key as sent
_RSA_BITS: Final = range(1024, 4097)  # a larger key costs too much at every report
_BODY: Final = 24  # offset of the data unit
_KEY: Final = 27  # offset of the key in a key exchange
_KEY_AT_LEAST: Final = 256  # bytes blanked in a damaged key exchange, whatever its length says
_KEY_AT_MOST: Final = 1024  # bytes; a longer length in damaged bytes is no key's
_USER: Final = 32  # offset of the user in a platform login
_PASSWORD: Final = slice(44, 64)
_PLATFORM_LOGIN_SIZE: Final = 66
_SECRETIVE: Final = re.compile(rb"(?:##|\$\$)[\x05\x0b]")  # 0x05, 0x0B: see `kept_form`
_CLAUSE_09, _CLAUSE_0B, _CLAUSE_05 = "S25 table B.3", "S25 table 31", "6.2 table 5"
_INFO: Final[dict[ActivationRefusal, int]] = {"chip": 1, "vin": 2}  # S25 table B.4
_SAYS: Final[dict[ActivationRefusal, str]] = {
    "invalid": "the unique id cannot be a vehicle's",
    "unknown": "the vehicle is not registered",
    "suspended": "the vehicle is suspended",
    "retired": "the vehicle is retired",
    "quota": "the tenant has as many vehicles as it may: see its limit `vehicles`",
    "tls": "the TLS certificate is not the one on record",
    "chip": "the chip has been activated already",
    "vin": "another chip or key is on record for this vehicle",
}


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """An activation or a key exchange, and whose connection it came on."""

    frame: Frame
    protocol: str
    tenant: Tenant | None  # of the session; None before login
    certificate: bytes | None  # DER of the TLS client certificate


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """What came of it: keys for the session, or a refusal."""

    tenant: Tenant | None
    public_key: bytes | None = None
    key_algorithm: str | None = None
    data_keys: tuple[DataKey, ...] | None = None
    flag: Flag = Flag.SUCCESS
    error: FrameError | None = None
    info: int | None = None  # of the activation result that says why not


KEY_FAILED: Final = KeyAnswer(
    None,
    flag=Flag.ERROR,
    error=FrameError("failed", _BODY, "B.1", "the registry could not answer"),
)


class _Refused(Exception):
    def __init__(self, flag: Flag, error: FrameError) -> None:
        super().__init__(str(error))
        self.flag = flag
        self.error = error


@dataclass(frozen=True, slots=True)
class KeyClerk:
    """Answers key requests from the registry."""

    vehicles: Vehicles
    auto_register: Tenant | None
    platform: PlatformKeys = field(default_factory=PlatformKeys)

    def answer(self, requests: Sequence[KeyRequest]) -> list[KeyAnswer]:
        """One answer each, in order; blocks, and raises `EngineError`."""
        return [self._one(request) for request in requests]

    def _one(self, request: KeyRequest) -> KeyAnswer:
        try:
            frame = self._in_clear(request.frame)
            if frame.command == Command.ACTIVATION:
                return self._activate(request, frame)
            return self._take_key(request, frame)
        except _Refused as refused:
            return KeyAnswer(request.tenant, flag=refused.flag, error=refused.error)

    def _in_clear(self, frame: Frame) -> Frame:
        """Keys may come encrypted to the platform."""
        if frame.encryption == Encryption.NONE:
            return frame
        cipher = self.platform.cipher(frame.encryption)
        if cipher is None:
            error = FrameError("decryption", 21, _CLAUSE_05, "this platform has no key for it")
            raise _Refused(Flag.BAD_DECRYPTION, error)
        try:
            return decrypted(frame, cipher)
        except SecurityError as wrong:
            error = FrameError("decryption", _BODY, _CLAUSE_05, str(wrong))
            raise _Refused(Flag.BAD_DECRYPTION, error) from None

    def _activate(self, request: KeyRequest, frame: Frame) -> KeyAnswer:
        certificate = request.certificate
        wanting = read_activation(
            frame,
            request.protocol,
            hashlib.sha256(certificate).hexdigest() if certificate else None,
        )
        done = self.vehicles.activate(wanting, auto_register=self.auto_register)
        if done.refusal is None:
            return KeyAnswer(done.tenant, wanting.public_key, wanting.algorithm)
        return KeyAnswer(
            done.tenant,
            flag=Flag.VIN_UNKNOWN,
            error=FrameError("activation", _BODY, _CLAUSE_09, _SAYS[done.refusal]),
            info=_INFO.get(done.refusal),
        )

    def _take_key(self, request: KeyRequest, frame: Frame) -> KeyAnswer:
        if request.tenant is None:
            raise _Refused(Flag.ERROR, FrameError("no-login", 2, "B.1", "not logged in"))
        key = read_key(frame)
        try:
            keys = self.vehicles.keep_data_key(request.tenant, frame.unique_id, key)
        except (Unknown, Invalid) as wrong:
            raise _Refused(Flag.ERROR, FrameError("key", _BODY, _CLAUSE_0B, str(wrong))) from None
        return KeyAnswer(request.tenant, data_keys=keys)


def read_activation(frame: Frame, protocol: str, tls_fingerprint: str | None) -> Activation:
    """A well-signed activation in clear; `_Refused` for any other."""
    message = decode(frame)
    fields, key = message.fields, message.fields.get("public_key")
    if message.partial or not isinstance(key, bytes):
        raise _malformed(_CLAUSE_09, "not an activation")
    chip, vin = fields["chip_id"], fields["vin"]
    if vin != frame.unique_id or not isinstance(chip, str):
        raise _malformed(_CLAUSE_09, f"the header names {frame.unique_id}, the body {vin!r}")
    if not chip or not chip.isascii() or not chip.isprintable():
        raise _malformed(_CLAUSE_09, "the chip id is no text")
    try:
        algorithm = _checked_key(fields, key)
        good = verify_message(frame, message, key)
    except ValueError as wrong:
        raise _bad_signature(str(wrong)) from None
    if not good:
        raise _bad_signature("the activation is not signed with its own key")
    return Activation(frame.unique_id, chip, key, algorithm, protocol, tls_fingerprint)


def _checked_key(fields: Fields, key: bytes) -> str:
    """The algorithm of a key that is worth keeping; raises `ValueError`."""
    match fields["signature"]:
        case [{"algorithm": int() as code}]:
            algorithm = SignatureAlgorithm(code)
        case _:
            raise ValueError("reserved signature algorithm")
    if len(key) > _LONGEST_KEY:
        raise ValueError(f"a public key of {len(key)} bytes")
    if algorithm == SignatureAlgorithm.RSA and rsa_public_key(key).key_size not in _RSA_BITS:
        raise ValueError("an RSA key of fewer than 1024 or more than 4096 bits")
    return algorithm.name


def read_key(frame: Frame) -> DataKey:
    """The data-unit key of a key exchange in clear; `_Refused` for a malformed one."""
    message = decode(frame)
    fields = message.fields
    match fields.get("algorithm"), fields.get("key"):
        case int() as code, bytes() as key if not message.partial:
            cipher = CIPHER_NAMES[code]
        case _:
            raise _malformed(_CLAUSE_0B, "not a key exchange")
    start, end = fields["valid_from"], fields["valid_until"]
    if not isinstance(start, datetime) or not isinstance(end, datetime) or end <= start:
        raise _malformed(_CLAUSE_0B, "the key is never valid")
    if cipher in ("AES", "SM4"):
        try:
            BlockCipher("SM4" if cipher == "SM4" else "AES", key)
        except SecurityError as wrong:
            raise _malformed(_CLAUSE_0B, str(wrong)) from None
    return DataKey(cipher, key, _us(start), _us(end))


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _malformed(clause: str, detail: str) -> _Refused:
    return _Refused(Flag.BAD_STRUCTURE, FrameError("structure", _BODY, clause, detail))


def _bad_signature(detail: str) -> _Refused:
    return _Refused(Flag.BAD_SIGNATURE, FrameError("signature", _BODY, _CLAUSE_09, detail))


def activation_result(request: Frame, info: int) -> bytes:
    """The 0x0A frame (S25 table B.4): info 0 done, 1 chip activated already, 2 VIN duplicate."""
    body = encode_activation_result(2 if info else 1, info)
    return build(2025, Command.ACTIVATION_RESULT, Flag.COMMAND, request.unique_id, body)


def kept_form(frame: Frame) -> bytes:
    """A frame as it goes to the stream: as sent, but keys and passwords in clear are blanked.

    The registry has them sealed or hashed; the lake is read by more people than need them.
    """
    raw = frame.raw
    last = len(raw) - 1
    if frame.command == Command.PLATFORM_LOGIN:
        usual = len(raw) == _PLATFORM_LOGIN_SIZE  # else nobody knows where the password stands
        start, end = (_PASSWORD.start, _PASSWORD.stop) if usual else (_USER, last)
    elif frame.command == Command.KEY_EXCHANGE and frame.encryption == Encryption.NONE:
        start, end = _KEY, min(_KEY + int.from_bytes(raw[_KEY - 2 : _KEY], "big"), last)
    else:
        return raw
    if start >= end:
        return raw
    blanked = raw[:start] + bytes(end - start) + raw[end:-1]
    return blanked + bytes((bcc(blanked[2:]),))


def kept_bytes(raw: bytes) -> bytes:
    """Damaged bytes as they go to the stream: without what looks like a password or a key."""
    blanked = bytearray(raw)
    for found in _SECRETIVE.finditer(raw):
        at = found.start()
        if raw[at + 2] == Command.PLATFORM_LOGIN:
            start, end = at + _PASSWORD.start, at + _PASSWORD.stop
        else:
            start = at + _KEY
            told = int.from_bytes(raw[start - 2 : start], "big")
            end = start + min(max(told, _KEY_AT_LEAST), _KEY_AT_MOST)
        end = min(end, len(raw))
        if start < end:
            blanked[start:end] = bytes(end - start)
    return bytes(blanked)


def opened_here(frame: Frame, admission: Admission, slack_s: float) -> Frame:
    """An encrypted report in clear where the session has a key and it costs little: AES, SM4.

    Other frames come back as they are: ingest opens them. Raises `SecurityError` when the keys
    do not fit.
    """
    keys = admission.data_keys
    if not has_block_key(keys, frame.encryption):
        return frame
    return opened(frame, block_ciphers(keys, frame.encryption, now_us(), slack_s))


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """The `ReportCheck` of 2025 signatures; frames that stayed encrypted are ingest's."""

    rule: SignatureRule

    def concerns(self, edition: int, admission: Admission) -> bool:
        """Whether a report can be refused: its vehicle signs, or would have to."""
        return admission.public_key is not None or (self.rule.required and edition == 2025)

    def __call__(self, frame: Frame, admission: Admission) -> tuple[Flag, FrameError] | None:
        """Flag 0x05 for a report with a wrong signature, or a missing one where it is required."""
        if frame.encryption != Encryption.NONE:
            return None
        wrong = signature_fault(frame, admission.public_key, admission.key_algorithm, self.rule)
        if wrong is None:
            return None
        return Flag.BAD_SIGNATURE, FrameError("signature", _BODY, "S25 table 8", wrong)
