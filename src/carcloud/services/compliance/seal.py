"""Sealing the passwords of links, so that the database alone does not tell them."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carcloud.services.compliance.errors import InvalidLink

_NONCE = 12  # bytes


class Seal:
    """AES-256-GCM under the installation's secret; opens for the same tenant and link only."""

    def __init__(self, secret: bytes | None) -> None:
        self._cipher = AESGCM(secret) if secret is not None else None

    def close(self, tenant: str, link: str, password: str) -> bytes:
        """The sealed password; raises `InvalidLink` if there is no secret."""
        if self._cipher is None:
            raise InvalidLink("password", "this installation has no secret to seal it with")
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, password.encode(), _context(tenant, link))

    def open(self, tenant: str, link: str, sealed: bytes) -> str | None:
        """The password; None if it was sealed under another secret."""
        if self._cipher is None:
            return None
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(tenant, link))
        except InvalidTag:
            return None
        return plain.decode()


def _context(tenant: str, link: str) -> bytes:
    return f"platform-link/{tenant}/{link}".encode()
