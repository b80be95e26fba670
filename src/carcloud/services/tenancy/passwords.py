"""Passwords: argon2id hashes, one or two computed at a time because each takes 64 MB."""

import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from carcloud.services.tenancy.errors import Invalid

SHORTEST, LONGEST = 10, 256  # characters


class Passwords:
    """Hashes and checks passwords; safe to use from many threads."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.BoundedSemaphore(2)

    def hash(self, password: str) -> str:
        """The hash to keep; raises `Invalid` for a password too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise Invalid("password", f"{SHORTEST} to {LONGEST} characters")
        with self._turn:
            return self._hasher.hash(password)

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` belongs to the hash; takes as long when there is none."""
        with self._turn:
            nobodys = self._nobodys  # whoever signs in first waits for it, so that tells nothing
            try:
                right = self._hasher.verify(kept or nobodys, password[:LONGEST])
            except (VerificationError, InvalidHashError):
                return False
        return right and kept is not None

    @cached_property
    def _nobodys(self) -> str:
        """The hash of a user who does not exist; most processes never need it."""
        return self._hasher.hash("the password of a user who does not exist")
