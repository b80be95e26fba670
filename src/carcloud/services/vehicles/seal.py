"""Sealing the keys of vehicles, so that the database alone does not tell them."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carcloud.services.vehicles.errors import Invalid

_NONCE = 12  # bytes


class Seal:
    """AES-256-GCM under one secret of 32 bytes; a sealed key opens for its vehicle only."""

    def __init__(self, secret: bytes | None) -> None:
        self._cipher = AESGCM(secret) if secret is not None else None

    def close(self, vehicle: str, key: bytes) -> bytes:
        """The sealed key; raises `Invalid` if the service was made without a secret."""
        if self._cipher is None:
            raise Invalid("cipher_key", "this installation has no secret to seal keys with")
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, vehicle.encode())

    def open(self, vehicle: str, sealed: bytes | None) -> bytes | None:
        """The key, or None if there is none or it was sealed under another secret."""
        if sealed is None or self._cipher is None:
            return None
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], vehicle.encode())
        except InvalidTag:
            return None
