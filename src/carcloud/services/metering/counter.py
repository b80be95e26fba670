"""Usage that comes in many small amounts: added up in the process, told each few seconds.

What a process has added up and not told is lost when it is killed: at most `every_s` of use, for
the tenant's good. What must be exact is counted from what is durable instead.
"""

import asyncio
import itertools
import logging
from collections import defaultdict, deque
from collections.abc import Callable

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.model.usage import DEFAULT_PROJECT, Usage, UsageMessage, usage_event
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.metering.periods import HOUR_US, hour_of

log = logging.getLogger(__name__)

_MOST = 1_000  # usages in one message


class UsageCounter:
    """Adds up in memory; `run` tells. Used from one event loop."""

    def __init__(self, stream: Stream, process: str, now: Callable[[], int] = now_us) -> None:
        """`process` is a name that no other process ever has."""
        self._stream = stream
        self._process = process
        self._now = now
        self._numbers = itertools.count(1)
        self._sums: dict[tuple[Tenant, str, str, int], int] = defaultdict(int)
        self._messages: deque[UsageMessage] = deque()

    def add(
        self, tenant: Tenant, meter: str, quantity: int, *, project: str = DEFAULT_PROJECT
    ) -> None:
        """A tenant used something just now; `quantity` as the meter counts it."""
        self._sums[tenant, project, meter, hour_of(self._now())] += quantity

    def waiting(self, tenant: Tenant, meter: str) -> int:
        """What is added up and not told yet."""
        return sum(
            n for (who, _, what, _), n in self._sums.items() if (who, what) == (tenant, meter)
        )

    async def run(self, every_s: float = 5.0) -> None:
        """Tell until cancelled; a stream that is away makes usage wait."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.flush()
            except EngineError as error:
                log.info("usage waits: %s", error)

    async def flush(self) -> None:
        """Tell all that is added up; raises `Unavailable`, `Full` and keeps what is not told."""
        self._cut()
        while self._messages:  # in order: metering goes by the numbers
            message = self._messages[0]
            await self._stream.publish(message.subject, message.data, message.message_id)
            self._messages.popleft()

    def _cut(self) -> None:
        if self._messages:
            return  # they are told again as they were
        by_tenant: dict[Tenant, list[Usage]] = defaultdict(list)
        for (tenant, project, meter, hour), quantity in self._sums.items():
            id = f"{self._process}:{next(self._numbers)}"
            usage = Usage(id, tenant, meter, quantity, hour * HOUR_US, project=project)
            by_tenant[tenant].append(usage)
        self._sums.clear()
        for usages in by_tenant.values():
            for start in range(0, len(usages), _MOST):
                self._messages.append(usage_event(*usages[start : start + _MOST]))
