"""Run the application on granian inside this process's event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from carcloud.web.observed import Observed, WebFigures

if TYPE_CHECKING:
    from litestar import Litestar

log = logging.getLogger(__name__)

STOP_S = 5  # s that open requests have to end
START_S = 10.0  # s
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


@contextlib.asynccontextmanager
async def serve(
    app: "Litestar", host: str, port: int, figures: WebFigures | None = None
) -> AsyncIterator[Address]:
    """Serve `app` while the block runs; port 0 picks a free one. `app`'s start-up hooks have
    run, and connections are accepted, when the block begins. Requests are counted in `figures`.

    Raises `OSError` when the port is taken.
    """
    async with serve_plain(Observed(app, figures or WebFigures()), host, port) as address:
        yield address


@contextlib.asynccontextmanager
async def serve_plain(app: Any, host: str, port: int) -> AsyncIterator[Address]:
    """As `serve`, for an ASGI application that looks after its own figures."""
    address = Address(host, _free_port(host, port))
    server = Server(
        app,
        address=host,
        port=address.port,
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
        await _accepting(address, running)
        yield address
    finally:
        server.interrupt_signal = True
        server.main_loop_interrupt.set()
        await _ended(running)


async def _accepting(address: Address, running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(START_S):
        while True:
            if running.done():
                running.result()
                raise OSError(f"{address.url} did not start")
            try:
                _, writer = await asyncio.open_connection(address.host, address.port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


async def _ended(running: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait_for(running, STOP_S + 2)
    except TimeoutError:
        log.warning("open requests were cut off")


def _free_port(host: str, port: int) -> int:
    """`port` if nobody has it, or a free one for 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {why}") from error
        return int(probe.getsockname()[1])
