"""The connection: what comes together with the answer to CONNECT is not lost."""

import asyncio

from tests.gateway.mqtt_client import CAR, until

from carcloud.agent.link import Link
from carcloud.agent.settings import Server
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.packets import V5, Connack, Publish

COMMANDS = f"v1/{CAR}/commands"


def test_messages_in_one_write_with_connack_are_taken_in_their_order():
    async def script():
        taken, heard = [], bytearray()

        async def serve(reader, writer):
            await reader.read(1000)
            sent = [Publish(COMMANDS, b"%d" % at, 1, at, dup=True) for at in (7, 8)]
            writer.write(b"".join(encode(each, V5) for each in (Connack(True), *sent)))
            while data := await reader.read(1000):
                heard.extend(data)
            writer.close()

        async def take(_topic, payload):
            taken.append(payload)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        link = Link(CAR, Server(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), take)
        await link.open()
        running = asyncio.create_task(link.run())
        await until(lambda: b"\x40\x02\x00\x07\x40\x02\x00\x08" in heard)  # PUBACKs
        assert taken == [b"7", b"8"]
        link.abort()
        await asyncio.gather(running, return_exceptions=True)
        server.close()

    asyncio.run(script())
