"""One-time passwords from the time: RFC 6238 over RFC 4226, as authenticator apps reckon them."""

import base64
import hashlib
import hmac
from urllib.parse import quote, urlencode

from carcloud.model.time import SECOND

DIGITS = 6
STEP_S = 30  # RFC 6238 §5.2
DRIFT = 1  # steps that a clock may be off, either way
SECRET_BYTES = 20  # the length of a SHA-1 hash: RFC 4226 §4 R6


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step: RFC 4226 §5.3 with HMAC-SHA-1."""
    digest = hmac.digest(secret, step.to_bytes(8), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def step_at(now_us: int) -> int:
    """The step of a time, us since 1970."""
    return now_us // (STEP_S * SECOND)


def matching_step(secret: bytes, code: str, now_us: int, used: int) -> int | None:
    """The step after `used` whose code this is, of those that a drifting clock can show; None if
    there is none. Takes as long for every code."""
    here, found = step_at(now_us), None
    for step in range(here - DRIFT, here + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step), code) and step > used:
            found = step
    return found


def readable(secret: bytes) -> str:
    """The secret in base32 without padding, as people type it."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, user: str, issuer: str) -> str:
    """The `otpauth` address that authenticator apps read from a QR code."""
    label = f"{quote(issuer)}:{quote(user)}"
    query = {
        "secret": readable(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_S,
    }
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}"
