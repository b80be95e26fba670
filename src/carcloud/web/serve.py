"""Run the application on granian inside this process's event loop."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from carcloud.web.observed import Observed, WebFigures
from carcloud.web.proxies import Behind, TrustedProxies

if TYPE_CHECKING:
    from litestar import Litestar

log = logging.getLogger(__name__)

DRAIN_S = 3.0  # s in which connections are told to go before a process that is replaced ends
BACKLOG = 1024  # connections that wait to be accepted
STOP_S = 5  # s that open requests have to end
START_S = 10.0  # s
_ANSWER_S = 0.5  # s, after which the start asks over a new connection
_WHO = b"carcloud-process"  # a request with this header is answered by the process itself
BACKPRESSURE = 512  # requests handed to Python at the same time; the rest wait in the socket


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For a browser on this machine."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}"


@dataclass(slots=True)
class Door:
    """Where connections come in: a listening socket that another process has opened, and may
    share with the process that follows this one; or None, to open one."""

    listener: int | None = None  # file descriptor
    closing: bool = False

    async def close(self, seconds: float = DRAIN_S) -> None:
        """Tell each connection with its next answer to end, for so long.

        Those that are told come back through the listening socket to whoever has it then.
        """
        self.closing = True
        await asyncio.sleep(seconds)


class _Server(Server):
    """granian on a listening socket that exists."""

    def __init__(self, app: Any, listener: int | None, **more: Any) -> None:
        super().__init__(app, **more)
        self._listener = listener
        self._ssp: Any
        self._shd: Any

    def _init_shared_socket(self) -> None:
        if self._listener is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        holder: Any = SocketHolder
        self._ssp, self._shd = None, holder(os.dup(self._listener), False, self.backlog)


class _Threshold:
    """Before the application: says goodbye to connections while the door closes and to those
    whose next bytes would be misread, and tells this process, by a name of its own, that it was
    this one that answered."""

    def __init__(self, app: Any, door: Door) -> None:
        self._app = app
        self._door = door
        self.name = secrets.token_hex(16).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        names = [name for name, _ in scope["headers"]] if scope["type"] == "http" else ()
        if _WHO in names:
            headers = [(_WHO, self.name), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif b"expect" in names:
            await self._expected(scope, receive, send)
        else:
            await self._app(scope, receive, self._parting(send))

    async def _expected(self, scope: Any, receive: Any, send: Any) -> None:
        """RFC 9110 section 10.1.1: a client that waits for 100 (Continue) sends no body after a
        final answer, while the server would take its next request for the body. So the
        connection ends, unless the body was asked for."""
        asked = False

        async def received() -> Any:
            nonlocal asked
            asked = True
            return await receive()

        await self._app(scope, received, self._parting(send, lambda: not asked))

    def _parting(self, send: Any, ends: Callable[[], bool] = lambda: False) -> Any:
        async def told(message: Any) -> None:
            if message["type"] == "http.response.start" and (self._door.closing or ends()):
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        return told


@contextlib.asynccontextmanager
async def serve(
    app: "Litestar",
    host: str,
    port: int,
    figures: WebFigures | None = None,
    door: Door | None = None,
    proxies: TrustedProxies | None = None,
) -> AsyncIterator[Address]:
    """Serve `app` while the block runs; port 0 picks a free one. `app`'s start-up hooks have
    run, and connections are accepted, when the block begins. Requests are counted in `figures`;
    `proxies` tell who asks.

    Raises `OSError` when the port is taken.
    """
    observed = Observed(app, figures or WebFigures())
    behind = Behind(observed, proxies or TrustedProxies(()))
    async with serve_plain(behind, host, port, door) as address:
        yield address


@contextlib.asynccontextmanager
async def serve_plain(
    app: Any, host: str, port: int, door: Door | None = None
) -> AsyncIterator[Address]:
    """As `serve`, for an ASGI application that looks after its own figures."""
    door = door or Door()
    address = Address(host, _bound_port(host, port, door.listener))
    threshold = _Threshold(app, door)
    server = _Server(
        threshold,
        door.listener,
        address=host,
        port=address.port,
        backlog=BACKLOG,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        websockets=False,
        backpressure=BACKPRESSURE,
        log_enabled=False,
    )
    server.workers_kill_timeout = STOP_S
    running = asyncio.create_task(server.serve())
    try:
        await _serving(address, threshold.name, running)
        yield address
    finally:
        server.interrupt_signal = True
        server.main_loop_interrupt.set()
        await _ended(running)


async def _serving(address: Address, name: bytes, running: asyncio.Task[None]) -> None:
    """Return when the server in this process answers. A connection alone proves nothing: on a
    socket that was inherited the system takes it, or the process that is to be replaced."""
    try:
        async with asyncio.timeout(START_S):
            while not await _answers(address, name):
                if running.done():
                    running.result()
                    raise OSError(f"{address.url} did not start")
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise OSError(f"{address.url} does not answer after {START_S:g} s") from error


async def _answers(address: Address, name: bytes) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n%b: ?\r\n\r\n" % _WHO)
        async with asyncio.timeout(_ANSWER_S):
            return name in await reader.read(4096)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


async def _ended(running: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait_for(running, STOP_S + 2)
    except TimeoutError:
        log.warning("open requests were cut off")


def _bound_port(host: str, port: int, listener: int | None) -> int:
    """The port of the listening socket; without one `port` if nobody has it, or a free one."""
    if listener is not None:
        with socket.socket(fileno=os.dup(listener)) as opened:
            return int(opened.getsockname()[1])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {why}") from error
        return int(probe.getsockname()[1])
