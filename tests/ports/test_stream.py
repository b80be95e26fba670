"""One suite for the stream port, run on every engine behind it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.kill.driving import halted
from tests.ports.free import free_port, free_ports

from carcloud.engines.stream_nats import Member, NatsServer, NatsStream
from carcloud.engines.stream_nats.asker import Asker
from carcloud.engines.stream_nats.link import ApiError
from carcloud.engines.stream_nats.stream import _ensure_until
from carcloud.model.ids import Tenant
from carcloud.model.streams import STREAMS, subjects_of
from carcloud.ports.errors import Full, Refused, Unavailable
from carcloud.ports.stream import Message, Stream

SUBJECT = "frames.default.gbt32960"
USER, PASSWORD = "carcloud", 'the "word" of $ecrecy'
ROOM = 1024 * 1024 * 1024  # bytes
PATIENT_S, HASTY_S = 60.0, 5.0  # for an answer: of a busy disk, and of servers that are killed

Test = Callable[[NatsStream], Awaitable[None]]


class Cluster:
    """Three servers on one machine that keep every message three times."""

    replicas = 3

    def __init__(self, folder: Path) -> None:
        ports = free_ports(3)
        self.servers = [
            NatsServer.start(
                folder / f"node-{number}",
                port=free_port(),
                user=USER,
                password=PASSWORD,
                max_bytes=ROOM,
                member=Member(f"node-{number}", port, tuple(p for p in ports if p != port)),
            )
            for number, port in enumerate(ports)
        ]
        for server in self.servers:
            server.ready()

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{server.port}" for server in self.servers)

    def kill(self, number: int) -> None:
        self.servers[number].kill()

    def restart(self, number: int) -> None:
        self.servers[number] = self.servers[number].restart().ready()

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path)
    yield running
    running.stop()


@pytest.fixture(params=["one server", "three servers"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["NatsServer | Cluster"]:
    """What tests run on that kill nothing."""
    if request.param == "one server":
        with start(tmp_path / "nats", ROOM) as running:
            yield running
    else:
        shared: Cluster = request.getfixturevalue("shared_cluster")
        yield shared
        asyncio.run(forget(shared))


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.stop()


async def forget(cluster: Cluster) -> None:
    """Sequences begin at 1 for the next test."""
    async with connected(cluster) as stream:
        for name in ("FRAMES", "EVENTS", "USAGE", "POSITIONS"):
            await stream._link.api(f"STREAM.DELETE.{name}", {})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with start(tmp_path / "nats", ROOM) as running:
        yield running


def start(store: Path, room: int) -> NatsServer:
    """On a port that nobody takes while it is away."""
    return NatsServer.start(store, port=free_port(), user=USER, password=PASSWORD, max_bytes=room)


@asynccontextmanager
async def connected(
    server: NatsServer | Cluster, room: int = ROOM, call_s: float = PATIENT_S
) -> AsyncIterator[NatsStream]:
    cluster = isinstance(server, Cluster)
    stream = await NatsStream.connect(
        server.url if cluster else f"nats://127.0.0.1:{server.port}",
        user=USER,
        password=PASSWORD,
        max_bytes=room,
        replicas=3 if cluster else 1,
        timeout_s=30,
        call_s=call_s,
    )
    try:
        yield stream
    finally:
        await stream.close()


def run(server: NatsServer | Cluster, test: Test, call_s: float = PATIENT_S) -> None:
    async def scene() -> None:
        async with connected(server, call_s=call_s) as stream:
            await test(stream)

    asyncio.run(scene())


async def take(stream: Stream, reader: str, count: int, batch: int = 10) -> list[Message]:
    """The first `count` messages of one read; fewer if they do not come in half a minute."""
    found: list[Message] = []
    lists = stream.read("FRAMES", reader, batch=batch, wait_s=1.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            async for messages in lists:
                assert len(messages) <= batch
                found += messages
                if len(found) >= count:
                    break
    await lists.aclose()  # type: ignore[attr-defined]
    return found


async def begins_with(stream: NatsStream, seqs: list[int]) -> None:
    """A new reader gets these first. Of three servers the one that serves it may free what was
    released a moment later than the one that answered."""
    found: list[int] = []
    attempts = iter(range(100))
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while found != seqs:
                reader = f"new-{next(attempts)}-{seqs[0]}"
                found = [message.seq for message in await take(stream, reader, len(seqs))]
    assert found == seqs


def test_reads_what_was_published_in_order(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        seqs = [await stream.publish(SUBJECT, b"%d" % i, f"m{i}") for i in range(25)]
        assert seqs == list(range(1, 26))
        found = await take(stream, "a", 25)
        assert [m.seq for m in found] == seqs
        assert [m.data for m in found] == [b"%d" % i for i in range(25)]
        assert {m.subject for m in found} == {SUBJECT}

    run(anywhere, test)


def test_same_message_id_is_kept_once(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        first = await stream.publish(SUBJECT, b"x", "same")
        assert await stream.publish(SUBJECT, b"x", "same") == first
        assert (await stream.info("FRAMES")).messages == 1

    run(anywhere, test)


def test_unconfirmed_comes_again_and_confirmed_does_not(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        for i in range(10):
            await stream.publish(SUBJECT, b"%d" % i, f"m{i}")
        assert await stream.confirmed("FRAMES", "a") == 0
        assert [m.seq for m in await take(stream, "a", 10, batch=4)] == list(range(1, 11))
        assert [m.seq for m in await take(stream, "a", 10)] == list(range(1, 11))
        await stream.confirm("FRAMES", "a", 6)
        await stream.confirm("FRAMES", "a", 3)
        assert await stream.confirmed("FRAMES", "a") == 6
        assert [m.seq for m in await take(stream, "a", 4)] == [7, 8, 9, 10]
        assert [m.seq for m in await take(stream, "b", 10)] == list(range(1, 11))

    run(anywhere, test)


def test_empty_list_after_waiting_then_what_comes_later(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        lists = stream.read("FRAMES", "a", batch=10, wait_s=0.2)
        assert await anext(lists) == []
        await stream.publish(SUBJECT, b"late", "m")
        late: list[Message] = []
        while not late:
            late = await anext(lists)
        assert late[0].data == b"late"
        await lists.aclose()

    run(anywhere, test)


def test_large_blocks_exceed_the_bytes_fetched_ahead(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        block = os.urandom(7_500_000)
        for i in range(6):  # 45 MB in one request for 32 MB
            await stream.publish(SUBJECT, block, f"m{i}")
        found = await take(stream, "a", 6, batch=100)
        assert [m.seq for m in found] == [1, 2, 3, 4, 5, 6]
        assert all(m.data == block for m in found)
        with pytest.raises(ValueError, match="too large"):
            await stream.publish(SUBJECT, bytes(9_000_000), "huge")

    run(anywhere, test)


def test_release_frees_and_reading_goes_on_after_it(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        for i in range(10):
            await stream.publish(SUBJECT, b"%d" % i, f"m{i}")
        await stream.release("FRAMES", 4)
        extent = await stream.info("FRAMES")
        assert (extent.first_seq, extent.last_seq, extent.messages) == (5, 10, 6)
        await begins_with(stream, [5, 6, 7, 8, 9, 10])
        await stream.release("FRAMES", 99)
        extent = await stream.info("FRAMES")
        assert (extent.first_seq, extent.last_seq, extent.messages) == (100, 99, 0)
        assert await stream.publish(SUBJECT, b"next", "n") == 100
        await begins_with(stream, [100])

    run(anywhere, test)


def test_broadcast_reaches_listeners_until_they_stop(anywhere: NatsServer | Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

        async def on_message(subject: str, data: bytes) -> None:
            heard.put_nowait((subject, data))

        stop = await stream.listen("live.*", on_message)
        await stream.info("FRAMES")  # a round trip: the subscription is known
        await stream.broadcast("live.default", b"rows")
        assert await asyncio.wait_for(heard.get(), 30) == ("live.default", b"rows")
        await stop()
        await stream.broadcast("live.default", b"more")
        await stream.info("FRAMES")
        assert heard.empty()
        assert (await stream.info("FRAMES")).messages == 0

    run(anywhere, test)


def test_full_stream_refuses_and_release_makes_room(tmp_path: Path) -> None:
    room = 1_000_000

    async def scene(server: NatsServer) -> None:
        async with connected(server, room) as stream:
            kept = 0
            with pytest.raises(Full):
                for i in range(100):
                    kept = await stream.publish(SUBJECT, bytes(100_000), f"m{i}")
            assert (await stream.info("FRAMES")).messages == kept > 5
            await stream.confirm("FRAMES", "a", kept)  # positions have their own room
            await stream.release("FRAMES", kept)
            assert await stream.publish(SUBJECT, bytes(100_000), "again") == kept + 1

    with start(tmp_path / "nats", room) as server:
        asyncio.run(scene(server))


def test_wrong_password_and_absent_server_are_unavailable(server: NatsServer) -> None:
    async def dial(url: str, password: str) -> None:
        await NatsStream.connect(url, user=USER, password=password, max_bytes=ROOM, timeout_s=0.5)

    with pytest.raises(Unavailable):
        asyncio.run(dial(f"nats://127.0.0.1:{server.port}", "wrong"))
    with pytest.raises(Unavailable):
        asyncio.run(dial("nats://127.0.0.1:9", PASSWORD))


def test_calls_fail_while_the_server_is_away_and_work_after(server: NatsServer) -> None:
    async def test(stream: NatsStream) -> None:
        await lasting(lambda: stream.publish(SUBJECT, b"before", "m1"))
        heard = asyncio.Event()

        async def on_message(subject: str, data: bytes) -> None:
            heard.set()

        await stream.listen("live.default", on_message)
        server.kill()
        with pytest.raises(Unavailable):
            await stream.publish(SUBJECT, b"away", "m2")
        with server.restart() as again:
            assert again.port == server.port
            assert await lasting(lambda: stream.publish(SUBJECT, b"after", "m3")) in (2, 3)
            assert await lasting(lambda: stream.publish(SUBJECT, b"before", "m1")) == 1
            while not heard.is_set():
                await stream.broadcast("live.default", b"")
                await asyncio.sleep(0.01)

    run(server, test, HASTY_S)


def test_reading_begins_when_the_position_can_be_told(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(stream: NatsStream) -> None:
        await lasting(lambda: stream.publish(SUBJECT, b"kept", "m1"))
        server.kill()
        lists = stream.read("FRAMES", "a", batch=10, wait_s=1.0)
        for _ in range(2):
            assert await anext(lists) == []
        with server.restart():
            async with asyncio.timeout(30):
                while not (found := await anext(lists)):
                    pass
            assert [message.data for message in found] == [b"kept"]
            await lists.aclose()  # type: ignore[attr-defined]

    run(server, test, 0.5)
    told = [record.getMessage() for record in caplog.records if "cannot read" in record.msg]
    assert len(told) == 1
    assert told[0].startswith("a cannot read FRAMES yet")


def test_a_reader_does_not_wait_for_positions_that_nobody_makes(server: NatsServer) -> None:
    async def test(stream: NatsStream) -> None:
        await stream.publish(SUBJECT, b"kept", "m1")
        await stream._link.api("STREAM.DELETE.POSITIONS", {})
        with pytest.raises(Unavailable, match="stream not found"):
            await anext(stream.read("FRAMES", "a", batch=10, wait_s=1.0))
        async with connected(server):  # makes what is missing
            assert [message.data for message in await take(stream, "a", 1)] == [b"kept"]

    run(server, test)


def test_a_stream_that_cannot_be_read_is_told_once(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(stream: NatsStream) -> None:
        await stream._link.api("STREAM.DELETE.FRAMES", {})
        lists = stream.read("FRAMES", "a", batch=10, wait_s=0.3)
        for _ in range(2):
            assert await anext(lists) == []
        await lists.aclose()  # type: ignore[attr-defined]

    run(server, test)
    told = [record.getMessage() for record in caplog.records if "not read" in record.msg]
    assert len(told) == 1
    assert "stream FRAMES: stream not found" in told[0]


def test_a_message_that_is_too_large_for_its_stream_is_refused(server: NatsServer) -> None:
    async def test(stream: NatsStream) -> None:
        config = (await stream._link.api("STREAM.INFO.EVENTS", {}))["config"]
        await stream._link.api("STREAM.UPDATE.EVENTS", config | {"max_msg_size": 1000})
        with pytest.raises(Refused, match="size"):
            await stream.publish("events.default.vehicles.sessions", bytes(1001), "m1")
        assert await stream.publish("events.default.vehicles.sessions", bytes(500), "m2") == 1

    run(server, test)


def test_a_subject_that_cannot_be_heard_is_told(server: NatsServer) -> None:
    async def on_message(subject: str, data: bytes) -> None:
        raise AssertionError(subject)

    async def test(stream: NatsStream) -> None:
        before = set(stream._link._listeners)
        with pytest.raises(Unavailable, match="subject"):
            await stream.listen("live..default", on_message)
        assert set(stream._link._listeners) == before

    run(server, test)


@pytest.mark.soak
def test_connecting_takes_no_longer_than_was_said(server: NatsServer) -> None:
    """The client's connection is there before the server stands still."""

    async def test(stream: NatsStream) -> None:
        config = (await stream._link.api("STREAM.INFO.EVENTS", {}))["config"]
        begun = time.monotonic()
        with halted(server.process.pid), pytest.raises(Unavailable, match="no time is left"):
            await _ensure_until(stream._link, config, 60, asyncio.get_running_loop().time() + 0.5)
        assert time.monotonic() - begun < 20

    run(server, test)


def test_who_listens_as_the_connection_ends_hears_once_it_is_back(server: NatsServer) -> None:
    async def test(stream: NatsStream) -> None:
        heard = asyncio.Event()

        async def on_message(subject: str, data: bytes) -> None:
            heard.set()

        await stream._link._client.close()
        stream._link._up.set()  # as before the loss is told
        await stream.listen("live.default", on_message)
        stream._link._up.clear()
        async with asyncio.timeout(30):
            while not heard.is_set():
                with suppress(Unavailable):
                    await stream.broadcast("live.default", b"")
                await asyncio.sleep(0.01)

    run(server, test)


def test_a_question_is_given_up_after_as_long_as_was_said(server: NatsServer) -> None:
    async def test() -> None:
        async with connected(server, call_s=60) as patient, connected(server, call_s=0.3) as hasty:
            with halted(server.process.pid):
                waiting = asyncio.create_task(patient.publish(SUBJECT, b"x", "1"))
                with pytest.raises(Unavailable, match=r"no answer .* in 0\.3 s"):
                    await hasty.publish(SUBJECT, b"y", "2")
            assert await waiting in (1, 2)

    asyncio.run(test())


@pytest.mark.soak
def test_without_two_of_three_nothing_is_acknowledged(cluster: Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        assert await lasting(lambda: stream.publish(SUBJECT, b"three", "m1")) == 1
        cluster.kill(1)
        assert await lasting(lambda: stream.publish(SUBJECT, b"two", "m2")) == 2
        cluster.kill(2)
        with pytest.raises(Unavailable):
            await stream.publish(SUBJECT, b"one", "m3")
        cluster.restart(1)
        assert await lasting(lambda: stream.publish(SUBJECT, b"one", "m3")) == 3
        await lasting(lambda: stream.confirmed("FRAMES", "a"))
        found: list[Message] = []
        async with asyncio.timeout(60):
            while not found:  # the servers may not have agreed on the reader's leader yet
                with suppress(Unavailable):
                    found = await take(stream, "a", 3)
        assert [m.data for m in found] == [b"three", b"two", b"one"]

    run(cluster, test, HASTY_S)


@pytest.mark.soak
def test_a_role_that_begins_as_a_leader_ends_waits_for_the_next(cluster: Cluster) -> None:
    async def test(stream: NatsStream) -> None:
        found = await stream._link.api("STREAM.INFO.FRAMES", {})
        cluster.kill(int(found["cluster"]["leader"].removeprefix("node-")))
        async with connected(cluster, call_s=HASTY_S) as fresh:  # as long as a role waits
            assert await lasting(lambda: fresh.publish(SUBJECT, b"one", "m1")) == 1

    run(cluster, test)


async def caught_up(stream: NatsStream) -> None:
    """Two servers have all that the one that leads has: it may go next."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable, ApiError):
                found = await stream._link.api("STREAM.INFO.FRAMES", {})
                others = found["cluster"].get("replicas", [])
                if [other["current"] for other in others] == [True, True]:
                    return
            await asyncio.sleep(0.1)


async def lasting(call: Callable[[], Awaitable[int]]) -> int:
    """The answer, once the servers have agreed who leads."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.1)


class Load:
    """Four writers and a reader that go on while servers are killed and started again."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.found: list[Message] = []
        self.done = False

    async def run(self, stream: NatsStream, kill: Callable[[], Awaitable[None]]) -> None:
        writers = [self._write(stream, writer) for writer in range(4)]
        await asyncio.gather(self._read(stream), self._until(kill), *writers)

    async def _until(self, kill: Callable[[], Awaitable[None]]) -> None:
        await kill()
        await self.more(10)
        self.done = True

    async def more(self, count: int) -> None:
        """Returns when `count` more messages are acknowledged."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.01)

    async def _write(self, stream: NatsStream, writer: int) -> None:
        number = 0
        while not self.done:
            data = b"%d-%d-" % (writer, number) + bytes(40_000)
            try:
                seq = await stream.publish(SUBJECT, data, f"{writer}-{number}")
            except Unavailable:
                await asyncio.sleep(0.01)
                continue
            assert seq not in self.acknowledged
            self.acknowledged[seq] = data
            number += 1

    async def _read(self, stream: NatsStream) -> None:
        async for messages in stream.read("FRAMES", "ingest", batch=20, wait_s=0.5):
            self.found.extend(messages)
            if messages and messages[-1].seq % 7 == 0:
                await asyncio.sleep(0.01)
            last = self.found[-1].seq if self.found else 0
            if self.done and not messages and last >= max(self.acknowledged):
                return

    def check(self) -> None:
        """Every message that was acknowledged was read, in order and once."""
        seqs = [m.seq for m in self.found]
        assert seqs == list(range(1, len(seqs) + 1))
        by_seq = {m.seq: m.data for m in self.found}
        assert len(self.acknowledged) > 50
        assert {seq: by_seq.get(seq) for seq in self.acknowledged} == self.acknowledged
        assert len({m.data for m in self.found}) == len(self.found), "a message was kept twice"


def test_questions_go_over_it_and_around_it(server: NatsServer) -> None:
    """An `Asker` has the questions where it is up; the library's connection has them else."""

    async def test(stream: NatsStream) -> None:
        first = await asker_of(stream)
        assert await stream.publish(SUBJECT, b"over it", "m1") == 1
        assert first._count > 0
        first.close()
        assert await stream.publish(SUBJECT, b"around it", "m2") == 2
        second = await asker_of(stream)
        assert second is not first
        assert await stream.publish(SUBJECT, b"over it, again", "m2") == 2  # the same id
        assert await stream.publish(SUBJECT, b"x" * 300_000, "m3") == 3

    run(server, test)


async def asker_of(stream: NatsStream) -> Asker:
    async with asyncio.timeout(30):
        while (asker := stream._link._asker) is None or not asker.up:
            await asyncio.sleep(0.01)
    return asker


def test_kill_under_load_loses_and_repeats_nothing(server: NatsServer) -> None:
    load, running = Load(), [server]

    async def kill() -> None:
        for _ in range(3):
            await load.more(20)
            running[0].kill()
            await asyncio.sleep(0.1)
            running[0] = running[0].restart().ready()

    try:
        run(server, lambda stream: load.run(stream, kill), HASTY_S)
    finally:
        running[0].stop()
    load.check()


@pytest.mark.soak
def test_any_server_of_a_cluster_may_be_killed(cluster: Cluster) -> None:
    """Each in turn, one at a time; how soon writing and reading go on is for the benchmark of
    clusters to judge: this machine may be busy."""
    load = Load()
    pauses: list[float] = []

    async def test(stream: NatsStream) -> None:
        async def kill() -> None:
            await load.more(50)
            for number in range(3):
                cluster.kill(number)
                began, before = time.monotonic(), (len(load.acknowledged), len(load.found))
                while len(load.acknowledged) == before[0] or len(load.found) == before[1]:
                    await asyncio.sleep(0.02)
                    assert time.monotonic() - began < 60
                pauses.append(time.monotonic() - began)
                await asyncio.sleep(0.5)
                cluster.restart(number)
                await asyncio.sleep(1)
                await caught_up(stream)

        await load.run(stream, kill)

    run(cluster, test, HASTY_S)
    print("writing and reading went on after", [f"{pause:.2f} s" for pause in pauses])
    load.check()


def test_server_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from carcloud.engines.stream_nats import NatsServer\n"
        "s = NatsServer.start(Path(sys.argv[1]), user='u', password='p', max_bytes=1 << 20)\n"
        "print(s.ready().process.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "nats")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < deadline, "nats-server outlives its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # whoever adopted it may not have collected it yet


def test_credentials_stay_out_of_sight(server: NatsServer) -> None:
    command = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    assert PASSWORD.encode() not in command
    for file in server.options.store.iterdir():
        if file.is_file() and b"ecrecy" in file.read_bytes():
            assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.skipif(sys.platform != "linux", reason="says which ports connections get")
def test_no_connection_gets_the_port_of_a_server_that_is_away(tmp_path: Path) -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    free = NatsServer.start(tmp_path / "nats", user=USER, password=PASSWORD, max_bytes=ROOM)
    with free as server:
        assert server.port < int(given[0])


def test_a_port_that_somebody_took_meanwhile_is_changed_for_another(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = iter((server.port, server.port, free := free_port()))
    monkeypatch.setattr("carcloud.engines.stream_nats.server._quiet_port", lambda: next(chosen))
    other = NatsServer.start(tmp_path / "other", user=USER, password=PASSWORD, max_bytes=ROOM)
    try:
        assert other.ready().port == free
        asyncio.run(_publish_once(other))
        other.kill()
        other = other.restart().ready()
        assert other.port == free
    finally:
        other.stop()


def test_second_server_on_the_same_port_says_why(server: NatsServer, tmp_path: Path) -> None:
    other = NatsServer.start(
        tmp_path / "other", port=server.port, user="u", password="p", max_bytes=1 << 20
    )
    with pytest.raises(Unavailable, match=r"ended with 1: .*address already in use"):
        other.ready()


def test_a_full_disk_is_noticed_and_a_restart_resumes(tmp_path: Path) -> None:
    """On a file system of 8 MB; making one needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(4_000_000))
    server = start(disk / "nats", ROOM).ready()
    try:
        kept = asyncio.run(_fill(server))
        deadline = time.monotonic() + 20
        while not server.write_failed():
            assert time.monotonic() < deadline, "a full disk is not noticed"
            time.sleep(0.05)
        ballast.unlink()
        server = server.restart().ready()
        assert not server.write_failed()
        assert asyncio.run(_publish_once(server)) == kept + 1
    finally:
        server.stop()
        subprocess.run(["umount", str(disk)], check=True)


async def _fill(server: NatsServer) -> int:
    kept = 0
    async with connected(server, call_s=HASTY_S) as stream:
        with pytest.raises((Full, Unavailable)):
            for i in range(100):
                kept = await stream.publish(SUBJECT, os.urandom(200_000), f"m{i}")
        assert (await stream.info("FRAMES")).last_seq == kept
    return kept


async def _publish_once(server: NatsServer) -> int:
    async with connected(server) as stream:
        return await stream.publish(SUBJECT, b"again", "again")


def test_messages_of_a_subject_are_erased_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "nats"
    mark, other = b"zqx-erase-me", b"zqx-keep-me"

    def found(text: bytes) -> bool:
        return any(text in bytes_of(file) for file in folder.rglob("*") if file.is_file())

    def bytes_of(file: Path) -> bytes:
        try:
            return file.read_bytes()
        except FileNotFoundError:  # the server writes some of its files anew
            return b""

    async def scene(server: NatsServer) -> None:
        async with connected(server, ROOM) as stream:
            for i in range(5):
                await stream.publish("frames.gone.gbt32960", mark + b"%d" % i, f"g{i}")
                await stream.publish("frames.stays.gbt32960", other + b"%d" % i, f"s{i}")
            assert found(mark) and found(other)
            assert await stream.holds("FRAMES", "frames.gone.*") == 5
            assert await stream.erase("FRAMES", "frames.gone.*") == 5
            assert await stream.holds("FRAMES", "frames.gone.*") == 0
            assert await stream.erase("FRAMES", "frames.gone.*") == 0
            assert found(other) and not found(mark)
            assert [m.seq for m in await take(stream, "a", 5)] == [2, 4, 6, 8, 10]

    with start(folder, ROOM) as server:
        asyncio.run(scene(server))
    assert {spec.name for spec in STREAMS if spec.durable} == subjects_of(Tenant("a")).keys()
