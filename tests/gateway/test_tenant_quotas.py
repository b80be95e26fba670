"""Quotas of tenants at the gateway: who is over one waits or is refused, the others are not."""

import asyncio
import time

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.gateway import tenant_quotas
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.gbt32960.rules import Rules
from carcloud.gateway.tenant_quotas import Allowance, TenantQuotas
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import Shares
from tests.gateway.conftest import listening
from tests.gateway.mqtt_client import until
from tests.gateway.test_gbt32960 import Car, login, report, run

A, B = Tenant("a"), Tenant("b")
REPLIES = Rules(reply_reports=True)


def vin(tenant: Tenant, number: int) -> str:
    return f"LTEST{'AB'[tenant == B]}NA4A{number:07}"


def by_vin(logins: list[Login]) -> list[Admission]:
    return [Admission(A if one.vehicle[5] == "A" else B) for one in logins]


class Quotas(TenantQuotas):
    """Whose allowances a test sets."""

    def __init__(self, **allowed: Allowance) -> None:
        self.allowed = allowed
        super().__init__(lambda tenant: self.allowed.get(tenant, Allowance()))


async def enter(port: int, tenant: Tenant, number: int) -> Car:
    car = await Car.connect(port)
    car.send(login(vin(tenant, number)))
    assert (await car.reply()).flag == Flag.SUCCESS
    return car


def test_a_tenant_above_its_frame_rate_is_slowed_and_loses_nothing(server):
    async def scene() -> None:
        quotas = Quotas(a=Allowance(frames_per_second=100))
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            cars = [await enter(site.port, A, number) for number in range(3)]
            began = time.monotonic()
            for burst in range(10):  # 300 frames: a second's worth at once, two seconds' wait
                for number, car in enumerate(cars):
                    car.send(*[report(vin(A, number), -30 * burst - n) for n in range(10)])
                await asyncio.sleep(0.01)
            for car in cars:
                for _ in range(100):
                    assert (await car.reply()).flag == Flag.SUCCESS
            for number, car in enumerate(cars):
                car.send(report(vin(A, number), -400))
            for car in cars:
                assert (await car.reply()).flag == Flag.SUCCESS
            assert time.monotonic() - began > 1.8
            rows = await site.stored(306)
            assert len({(row["vehicle"], row["frame"]) for row in rows}) == 306
            assert quotas.slowed[A] > 0
            async with asyncio.timeout(60):  # the last frames are paid for after their replies
                while quotas.holding():
                    await asyncio.sleep(0.01)

    run(scene())


def test_many_floods_together_take_no_more_than_the_rate(server):
    """Each socket holds more than the tenant may send in a second; none is taken ahead."""

    async def scene() -> None:
        quotas = Quotas(a=Allowance(frames_per_second=200))
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            cars = [await enter(site.port, A, number) for number in range(10)]
            site.gateway.read_buffer = site.gateway.read_buffer[: 10 * len(report())]
            read = 11  # frames that the last read may complete
            for number, car in enumerate(cars):
                car.send(*[report(vin(A, number), -n) for n in range(1_000)])
            began, taken, seconds, awake = time.monotonic(), 0, 0.0, 0.0
            while awake < 2:
                await asyncio.sleep(0.01)
                taken += quotas.take_counts()[0].get(A, 0)
                before, seconds = seconds, time.monotonic() - began
                awake += min(seconds - before, 0.1)  # nothing is taken while the machine stands
                assert taken <= 200 * (1 + seconds) + read + len(cars)
            assert taken >= 200 * awake

    run(scene())


def test_a_tenant_that_sent_nothing_for_long_has_no_more_than_a_second_ahead():
    async def scene() -> None:
        loop, quotas, session = asyncio.get_running_loop(), Quotas(a=Allowance(100)), Session()
        began = loop.time()
        loop.time = lambda: began  # type: ignore[method-assign]
        assert quotas.admits(A, session)
        loop.time = lambda: began + 60  # type: ignore[method-assign]
        assert quotas.admits(A, session)
        quotas.spend(A, 150)  # of one read
        assert not quotas.admits(A, session)
        loop.time = lambda: began + 60.6  # type: ignore[method-assign]
        quotas._go_on(quotas._known(A))
        assert quotas.admits(A, session)

    run(scene())


class Session:
    """One that is held, and left nothing."""

    gone = False

    def go_on(self) -> bool:
        return True


def test_what_a_peer_sent_before_it_went_is_kept_when_its_turn_comes(server):
    async def scene() -> None:
        quotas = Quotas(a=Allowance(frames_per_second=1))
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            first, second = [await enter(site.port, A, number) for number in range(2)]
            first.send(*[report(vin(A, 0), -n) for n in range(60)])
            assert (await first.reply()).flag == Flag.SUCCESS
            second.send(*[report(vin(A, 1), -n) for n in range(5)], report(vin(A, 1))[:20])
            async with asyncio.timeout(60):
                while not quotas.holding():
                    await asyncio.sleep(0.01)
            second.writer.close()
            await second.writer.wait_closed()
            quotas.allowed[A] = Allowance()
            quotas.refresh()
            rows = await site.stored(68)  # with two logins, and half a frame
            mine = [row for row in rows if row["vehicle"] == vin(A, 1)]
            assert [row["fault"] is None for row in mine] == [True] * 6 + [False]
            assert mine[-1]["frame"] == report(vin(A, 1))[:20]

    run(scene())


def test_what_peers_left_that_have_gone_is_bounded(server, monkeypatch):
    monkeypatch.setattr(tenant_quotas, "_MOST_GONE", 2)

    async def scene() -> None:
        quotas = Quotas(a=Allowance(frames_per_second=1))
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            cars = [await enter(site.port, A, number) for number in range(8)]
            for number, car in enumerate(cars):
                car.send(report(vin(A, number)))
            async with asyncio.timeout(60):
                while quotas.holding().get(A, 0) < 4:
                    await asyncio.sleep(0.01)
            for number, car in enumerate(cars):  # each comes again, in place of its old connection
                await enter(site.port, A, number)
                assert await car.closed()
            assert quotas.holding().get(A, 0) <= 2
            quotas.allowed["a"] = Allowance()
            quotas.refresh()
            async with asyncio.timeout(60):
                while quotas.holding():
                    await asyncio.sleep(0.01)

    run(scene())


def test_a_flood_of_one_tenant_does_not_slow_the_other(server):
    async def scene() -> None:
        quotas = Quotas(a=Allowance(frames_per_second=1))
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            noisy = [await enter(site.port, A, number) for number in range(4)]
            quiet = await enter(site.port, B, 1)
            for number, car in enumerate(noisy):
                car.send(*[report(vin(A, number), -n) for n in range(400)])
            await until(lambda: quotas.holding() == {A: 4})
            quick = 0  # answers within a second, in which one frame of a's is let through
            async with asyncio.timeout(60):
                while quick < 20:
                    begun = time.monotonic()
                    quiet.send(report(vin(B, 1), -quick))
                    assert (await quiet.reply()).flag == Flag.SUCCESS
                    quick += time.monotonic() - begun < 1.0
            assert quotas.holding() == {A: 4}  # still: its frames take minutes
            assert B not in quotas.slowed

    run(scene())


def test_connections_above_the_quota_are_refused_and_come_back_when_there_is_room(server):
    async def scene() -> None:
        quotas = Quotas(a=Allowance(connections=2))
        async with listening(server, admit=by_vin, quotas=quotas) as site:
            first, second = [await enter(site.port, A, number) for number in range(2)]
            third = await Car.connect(site.port)
            third.send(login(vin(A, 3)))
            assert await third.closed()
            assert quotas.refused == {(A, "connections"): 1}
            assert site.gateway.figures.closed["the tenant's limit connections"] == 1
            other = await enter(site.port, B, 1)
            again = await enter(site.port, A, 0)  # in place of its old connection
            assert await first.closed()
            again.send(login(vin(A, 0)))  # once more on the same connection
            assert (await again.reply()).command == Command.LOGIN
            second.writer.close()
            async with asyncio.timeout(60):
                while quotas.take_counts()[1][A] > 1:
                    await asyncio.sleep(0.01)
            late = await enter(site.port, A, 3)
            assert quotas.take_counts()[1] == {A: 2, B: 1}
            assert not late.writer.is_closing() and not other.writer.is_closing()

    run(scene())


def test_a_tenant_whose_store_is_full_waits_until_it_is_not(server):
    async def scene() -> None:
        quotas = Quotas()
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            car = await enter(site.port, A, 1)
            quotas.allowed[A] = Allowance(full=True)
            quotas.refresh()
            refused = await Car.connect(site.port)
            refused.send(login(vin(A, 2)))
            assert await refused.closed()
            assert quotas.refused == {(A, "stored_bytes"): 1}
            for second in range(3):
                car.send(report(vin(A, 1), -second))
                await asyncio.sleep(0.05)
            assert await car.silent(1.5)
            quotas.allowed[A] = Allowance()
            quotas.refresh()
            for _ in range(3):
                assert (await car.reply()).flag == Flag.SUCCESS
            assert len(await site.stored(4)) == 4

    run(scene())


def test_one_limit_over_several_processes():
    one, two, three = (Shares(name) for name in ("one", "two", "three"))
    assert one.rate(A, "frames_per_second", 900) == 900
    told = two.told({"frames_per_second": {A: 700}, "connections": {A: 5}})
    one.hear(told)
    one.hear(one.told({"frames_per_second": {A: 10_000}}))  # its own word does not count
    assert one.rate(A, "frames_per_second", 900) == 450  # never less than an equal part
    assert one.rate(A, "frames_per_second", 2_000) == 1_300
    assert one.amount(A, "connections", 8) == 3
    one.hear(three.told({"connections": {A: 1, B: 7}}))
    assert one.amount(A, "connections", 8) == 2
    assert one.rate(A, "frames_per_second", 900) == 300


def test_vehicles_of_a_suspended_tenant_are_cut_off(server):
    async def scene() -> None:
        quotas = Quotas()
        async with listening(server, REPLIES, admit=by_vin, quotas=quotas) as site:
            stopped, other = await enter(site.port, A, 1), await enter(site.port, B, 1)
            quotas.allowed = {"a": Allowance(suspended=True)}
            quotas.refresh()
            site.gateway.sweep(asyncio.get_running_loop().time())
            assert await stopped.closed()
            other.send(report(vin(B, 1), -1))
            assert (await other.reply()).flag == Flag.SUCCESS
            assert site.gateway.figures.closed["the tenant is suspended"] == 1

    run(scene())
