"""Content type and payload format of version 5: they agree with the payload, or it is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carcloud.codecs.mqtt.packets import Ack, Publish, Type, Will
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.mqtt.content import contradiction
from carcloud.gateway.mqtt.upward import Upward
from carcloud.model import blocks
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, SIGNALS, Site, T, site, until
from tests.gateway.test_gbt32960 import run

ROWS = [(1_767_225_600_000_000, {"Vehicle.Speed": 63.5})]
JSON, CBOR, PROTOBUF = json_batch.write(ROWS), cbor_batch.write(ROWS), protobuf_batch.write(ROWS)
LATIN = b'{"a": "\xe4"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("mqtt")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("below", "payload", "content_type", "text", "told"),
    [
        ("signals", JSON, "application/json", 1, None),
        ("signals", JSON, "Application/JSON; charset=utf-8", None, None),
        ("signals", CBOR, "application/cbor", 0, None),
        ("signals", PROTOBUF, "application/x-protobuf", None, None),
        ("signals", PROTOBUF, "application/protobuf", None, None),
        ("signals", PROTOBUF, None, None, None),
        ("collected", PROTOBUF, "application/x-protobuf", None, None),
        ("state/reported", b"{}", "application/json", 1, None),
        ("signals", JSON, "application/cbor", None, "'application/cbor', and the payload is json"),
        ("signals", CBOR, "application/json", None, "and the payload is cbor"),
        ("signals", JSON, "text/plain", None, "'text/plain' is none of the topic signals"),
        ("signals", JSON, "", None, "'' is none of the topic signals"),
        ("signals", b"", "application/json", None, "an empty payload"),
        ("signals", b"\x00", "application/cbor", None, "no form begins with byte 0x00"),
        ("collected", JSON, "application/json", None, "is none of the topic collected"),
        ("state/reported", b"{}", "application/cbor", None, "is none of the topic state/reported"),
        ("signals", LATIN, "application/json", 1, "says UTF-8, and the payload is not"),
        ("signals", CBOR, "application/cbor", 1, "says UTF-8, and the payload is not"),
    ],
)
def test_what_is_said_of_a_payload(
    below: str, payload: bytes, content_type: str | None, text: int | None, told: str | None
) -> None:
    said = Properties(content_type=content_type, payload_is_text=text)
    found = contradiction(below, payload, said)
    assert (found is None) if told is None else (found is not None and told in found.detail)


async def faults(found: Site, count: int) -> list[tuple[bytes, str | None]]:
    """(payload, reason of the refusal) of the messages in the stream."""
    kept: list[tuple[bytes, str | None]] = []
    async for messages in found.stream.read("FRAMES", "test", batch=16, wait_s=0.1):
        for message in messages:
            for row in blocks.unpack(T, "mqtt", message.data).frames.to_pylist():
                fault = row["fault"] and json.loads(row["fault"])["reason"]
                kept.append((row["frame"].partition(b"/signals")[2], fault))
            await found.stream.confirm("FRAMES", "test", message.seq)
        if len(kept) >= count:
            break
    return kept


def test_a_contradiction_is_refused_and_becomes_a_dead_letter(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        says = Properties(content_type="application/json", payload_is_text=1)
        async with site(server, tmp_path) as found:
            client = await found.client()
            reason = "content type 'application/json', and the payload is cbor"
            told = Properties(reason_string=reason)
            refused = Reason.PAYLOAD_FORMAT_INVALID
            for qos, kind in ((1, Type.PUBACK), (2, Type.PUBREC)):
                message = Publish(SIGNALS, CBOR, qos, 9, properties=says)
                assert await client.ask(message) == Ack(kind, 9, refused, told)
                # Its number is free again.
                good = Publish(SIGNALS, JSON, qos, 9, properties=says)
                assert await client.ask(good) == Ack(kind, 9)
            client.send(Publish(SIGNALS, PROTOBUF, properties=says))
            quiet = await found.client("car-2", properties=Properties(request_problem=0))
            message = Publish("v1/car-2/signals", CBOR, 1, 1, properties=says)
            assert await quiet.ask(message) == Ack(Type.PUBACK, 1, refused)
            wrong = f"payload-format: {reason}"
            assert sorted(await faults(found, 6)) == sorted(
                [(JSON, None), (CBOR, wrong)] * 2
                + [(PROTOBUF, wrong.replace("cbor", "protobuf")), (CBOR, wrong)]
            )
            assert found.mqtt.figures.refused["payload-format"] == 4

    run(check())


def test_a_will_that_contradicts_itself_becomes_a_dead_letter(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            will = Will(SIGNALS, JSON, properties=Properties(content_type="application/cbor"))
            (await found.client(will=will)).drop()
            await until(lambda: found.mqtt.mqtt.wills == 1)
            ((payload, fault),) = await faults(found, 1)
            assert payload == JSON
            assert fault is not None
            assert "application/cbor" in fault

    run(check())


def test_what_was_said_before_goes_the_short_way_and_a_contradiction_does_not(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longs: list[bytes] = []
    publish = Upward.publish

    def counted(self: Upward, packet: Publish) -> None:
        longs.append(packet.payload)
        publish(self, packet)

    monkeypatch.setattr(Upward, "publish", counted)

    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client()
            text = Properties(content_type="application/json", payload_is_text=1)
            binary = Properties(content_type="application/x-protobuf")
            sent = [
                (JSON, text), (JSON, text), (CBOR, text), (LATIN, text), (JSON, text), (b"", text),
                (PROTOBUF, binary), (PROTOBUF, binary), (JSON, binary), (PROTOBUF, binary),
            ]  # fmt: skip
            reasons = []
            for number, (payload, said) in enumerate(sent, 1):
                answer = await client.ask(Publish(SIGNALS, payload, 1, number, properties=said))
                assert isinstance(answer, Ack)
                reasons.append(answer.reason)
            assert reasons == [0, 0, 0x99, 0x99, 0, 0x99, 0, 0, 0x99, 0]
            assert longs == [JSON, CBOR, LATIN, b"", PROTOBUF, JSON]
            assert found.role.roster.vehicles[CAR].session.link.up._unanswered == 0

    run(check())


def test_what_is_said_at_length_is_not_remembered(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client()
            for number, size in enumerate((60, 60_000, 60_001), 1):
                said = Properties(content_type="application/json;".ljust(size, "x"))
                answer = await client.ask(Publish(SIGNALS, JSON, 1, number, properties=said))
                assert answer == Ack(Type.PUBACK, number)
            known = found.role.roster.vehicles[CAR].session.link.up._said
            assert [len(written) for _, written in known] == [1 + 3 + 60]

    run(check())
