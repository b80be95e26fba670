"""The compute port: a function runs in another process, perhaps on another machine.

The function is named, never pickled: `package.module:function`, called with a `Desk` and the bytes
of its argument, returning bytes. What it tells on the way comes back in order and before its end.
An engine runs a piece of work at most once; to repeat is for the caller to decide.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from carcloud.ports.errors import EngineError

OnNote = Callable[[bytes], Awaitable[None]]


class NoRoom(EngineError):
    """All places are taken now; the same work can be submitted again when something has ended."""

    engine = "compute"


class NeverFits(EngineError):
    """The work asks for more than the engine has in all; the message says what it has."""

    engine = "compute"


class End(StrEnum):
    """How a piece of work ended."""

    DONE = "done"  # the function returned
    FAILED = "failed"  # it raised
    LIMITED = "limited"  # it ran into one of its limits, which the outcome names
    DIED = "died"  # its process or machine went away
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Need:
    """What a piece of work may take; running into `seconds`, `cpu_seconds` or `memory_mb` ends it.

    `cpus` is what is set aside for it on the engine; it is not enforced.
    """

    cpus: float = 1.0
    memory_mb: int = 512
    seconds: float = 3600.0  # of wall time
    cpu_seconds: float | None = None  # None = no limit but the wall


@dataclass(frozen=True, slots=True)
class Work:
    """One call of a function; `id` is unique among all that the engine ever ran."""

    id: str
    function: str  # `package.module:function`
    argument: bytes = b""
    need: Need = Need()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a piece of work. `limit` is a field of `Need`, where one of them ended it."""

    end: End
    value: bytes = b""  # what the function returned
    detail: str = ""  # what went wrong, for a person
    limit: str | None = None
    cpu_seconds: float = 0.0  # as far as known
    where: str = ""  # host and process, for a person


@dataclass(frozen=True, slots=True)
class Room:
    """What an engine has in all, and what is free of it now."""

    cpus: float
    memory_mb: int
    free_cpus: float
    free_memory_mb: int


class Desk(Protocol):
    """What the running function has in its hand."""

    @property
    def id(self) -> str:
        """The work's id."""

    def tell(self, note: bytes) -> None:
        """Send a note of at most 1 MB to the caller; may block while the caller is busy."""


class Run(Protocol):
    """A piece of work that was submitted."""

    @property
    def id(self) -> str:
        """The work's id."""

    def outcome(self) -> Outcome | None:
        """The end, None while it runs. Never waits."""

    async def wait(self) -> Outcome:
        """The end, when it has come and all notes have been taken."""

    async def cancel(self) -> None:
        """End it, also if it does not cooperate. Nothing happens if it has ended."""


class Compute(Protocol):
    """An engine. Made on a running event loop and used there."""

    async def submit(self, work: Work, on_note: OnNote | None = None) -> Run:
        """Begin at once; raises `NoRoom`, `NeverFits`, `Unavailable`.

        `on_note` is awaited for each note in order, so a slow one slows the function down. If it
        raises, the work is ended as `FAILED`.
        """

    async def room(self) -> Room:
        """What there is and what is free; raises `Unavailable`."""

    async def close(self) -> None:
        """Cancel what runs and give everything back."""
