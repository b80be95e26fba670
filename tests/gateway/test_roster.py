"""Who is online: vehicles on links of their own, platforms, and vehicles that platforms bring."""

import asyncio
from collections import Counter

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.gbt32960.carried import CarriedDesk, CarriedVehicles
from carcloud.gateway.limits import Limits
from carcloud.gateway.roster import Changes
from carcloud.model.ids import Tenant
from tests.gateway.conftest import Site, listening
from tests.gateway.test_gbt32960 import OTHER, VIN, Car, login, now6, report, run
from tests.gateway.test_guards import PLATFORM, platform_login
from tests.gateway.test_hostile import Clock, signed_in, site

T = Tenant("default")
SECOND = "LOWERPLATFORM0002"


def logout(vin: str) -> bytes:
    return build(2016, Command.LOGOUT, Flag.COMMAND, vin, now6() + b"\0\1")


async def platform(found: Site, name: str = PLATFORM) -> Car:
    link = await Car.connect(found.port)
    link.send(platform_login(platform=name))
    assert (await link.reply()).flag == Flag.SUCCESS
    return link


async def brought(link: Car, *frames: bytes) -> None:
    for frame in frames:
        link.send(frame)
        assert (await link.reply()).flag == Flag.SUCCESS


def counts(found: Site) -> tuple[int, int]:
    vehicles, platforms = found.gateway.roster.counts()
    return vehicles["default"], platforms["default"]


def changes(found: Site) -> Changes:
    return found.gateway.roster.take_changes().get(T, Changes())


async def until(found: Site, wanted: tuple[int, int]) -> None:
    async with asyncio.timeout(60):
        while counts(found) != wanted:
            await asyncio.sleep(0.02)


def test_platforms_count_apart_and_their_vehicles_are_online_while_they_report(server):
    async def scene() -> None:
        async with listening(server, limits=Limits(carried_timeout_s=100)) as found:
            clock = Clock(found)
            one, two = await platform(found), await platform(found, SECOND)
            assert counts(found) == (0, 2)
            told = changes(found)
            assert (list(told.open), list(told.platforms)) == ([], [PLATFORM, SECOND])
            await brought(one, report(VIN))
            await brought(two, login(OTHER))
            assert counts(found) == (2, 2)
            told = changes(found)
            assert {name: row[4] for name, row in told.open.items()} == {
                VIN: PLATFORM,
                OTHER: SECOND,
            }
            for _ in range(2):  # one reports on, the other falls silent
                clock.tick(50)
                await brought(one, report(VIN))
            assert counts(found) == (2, 2)
            clock.tick(1)
            assert counts(found) == (1, 2)
            assert list(changes(found).closed) == [OTHER]
            assert list(found.gateway.roster.everybody()[T].open) == [VIN]

    run(scene())


def test_late_reports_put_no_vehicle_online_and_a_logout_takes_it_off(server):
    async def scene() -> None:
        async with site(server) as found:
            link = await platform(found)
            await brought(link, report(VIN, -600, Command.REISSUE))
            assert counts(found) == (0, 1)
            await brought(link, report(VIN))
            assert counts(found) == (1, 1)
            await brought(link, logout(VIN))
            assert counts(found) == (0, 1)
            told = changes(found)
            assert (list(told.open), list(told.closed)) == ([], [VIN])

    run(scene())


def test_the_vehicles_of_a_platform_go_with_its_link_but_stay_over_a_new_one(server):
    async def scene() -> None:
        async with site(server) as found:
            first = await platform(found)
            await brought(first, report(VIN), report(OTHER))
            again = await platform(found)  # B.2.7: the new connection wins
            assert await first.closed()
            await until(found, (2, 1))
            assert not changes(found).closed
            again.writer.close()
            await until(found, (0, 0))
            told = changes(found)
            assert (set(told.closed), list(told.platforms_closed)) == ({VIN, OTHER}, [PLATFORM])

    run(scene())


def test_a_vehicle_on_both_ways_counts_once_and_its_own_link_is_told(server):
    async def scene() -> None:
        async with site(server) as found:
            link, car = await platform(found), await signed_in(found)
            await brought(link, report(VIN))
            assert counts(found) == (1, 1)
            assert len(changes(found).open[VIN]) == 4
            car.writer.close()
            async with asyncio.timeout(60):
                while VIN in found.gateway.roster.vehicles:
                    await asyncio.sleep(0.02)
            assert counts(found) == (1, 1)
            told = changes(found)
            assert told.open[VIN][4] == PLATFORM
            assert not told.closed

    run(scene())


def test_a_vehicle_that_is_not_welcome_is_not_online(server):
    async def scene() -> None:
        async with site(server) as found:
            desk: CarriedDesk = AdmissionDesk(lambda asked: ["retired"] * len(asked), 1, failed="")
            found.gateway.carried = CarriedVehicles(desk)
            link = await platform(found)
            await brought(link, report(VIN))  # taken until the registry has answered
            answering = asyncio.create_task(desk.run())
            async with asyncio.timeout(60):
                while not found.gateway.carried._known[T, PLATFORM, VIN].refusal:
                    await asyncio.sleep(0.01)
            link.send(report(VIN))
            assert (await link.reply()).flag == Flag.ERROR
            assert found.gateway.roster.counts() == (Counter(), Counter({"default": 1}))
            answering.cancel()

    run(scene())
