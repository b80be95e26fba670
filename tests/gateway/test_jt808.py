"""JT/T 808 sessions: the way in, what is answered and when, several packets, media."""

import asyncio
import json
import threading
from datetime import UTC, datetime

import pytest

from carcloud.codecs.jt808.frame import build, parse
from carcloud.codecs.jt808.packets import parse_message
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.jt808.media import KEPT_AS, MediaRefused
from carcloud.gateway.jt808.rules import authentication_code
from carcloud.gateway.limits import Limits
from carcloud.gateway.orders import Order, OrderReport
from carcloud.gateway.tenant_quotas import Allowance, TenantQuotas
from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND, now_us
from carcloud.ports.errors import Unavailable
from tests.gateway.conftest import Site
from tests.gateway.mqtt_client import until
from tests.gateway.terminals import (
    CODE,
    PHONE,
    POSITION,
    SECRET,
    Terminal,
    code_body,
    general,
    listening,
    registration_body,
)
from tests.gateway.test_gbt32960 import run

BODY = bytes(range(256)) * 12
MEDIA = bytes.fromhex("0000000100000001") + POSITION + BODY


def now(site: Site, ahead: float = 0.0) -> None:
    """Let the listener's clock of once a second tick."""
    site.gateway.sweep(asyncio.get_running_loop().time() + ahead)


def fault(row: dict) -> str:
    return json.loads(row["fault"])["reason"].split(":")[0] if row["fault"] else ""


@pytest.mark.parametrize("edition", [2011, 2013, 2019])
def test_a_terminal_registers_authenticates_and_reports(server, edition):
    asked: list[Login] = []

    def admit(logins: list[Login]) -> list[Admission]:
        asked.extend(logins)
        known = next((one.edition for one in asked if one.edition), 0)
        return [Admission(Tenant("default"), edition=known) for _ in logins]

    async def scene() -> None:
        async with listening(server, admit=admit) as site:
            one = await Terminal.connect(site, edition)
            serial = one.send(0x0100, registration_body(edition))
            reply = await one.reply()
            assert (reply.message, reply.phone) == (0x8100, PHONE)
            assert reply.edition == (2019 if edition == 2019 else 2013)
            assert reply.body == serial.to_bytes(2) + b"\0" + CODE.encode()
            serial = one.send(0x0102, code_body(edition, CODE))
            assert await one.result() == (serial, 0x0102, 0)
            serial = one.send(0x0200, POSITION)
            assert await one.result() == (serial, 0x0200, 0)
            rows = await site.stored(3)
            assert [parse_message(row["frame"]).message for row in rows] == [0x100, 0x102, 0x200]
            assert {row["vehicle"] for row in rows} == {PHONE}
            (session,) = site.gateway.sessions
            assert session.link.edition == edition
            assert site.gateway.roster.everybody()[Tenant("default")].open[PHONE][3] == edition
        assert [(login.iccid, login.proven) for login in asked] == [("T000101", False), ("", True)]

    run(scene())


@pytest.mark.parametrize(
    ("header", "on_record", "read_as"),
    [(2013, 2011, 2011), (2013, 2013, 2013), (2013, 2019, 2013), (2013, 0, 2013), (2019, 0, 2019)],
)
def test_a_terminal_that_does_not_register_anew_speaks_as_on_record(
    server, header, on_record, read_as
):
    """The gateway has been started anew, or the terminal has come to another one."""

    def admit(logins: list[Login]) -> list[Admission]:
        assert [login.edition for login in logins] == [2019 if header == 2019 else 0]
        return [Admission(Tenant("default"), edition=on_record or header)]

    async def scene() -> None:
        async with listening(server, admit=admit) as site:
            one = await Terminal.ready(site, header)
            (session,) = site.gateway.sessions
            assert session.link.edition == read_as
            old_media = MEDIA[:8] + bytes.fromhex("00010001") + b"data"
            one.send(0x0801, MEDIA[:50] if read_as != 2011 else old_media)
            reply = await one.reply()
            serial = (one.serial - 1).to_bytes(2) if read_as == 2011 else b""
            assert (reply.message, reply.body) == (0x8800, serial + MEDIA[:4])

    run(scene())


def test_messages_that_are_not_supported_do_not_end_the_connection(server):
    async def scene() -> None:
        async with listening(server, Limits(faults_per_minute=3)) as site:
            one = await Terminal.ready(site)
            sent = [one.send(0x1205, bytes((number,))) for number in range(9)]
            assert [await one.result() for _ in sent] == [(serial, 0x1205, 3) for serial in sent]
            long = one.packets(0x1205, BODY)  # one of several packets is whole when it is refused
            one.write(*long)
            assert await one.result() == (one.serial - 1, 0x1205, 3)
            rows = await site.stored(11)
            assert [fault(row) for row in rows] == ["", *["unknown-message"] * 10]
            assert parse_message(rows[-1]["frame"]).body == BODY

    run(scene())


@pytest.mark.parametrize(
    ("phone", "result"), [("13900000404", 2), ("13900000405", 1), ("13900000406", 4)]
)
def test_a_registration_that_the_registry_refuses(server, phone, result):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.connect(site, phone=phone)
            one.send(0x0100, registration_body(2019))
            reply = await one.reply()
            assert (reply.message, reply.body) == (0x8100, bytes((0, 0, result)))
            one.send(0x0100, registration_body(2013)[:20])
            assert (await one.result())[2] == 2
            assert [fault(row) for row in await site.stored(2)] == ["refused", "truncated"]
            assert site.gateway.roster.counts()[0] == {}

    run(scene())


def test_nothing_but_the_way_in_before_the_authentication(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.connect(site)
            serial = one.send(0x0200, POSITION)
            assert await one.result() == (serial, 0x0200, 1)
            serial = one.send(0x0102, code_body(2019, "A" * 16))
            assert await one.result() == (serial, 0x0102, 1)
            one.write(one.packets(0x0704, BODY)[0])
            assert (await one.result())[2] == 1
            one.send(0x0002)
            assert await one.closed()
            assert [fault(row) for row in await site.stored(3)] == [
                *("no-login", "wrong-code", "no-login")
            ]
            assert site.gateway.figures.closed == {"too many frames before the login": 1}

    run(scene())


def test_heartbeat_time_and_deregistration(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            serial = one.send(0x0002)
            assert await one.result() == (serial, 0x0002, 0)
            one.send(0x0004)
            reply = await one.reply()
            told = datetime.strptime(reply.body.hex(), "%y%m%d%H%M%S").replace(tzinfo=UTC)
            assert reply.message == 0x8004
            assert abs((datetime.now(UTC) - told).total_seconds()) < 60
            one.send(0x0003)
            assert (await one.result())[1:] == (3, 0)
            assert site.gateway.roster.counts()[0] == {}
            one.send(0x0200, POSITION)
            assert (await one.result())[1:] == (0x200, 1)
            one.send(0x0102, code_body(2019, CODE))
            assert (await one.result())[1:] == (0x102, 0)

    run(scene())


def test_a_reply_waits_until_the_frame_is_durable(server):
    room = True

    async def scene() -> None:
        nonlocal room
        async with listening(server, room=lambda: room) as site:
            one = await Terminal.ready(site)
            room = False
            one.send(0x0200, POSITION)
            one.send(0x0002)
            assert await one.silent(0.3)
            room = True
            assert [(await one.result())[1] for _ in range(2)] == [0x200, 2]

    run(scene())


def test_answers_and_unknown_or_damaged_messages(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            for message in (0x0001, 0x0104, 0x0201, 0x0805):
                one.send(message, bytes(8))  # answers: nothing comes back
            serial = one.send(0x0777)
            assert await one.result() == (serial, 0x0777, 3)
            serial = one.send(0xE001, b"vendor")
            assert await one.result() == (serial, 0xE001, 0)
            serial = one.send(0x0200, POSITION[:20])
            assert await one.result() == (serial, 0x0200, 2)
            whole = build(2019, 0x0200, PHONE, 77, POSITION)
            one.write(whole[:20] + bytes((whole[20] ^ 1,)) + whole[21:])
            assert await one.result() == (77, 0x0200, 2)
            one.write(build(2019, 0x0200, "13900000102", 78, POSITION))
            assert (await one.result())[2] == 1
            plain = bytearray(build(2013, 0x0200, PHONE, 79, POSITION)[1:-1])
            plain[2] |= 4  # encrypted by RSA
            plain[-1] ^= 4
            one.write(b"\x7e" + bytes(plain) + b"\x7e")
            assert await one.result() == (79, 0x0200, 3)
            rows = await site.stored(11)
            assert [fault(row) for row in rows[5:]] == [
                *("unknown-message", "", "truncated", "bcc", "wrong-phone", "encrypted")
            ]

    run(scene())


def test_a_new_connection_of_the_same_terminal_wins(server):
    async def scene() -> None:
        async with listening(server) as site:
            old = await Terminal.ready(site)
            new = await Terminal.ready(site, 2013)
            assert await old.closed()
            new.send(0x0002)
            assert (await new.result())[1:] == (2, 0)
            assert len(site.gateway.roster.vehicles) == 1
            assert site.gateway.figures.closed["replaced by a new connection"] == 1

    run(scene())


def test_editions_may_mix_on_one_connection_and_replies_follow(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            one.write(build(2013, 0x0200, PHONE, 9, POSITION))
            reply = await one.reply()
            assert (reply.edition, general(reply)) == (2013, (9, 0x200, 0))

    run(scene())


def test_a_message_of_several_packets_is_answered_once_whole(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            sent = one.packets(0x0704, BODY)
            one.write(sent[2], sent[0], sent[0], sent[3])
            assert await one.silent(0.1)
            one.write(sent[1])
            last = one.serial - 1
            assert await one.result() == (last, 0x0704, 0)
            rows = await site.stored(2)
            whole = parse_message(rows[1]["frame"])
            assert (whole.packets, whole.packet, whole.body) == (4, 0, BODY)
            one.write(sent[2])  # our reply was lost: it is answered again, not kept again
            assert (await one.result())[1:] == (0x0704, 0)
            one.send(0x0002)
            assert (await one.result())[1:] == (2, 0)
            assert len(await site.stored(2)) == 2

    run(scene())


@pytest.mark.parametrize(("edition", "count"), [(2013, "02"), (2019, "0002")])
def test_missing_packets_are_asked_for_and_at_last_given_up(server, edition, count):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site, edition)
            first = one.serial
            sent = one.packets(0x0704, BODY)
            one.write(sent[0], sent[3])
            assert await one.silent(0.1)
            for ahead in (6, 12):
                now(site, ahead)
                reply = await one.reply()
                assert reply.message == 0x8003
                assert reply.body.hex() == first.to_bytes(2).hex() + count + "00020003"
            now(site, 18)
            assert await one.result() == (first, 0x0704, 1)
            rows = await site.stored(2)
            assert fault(rows[1]) == "incomplete"
            assert rows[1]["frame"] == sent[0] + sent[3]
            one.write(*sent)
            assert (await one.result())[1:] == (0x0704, 0)

    run(scene())


def test_packets_that_nobody_has_read_yet_are_not_missing(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            sent = one.packets(0x0704, BODY)
            one.write(*sent[:2])
            await until(lambda: site.gateway.room.used > 0)
            site.gateway.press(True)  # the stream is away
            one.write(*sent[2:])
            for ahead in (6, 12, 18, 24):
                now(site, ahead)
            site.gateway.press(False)
            assert (await one.result())[1:] == (0x0704, 0)
            assert site.gateway.figures.frames["asked again"] == 0
            assert not any(row["fault"] for row in await site.stored(2))

    run(scene())


def test_what_is_incomplete_when_the_terminal_goes_is_a_dead_letter(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            sent = one.packets(0x0704, BODY)
            one.write(sent[0], sent[1][:30])
            await asyncio.sleep(0.05)
            one.writer.close()
            rows = await site.stored(3)
            assert sorted(fault(row) for row in rows[1:]) == ["incomplete", "truncated"]
            assert site.gateway.room.used == 0

    run(scene())


def test_messages_that_replace_each_other_without_end_end_the_connection(server):
    def first_packet(number: int) -> bytes:
        body = number.to_bytes(4)
        return build(2019, 0x0704, PHONE, 100, body, packets=4, packet=1)

    async def scene() -> None:
        async with listening(server, Limits(faults_per_minute=3)) as site:
            one = await Terminal.ready(site)
            one.write(*map(first_packet, range(5_000)))
            assert await one.closed()
            assert site.gateway.figures.closed["too many damaged frames"] == 1
            assert site.gateway.figures.refused["incomplete"] < 1_000  # what was read at once
            await until(lambda: site.gateway.room.used == 0)

    run(scene())


class Sink:
    """Remembers what it was given, or refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: dict[str, bytes] = {}
        self.error = error

    def keep(self, tenant: Tenant, vehicle: str, header: bytes, data: bytes) -> str:
        if self.error is not None:
            raise self.error
        name = f"{tenant}/{vehicle}/{header[:4].hex()}"
        self.kept[name] = data
        return name


class Slow(Sink):
    """A sink that waits until it may go."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error)
        self.go = threading.Event()

    def keep(self, tenant: Tenant, vehicle: str, header: bytes, data: bytes) -> str:
        assert self.go.wait(60)
        return super().keep(tenant, vehicle, header, data)


def test_media_becomes_an_object_before_it_is_said_to_be_complete(server):
    async def scene() -> None:
        sink = Sink()
        async with listening(server, media=sink) as site:
            one = await Terminal.ready(site)
            one.write(*one.packets(0x0801, MEDIA * 200))  # 600 KB: more than a stream message
            reply = await one.reply()
            assert (reply.message, reply.body) == (0x8800, MEDIA[:4])
            assert sink.kept == {f"default/{PHONE}/00000001": (MEDIA * 200)[36:]}
            kept = parse_message((await site.stored(2))[1]["frame"])
            assert kept.body == MEDIA[:36] + KEPT_AS + f"default/{PHONE}/00000001".encode()

    run(scene())


def test_media_that_cannot_be_kept_is_not_said_to_be_complete(server):
    async def scene() -> None:
        sink = Sink(Unavailable("the bucket is away"))
        async with listening(server, media=sink) as site:
            one = await Terminal.ready(site)
            one.write(*one.packets(0x0801, MEDIA))
            assert (await one.result())[1:] == (0x0801, 1)
            sink.error = MediaRefused("over the limit")
            one.write(*one.packets(0x0801, MEDIA))
            assert (await one.result())[1:] == (0x0801, 1)
            assert fault((await site.stored(2))[1]) == "refused"

    run(scene())


def test_media_sent_again_are_answered_by_what_became_of_them(server):
    async def scene() -> None:
        sink = Slow(Unavailable("the bucket is away"))
        async with listening(server, media=sink) as site:
            one = await Terminal.ready(site)
            sent = one.packets(0x0801, MEDIA)
            for _ in range(2):  # failed: it is taken anew
                sink.go.set()
                one.write(*sent)
                assert (await one.result())[1:] == (0x0801, 1)
            sink.error = None
            sink.go.clear()
            one.write(*sent)
            one.write(sent[1])
            assert await one.silent(0.1)  # it is still being kept
            sink.go.set()
            assert (await one.reply()).message == 0x8800
            one.write(sent[1])
            assert (await one.result())[1:] == (0x0801, 0)

            other = MEDIA[:3] + b"\2" + MEDIA[4:-1] + b"!"
            one.serial -= len(sent)  # the terminal counts each picture from the same number
            one.write(*one.packets(0x0801, other))
            assert (await one.reply()).message == 0x8800
            assert len(sink.kept) == 2

    run(scene())


def test_what_a_terminal_left_stays_with_its_tenant(server):
    tenant = Tenant("a")

    async def scene() -> None:
        sink, quotas = Slow(MediaRefused("over the limit")), TenantQuotas(lambda _: Allowance())
        async with listening(
            server, admit=lambda logins: [Admission(tenant)] * len(logins), media=sink,
            quotas=quotas,
        ) as site:  # fmt: skip
            one = await Terminal.ready(site)
            (session,) = site.gateway.sessions
            one.write(*one.packets(0x0801, MEDIA))
            one.write(one.packets(0x0704, BODY)[0])
            one.send(0x0003)
            assert (await one.result())[1] == 3
            assert (await one.result())[1:] == (0x0704, 1)
            sink.go.set()
            assert (await one.result())[1:] == (0x0801, 1)
            rows = await site.stored(4)
            assert [fault(row) for row in rows] == ["", "", "incomplete", "refused"]
            assert {row["tenant"] for row in rows} == {"a"}

            one.send(0x0102, code_body(2019, CODE))
            assert (await one.result())[2] == 0
            session._waiting = [  # taken after the end
                parse(one.packets(0x0704, BODY)[0]),
                parse(build(2019, 0x0003, PHONE, 50)),
            ]
            session._resting = True
            one.writer.close()
            while site.gateway.sessions:
                await asyncio.sleep(0.01)
            session._go_on()
            assert quotas.take_counts()[1] == {}
            assert site.gateway.room.used == 0

    run(scene())


def test_missing_packets_of_media_are_asked_for_by_its_id(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            sent = one.packets(0x0801, MEDIA)
            one.write(sent[0], sent[3])
            await asyncio.sleep(0.1)
            now(site, 6)
            reply = await one.reply()
            assert (reply.message, reply.body.hex()) == (0x8800, "00000001" + "02" + "00020003")
            one.write(sent[1], sent[2])
            reply = await one.reply()
            assert (reply.message, reply.body) == (0x8800, MEDIA[:4])
            whole = parse_message((await site.stored(2))[1]["frame"])
            assert whole.body == MEDIA  # without a sink, what is small stays in its frame

    run(scene())


@pytest.mark.parametrize("lost", [0, 2])
def test_a_gap_is_filled_by_what_was_asked_for_and_not_by_another_message(server, lost):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            whole, other = one.packets(0x0704, BODY), one.packets(0x0704, BODY[::-1])
            one.write(whole[0], whole[1], whole[3])
            await asyncio.sleep(0.1)
            now(site, 6)
            assert (await one.reply()).message == 0x8003
            one.write(*other[lost:])  # without its first two it begins with what the other lacks
            if not lost:
                assert (await one.result())[0] == one.serial - 1
            assert await one.silent(0.1)
            body = parse(whole[2]).body
            one.write(build(2019, 0x0704, PHONE, one.serial, body, packets=4, packet=3))
            assert await one.result() == (parse(whole[3]).serial, 0x0704, 0)
            rows = (await site.stored(2 if lost else 3))[1:]
            kept = [parse_message(row["frame"]).body for row in rows]
            assert kept == ([BODY] if lost else [BODY[::-1], BODY])

    run(scene())


def test_limits_on_silence_half_frames_and_damage(server):
    async def scene() -> None:
        limits = Limits(faults_per_minute=3, idle_timeout_s=100, login_timeout_s=30)
        async with listening(server, limits) as site:
            mute = await Terminal.connect(site)
            one = await Terminal.ready(site)
            one.write(build(2019, 0x0200, PHONE, 1, POSITION)[:20])
            await until(lambda: any(session._splitter.pending for session in site.gateway.sessions))
            now(site, 31)
            assert await mute.closed()
            one.send(0x0002)
            assert (await one.result())[1:] == (2, 0)  # the half frame did not swallow it
            for _ in range(4):
                one.write(b"\x7e\x01\x02\x7e")
            assert await one.closed()
            two = await Terminal.ready(site)
            now(site, 131)
            assert await two.closed()
            assert site.gateway.figures.closed == {
                "no login in time": 1,
                "too many damaged frames": 1,
                "silent": 1,
            }

    run(scene())


def test_quotas_and_a_suspended_tenant(server):
    allowance = Allowance(connections=1)

    async def scene() -> None:
        nonlocal allowance
        quotas = TenantQuotas(lambda _: allowance)
        async with listening(server, quotas=quotas) as site:
            one = await Terminal.ready(site)
            other = await Terminal.connect(site, phone="13900000102")
            other.send(0x0102, code_body(2019, authentication_code(SECRET, "13900000102")))
            assert await other.closed()
            assert quotas.refused == {(Tenant("default"), "connections"): 1}
            allowance = Allowance(suspended=True)
            quotas.refresh()
            now(site)
            assert await one.closed()

    run(scene())


def test_bytes_of_no_protocol_are_bounded_dead_letters(server):
    async def scene() -> None:
        async with listening(server) as site:
            peer = await Terminal.connect(site)
            peer.write(b"GET / HTTP/1.1\r\n\r\n" * 2000)
            assert await peer.closed()
            rows = await site.stored(3)
            assert len(rows) == 3
            assert all(len(row["frame"]) <= 1024 for row in rows)

    run(scene())


def test_a_command_waits_for_what_was_reported_before_and_not_longer_than_its_time(server):
    async def scene() -> None:
        async with listening(server) as site:
            one, room = await Terminal.ready(site), False
            site.gateway.outbox._room = lambda: room
            (session,) = site.gateway.sessions
            serial = one.send(0x0200, POSITION)
            await until(lambda: session.unconfirmed > 0)
            told: list[OrderReport] = []
            late = Order("1", "locate", {}, now_us() + SECOND // 10)
            session.deliver(late, told.append)
            session.deliver(Order("2", "read-attributes", {}, now_us() + 600 * SECOND), told.append)
            await until(lambda: now_us() > late.expires_us)
            assert await one.silent()
            room = True
            assert await one.result() == (serial, 0x0200, 0)
            assert (await one.reply()).message == 0x8107
            now(site)
            assert [one.state for one in told if one.id == "1"][-1] == "timed_out"

    run(scene())
