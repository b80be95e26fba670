"""Tokens by which vehicles prove who they are, where the protocol brings one (MQTT).

A token is 256 random bits, so a plain SHA-256 keeps it as safe as a slow hash would. It is told
once, when it is made.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, insert, update

from carcloud.services.vehicles.store import credentials
from carcloud.services.vehicles.types import Proof

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


def hashed_if_possible(token: str | None) -> bytes | None:
    """What is kept of a token that a vehicle brings; None for what can be none."""
    return hashed(token) if token is not None and len(token) <= _LONGEST else None


def lets_in(row: Mapping[str, Any], proof: Proof) -> bool:
    """Whether a login proves what it must: a vehicle that has a token comes by no other way, and
    one that has a certificate on record brings it."""
    if proof.protocol in PROVEN:
        return proven(row, proof)
    return row["token_sha256"] is None and row["tls_fingerprint"] in (None, proof.certificate)


def proven(row: Mapping[str, Any], proof: Proof) -> bool:
    """Whether a login brings the token or the certificate on record; takes the same time always."""
    token, certificate = proof.token_sha256, proof.certificate
    by_token = token is not None and hmac.compare_digest(row["token_sha256"] or bytes(32), token)
    by_certificate = certificate is not None and hmac.compare_digest(
        (row["tls_fingerprint"] or "-").encode(), certificate.lower().encode()
    )
    return by_token or by_certificate
