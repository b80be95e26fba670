"""Who may log in: answered in batches, so that a flood of logins is a few transactions."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError

log = logging.getLogger(__name__)

OTHER_TERMINAL = "another terminal is on record for this vehicle"

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Login:
    """What a peer says of itself when it logs in."""

    vehicle: str
    iccid: str
    protocol: str
    address: str
    edition: int
    certificate: bytes | None = None  # DER of the TLS client certificate
    platform: bytes | None = None  # data unit of a platform login


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer: a tenant, or why not."""

    tenant: Tenant | None
    reason: str = ""
    public_key: bytes | None = None  # for the signatures of 2025, as the activation sent it
    key_algorithm: str | None = None


class AdmissionDesk:
    """Queues logins and has them answered `per_second` at most, in a thread."""

    def __init__(
        self, admit: Callable[[Sequence[Login]], Sequence[Admission]], per_second: float
    ) -> None:
        self._admit = admit
        self._per_second = per_second
        self._queue: deque[tuple[Login, Callable[[Admission], None]]] = deque()
        self._wake = asyncio.Event()
        self.problem: str | None = None

    def ask(self, login: Login, then: Callable[[Admission], None]) -> None:
        """Have `then` called with the answer, in order of asking."""
        self._queue.append((login, then))
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Logins not answered yet."""
        return len(self._queue)

    async def run(self) -> None:
        """Answer logins until cancelled."""
        while True:
            await self._wake.wait()
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            if not self._queue:
                self._wake.clear()
            answers = await self._answers([login for login, _ in batch])
            for (_, then), answer in zip(batch, answers, strict=True):
                then(answer)
            await asyncio.sleep(len(batch) / self._per_second)

    async def _answers(self, logins: list[Login]) -> Sequence[Admission]:
        while True:
            try:
                answers = await asyncio.to_thread(self._admit, logins)
            except EngineError as error:
                self.problem = f"logins wait: {error}"
                log.warning("%s", self.problem)
                await asyncio.sleep(0.5)
            else:
                self.problem = None
                return answers
