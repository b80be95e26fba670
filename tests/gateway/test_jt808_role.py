"""JT/T 808 through the whole gateway role: the registry says who may in, media go to a bucket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from carcloud.app.admission_watch import STOPPED
from carcloud.app.engines import Engines
from carcloud.app.first_start import prepare_records
from carcloud.app.gateway import GatewayRole
from carcloud.app.jt808_gateway import MediaBuckets
from carcloud.app.storage import make_storage
from carcloud.codecs.mqtt.packets import Ack, Publish, Type
from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsStream
from carcloud.gateway.jt808.media import MediaRefused
from carcloud.model.ids import Tenant
from carcloud.model.streams import sessions_subject
from carcloud.services.vehicles.api import CredentialsChange, Lifecycle, NewVehicle, VehicleChange
from tests.gateway.conftest import MAX_BYTES, Site
from tests.gateway.mqtt_client import CAR, SIGNALS
from tests.gateway.mqtt_client import site as mqtt_site
from tests.gateway.terminals import PHONE, POSITION, Terminal, code_body, registration_body
from tests.gateway.test_gbt32960 import run
from tests.gateway.test_jt808 import MEDIA

T = Tenant("default")


@asynccontextmanager
async def whole(server, data: Path) -> AsyncIterator[tuple[GatewayRole, Engines, Settings, Site]]:
    ports = {f"gateway.{name}.port": -1 for name in ("gbt32960", "mqtt")}
    settings = Settings({"data": str(data), "gateway.jt808.port": 0, **ports})
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
    )
    prepare_records(settings)
    engines = Engines(settings, stream)
    role = GatewayRole(settings, engines, f"test-{time.time_ns()}")
    addresses = await role.start()
    assert list(addresses) == ["jt808"]
    port = int(str(addresses["jt808"]["port"]))
    try:
        yield role, engines, settings, Site(role.listeners["jt808"].gateway, stream, port)
    finally:
        await role.stop()
        await engines.close()


def test_the_registry_says_who_may_in_and_media_becomes_an_object(server, tmp_path):
    async def scene() -> None:
        async with whole(server, tmp_path) as (role, engines, settings, site):
            one = await Terminal.connect(site)
            one.send(0x0100, registration_body(2019))
            assert (await one.reply()).body[2] == 2  # no such vehicle
            role._vehicles.create(T, NewVehicle(PHONE), actor="t")
            change = CredentialsChange(iccid="T000101")
            role._vehicles.set_credentials(T, PHONE, change, actor="t")
            one.send(0x0100, registration_body(2019, b"T000999"))
            assert (await one.reply()).body[2] == 1  # registered with another terminal
            one.send(0x0100, registration_body(2019))
            answer = await one.reply()
            assert answer.body[2] == 0
            code = answer.body[3:].decode()
            assert len(code) == 16
            one.send(0x0102, code_body(2019, code))
            assert (await one.result())[2] == 0
            assert role._vehicles.get(T, PHONE).lifecycle == Lifecycle.ACTIVE
            for _ in range(2):  # the second time it is there already
                one.write(*one.packets(0x0801, MEDIA))
                assert (await one.reply()).message == 0x8800
            one.send(0x0200, POSITION)
            assert (await one.result())[1:] == (0x0200, 0)

            storage = make_storage(settings, engines, role.watch.limits)
            (bucket,) = storage.buckets.all(T)
            assert (bucket.name, bucket.objects, bucket.bytes) == (
                *("media-default", 1),
                len(MEDIA) - 36,
            )
            (entry,) = storage.lists.current(bucket, "", "", "", 10).entries
            assert entry.key.startswith(f"jt808/{PHONE}/00000001-")
            info = storage.objects.find(bucket, entry.key)
            assert b"".join(storage.objects.read(bucket, info)) == MEDIA[36:]
            assert info.headers["content-type"] == "image/jpeg"

            counters = role.figures().counters
            assert counters['protocol_frames_total{protocol="jt808"}'] >= 4
            assert counters["jt808_media_total"] == 2
            assert role.figures().gauges['protocol_connections{protocol="jt808"}'] == 1

            change = VehicleChange(lifecycle=Lifecycle.SUSPENDED)
            role._vehicles.change(T, PHONE, change, actor="t")
            assert await one.closed()
            assert site.gateway.figures.closed[STOPPED] == 1
            again = await Terminal.connect(site)
            again.send(0x0102, code_body(2019, code))
            assert (await again.result())[2] == 1

    run(scene())


def test_who_is_connected_is_told_while_events_of_it_wait(server, tmp_path):
    async def scene() -> None:
        async with whole(server, tmp_path) as (role, _engines, _settings, site):
            heard = asyncio.Event()

            async def on_told(_subject: str, data: bytes) -> None:
                if json.loads(data)["open"]:
                    heard.set()

            await site.stream.listen(sessions_subject(T), on_told)
            await site.stream._link.api("STREAM.DELETE.EVENTS", {})
            role._vehicles.create(T, NewVehicle(PHONE), actor="t")
            one = await Terminal.connect(site)
            one.send(0x0100, registration_body(2019))
            one.send(0x0102, code_body(2019, (await one.reply()).body[3:].decode()))
            async with asyncio.timeout(60):
                await heard.wait()
                again = await NatsStream.connect(
                    f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
                )  # makes the stream of events anew
                while (await again.info("EVENTS")).messages == 0:
                    await asyncio.sleep(0.05)
            await again.close()
            assert role.figures().counters["session_events_dropped_total"] == 0

    run(scene())


def test_media_above_the_tenants_limit_is_refused(server, tmp_path):
    class Little:
        """Everything is allowed but bytes."""

        def limit(self, _tenant: Tenant, name: str) -> int:
            return 10 if name == "stored_bytes" else 100

    async def scene() -> None:
        async with whole(server, tmp_path) as (_, engines, settings, _site):
            buckets = MediaBuckets(lambda: make_storage(settings, engines, Little()))
            try:
                buckets.keep(T, PHONE, MEDIA[:36], bytes(11))
            except MediaRefused as error:
                assert "stored_bytes" in str(error)
            else:
                raise AssertionError("it was kept")
            assert buckets.keep(T, PHONE, MEDIA[:36], bytes(9)).startswith("media-default/jt808/")

    run(scene())


def test_blocks_of_two_protocols_of_one_gateway_are_both_kept(server, tmp_path):
    """Each outbox numbers its blocks; the stream drops a block whose number it has seen."""

    async def scene() -> None:
        async with mqtt_site(server, tmp_path, gateway__jt808__port=0) as found:
            found.role._vehicles.create(T, NewVehicle(PHONE), actor="t")
            client = await found.client()
            port = found.role.listeners["jt808"]._server.sockets[0].getsockname()[1]
            one = await Terminal.connect(Site(found.mqtt, found.stream, port))
            one.send(0x0100, registration_body(2019))
            code = (await one.reply()).body[3:].decode()
            one.send(0x0102, code_body(2019, code))
            assert (await one.result())[2] == 0
            for number in range(1, 4):
                payload = b'{"Vehicle.Speed": %d}' % number
                acked = await client.ask(Publish(SIGNALS, payload, 1, number))
                assert acked == Ack(Type.PUBACK, number)
                one.send(0x0200, POSITION)
                assert (await one.result())[1:] == (0x0200, 0)
            async with asyncio.timeout(60):
                rows = await Site(found.mqtt, found.stream, port).stored(8)
            kept = [row["vehicle"] for row in rows]
            assert (kept.count(CAR), kept.count(PHONE)) == (3, 5)

    run(scene())
