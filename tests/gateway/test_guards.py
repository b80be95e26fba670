"""What a gateway keeps to itself, and what nobody can make it do."""

import asyncio
import struct

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.carried import CarriedDesk, CarriedVehicles
from carcloud.gateway.gbt32960.keys import KEY_FAILED, kept_bytes, kept_form
from carcloud.gateway.limits import LoginThrottle
from carcloud.gateway.outbox import Outbox
from carcloud.model.ids import Tenant
from tests.gateway.conftest import listening
from tests.gateway.mqtt_client import until
from tests.gateway.test_gbt32960 import OTHER, VIN, Car, login, now6, report, run
from tests.gateway.test_security import whole

PLATFORM = "LOWERPLATFORM0001"
PASSWORD = b"open-sesame-12345678"
T = Tenant("default")


def platform_login(password: bytes = PASSWORD, platform: str = PLATFORM, edition=2016) -> bytes:
    body = now6() + struct.pack(">H12s20sB", 1, b"user01", password, 1)
    return build(edition, Command.PLATFORM_LOGIN, Flag.COMMAND, platform, body)


def test_passwords_are_blanked_in_good_odd_and_damaged_platform_logins():
    raw = platform_login()
    kept = kept_form(parse(raw))
    assert parse(kept).data[:20] == raw[24:44]
    assert kept[44:64] == bytes(20)
    odd = build(2025, Command.PLATFORM_LOGIN, 0xFE, PLATFORM, now6() + b"\0\1u" + PASSWORD + b"x")
    assert PASSWORD not in kept_form(parse(odd))
    for size in range(len(raw)):
        assert PASSWORD[:1] not in kept_bytes(b"noise" + raw[:size])[49:]
    key = now6() * 2 + bytes(3)
    exchange = build(2025, Command.KEY_EXCHANGE, 0xFE, VIN, b"\1\0\x10" + b"K" * 16 + key)
    assert b"K" * 2 not in kept_bytes(exchange[:-1] + b"!")


def test_no_password_reaches_the_stream_whether_accepted_refused_or_damaged(server):
    async def scene() -> None:
        async with listening(server) as site:
            link, stranger = await Car.connect(site.port), await Car.connect(site.port)
            stranger.send(platform_login(platform="LREFUSED000000001", edition=2025))
            assert (await stranger.reply()).flag == Flag.VIN_UNKNOWN
            damaged = bytearray(platform_login())
            damaged[-1] ^= 1
            link.send(platform_login(), bytes(damaged), report())
            await link.reply()
            rows = await site.stored(4)
            assert len(rows) == 4
            assert all(PASSWORD not in row["frame"] for row in rows)

    run(scene())


def test_a_nul_inside_an_id_or_a_login_harms_nobody(server, tmp_path):
    async def scene() -> None:
        async with whole(server, tmp_path) as site:
            odd = login("LTEST\0VNA4A000010", 2025)
            bad, flagged = await site.car(odd, answers=1)
            assert flagged[0].flag == Flag.VIN_UNKNOWN
            bad.send(platform_login(platform="A\0B", edition=2025))
            assert (await bad.reply()).flag == Flag.VIN_UNKNOWN
            _, replies = await site.car(login(VIN, iccid="8986\0" + "1" * 15), answers=1)
            assert replies[0].flag == Flag.SUCCESS

    run(scene())


def test_one_question_that_breaks_the_registry_is_refused_alone():
    def admit(asked: list[int]) -> list[str]:
        if 3 in asked:
            raise ValueError("no such text")
        return ["good"] * len(asked)

    async def scene() -> None:
        desk: AdmissionDesk[int, str] = AdmissionDesk(admit, 10_000, failed="failed")
        answers: list[str] = []
        for number in range(6):
            desk.ask(number, answers.append)
        task = asyncio.create_task(desk.run())
        while len(answers) < 6:
            await asyncio.sleep(0.001)
        assert answers == ["good"] * 3 + ["failed"] + ["good"] * 2
        assert not task.done()
        task.cancel()

    asyncio.run(scene())


def test_platforms_that_guess_are_not_looked_at_and_good_ones_may_come_often():
    throttle = LoginThrottle()
    assert [throttle.enter("P", "a", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert throttle.enter("P", "b", 0.0)
    assert [throttle.enter(f"Q{n}", "a", 1.0) for n in range(16)] == [True] * 15 + [False]
    assert throttle.enter("P", "a", 1000.0)
    for _ in range(50):
        assert throttle.enter("GOOD", "c", 0.0)
        throttle.forgive("GOOD", "c")


def test_waiting_platforms_do_not_delay_vehicles(server):
    async def scene() -> None:
        async with listening(server) as site:
            nobody: AdmissionDesk[Login, Admission] = AdmissionDesk(
                lambda _: [], 1, failed=Admission(None)
            )
            site.gateway.platforms = nobody  # never answers
            links = [await Car.connect(site.port) for _ in range(7)]
            for link in links[:5]:
                link.send(platform_login(edition=2025))
            await until(lambda: nobody.waiting == 5)
            for link in links[5:]:
                link.send(platform_login(edition=2025))
                assert (await link.reply()).flag == Flag.VIN_UNKNOWN
            assert nobody.waiting == 5
            car = await Car.connect(site.port)
            car.send(login())
            assert (await car.reply()).flag == Flag.SUCCESS
            for session in list(site.gateway.sessions):
                session.close("test")
            await until(lambda: nobody.waiting == 0)

    run(scene())


class Waiting:
    """A stream that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def publish(self, subject: str, data: bytes, message_id: str) -> None:
        await self.open.wait()


class Peer:
    def __init__(self) -> None:
        self.unconfirmed = 0
        self.got: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.got.append(data)


def test_a_repeated_frame_is_answered_after_the_first_copy_is_durable():
    async def scene() -> None:
        stream = Waiting()
        outbox = Outbox(
            stream, "p", "i", block_bytes=9, block_s=0.001, pending_bytes=9999,
            on_pressure=lambda on: None,
        )  # fmt: skip
        first, second = Peer(), Peer()
        outbox.after_all(T, second, b"at once")
        assert second.got == [b"at once"]
        outbox.add(T, VIN, 0, b"frame", first, b"one")
        outbox.after_all(T, second, b"two")
        await asyncio.sleep(0.02)
        assert (first.got, second.got) == ([], [b"at once"])
        stream.open.set()
        await outbox.drain(5)
        assert (first.got, second.got) == ([b"one"], [b"at once", b"two"])

    asyncio.run(scene())


def test_only_an_accepted_login_makes_the_next_copy_a_repetition():
    async def scene() -> None:
        desk: CarriedDesk = AdmissionDesk(lambda asked: [""] * len(asked), 1, failed="")
        carried = CarriedVehicles(desk)
        frame = parse(login())
        assert carried.refusal(T, PLATFORM, frame, "gbt32960") is None
        assert not carried.repeated(T, PLATFORM, frame)
        assert not carried.repeated(T, PLATFORM, frame)
        carried.accepted(T, PLATFORM, frame)
        assert carried.repeated(T, PLATFORM, frame)

    asyncio.run(scene())


def test_questions_about_keys_and_carried_vehicles_are_bounded(server, monkeypatch):
    monkeypatch.setattr("carcloud.gateway.gbt32960.key_requests._MOST_WAITING", 1)
    monkeypatch.setattr("carcloud.gateway.gbt32960.carried._MOST_WAITING", 1)

    async def scene() -> None:
        async with listening(server) as site:
            keys: AdmissionDesk = AdmissionDesk(lambda _: [], 1, failed=KEY_FAILED)
            site.gateway.keys = keys
            one, two = await Car.connect(site.port), await Car.connect(site.port)
            one.send(build(2025, Command.ACTIVATION, 0xFE, VIN, now6()))
            while not keys.waiting:
                await asyncio.sleep(0.001)
            two.send(build(2025, Command.ACTIVATION, 0xFE, OTHER, now6()))
            assert (await two.reply()).flag == Flag.ERROR
            for session in list(site.gateway.sessions):
                session.close("test")
            await until(lambda: keys.waiting == 0)
        desk: CarriedDesk = AdmissionDesk(lambda asked: [""] * len(asked), 1, failed="")
        carried = CarriedVehicles(desk)
        assert carried.refusal(T, PLATFORM, parse(login(VIN)), "p") is None
        refused = carried.refusal(T, PLATFORM, parse(login(OTHER)), "p")
        assert refused is not None
        assert refused[1].code == "busy"

    run(scene())


def test_little_is_kept_of_those_who_do_not_log_in(server):
    async def scene() -> None:
        async with listening(server) as site:
            car = await Car.connect(site.port)
            car.send(*[build(2016, Command.REALTIME, 0xFE, VIN, bytes(5000))] * 10)
            assert await car.closed()
            rows = await site.stored(3)
            assert [len(row["frame"]) for row in rows] == [1024] * 3
            assert site.gateway.outbox.figures.frames == 3
            assert site.gateway.figures.closed["too many frames before the login"] == 1

    run(scene())


def test_a_session_does_not_change_tenants_while_replies_wait(server):
    def admit(logins: list[Login]) -> list[Admission]:
        return [Admission(Tenant("a" if one.vehicle == VIN else "b")) for one in logins]

    async def scene() -> None:
        async with listening(server) as site:
            site.gateway.desk._admit = admit
            site.gateway.outbox._room = lambda: False
            car = await Car.connect(site.port)
            car.send(login(VIN), login(OTHER), report(OTHER))
            assert await car.closed()
            assert site.gateway.figures.closed["another tenant before its replies"] == 1
            site.gateway.outbox._room = lambda: True

    run(scene())
