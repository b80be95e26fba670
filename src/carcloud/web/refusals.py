"""Refused attempts on their way to the audit: gathered, so that a flood of them writes little."""

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection

from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import AuditEntry, Tenancy

Connection = ASGIConnection[Any, Any, Any, Any]
log = logging.getLogger(__name__)

WRITE_S = 1.0  # s between writes
MOST = 1000  # different attempts that wait; more are only counted
OF_ONE_USER = 20  # of them; further ones are told together


class Refusals:
    """Notes who was refused what. Attempts that are alike in one second are one entry."""

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy
        self._waiting: Counter[AuditEntry] = Counter()
        self._different: Counter[tuple[str, str]] = Counter()  # by tenant and user
        self.total = 0
        self.dropped = 0

    def note(self, connection: Connection, action: str) -> None:
        """A signed-in caller was refused `action`."""
        who = connection.scope["user"].identity
        self.total += 1
        address = connection.client.host if connection.client else ""
        entry = AuditEntry(
            who.tenant, who.user, action, connection.scope["path"][:200], denied=True,
            address=address,
        )  # fmt: skip
        if entry not in self._waiting:
            mine = (who.tenant, who.user)
            self._different[mine] += 1
            if self._different[mine] > OF_ONE_USER:  # varying paths must not fill the audit
                entry = replace(entry, subject="(and others)")
        if len(self._waiting) >= MOST and entry not in self._waiting:
            self.dropped += 1
            return
        self._waiting[entry] += 1

    async def run(self) -> None:
        """Write what has gathered, again and again."""
        while True:
            await asyncio.sleep(WRITE_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered; what cannot be written waits."""
        taken, self._waiting = self._waiting, Counter()
        self._different.clear()
        if not taken:
            return
        entries = [replace(one, after={"attempts": count}) for one, count in taken.items()]
        try:
            await asyncio.to_thread(self._tenancy.trail.refused, entries)
        except EngineError as error:
            log.warning("refusals wait for the records: %s", error)
            self._waiting.update(taken)
