"""2025 security of a vehicle: activation, key exchange, signed and encrypted reports."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from carcloud.codecs.gbt32960.constants import HEADER_SIZE, Command, Encryption, Flag
from carcloud.codecs.gbt32960.encode import (
    Signer,
    encode_activation,
    encode_key_exchange,
    sign_report,
)
from carcloud.codecs.gbt32960.frame import build
from carcloud.codecs.gbt32960.security import BlockCipher
from carcloud.model.time import SECOND, from_us
from carcloud.simulator import keys
from carcloud.simulator.keys import Signing
from carcloud.simulator.messages import EDITION_2025

Encrypting = Literal["aes", "sm4"]

_VALID_DAYS = 30


@dataclass(frozen=True, slots=True)
class Protection:
    """The security chip of one vehicle."""

    vin: str
    public_key: bytes | None
    sign: Signer | None
    cipher: BlockCipher | None

    def activation(self, seconds: int) -> bytes | None:
        """The frame 0x09 with the public key; None for a vehicle that does not sign."""
        if self.sign is None or self.public_key is None:
            return None
        chip = f"CHIP{self.vin[-12:]}"
        moment = from_us(seconds * SECOND)
        unit = encode_activation(moment, chip, self.public_key, self.vin, self.sign)
        return build(EDITION_2025, Command.ACTIVATION, Flag.COMMAND, self.vin, unit)

    def key_exchange(self, seconds: int) -> bytes | None:
        """The frame 0x0B with the data-unit key; None for a vehicle that does not encrypt.

        The key holds from the start of the day, so that it is the same key all day long.
        """
        if self.cipher is None:
            return None
        start = from_us(seconds // 86_400 * 86_400 * SECOND)
        until = start + timedelta(days=_VALID_DAYS)
        unit = encode_key_exchange(self.cipher.code, self.cipher.key, start, until)
        return build(EDITION_2025, Command.KEY_EXCHANGE, Flag.COMMAND, self.vin, unit)

    def protected(self, report: bytes) -> bytes:
        """A report frame signed, then encrypted."""
        unit, encryption = report[HEADER_SIZE:-1], int(Encryption.NONE)
        if self.sign is not None:
            unit = sign_report(unit, self.sign)
        if self.cipher is not None:
            unit, encryption = self.cipher.encrypt(unit), self.cipher.code
        command = report[2]
        return build(EDITION_2025, command, Flag.COMMAND, self.vin, unit, encryption=encryption)


def protection(
    vin: str, seed: int, signing: Signing | None, encrypting: Encrypting | None
) -> Protection | None:
    """The chip of a vehicle of the fleet of `seed`; None for one that needs none."""
    if signing is None and encrypting is None:
        return None
    public_key, sign = keys.signer(signing, seed, vin) if signing else (None, None)
    cipher = None
    if encrypting is not None:
        key = keys.secret(seed, vin, "data")[:16]
        cipher = BlockCipher("SM4" if encrypting == "sm4" else "AES", key)
    return Protection(vin, public_key, sign, cipher)
