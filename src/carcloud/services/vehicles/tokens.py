"""Tokens by which vehicles prove who they are, where the protocol brings one (MQTT).

A token is 256 random bits, so a plain SHA-256 keeps it as safe as a slow hash would. It is told
once, when it is made.
"""

import hashlib
import hmac
import secrets
from typing import Any, Final

from sqlalchemy import Connection, insert, update

from carcloud.services.vehicles.store import credentials
from carcloud.services.vehicles.types import Login

PREFIX: Final = "cvt_"
PROVEN: Final = frozenset({"mqtt"})  # protocols that admit nobody without a proof
_LONGEST: Final = 200  # characters of a token that is looked at at all


def new() -> str:
    """A token that nobody has had."""
    return PREFIX + secrets.token_urlsafe(32)


def keep(db: Connection, vehicle: str, token: str | None, now: int) -> bool:
    """Put the token on record in place of another, or none; False if nothing changed."""
    values = {
        "token_sha256": None if token is None else hashed(token),
        "token_made": None if token is None else now,
    }
    mine = update(credentials).where(credentials.c.vehicle == vehicle)
    if token is None:
        mine = mine.where(credentials.c.token_sha256.is_not(None))
    if db.execute(mine.values(**values)).rowcount:
        return True
    if token is not None:
        db.execute(insert(credentials).values(vehicle=vehicle, **values))
    return token is not None


def hashed(token: str) -> bytes:
    """What is kept of a token; 32 bytes."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def lets_in(row: Any, login: Login) -> bool:
    """Whether a login proves what it must: a vehicle that has a token comes by no other way."""
    if login.protocol in PROVEN:
        return proven(row, login)
    return row["token_sha256"] is None


def proven(row: Any, login: Login) -> bool:
    """Whether a login brings the token or the certificate on record; takes the same time always."""
    token, certificate = login.token, login.certificate
    by_token = (
        token is not None
        and len(token) <= _LONGEST
        and hmac.compare_digest(row["token_sha256"] or bytes(32), hashed(token))
    )
    by_certificate = certificate is not None and hmac.compare_digest(
        (row["tls_fingerprint"] or "-").encode(), certificate.lower().encode()
    )
    return by_token or by_certificate
