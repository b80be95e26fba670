"""Encrypted GB/T 32960 reports in clear, with what a gateway could not look at checked here.

A gateway opens AES and SM4 with the keys that it knew at login. RSA and SM2 are slower and are
opened here, with the platform's own private key. The time and the signature of a report lie
inside the data unit, so they are checked where it is opened.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from carcloud.codecs.gbt32960 import times
from carcloud.codecs.gbt32960.constants import Encryption
from carcloud.codecs.gbt32960.errors import SecurityError
from carcloud.codecs.gbt32960.frame import Frame, parse
from carcloud.codecs.gbt32960.report_security import (
    SignatureRule,
    in_clear,
    opened,
    signature_fault,
)
from carcloud.codecs.gbt32960.security import BlockCipher, DataUnitCipher, RsaCipher, Sm2Cipher
from carcloud.model.time import DAY, SECOND
from carcloud.services.vehicles.api import DataKey, VehicleKeys

CIPHER_NAMES: Final[dict[int, str]] = {
    Encryption.RSA: "RSA",
    Encryption.AES: "AES",
    Encryption.SM2: "SM2",
    Encryption.SM4: "SM4",
}
"""How the registry calls the ciphers of table 5; `AES128` and the like also mean AES."""
_NO_KEYS: Final = VehicleKeys()

Decrypt = Callable[[str, bytes, int], bytes]
"""(vehicle, encrypted frame, received us) -> the frame in clear; raises `ValueError`."""


KeysSince = Callable[[str, int], VehicleKeys | None]
"""(vehicle, us since 1970) -> its keys, as they were at that time or later."""


@dataclass(frozen=True, slots=True)
class PlatformKeys:
    """The private keys of this platform, for what vehicles encrypt to it."""

    rsa: RSAPrivateKey | None = field(default=None, repr=False)
    sm2: bytes | None = field(default=None, repr=False)  # 32-byte scalar

    def cipher(self, encryption: int) -> DataUnitCipher | None:
        """The cipher for RSA or SM2 data units, if there is a key for it."""
        if encryption == Encryption.RSA and self.rsa is not None:
            return RsaCipher(private_key=self.rsa)
        if encryption == Encryption.SM2 and self.sm2 is not None:
            return Sm2Cipher(private_key=self.sm2)
        return None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a report must be like; see the settings `gateway.*` of the same names."""

    future_s: float = 300
    days_2016: int = 7
    days_2025: int = 7
    verify: SignatureRule | None = None  # None = signatures are not looked at


def block_ciphers(
    keys: tuple[DataKey, ...], encryption: int, now_us: int, slack_s: float
) -> Iterator[DataUnitCipher]:
    """AES or SM4 ciphers of the keys that hold at `now_us`, newest first."""
    slack = int(slack_s * SECOND)
    for key in keys:
        algorithm = _block_algorithm(key.cipher)
        fits = algorithm is not None and CIPHER_NAMES.get(encryption) == algorithm
        if fits and key.valid_from - slack <= now_us <= key.valid_until + slack:
            yield BlockCipher("SM4" if algorithm == "SM4" else "AES", key.key)


def has_block_key(keys: tuple[DataKey, ...], encryption: int) -> bool:
    """Whether any key, valid or not, is for this encryption."""
    wanted = CIPHER_NAMES.get(encryption)
    return wanted is not None and any(_block_algorithm(key.cipher) == wanted for key in keys)


def _block_algorithm(cipher: str) -> str | None:
    name = cipher.upper()
    return "AES" if name.startswith("AES") else "SM4" if name == "SM4" else None


def decryptor(
    keys_of: Callable[[str], VehicleKeys | None],
    platform: PlatformKeys,
    rule: Opening,
    keys_since: KeysSince | None = None,
) -> Decrypt:
    """Opens reports with the keys on record.

    `keys_of` may tell keys that are seconds old; where they do not do, `keys_since` is asked.
    """

    def attempt(frame: Frame, keys: VehicleKeys, received: int) -> bytes:
        clear = opened(frame, _ciphers(frame, keys, platform, received, rule.future_s))
        _check_time(clear, received, rule)
        if rule.verify is not None:
            wrong = signature_fault(clear, keys.public_key, keys.algorithm, rule.verify)
            if wrong is not None:
                raise SecurityError("signature", wrong)
        return in_clear(clear)

    def decrypt(vehicle: str, raw: bytes, received: int) -> bytes:
        frame = parse(raw)
        keys = keys_of(vehicle) or _NO_KEYS
        try:
            return attempt(frame, keys, received)
        except SecurityError:
            newer = (keys_since(vehicle, received) if keys_since else keys) or _NO_KEYS
            if newer == keys:
                raise
            return attempt(frame, newer, received)

    return decrypt


def _ciphers(
    frame: Frame, keys: VehicleKeys, platform: PlatformKeys, received: int, slack_s: float
) -> Iterator[DataUnitCipher]:
    own = platform.cipher(frame.encryption)
    if own is not None:
        yield own
    yield from block_ciphers(keys.data_keys, frame.encryption, received, slack_s)


def _check_time(clear: Frame, received: int, rule: Opening) -> None:
    moment = times.read(clear.data[:6])
    if moment is None:
        raise SecurityError("time", "no collection time")
    age = received - int(moment.timestamp()) * SECOND
    days = rule.days_2025 if clear.edition == 2025 else rule.days_2016
    if age < -rule.future_s * SECOND:
        raise SecurityError("future-time", "collection time in the future")
    if age > days * DAY:
        raise SecurityError("too-old", "older than the reissue window")
