"""The stream port: durable, ordered messages, and live ones that nobody keeps."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a durable stream."""

    subject: str
    seq: int  # position in the stream, from 1, without gaps in one stream's numbering
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The extent of a durable stream. `first_seq > last_seq` when it is empty."""

    first_seq: int
    last_seq: int
    messages: int
    bytes: int


class Stream(Protocol):
    """All methods raise `Unavailable`; `publish` also `Full`, `Refused`."""

    async def publish(self, subject: str, data: bytes, message_id: str) -> int:
        """Keep `data` on disk and return its sequence.

        The same `message_id` again within two minutes is kept once and returns the first
        sequence. When this returns, the message survives `kill -9` and power loss.
        """

    def read(
        self, stream: str, reader: str, *, batch: int, wait_s: float
    ) -> AsyncIterator[list[Message]]:
        """Messages from the reader's position on, in order, in lists of up to `batch`.

        An empty list is yielded when nothing came for `wait_s` seconds. What was read but not
        confirmed comes again to the next `read` of the same reader name. One process at a
        time reads under one name.
        """

    async def confirm(self, stream: str, reader: str, seq: int) -> None:
        """The reader has dealt with everything up to and including `seq` for good."""

    async def confirmed(self, stream: str, reader: str) -> int:
        """The last confirmed sequence of the reader; 0 before the first."""

    async def release(self, stream: str, seq: int) -> None:
        """Messages up to and including `seq` are no longer needed by anybody.

        In a stream that ends before `seq`, the next message gets `seq + 1`.
        """

    async def info(self, stream: str) -> StreamInfo:
        """The extent of a durable stream."""

    async def holds(self, stream: str, subject: str) -> int:
        """How many messages of a subject (or of all that match, as `a.*` and `a.>`) are kept."""

    async def erase(self, stream: str, subject: str) -> int:
        """Overwrite the messages of a subject where they lie on disk; returns their number.

        The others keep their sequences.
        """

    async def broadcast(self, subject: str, data: bytes) -> None:
        """Tell whoever listens now. Not kept, may be lost."""

    async def listen(
        self, subject: str, on_message: Callable[[str, bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call `on_message(subject, data)` for each broadcast; returns a function that stops."""

    async def close(self) -> None:
        """Give the connection back."""
