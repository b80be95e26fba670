"""What the jobs of telemetry need besides a job's context; the app fills it in, in the process
where jobs run."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from carcloud.codecs.can.frames import CanFrames
from carcloud.model.ids import Tenant
from carcloud.model.signals import Signal
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.protocols import Decoder
from carcloud.services.vocabulary.mapping_types import Mapping as ModelMapping

T = TypeVar("T")


class BadLog(Exception):
    """A log that cannot be read; the text says where and why."""


class Logs(Protocol):
    """Some opened logs, joined in order of time."""

    @property
    def size(self) -> int:
        """Bytes of all files."""

    def blocks(self, progress: Callable[[int], None]) -> Iterator[CanFrames]:
        """The frames; `progress` is told the bytes read. Raises `BadLog`."""

    def remarks(self) -> list[str]:
        """What was left out or cut off, after reading."""


class Streaming(Protocol):
    """The stream, for code that blocks."""

    def do(self, work: Callable[[Stream], Awaitable[T]]) -> T:
        """Wait for what `work` awaits; raises what it raises."""


@dataclass(frozen=True, slots=True)
class Work:
    """See above. `mapping` and `decoders` are of today."""

    records: Records
    catalogue: Callable[[Tenant], Mapping[str, Signal]]
    mapping: Callable[[Tenant, str], ModelMapping | None]  # of a vehicle
    vehicles: Callable[[Tenant, str], Sequence[str]]  # of a model, also retired ones
    decoders: Mapping[str, Decoder]
    streaming: Callable[[], AbstractContextManager[Streaming]]
    open_logs: Callable[[Sequence[Path], str | None], Logs]  # raises `BadLog`
    room: Callable[[Tenant, int], None]  # raises `OverLimit`
    most_log_bytes: int
