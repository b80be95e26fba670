"""Checking the ID token of an OpenID Connect provider (OpenID Connect Core 1.0 §3.1.3.7)."""

import hmac
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from carcloud.services.tenancy.errors import SignInRefused

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
LEEWAY_S = 60
_MOST = 20_000  # characters of a token
# What PyJWT may let through of keys and claims that are not what they must be.
_NONSENSE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    UnsupportedAlgorithm,
)  # fmt: skip
_NEEDED = ["iss", "sub", "aud", "exp", "iat"]


class UnknownKey(Exception):
    """The token was signed by a key that the provider did not publish, as far as is known."""


def checked(
    token: str, keys: Mapping[str, Any], *, issuer: str, client: str, nonce: str
) -> Mapping[str, Any]:
    """The claims of a token that is good; `keys` = the provider's JWK set.

    Raises `SignInRefused`, and `UnknownKey` where newer keys may help.
    """
    try:
        header = jwt.get_unverified_header(token[:_MOST])
        key = _key(header, keys)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=client,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": _NEEDED},
        )
    except (jwt.PyJWTError, *_NONSENSE) as error:
        raise SignInRefused("bad-token", f"the ID token is not good: {error}") from error
    _check_parties(claims, client)
    given = claims.get("nonce")
    same = isinstance(given, str) and hmac.compare_digest(
        given.encode(errors="replace"), nonce.encode()
    )
    if not same:
        raise SignInRefused("bad-token", "the ID token belongs to another sign-in")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255 or not subject.isprintable():
        raise SignInRefused("bad-token", "the ID token names nobody")
    return claims


def _key(header: Mapping[str, Any], keys: Mapping[str, Any]) -> Any:
    if header.get("alg") not in ALGORITHMS:
        raise SignInRefused("bad-token", "the ID token is not signed as it must be")
    if "crit" in header:
        raise SignInRefused("bad-token", "the ID token has headers that are not understood")
    known = keys.get("keys")
    usable = [
        one
        for one in (known if isinstance(known, list) else [])
        if isinstance(one, dict)
        and one.get("use", "sig") == "sig"
        and one.get("kty") != "oct"
        and one.get("alg", header["alg"]) == header["alg"]
        and (header.get("kid") is None or one.get("kid") == header["kid"])
    ]
    if not usable or (header.get("kid") is None and len(usable) > 1):
        raise UnknownKey
    return jwt.PyJWK(usable[0], algorithm=header["alg"])


def _check_parties(claims: Mapping[str, Any], client: str) -> None:
    audience = claims["aud"]
    party = claims.get("azp")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise SignInRefused("bad-token", "the ID token is for several, and says not for whom")
    if party is not None and party != client:
        raise SignInRefused("bad-token", "the ID token was made for another program")
