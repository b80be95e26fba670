"""The stream port on NATS JetStream, embedded or a cluster."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg

from carcloud.engines.stream_nats.limits import (
    EVENTS_BYTES,
    MAX_MESSAGE,
    POSITIONS_BYTES,
    USAGE_BYTES,
)
from carcloud.engines.stream_nats.link import CALL_S, Address, ApiError, Link, answer_of
from carcloud.engines.stream_nats.reader import Reader
from carcloud.model.streams import EVENTS, FRAMES, USAGE
from carcloud.ports.errors import Full, Refused, Unavailable
from carcloud.ports.stream import Message, StreamInfo

_log = logging.getLogger(__name__)

_NS = 1_000_000_000
_DUPLICATE_WINDOW_S = 120  # ports.stream: the same message id within two minutes
_DAY_S = 86_400
# That a stream's leader has to answer, one that has just ended never does; the longer for callers
# that give calls longer than usual.
_LOOK_S, _PATIENT_LOOK_S = 3.0, 5.0
_PAUSE_S = 0.1  # between two questions of those who wait for the servers to agree
_POSITIONS = "POSITIONS"

# Error codes of JetStream's API (server/errors.json of nats-server).
_NO_MESSAGE = 10_037
_DELETE_FAILED = 10_057  # also of one that is gone meanwhile
_NAME_IN_USE = 10_058
_NO_STREAM = 10_059
# No peers yet, no leader, not ready; JetStream not enabled yet; no peer of a stream seen yet.
_PASSING_CODES = frozenset({10_005, 10_008, 10_009, 10_039, 10_076, 10_118})
_FULL_CODES = frozenset({10_002, 10_023, 10_028, 10_047})  # limits of account and server
_REFUSED_CODES = frozenset({10_054, 10_097})  # a message or its header is too large
_FULL_WORDS = ("maximum bytes", "maximum messages", "insufficient", "no space", "resource limits")


class NatsStream:
    """`ports.stream.Stream` over one connection. Make it with `connect`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._positions: dict[tuple[str, str], int] = {}

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str = "",
        password: str = "",
        max_bytes: int,
        replicas: int = 1,
        timeout_s: float = 15.0,
        call_s: float = CALL_S,
    ) -> "NatsStream":
        """Connect to `url` (`nats://host:port`, no credentials in it) and make the streams.

        The servers of a cluster stand in `url` with commas between; `replicas` of them keep each
        message. A cluster that has just begun is waited for. All takes up to `timeout_s`; raises
        `Unavailable` then.

        `max_bytes` bounds the frames that the lake does not have yet. A connection lost later
        is made again for ever; calls that are not answered for `call_s` raise `Unavailable`.
        """
        link = Link(Address(url, user, password), call_s)
        deadline = asyncio.get_running_loop().time() + timeout_s
        await link.open(timeout_s)
        look_s = _LOOK_S if call_s <= CALL_S else _PATIENT_LOOK_S
        try:
            for config in _stream_configs(max_bytes, replicas):
                await _ensure_until(link, config, look_s, deadline)
        except ApiError as error:
            await link.close()
            raise _port_error(error) from error
        except Unavailable:
            await link.close()
            raise
        return cls(link)

    async def publish(self, subject: str, data: bytes, message_id: str) -> int:
        """Keep `data` on disk and return its sequence; raises `Unavailable`, `Full`, `Refused`.

        After `Unavailable` the message may or may not be kept: publish it again under the same
        id. `ValueError` for more than 8 MB.
        """
        return await self._keep(subject, data, {"Nats-Msg-Id": message_id})

    async def _keep(self, subject: str, data: bytes, headers: dict[str, str] | None) -> int:
        answer = await self._link.ask(subject, data, headers)
        try:
            return int(answer_of(answer)["seq"])
        except ApiError as error:
            raise _port_error(error) from error

    async def read(
        self, stream: str, reader: str, *, batch: int, wait_s: float
    ) -> AsyncIterator[list[Message]]:
        """Messages after the reader's confirmed position, in order, for ever.

        Goes on by itself when the server is gone and comes back; yields empty lists meanwhile.
        Up to `batch` messages, and no more than 32 MB, are fetched ahead. Raises `Unavailable`
        where the stream of positions is missing: `connect` makes it.
        """
        told = False
        while True:
            try:
                after = await self._position(stream, reader)
                break
            except (ApiError, Unavailable) as error:
                if isinstance(error, ApiError) and error.code == _NO_STREAM:
                    raise _port_error(error) from error
                if not told:
                    _log.warning("%s cannot read %s yet, and waits: %s", reader, stream, error)
                    told = True
                yield []
                await asyncio.sleep(_PAUSE_S)
        lists = Reader(self._link, stream, after, batch).lists(wait_s)
        try:
            async for messages in lists:
                yield messages
        finally:
            await lists.aclose()

    async def confirm(self, stream: str, reader: str, seq: int) -> None:
        """The reader has dealt with everything up to and including `seq` for good.

        A lower `seq` than before changes nothing. Costs one synced write: confirm batches.
        """
        if seq <= await self._known_position(stream, reader):
            return
        await self._keep(_position_subject(stream, reader), str(seq).encode(), None)
        self._positions[stream, reader] = seq

    async def confirmed(self, stream: str, reader: str) -> int:
        """The last confirmed sequence of the reader; 0 before the first."""
        try:
            return await self._position(stream, reader)
        except ApiError as error:
            raise _port_error(error) from error

    async def _position(self, stream: str, reader: str) -> int:
        request = {"last_by_subj": _position_subject(stream, reader)}
        try:
            answer = await self._link.api(f"STREAM.MSG.GET.{_POSITIONS}", request)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return 0
            raise
        return int(base64.b64decode(answer["message"]["data"]))

    async def release(self, stream: str, seq: int) -> None:
        """Messages up to and including `seq` are no longer needed: their disk is freed."""
        extent = await self.info(stream)
        if seq >= extent.first_seq:  # beyond the last message it moves the numbering on
            await self._call(f"STREAM.PURGE.{stream}", {"seq": seq + 1})

    async def info(self, stream: str) -> StreamInfo:
        """The extent of a durable stream."""
        state = (await self._call(f"STREAM.INFO.{stream}", {}))["state"]
        return StreamInfo(
            first_seq=max(int(state["first_seq"]), 1),
            last_seq=int(state["last_seq"]),
            messages=int(state["messages"]),
            bytes=int(state["bytes"]),
        )

    async def holds(self, stream: str, subject: str) -> int:
        """How many messages of a subject, or of all that match it, are kept."""
        count = seen = 0
        while True:
            request = {"subjects_filter": subject, "offset": seen}
            answer = await self._call(f"STREAM.INFO.{stream}", request)
            subjects = answer["state"].get("subjects") or {}
            count += sum(int(number) for number in subjects.values())
            seen += len(subjects)
            if not subjects or seen >= int(answer.get("total", 0)):
                return count

    async def erase(self, stream: str, subject: str) -> int:
        """Overwrite the messages of a subject with random bytes; returns their number.

        A purge by subject would leave them in the files until their block is written anew.
        """
        erased = 0
        while (seq := await self._first_of(stream, subject)) is not None:
            try:
                await self._link.api(f"STREAM.MSG.DELETE.{stream}", {"seq": seq})
            except ApiError as error:
                if error.code not in (_NO_MESSAGE, _DELETE_FAILED):
                    raise _port_error(error) from error
                if await self._first_of(stream, subject) == seq:
                    raise _port_error(error) from error
            erased += 1
        return erased

    async def _first_of(self, stream: str, subject: str) -> int | None:
        request = {"seq": 1, "next_by_subj": subject}
        try:
            answer = await self._link.api(f"STREAM.MSG.GET.{stream}", request)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise _port_error(error) from error
        return int(answer["message"]["seq"])

    async def broadcast(self, subject: str, data: bytes) -> None:
        """Tell whoever listens now. Not kept, may be lost."""
        await self._link.tell(subject, data)

    async def listen(
        self, subject: str, on_message: Callable[[str, bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call `on_message(subject, data)` for each broadcast; returns a function that stops."""

        async def deliver(message: Msg) -> None:
            await on_message(message.subject, message.data)

        handle = await self._link.subscribe(subject, deliver)

        async def stop() -> None:
            await self._link.unsubscribe(handle)

        return stop

    async def close(self) -> None:
        """Give the connection back."""
        await self._link.close()

    async def _known_position(self, stream: str, reader: str) -> int:
        if (stream, reader) not in self._positions:
            self._positions[stream, reader] = await self.confirmed(stream, reader)
        return self._positions[stream, reader]

    async def _call(self, verb: str, request: dict[str, Any]) -> Any:
        try:
            return await self._link.api(verb, request)
        except ApiError as error:
            raise _port_error(error) from error


def _position_subject(stream: str, reader: str) -> str:
    return f"positions.{stream}.{reader}"


def _port_error(error: ApiError) -> Full | Refused | Unavailable:
    words = error.description.lower()
    if error.code in _FULL_CODES or any(word in words for word in _FULL_WORDS):
        return Full(f"the stream has no room: {error}")
    if error.code in _REFUSED_CODES:
        return Refused(f"the stream does not take it: {error}")
    return Unavailable(f"the stream server refused: {error}")


def _stream_configs(max_bytes: int, replicas: int) -> list[dict[str, Any]]:
    """The durable streams of `model.streams`, and the readers' positions."""
    shared = {
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_msg_size": MAX_MESSAGE,
        "duplicate_window": _DUPLICATE_WINDOW_S * _NS,
    }
    frames = {"name": FRAMES.name, "subjects": [FRAMES.subjects], "max_bytes": max_bytes}
    events = {"name": EVENTS.name, "subjects": [EVENTS.subjects], "max_bytes": EVENTS_BYTES}
    usage = {"name": USAGE.name, "subjects": [USAGE.subjects], "max_bytes": USAGE_BYTES}
    positions = {"name": _POSITIONS, "subjects": ["positions.*.*"], "max_bytes": POSITIONS_BYTES}
    return [
        {**shared, **frames, "discard": "new"},  # a full stream refuses; it never forgets
        {**shared, **events, "discard": "old", "max_age": _DAY_S * _NS},
        {**shared, **usage, "discard": "new"},  # nor is usage forgotten: who tells it waits
        {**shared, **positions, "discard": "old", "max_msgs_per_subject": 1},
    ]


async def _ensure_until(link: Link, config: dict[str, Any], look_s: float, deadline: float) -> None:
    """`_ensure_stream`, while the servers of a cluster choose who leads, up to the loop's time
    `deadline`."""
    problem: ApiError | Unavailable = Unavailable("no time is left to make the streams")
    try:
        async with asyncio.timeout_at(deadline):
            while True:
                try:
                    await _ensure_stream(link, config, look_s)
                    return
                except (ApiError, Unavailable) as error:
                    if isinstance(error, ApiError) and error.code not in _PASSING_CODES:
                        raise
                    problem = error
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        raise problem from None


async def _ensure_stream(link: Link, config: dict[str, Any], look_s: float) -> None:
    """Make a stream, or give one that exists these limits.

    Looked up first: the server counts a second creation's room before it sees that it is the
    same stream.
    """
    name = config["name"]
    try:
        found = (await link.api(f"STREAM.INFO.{name}", {}, look_s))["config"]
    except ApiError as error:
        if error.code != _NO_STREAM:
            raise
        try:
            await link.api(f"STREAM.CREATE.{name}", config)
        except ApiError as conflict:  # another process was faster
            if conflict.code != _NAME_IN_USE and conflict.code not in _FULL_CODES:
                raise
            try:
                await link.api(f"STREAM.INFO.{name}", {})
            except ApiError:
                raise conflict from None
        return
    if any(found.get(key) != value for key, value in config.items()):
        await link.api(f"STREAM.UPDATE.{name}", config)
