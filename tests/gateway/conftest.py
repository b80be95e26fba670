"""A real stream server and a real listener for gateway tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.gateway.admission import LOGIN_FAILED, OTHER_TERMINAL, Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway
from carcloud.gateway.gbt32960.rules import Rules
from carcloud.gateway.limits import Limits
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model import blocks
from carcloud.model.ids import Tenant

MAX_BYTES = 64_000_000
WRONG_ICCID = "89860000000000000009"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer.start(
        tmp_path / "stream", user="u", password="p", max_bytes=MAX_BYTES
    ).ready()
    yield server
    server.stop()


@dataclass
class Site:
    """A listening gateway, and what it has put into the stream."""

    gateway: Gbt32960Gateway
    stream: NatsStream
    port: int
    seen: int = 0
    rows: list[dict] = field(default_factory=list)

    async def stored(self, count: int) -> list[dict]:
        """The first `count` frames of the stream (since this site was made)."""
        async for messages in self.stream.read("FRAMES", "test", batch=16, wait_s=0.2):
            for message in messages:
                _, tenant, protocol = message.subject.split(".", 2)
                block = blocks.unpack(Tenant(tenant), protocol, message.data)
                self.rows += [{**row, "tenant": tenant} for row in block.frames.to_pylist()]
                await self.stream.confirm("FRAMES", "test", message.seq)
            if len(self.rows) >= count:
                break
        return self.rows


def admit_all(logins: list[Login]) -> list[Admission]:
    return [
        Admission(None, "not on the list")
        if login.vehicle.startswith("LREFUSED")
        else Admission(None, OTHER_TERMINAL)
        if login.iccid == WRONG_ICCID
        else Admission(Tenant("default"))
        for login in logins
    ]


@asynccontextmanager
async def listening(
    server: NatsServer,
    rules: Rules = Rules(),
    limits: Limits = Limits(),
    *,
    admit: Callable[[list[Login]], list[Admission]] = admit_all,
    quotas: TenantQuotas | None = None,
) -> AsyncIterator[Site]:
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
    )
    last = (await stream.info("FRAMES")).last_seq
    if last:
        await stream.confirm("FRAMES", "test", last)
    outbox = Outbox(
        stream,
        "gbt32960",
        f"test-{time.time_ns()}",
        block_bytes=100_000,
        block_s=0.005,
        pending_bytes=1_000_000,
        on_pressure=lambda on: gateway.press(on),  # noqa: PLW0108 - made below
    )
    desk = AdmissionDesk(admit, 1000, failed=LOGIN_FAILED)
    gateway = Gbt32960Gateway(
        outbox, desk, rules, limits, fallback_tenant=Tenant("default"), quotas=quotas
    )
    answering = asyncio.create_task(desk.run())
    listener = await asyncio.get_running_loop().create_server(gateway.protocol, "127.0.0.1", 0)
    try:
        yield Site(gateway, stream, listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        answering.cancel()
        for session in list(gateway.sessions):
            session.close("test ends")
        await outbox.drain(5)
        await stream.close()
