"""Sealing what must be kept but not read in the database: keys, passwords of further systems."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carcloud.services.tenancy.errors import NoSecret

_NONCE = 12  # bytes


class Seal:
    """AES-256-GCM under one secret of 32 bytes; what is sealed opens for its `owner` only."""

    def __init__(self, secret: bytes | None) -> None:
        self._cipher = AESGCM(secret) if secret is not None else None

    @property
    def possible(self) -> bool:
        """Whether there is a secret."""
        return self._cipher is not None

    def close(self, owner: str, plain: bytes) -> bytes:
        """The sealed bytes; raises `NoSecret` if the service was made without a secret."""
        if self._cipher is None:
            raise NoSecret("this installation has no secret to seal it with")
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, owner.encode())

    def open(self, owner: str, sealed: bytes | None) -> bytes | None:
        """The bytes; None if there are none or they were sealed under another secret."""
        if sealed is None or self._cipher is None:
            return None
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.encode())
        except InvalidTag:
            return None
