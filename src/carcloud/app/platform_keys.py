"""What the settings say about encrypted and signed reports."""

import binascii
import re
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from carcloud.codecs.gbt32960.report_security import SignatureRule
from carcloud.config import InvalidSetting, Settings
from carcloud.services.telemetry.decrypt_gbt32960 import Opening, PlatformKeys

_PREFIX: Final = "gateway.gbt32960."
_PLATFORM_DAYS: Final = 7  # clause 5: reissue window of a platform link, both editions
_SCALAR: Final = re.compile(rb"\x02\x01\x01\x04\x20(.{32})", re.DOTALL)
"""RFC 5915: version 1 and the private key as 32 octets, inside PKCS#8 or alone."""


def platform_keys(settings: Settings) -> PlatformKeys:
    """The private keys of this platform; raises `InvalidSetting` for a file that is none."""
    return PlatformKeys(rsa=_rsa(settings), sm2=_sm2(settings))


def signature_rule(settings: Settings) -> SignatureRule | None:
    """How 2025 signatures are checked; None = not at all."""
    wanted = settings.text(_PREFIX + "verify_signatures")
    if wanted == "off":
        return None
    return SignatureRule(
        required=wanted == "required",
        covers_mark=settings.flag(_PREFIX + "signature_covers_mark"),
    )


def opening(settings: Settings) -> Opening:
    """What a report opened in ingest must be like. It may have come over a platform link."""
    return Opening(
        future_s=settings.number("gateway.future_tolerance_s"),
        days_2016=max(_PLATFORM_DAYS, settings.whole(_PREFIX + "reissue_days_2016")),
        days_2025=max(_PLATFORM_DAYS, settings.whole(_PREFIX + "reissue_days_2025")),
        verify=signature_rule(settings),
    )


def _rsa(settings: Settings) -> RSAPrivateKey | None:
    pem = _content(settings, "private_key_rsa")
    if pem is None:
        return None
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidSetting(f"{_PREFIX}private_key_rsa: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise InvalidSetting(f"{_PREFIX}private_key_rsa holds no RSA key")
    return key


def _sm2(settings: Settings) -> bytes | None:
    """The 32-byte scalar, of hex digits or an unencrypted PEM."""
    text = _content(settings, "private_key_sm2")
    if text is None:
        return None
    if re.fullmatch(rb"\s*[0-9a-fA-F]{64}\s*", text):
        return bytes.fromhex(text.decode("ascii"))
    lines = [line for line in text.splitlines() if not line.startswith(b"-----")]
    try:
        found = _SCALAR.search(binascii.a2b_base64(b"".join(lines)))
    except binascii.Error:
        found = None
    if found is None:
        raise InvalidSetting(f"{_PREFIX}private_key_sm2 holds neither hex digits nor a PEM key")
    return found[1]


def _content(settings: Settings, name: str) -> bytes | None:
    file = settings.text(_PREFIX + name)
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidSetting(f"{_PREFIX}{name}: {error}") from error
