"""Peers that say nothing more, and peers that go while nobody reads from them."""

import asyncio
import socket
import struct
import sys

import pytest

from carcloud.codecs.gbt32960.constants import Flag
from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.rules import Rules
from carcloud.gateway.limits import Limits
from carcloud.model.ids import Tenant
from tests.gateway.conftest import Site, listening
from tests.gateway.mqtt_client import until
from tests.gateway.test_gbt32960 import OTHER, VIN, Car, heartbeat, login, report, run
from tests.gateway.test_hostile import Clock, accepted, signed_in

_TCP_REPAIR = 19  # Linux: <linux/tcp.h>
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: closing resets


def vanish(car: Car) -> None:
    """Take the vehicle's end away without a word to the gateway, as a tunnel does."""
    held = car.writer.transport.get_extra_info("socket")
    copy = socket.socket(fileno=socket.dup(held.fileno()))
    try:
        copy.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    except OSError as error:
        pytest.skip(f"this system lets nobody drop a connection unseen: {error}")
    car.writer.transport.abort()
    copy.close()


@pytest.mark.parametrize("vanishes", [False, True], ids=["silent", "half-open"])
def test_a_session_that_says_nothing_more_ends_after_the_idle_timeout(server, vanishes):
    if vanishes and not sys.platform.startswith("linux"):
        pytest.skip("TCP_REPAIR is Linux'")

    async def scene() -> None:
        limits = Limits(idle_timeout_s=100, login_timeout_s=10)
        async with listening(server, Rules(reply_reports=True), limits) as found:
            clock = Clock(found)
            gone, alive = await signed_in(found), await signed_in(found, OTHER)
            frame = report(shift_s=-1)
            clock.tick(60)
            gone.send(frame)
            await accepted(gone, frame)
            if vanishes:
                await asyncio.sleep(0.2)  # an unconfirmed reply would be sent again, to nobody
                vanish(gone)
            for seconds in (0, 50, 50):
                clock.tick(seconds)
                alive.send(heartbeat(OTHER))
                assert (await alive.reply()).flag == Flag.SUCCESS
            assert VIN in found.gateway.roster.vehicles
            clock.tick(1)
            await until(lambda: VIN not in found.gateway.roster.vehicles)
            assert found.gateway.figures.closed == {"silent": 1}
            assert found.gateway.door.open == len(found.gateway.sessions) == 1
            assert list(found.gateway.roster.take_changes()[Tenant("default")].closed) == [VIN]
            again = await signed_in(found)
            again.send(heartbeat())
            assert (await again.reply()).flag == Flag.SUCCESS

    run(scene())


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
def test_a_peer_that_hangs_up_before_its_turn_is_noticed_at_once(server, resets):
    """Its login waits behind others; what it sent meanwhile stays in its socket, unread."""

    async def scene() -> None:
        async with listening(server, Rules(), Limits()) as found:
            slow = slow_desk(found)
            cars = [await Car.connect(found.port) for _ in range(40)]
            for number, car in enumerate(cars):
                vin = f"LTESTVNA4A{number:07d}"
                car.send(login(vin), report(vin) * 200)
            async with asyncio.timeout(60):
                while slow.waiting < 40:
                    await asyncio.sleep(0.01)
            for car in cars[1:]:
                if resets:
                    held = car.writer.transport.get_extra_info("socket")
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                car.writer.transport.abort()
            async with asyncio.timeout(60):
                while slow.waiting > 1:
                    found.gateway.sweep(asyncio.get_running_loop().time())
                    await asyncio.sleep(0.02)
            assert found.gateway.figures.closed == {"hung up before its turn": 39}
            assert found.gateway.door.open == 1
            assert sum(len(session._waiting) for session in found.gateway.sessions) <= 200
            answering = asyncio.create_task(slow.run())
            assert (await cars[0].reply()).flag == Flag.SUCCESS
            answering.cancel()

    run(scene())


def slow_desk(found: Site) -> AdmissionDesk[Login, Admission]:
    """A desk for the gateway that answers nobody yet."""
    usual = found.gateway.desk
    found.gateway.desk = AdmissionDesk(usual._admit, 1_000, failed=usual._failed)
    return found.gateway.desk
