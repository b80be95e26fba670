"""The agent's connection against the real gateway."""

import asyncio

from carcloud.agent.link import Link
from carcloud.agent.settings import Server
from carcloud.services.vehicles.api import announce
from tests.gateway.mqtt_client import CAR, T, site, until
from tests.gateway.test_gbt32960 import run

COMMANDS = f"v1/{CAR}/commands"


def test_a_command_that_a_lost_connection_took_away_comes_with_the_next(server, tmp_path):
    async def script():
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text(found.token())
            address = Server(host="127.0.0.1", port=found.port, token_file=str(tmp_path / "token"))
            first, second = [], []

            async def hang(_topic, payload):
                first.append(payload)
                await asyncio.Event().wait()  # lost before it is acknowledged

            async def take(_topic, payload):
                second.append(payload)

            for take_up, got in ((hang, first), (take, second)):
                link = Link(CAR, address, take_up)
                await link.open()
                running = asyncio.create_task(link.run())
                if not first:
                    await until(lambda link=link: link.subscribed)
                    found.outgoing.send(T, CAR, COMMANDS, b"{}", actor="t", expires=None)
                    await announce(found.stream, T, [CAR])
                await until(lambda got=got: bool(got))
                if got is second:
                    await until(lambda: not found.outgoing.waiting(T, CAR))
                link.abort()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            assert second == [b"{}"]

    run(script())
