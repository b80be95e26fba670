"""Small messages to the cloud: too large, refused, and cut on their way."""

import asyncio
import json

from tests.agent.server import Server

from carcloud.agent.keeping import Keeper
from carcloud.agent.settings import Server as Address
from carcloud.agent.spool import Spool
from carcloud.agent.uplink import Uplink


async def nothing(_topic, _payload):
    """Takes no message."""


def uplink(folder, port):
    keeper = Keeper(Spool(folder, 1 << 20), 1 << 16, lambda: 7, lambda *_: True)
    return Uplink("car-1", Address(host="127.0.0.1", port=port), keeper, nothing, lambda: None)


def test_a_message_that_is_too_large_is_shortened_or_dropped(tmp_path):
    async def script():
        server = Server()
        server.most_bytes = 2000
        await server.start()
        link, told = uplink(tmp_path, server.port), []
        link.say("checkin", {"x": "a" * 5000}, {"x": "b" * 3000}, {"x": "c"})
        link.say("lost", {"x": "a" * 5000}, told=lambda: told.append("lost"))
        link.say("last", {}, told=lambda: told.append("last"))
        running = asyncio.create_task(link.run())
        await server.wait(lambda it: it.on("/last"))
        await server.wait(lambda _: len(told) == 2)
        running.cancel()
        assert [json.loads(each) for each in server.on("/checkin")] == [{"x": "c"}]
        assert server.on("/lost") == []
        assert told == ["lost", "last"], "it is never tried again"
        await server.stop()

    asyncio.run(script())


def test_a_connection_cut_under_a_small_message_is_made_again(tmp_path):
    async def script():
        server = await Server().start()
        server.cut_after = 0
        link, told = uplink(tmp_path, server.port), []
        for _ in range(2):
            link.say("result", {"x": 1}, told=lambda: told.append(1))
        running = asyncio.create_task(link.run())
        await server.wait(lambda _: told)
        assert len(server.connects) == 2
        assert server.on("/result") == [b'{"x":1}'], "what waits is not added again"
        assert not running.done()
        running.cancel()
        await server.stop()

    asyncio.run(script())
