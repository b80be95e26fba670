"""One connection to NATS that is dialled again for ever, with questions that fail fast."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from carcloud.endings import end
from carcloud.engines.stream_nats.asker import Asker, Broken
from carcloud.engines.stream_nats.limits import MAX_MESSAGE
from carcloud.ports.errors import Unavailable

_log = logging.getLogger(__name__)

CALL_S = 5.0  # after which a question counts as not answered
_INBOX_BYTES = 256 * 1024 * 1024  # received and not yet taken, one subscription
_NO_RESPONDERS = "503"
_REDIAL_S = 0.2
_LONGEST_PAUSE_S = 30.0

OnMessage = Callable[[Msg], Awaitable[None]]


class ApiError(Exception):
    """JetStream refused a request; `code` is JetStream's own error code."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


class _Lost(Exception):
    """The connection went away before the answer came."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where NATS is and who asks. Credentials are never part of a URL.

    `url` may name the servers of a cluster with commas between.
    """

    url: str
    user: str
    password: str


class Link:
    """A connection.

    `epoch` grows each time it is lost: what was in flight then is gone. `on_back` is called
    each time it is there again. A question is given up after `call_s`.
    """

    def __init__(self, address: Address, call_s: float = CALL_S) -> None:
        self._address = address
        self._call_s = call_s
        self._client = Client()
        self._up = asyncio.Event()
        self._closing = False
        self._redialling: asyncio.Task[None] | None = None
        self._asker: Asker | None = None
        self._having_asker: asyncio.Task[None] | None = None
        self._listeners: dict[int, tuple[str, OnMessage]] = {}
        self._subscribed: dict[int, Any] = {}
        self._inbox = ""
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._counter = 0
        self.epoch = 0
        self.on_back: set[Callable[[], None]] = set()

    async def open(self, timeout_s: float) -> None:
        """Dial; raises `Unavailable` after `timeout_s`."""
        dialling = asyncio.create_task(self._dial())
        try:
            await asyncio.wait({dialling}, timeout=timeout_s)
            late = not dialling.done()
        finally:
            await end([dialling], again_s=0.2)
        try:
            if late:
                raise TimeoutError
            dialling.result()
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise Unavailable(f"no stream server at {self._address.url}") from error
        self._inbox = self._client.new_inbox()
        await self.subscribe(self._inbox + ".*", self._answered)
        self._having_asker = asyncio.create_task(self._have_asker())

    async def close(self) -> None:
        """Give the connection back; questions in flight fail."""
        self._closing = True
        self._up.set()  # those who wait for the connection learn that there will be none
        for task in (self._redialling, self._having_asker):
            if task is not None:
                task.cancel()
        self._lost()
        if not self._client.is_closed:
            await self._client.close()

    async def ask(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """Publish `data` and return the answer; raises `Unavailable` after `timeout_s`, where it is
        given, or else `call_s`.

        Asked again if the connection is lost meanwhile, so what is asked must bear repeating.
        """
        if len(data) > MAX_MESSAGE - 4096:
            raise ValueError(f"a message of {len(data)} bytes is too large for the stream")
        async with _Deadline(self._call_s if timeout_s is None else timeout_s):
            try:
                return await self._ask_directly(subject, data, headers)
            except Broken:
                return await self._ask_until_answered(subject, data, headers)

    async def _ask_directly(
        self, subject: str, data: bytes, headers: dict[str, str] | None
    ) -> bytes:
        if self._asker is None or self._closing:
            raise Broken("not connected")
        answer = await self._asker.ask(subject, data, headers)
        if not answer.heard:
            raise Unavailable(f"nobody answers on {subject}")
        return answer.data

    async def _ask_until_answered(
        self, subject: str, data: bytes, headers: dict[str, str] | None
    ) -> bytes:
        while True:
            if not self._closing:
                await self._up.wait()
            if self._closing:
                raise Unavailable("the connection to the stream server was closed")
            try:
                message = await self._ask_once(subject, data, headers)
            except _Lost:
                continue
            if status_of(message) == _NO_RESPONDERS:
                raise Unavailable(f"nobody answers on {subject}")
            return message.data

    async def _ask_once(self, subject: str, data: bytes, headers: dict[str, str] | None) -> Msg:
        self._counter += 1
        token = str(self._counter)
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._asked[token] = answer
        try:
            await self._send(subject, data, f"{self._inbox}.{token}", headers)
            return await answer
        finally:
            self._asked.pop(token, None)

    async def api(self, verb: str, request: dict[str, Any], timeout_s: float | None = None) -> Any:
        """One call of the JetStream API; raises `ApiError`, `Unavailable`."""
        body = json.dumps(request).encode() if request else b""
        return answer_of(await self.ask(f"$JS.API.{verb}", body, timeout_s=timeout_s))

    async def tell(self, subject: str, data: bytes, reply: str = "") -> None:
        """Publish without an answer; raises `Unavailable` when the link is down."""
        if not self._up.is_set():
            raise Unavailable("the stream server is not connected")
        await self._send(subject, data, reply, None)

    async def subscribe(self, subject: str, on_message: OnMessage) -> int:
        """Hear `subject` until `unsubscribe`, across lost connections; returns a handle.

        Raises `Unavailable` where a server that is connected cannot be told so.
        """
        self._counter += 1
        handle = self._counter
        self._listeners[handle] = (subject, on_message)
        if self._up.is_set():
            try:
                await self._attach(handle)
            except Unavailable:
                if self._client.is_connected:
                    del self._listeners[handle]
                    raise
                # lost at this moment: heard once it is back, as all are
        return handle

    async def unsubscribe(self, handle: int) -> None:
        """Stop hearing; nothing happens if the handle is gone."""
        self._listeners.pop(handle, None)
        subscription = self._subscribed.pop(handle, None)
        if subscription is not None and not self._client.is_closed:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                _log.debug("unsubscribe: %s", error)

    def new_inbox(self) -> str:
        """A subject that nobody else uses."""
        return self._client.new_inbox()

    async def _send(
        self, subject: str, data: bytes, reply: str, headers: dict[str, str] | None
    ) -> None:
        try:
            await self._client.publish(subject, data, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"stream server: {error}") from error

    async def _attach_all(self) -> None:
        """Subscribe what was asked for while there was no connection."""
        for handle in list(self._listeners):
            if handle not in self._subscribed:
                await self._attach(handle)

    async def _attach(self, handle: int) -> None:
        subject, on_message = self._listeners[handle]
        try:
            self._subscribed[handle] = await self._client.subscribe(
                subject, cb=on_message, pending_bytes_limit=_INBOX_BYTES
            )
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"stream server: {error}") from error

    async def _dial(self) -> None:
        client = Client()
        try:
            await self._connect(client)
            self._client = client
            self._subscribed.clear()
            await self._attach_all()
        except BaseException:  # also when the deadline of `open` cancels it
            await client.close()
            raise
        self._back()

    async def _connect(self, client: Client) -> None:
        await client.connect(
            [url.strip() for url in self._address.url.split(",")],
            user=self._address.user or None,
            password=self._address.password or None,
            name="carcloud",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # s; any number works
            ping_interval=5,
            pending_size=16 * 1024 * 1024,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )

    async def _redial(self) -> None:
        """The client library gives up on some errors of the server; carcloud does not."""
        while not self._closing:
            await asyncio.sleep(_REDIAL_S)
            try:
                await self._dial()
                return
            except (OSError, nats.errors.Error, Unavailable) as error:
                _log.warning("stream server: %s", error)

    def _back(self) -> None:
        self._up.set()
        for call in tuple(self.on_back):
            call()

    async def _have_asker(self) -> None:
        """Keep an `Asker` at the server that the client library has found."""
        pause = _REDIAL_S
        while not self._closing:
            await self._up.wait()
            server = self._client.connected_url
            try:
                if server is None or server.hostname is None:
                    raise Broken("not connected")
                port, inbox = server.port or 4222, self._client.new_inbox()
                user, password = self._address.user, self._address.password
                self._asker = await Asker.dial(server.hostname, port, user, password, inbox)
            except Broken as error:
                _log.debug("stream server, second connection: %s", error)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                pause = _REDIAL_S
                await self._asker.until_gone()
            await asyncio.sleep(pause)

    def _drop_asker(self) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def _lost(self) -> None:
        self._up.clear()
        self._drop_asker()
        self.epoch += 1
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(_Lost())

    async def _answered(self, message: Msg) -> None:
        answer = self._asked.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _on_error(self, error: Exception) -> None:
        _log.debug("stream server: %s", error)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _log.warning("lost the stream server")
            self._lost()

    async def _on_reconnected(self) -> None:
        try:
            await self._attach_all()
        except Unavailable as error:  # lost again at once: the next time does it
            _log.debug("%s", error)
            return
        _log.info("the stream server is back")
        self._back()

    async def _on_closed(self) -> None:
        if not self._closing:
            self._lost()
            self._redialling = asyncio.create_task(self._redial())


class _Deadline:
    """`asyncio.timeout` whose end is `Unavailable`."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = asyncio.timeout(timeout_s)
        self._seconds = timeout_s

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, at: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, at)
        except TimeoutError as late:
            raise Unavailable(f"no answer from the stream server in {self._seconds:g} s") from late


def status_of(message: Msg) -> str | None:
    """The status of a control message of the server; None for data."""
    return message.headers.get("Status") if message.headers else None


def answer_of(data: bytes) -> Any:
    """A JetStream answer as JSON; raises `ApiError` if it is a refusal."""
    answer = json.loads(data)
    error = answer.get("error")
    if error is not None:
        raise ApiError(error.get("err_code", 0), error.get("description", "refused"))
    return answer
