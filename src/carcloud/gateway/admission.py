"""Who may log in: answered in batches, so that a flood of logins is a few transactions."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Final, Generic, TypeVar

from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.services.vehicles.api import DataKey, Proof

log = logging.getLogger(__name__)

OTHER_TERMINAL = "another terminal is on record for this vehicle"

EDITION_ON_RECORD: Final = 0
"""Of a login that does not tell its edition: the one on record stays, and is answered."""

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Login:
    """What a peer says of itself when it logs in."""

    vehicle: str
    iccid: str
    protocol: str
    address: str
    edition: int  # or `EDITION_ON_RECORD`
    certificate: bytes | None = None  # DER of the TLS client certificate
    platform: bytes | None = None  # data unit of a platform login
    proven: bool = False  # it has shown a code that was given to it when it registered
    token: str | None = field(default=None, repr=False)  # by which the vehicle proves itself


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer: a tenant, or why not."""

    tenant: Tenant | None
    reason: str = ""
    public_key: bytes | None = None  # for the signatures of 2025, as the activation sent it
    key_algorithm: str | None = None
    data_keys: tuple[DataKey, ...] = ()  # for encrypted data units
    refusal: str = ""  # why not, as the registry calls it
    edition: int = EDITION_ON_RECORD  # of the protocol, as the login told it or the last one did
    proof: Proof | None = None  # by what the vehicle came in
    time: int = 0  # of this login and of the one before it at whichever gateway, as the registry
    before: int | None = None  # keeps them, us since 1970


LOGIN_FAILED = Admission(None, "the registry could not answer")

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class AdmissionDesk(Generic[Question, Answer]):
    """Queues logins and has them answered `per_second` at most, in a thread.

    Activations and key exchanges have a desk of their own (see `gbt32960.keys`), and so have the
    logins of platforms, whose passwords cost much to check. `failed` is the answer to a question
    that nobody could answer because of a fault of ours.
    """

    def __init__(
        self,
        admit: Callable[[Sequence[Question]], Sequence[Answer]],
        per_second: float,
        *,
        failed: Answer,
        batch: int = _BATCH,
    ) -> None:
        self._admit = admit
        self._per_second = per_second
        self._failed = failed
        self._batch = batch
        self._queue: dict[int, tuple[Question, Callable[[Answer], None]]] = {}
        self._tickets = count(1)
        self._wake = asyncio.Event()
        self._pacing = False
        self.delayed = 0  # logins that found the rate used up
        self.problem: str | None = None

    def ask(self, login: Question, then: Callable[[Answer], None]) -> int:
        """Have `then` called with the answer, in order of asking; returns a ticket."""
        ticket = next(self._tickets)
        self._queue[ticket] = (login, then)
        self.delayed += self._pacing
        self._wake.set()
        return ticket

    def withdraw(self, ticket: int) -> bool:
        """Nobody waits for this answer any more; False if it is being looked up or has come."""
        return self._queue.pop(ticket, None) is not None

    @property
    def waiting(self) -> int:
        """Logins not answered yet."""
        return len(self._queue)

    async def run(self) -> None:
        """Answer logins until cancelled."""
        while True:
            await self._wake.wait()
            batch = [self._queue.pop(ticket) for ticket in list(islice(self._queue, self._batch))]
            if not self._queue:
                self._wake.clear()
            self._pacing = True
            answers = await self._answers([login for login, _ in batch])
            for (_, then), answer in zip(batch, answers, strict=True):
                try:
                    then(answer)
                except Exception as error:  # of one session; the others' logins go on
                    log.error("a session failed at its login", exc_info=error)
            await asyncio.sleep(len(batch) / self._per_second)
            self._pacing = False

    async def _answers(self, logins: list[Question]) -> Sequence[Answer]:
        try:
            return await self._asked(logins)
        except Exception as error:
            log.error("%d logins could not be answered together", len(logins), exc_info=error)
        return [await self._answered_alone(login) for login in logins]

    async def _answered_alone(self, login: Question) -> Answer:
        try:
            (answer,) = await self._asked([login])
        except Exception as error:
            log.error("a login could not be answered, it is refused", exc_info=error)
            return self._failed
        return answer

    async def _asked(self, logins: list[Question]) -> Sequence[Answer]:
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
