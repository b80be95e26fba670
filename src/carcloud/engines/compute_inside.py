"""What happens inside the process where work runs, whichever engine started the process."""

import importlib
import os
import resource
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carcloud.ports.compute import Desk, End, Outcome, Work

_MB = 1 << 20
_BASE_MB = 64  # on top of a limit, for the interpreter's own doings
_NOTE_BYTES = 1_000_000
_DETAIL = 4_000  # characters of an error that are kept

Function = Callable[[Desk, bytes], bytes]


@dataclass(frozen=True, slots=True)
class TellingDesk:
    """The desk of one piece of work; `send` takes its notes."""

    id: str
    send: Callable[[bytes], None]

    def tell(self, note: bytes) -> None:
        """Send a note; `ValueError` above 1 MB."""
        if len(note) > _NOTE_BYTES:
            raise ValueError(f"a note of {len(note)} bytes: at most {_NOTE_BYTES}")
        self.send(note)


def perform(work: Work, send: Callable[[bytes], None]) -> Outcome:
    """Call the function of `work` within its limit of memory; never raises an `Exception`."""
    before = time.process_time()

    def ended(end: End, value: bytes = b"", detail: str = "", limit: str | None = None) -> Outcome:
        spent = time.process_time() - before
        return Outcome(end, value, detail, limit, spent, where())

    try:
        function: Function = load(work.function)
        with _memory_limit(work.need.memory_mb):
            value = function(TellingDesk(work.id, send), work.argument)
        if not isinstance(value, bytes):
            raise TypeError(f"{work.function} returned {type(value).__name__}, not bytes")
        return ended(End.DONE, value)
    except MemoryError:
        return ended(End.LIMITED, detail=too_much(work), limit="memory_mb")
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its outcome
        return ended(End.FAILED, detail=_told(error))


def load(function: str) -> Any:
    """The function that `package.module:name` names; raises `ImportError` or `AttributeError`."""
    module, colon, name = function.partition(":")
    if not colon:
        raise ImportError(f"{function!r} is not package.module:function")
    return getattr(importlib.import_module(module), name)


def where() -> str:
    """Host and process, for a person."""
    return f"{socket.gethostname()}:{os.getpid()}"


def too_much(work: Work) -> str:
    """What a person reads when memory was not enough."""
    return f"the work needs more than {work.need.memory_mb} MB of memory"


def too_long(work: Work) -> str:
    """The same for wall time."""
    return f"the work ran longer than {work.need.seconds:g} s"


def too_busy(work: Work) -> str:
    """The same for processor time."""
    return f"the work took more than {work.need.cpu_seconds:g} s of processor time"


def _told(error: Exception) -> str:
    """The error, and where it was raised; the end of it where it is long."""
    lines = traceback.format_exception(error)
    return "".join(lines)[-_DETAIL:].strip()


@contextmanager
def _memory_limit(memory_mb: int) -> Iterator[None]:
    """Let the kernel refuse private memory beyond the limit; the process lives on."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = used + (memory_mb + _BASE_MB) * _MB
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
