"""A JT/T 808 listener and terminals that talk to it over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from carcloud.codecs.jt808.frame import Frame, Splitter, build, build_message
from carcloud.codecs.jt808.packets import PacketLimits
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.gateway.admission import LOGIN_FAILED, Admission, AdmissionDesk, Login
from carcloud.gateway.jt808.gateway import Jt808Gateway
from carcloud.gateway.jt808.media import MediaSink
from carcloud.gateway.jt808.rules import Rules, authentication_code
from carcloud.gateway.limits import Limits
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant
from tests.gateway.conftest import MAX_BYTES, Site

PHONE = "13900000101"
SECRET = b"s" * 32
CODE = authentication_code(SECRET, PHONE)
RULES = Rules(SECRET, PacketLimits(ask_after_s=5, asks=2))
POSITION = bytes.fromhex("000000020044000301dc89d0073d8aa50012027b005a260314150926")
REFUSALS = {"13900000404": "unknown", "13900000405": "iccid", "13900000406": "suspended"}


def admit_known(logins: list[Login]) -> list[Admission]:
    return [
        Admission(None, "not on the list", refusal=REFUSALS[login.vehicle])
        if login.vehicle in REFUSALS
        else Admission(Tenant("default"))
        for login in logins
    ]


@asynccontextmanager
async def listening(
    server: NatsServer,
    limits: Limits = Limits(),
    rules: Rules = RULES,
    *,
    admit: Callable[[list[Login]], list[Admission]] = admit_known,
    media: MediaSink | None = None,
    quotas: TenantQuotas | None = None,
    room: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Site]:
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
    )
    last = (await stream.info("FRAMES")).last_seq
    if last:
        await stream.confirm("FRAMES", "test", last)
    outbox = Outbox(
        stream,
        "jt808",
        f"test-{time.time_ns()}",
        block_bytes=100_000,
        block_s=0.005,
        pending_bytes=1_000_000,
        on_pressure=lambda on: gateway.press(on),  # noqa: PLW0108 - made below
        room=room,
    )
    desk = AdmissionDesk(admit, 1000, failed=LOGIN_FAILED)
    gateway = Jt808Gateway(
        outbox,
        desk,
        rules,
        limits,
        fallback_tenant=Tenant("default"),
        media=media,
        quotas=quotas,
        roster=Roster(60),
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


class Terminal:
    """One connection of a terminal; serial numbers count up by themselves."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, edition: int, phone: str
    ) -> None:
        self.reader, self.writer = reader, writer
        self.edition, self.phone = edition, phone
        self.serial = 0
        self._splitter = Splitter()
        self._here: list[Frame] = []

    @classmethod
    async def connect(cls, site: Site, edition: int = 2019, phone: str = PHONE) -> "Terminal":
        return cls(*await asyncio.open_connection("127.0.0.1", site.port), edition, phone)

    @classmethod
    async def ready(cls, site: Site, edition: int = 2019, phone: str = PHONE) -> "Terminal":
        """Connected and authenticated."""
        terminal = await cls.connect(site, edition, phone)
        terminal.send(0x0102, code_body(edition, authentication_code(SECRET, phone)))
        assert (await terminal.result())[2] == 0
        return terminal

    def send(self, message: int, body: bytes = b"") -> int:
        """Send a message in one packet; returns its serial number."""
        serial, self.serial = self.serial, self.serial + 1
        self.write(build(self.edition, message, self.phone, serial, body))
        return serial

    def packets(self, message: int, body: bytes, size: int = 1000) -> list[bytes]:
        """The packets of a long message, not sent yet."""
        made = build_message(
            self.edition, message, self.phone, self.serial, body, packet_bytes=size
        )
        self.serial += len(made)
        return made

    def write(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def reply(self) -> Frame:
        """The next message of the platform."""
        async with asyncio.timeout(60):
            while not self._here:
                data = await self.reader.read(65536)
                assert data, "closed"
                found = self._splitter.feed(data)
                assert all(isinstance(piece, Frame) for piece in found)
                self._here += found
        return self._here.pop(0)

    async def result(self) -> tuple[int, int, int]:
        """(serial, message, result) of the next message, a general reply."""
        frame = await self.reply()
        assert frame.message == 0x8001, hex(frame.message)
        return general(frame)

    async def silent(self, seconds: float = 0.1) -> bool:
        """Nothing comes for so long."""
        if self._here:
            return False
        try:
            async with asyncio.timeout(seconds):
                data = await self.reader.read(1)
        except TimeoutError:
            return True
        return not data

    async def closed(self) -> bool:
        try:
            async with asyncio.timeout(60):
                while await self.reader.read(65536):
                    pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True


def general(frame: Frame) -> tuple[int, int, int]:
    """(serial, message, result) of a general reply."""
    body = frame.body
    assert len(body) == 5
    return int.from_bytes(body[:2]), int.from_bytes(body[2:4]), body[4]


def code_body(edition: int, code: str) -> bytes:
    """Body of an authentication."""
    if edition != 2019:
        return code.encode()
    return bytes((len(code),)) + code.encode() + b"860000000000101" + b"V1".ljust(20, b"\0")


def registration_body(edition: int, terminal_id: bytes = b"T000101") -> bytes:
    """Body of a registration."""
    maker, model, name = {2011: (5, 8, 7), 2013: (5, 20, 7), 2019: (11, 30, 30)}[edition]
    return (
        bytes.fromhex("001f0068")
        + b"70101".ljust(maker, b"\0")
        + b"SIM-1".ljust(model, b"\0")
        + terminal_id.ljust(name, b"\0")
        + b"\1"
        + "沪A00101".encode("gbk")
    )
