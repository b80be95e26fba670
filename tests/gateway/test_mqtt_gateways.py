"""Several MQTT gateways on one stream and the same records, as behind a balancer, and connections
that end because of what the registry says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from carcloud.app.admission_watch import CREDENTIALS, STOPPED, AdmissionWatch
from carcloud.codecs.mqtt.packets import (
    V5,
    V311,
    Ack,
    Connack,
    Connect,
    Disconnect,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Will,
)
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.orders import Order
from carcloud.model.time import SECOND, now_us
from carcloud.ports.errors import Unavailable
from carcloud.services.vehicles.api import Lifecycle, VehicleChange, Vehicles, announce
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, SIGNALS, Client, Site, T, site, until
from tests.gateway.test_gbt32960 import run

COMMANDS, DOCUMENTS = f"v1/{CAR}/commands", f"v1/{CAR}/documents"
EXPIRY = Properties(session_expiry=600)
ALL = Subscribe(7, (Subscription(f"v1/{CAR}/#", 1),))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("mqtt")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


@asynccontextmanager
async def two(server: NatsServer, data: Path) -> AsyncIterator[tuple[Site, Site]]:
    async with site(server, data) as one, site(server, data) as other:
        other.tokens = one.tokens
        yield one, other


async def persistent(found: Site, **given: object) -> Client:
    given.setdefault("properties", EXPIRY)
    return await found.client(clean_start=False, **given)


def resumed(client: Client) -> bool:
    assert isinstance(client.connack, Connack)
    return client.connack.session_present


# what the registry says


def _revoke(found: Site) -> None:
    assert found.role._vehicles.revoke_token(T, CAR, actor="test")


def _make_another(found: Site) -> None:
    found.role._vehicles.make_token(T, CAR, actor="test")


def _retire(found: Site) -> None:
    found.role._vehicles.retire(T, CAR, actor="test")


def _suspend(found: Site) -> None:
    change = VehicleChange(lifecycle=Lifecycle.SUSPENDED)
    found.role._vehicles.change(T, CAR, change, actor="test")


@pytest.mark.parametrize(
    ("change", "reason", "counted"),
    [
        (_revoke, Reason.NOT_AUTHORIZED, CREDENTIALS),
        (_make_another, Reason.NOT_AUTHORIZED, CREDENTIALS),
        (_suspend, Reason.ADMINISTRATIVE_ACTION, STOPPED),
        (_retire, Reason.ADMINISTRATIVE_ACTION, STOPPED),
    ],
)
def test_who_would_not_be_let_in_any_more_is_disconnected(
    server: NatsServer,
    tmp_path: Path,
    change: Callable[[Site], None],
    reason: Reason,
    counted: str,
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            car, other = await found.client(), await found.client("car-2")
            unmoved = VehicleChange(labels={"colour": "red"})
            found.role._vehicles.change(T, "car-2", unmoved, actor="test")
            change(found)
            assert await car.get() == Disconnect(reason)
            assert await car.get() is None
            assert found.mqtt.figures.closed[counted] == 1
            await other.nothing()

    run(check())


def test_what_changes_before_the_first_look_is_seen(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_look, run_watch = asyncio.Event(), AdmissionWatch.run

    async def late(watch: AdmissionWatch) -> None:
        await may_look.wait()
        await run_watch(watch)

    monkeypatch.setattr(AdmissionWatch, "run", late)

    async def check() -> None:
        async with site(server, tmp_path) as found:
            car = await found.client()
            _revoke(found)
            may_look.set()
            assert await car.get() == Disconnect(Reason.NOT_AUTHORIZED)

    run(check())


def test_what_changes_as_soon_as_the_registry_is_back_is_seen(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_vehicles: Vehicles, *_args: object, **_given: object) -> None:
        raise Unavailable("the registry is away")

    async def check() -> None:
        with monkeypatch.context() as until_back:
            for name in ("changed_after", "admit_many"):
                until_back.setattr(Vehicles, name, away)
            started = site(server, tmp_path)
            found = await started.__aenter__()
            await asyncio.sleep(0.2)  # the first look fails, too
        try:
            car = await found.client()
            _revoke(found)
            assert await car.get() == Disconnect(Reason.NOT_AUTHORIZED)
        finally:
            await started.__aexit__(None, None, None)

    run(check())


def test_a_token_that_is_taken_back_ends_the_connection_in_whichever_gateway(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with two(server, tmp_path) as (one, other):
            v5 = await other.client()
            v311 = await other.client("car-2", version=V311)
            _revoke(one)
            one.role._vehicles.revoke_token(T, "car-2", actor="test")
            assert await v5.get() == Disconnect(Reason.NOT_AUTHORIZED)
            assert await v311.get() is None
            refused = await Client.open(one.port)
            hello = Connect(CAR, username=CAR, password=one.token().encode())
            answer = await refused.ask(hello)
            assert isinstance(answer, Connack)
            assert answer.reason == Reason.NOT_AUTHORIZED

    run(check())


# several gateways


async def put(found: Site, payload: bytes) -> None:
    found.outgoing.send(T, CAR, COMMANDS, payload, actor="test")
    await announce(found.stream, T, [CAR])


async def taken(client: Client) -> bytes:
    """One message, acknowledged."""
    message = await client.message()
    client.send(Ack(Type.PUBACK, message.packet_id))
    return message.payload


@pytest.mark.parametrize("version", [V311, V5])
def test_the_older_connection_is_taken_over_and_what_waits_comes_to_the_newer(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    given = {"version": version, "properties": EXPIRY if version == V5 else Properties()}

    async def check() -> None:
        async with two(server, tmp_path) as (one, other):
            one.token()
            one.outgoing.retain(T, CAR, DOCUMENTS, b"list", actor="test")
            old = await persistent(one, **given)
            await old.ask(ALL)
            assert (await old.message()).payload == b"list"  # and is not acknowledged
            new = await persistent(other, **given)
            assert not resumed(new)
            gone = Disconnect(Reason.SESSION_TAKEN_OVER) if version == V5 else None
            assert await old.get() == gone
            await put(one, b"first")  # before it subscribes anew: nothing is lost
            assert await new.ask(ALL) == Suback(7, (1,))
            assert [await taken(new) for _ in range(2)] == [b"list", b"first"]
            await put(one, b"second")
            assert await taken(new) == b"second"
            await until(lambda: len(one.outgoing.waiting(T, CAR)) == 1)  # what is retained
            assert len(one.mqtt.states) == 0
            await new.nothing()

    run(check())


def test_a_session_that_went_on_elsewhere_is_not_resumed(
    server: NatsServer, tmp_path: Path
) -> None:
    """The process must not go by word of the other: it may have missed it."""

    async def check() -> None:
        async with two(server, tmp_path) as (one, other):
            one.mqtt.moved = lambda _rows: None  # type: ignore[method-assign]
            car = await persistent(one)
            assert await car.ask(Publish(SIGNALS, b"a", 2, 5)) == Ack(Type.PUBREC, 5)
            car.drop()
            await until(lambda: len(one.mqtt.states) == 1)
            there = await persistent(other)
            assert not resumed(there)
            there.send(Disconnect())
            assert await there.get() is None
            again = await persistent(one)
            assert not resumed(again)
            assert await again.ask(Publish(SIGNALS, b"b", 2, 5)) == Ack(Type.PUBREC, 5)
            again.drop()
            await until(lambda: len(one.mqtt.states) == 1)
            assert resumed(await persistent(one))
            assert [payload for _, payload in await one.stored(2)] == [b"a", b"b"]

    run(check())


FORBIDDEN = Will("v1/car-2/signals", b"")


async def _go_away(found: Site) -> None:
    """Its connection is lost while the registry is asked."""
    desk, loop, lost = found.mqtt.desk, asyncio.get_running_loop(), asyncio.Event()
    admit = desk._admit

    def admit_too_late(logins: Sequence[Login]) -> Sequence[Admission]:
        answers = admit(logins)
        desk._admit = admit
        loop.call_soon_threadsafe(client.drop)
        while len(found.mqtt.sessions) > before:
            loop.call_soon_threadsafe(found.mqtt.sweep, loop.time())
            time.sleep(0.01)
        loop.call_soon_threadsafe(lost.set)
        return answers

    before = len(found.mqtt.sessions)
    client = await Client.open(found.port)
    desk._admit = admit_too_late
    client.send(Connect(CAR, username=CAR, password=found.token().encode()))
    await lost.wait()


async def _be_refused(found: Site) -> None:
    client = await Client.open(found.port)
    hello = Connect(CAR, username=CAR, password=found.token().encode(), will=FORBIDDEN)
    answer = await client.ask(hello)
    assert isinstance(answer, Connack)
    assert answer.reason == Reason.NOT_AUTHORIZED


@pytest.mark.parametrize("attempt", [_go_away, _be_refused])
@pytest.mark.parametrize("there", [False, True])
def test_a_connect_that_leads_to_no_connection_costs_no_session(
    server: NatsServer, tmp_path: Path, attempt: Callable[[Site], Awaitable[None]], there: bool
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            car = await persistent(found)
            if not there:
                car.drop()
                await until(lambda: len(found.mqtt.states) == 1)
            for _ in range(2):
                await attempt(found)
            assert resumed(await persistent(found))

    run(check())


def test_a_waiting_session_and_a_will_that_is_not_due_end_with_a_connection_elsewhere(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with two(server, tmp_path) as (one, other):
            will = Will(SIGNALS, b"gone", properties=Properties(will_delay=60))
            car = await persistent(one, will=will)
            car.drop()
            await until(lambda: len(one.mqtt._wills) == 1)
            there = await persistent(other)
            await until(lambda: not one.mqtt._wills and not len(one.mqtt.states))
            assert one.mqtt.mqtt.wills == 0
            there.drop()

    run(check())


def test_a_command_on_its_way_to_an_old_connection_follows_the_vehicle(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with two(server, tmp_path) as (one, other):
            old = await persistent(one)
            await old.ask(ALL)
            session = one.role.roster.vehicles[CAR].session
            new = await persistent(other)
            await new.ask(ALL)
            # Put for the old connection before it has ended, and told to it after that.
            assert isinstance(await old.get(), Disconnect)
            reports: list[object] = []
            order = Order("1", "locate", {}, now_us() + 60 * SECOND)
            one.outgoing.send(T, CAR, f"v1/{CAR}/commands", b"locate", actor="t")
            session.deliver(order, reports.append)
            assert b"locate" in await taken(new)
            assert await old.get() is None
            assert reports == []

    run(check())
