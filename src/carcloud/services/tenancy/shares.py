"""One limit over many processes: each tells what it gave in the last second, and hears the others.

A process may give what the others left of the limit, and never less than an equal part of it. So
a tenant whose load is uneven has its whole limit, and for a second at most more than that.
"""

import json
import time as clock
from collections.abc import Mapping

from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED

_GONE_S = 3.5  # without a word


class Shares:
    """What the other processes of a role gave; `told` and `hear` are the two ends of a subject."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._others: dict[str, tuple[float, Mapping[str, Mapping[str, int]]]] = {}

    def told(self, given: Mapping[str, Mapping[Tenant, int]]) -> bytes:
        """What this process gave, by limit and tenant, as a message."""
        return json.dumps({"instance": self._instance, "given": given}).encode()

    def hear(self, data: bytes) -> None:
        """Another process (or this one) has told."""
        message = json.loads(data)
        if message["instance"] != self._instance:
            self._others[message["instance"]] = clock.monotonic(), message["given"]

    def rate(self, tenant: Tenant, name: str, limit: int) -> float:
        """How much of a limit of a rate this process may give."""
        if limit >= UNLIMITED:
            return UNLIMITED
        others = self._living()
        if not others:
            return limit
        return max(limit / (len(others) + 1), limit - _sum(others, tenant, name))

    def amount(self, tenant: Tenant, name: str, limit: int) -> int:
        """How many of what is limited in number may be open here."""
        return limit if limit >= UNLIMITED else limit - _sum(self._living(), tenant, name)

    def _living(self) -> list[Mapping[str, Mapping[str, int]]]:
        now = clock.monotonic()
        self._others = {
            name: told for name, told in self._others.items() if now - told[0] < _GONE_S
        }
        return [given for _, given in self._others.values()]


def _sum(others: list[Mapping[str, Mapping[str, int]]], tenant: Tenant, name: str) -> int:
    return sum(given.get(name, {}).get(tenant, 0) for given in others)
