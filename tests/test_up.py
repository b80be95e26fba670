"""`carcloud up` as a person uses it: start, sign in, ask, stop."""

import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsServer
from carcloud.rundir import RunDir
from carcloud.supervisor import StartFailed, Supervisor

# A cloud that starts for the first time compiles its decoders.
pytestmark = pytest.mark.timeout(300)

CARCLOUD = [sys.executable, "-m", "carcloud"]
PORTS = [
    f"--set={name}=0"
    for name in (
        "web.port",
        "storage.port",
        "gateway.gbt32960.port",
        "gateway.jt808.port",
        "gateway.mqtt.port",
    )
]


def up(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CARCLOUD, *PORTS, "up", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def told(process: subprocess.Popen[str]) -> str:
    """What it prints until it says how to stop it."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)
    assert process.stderr is not None
    raise AssertionError("".join(lines) + process.stderr.read())


def carcloud(data: Path, *words: str) -> str:
    done = subprocess.run(
        [*CARCLOUD, "--set", f"data={data}", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 0


def test_start_sign_in_ask_stop_and_start_again(tmp_path):
    process = up(tmp_path)
    try:
        words = told(process)
        url = re.search(r"http://127\.0\.0\.1:\d+", words)
        admin = re.search(r"user (\S+), password (\S+)", words)
        assert url is not None and admin is not None
        assert re.search(r"Buckets +http://127\.0\.0\.1:\d+ \(S3\)", words)
        with httpx.Client(base_url=url[0]) as http:
            assert http.get("/healthz").status_code == 200
            assert http.get("/readyz").status_code == 200
            assert http.get("/v1/status").status_code == 401
            session = {"user": admin[1], "password": admin[2]}
            assert http.post("/v1/session", json=session).is_success
            assert http.get("/v1/status").json()["connected"] == 0
        carcloud(tmp_path, "vehicles", "add", "LTESTVNA4A0000101")
        assert "LTESTVNA4A0000101" in carcloud(tmp_path, "vehicles", "list")
        assert "gateway" in carcloud(tmp_path, "status")
        second = up(tmp_path)
        assert second.wait(100) == 1
        assert second.stderr is not None
        assert "another carcloud runs" in second.stderr.read()
        for file in ("stream.json", "web.json", "settings.toml"):
            assert (tmp_path / "run" / file).stat().st_mode & 0o077 == 0
        stop(process)
    finally:
        process.kill()
        process.wait()
    again = up(tmp_path)
    try:
        words = told(again)
        assert "password" not in words
        wait_for(lambda: "LTESTVNA4A0000101" in carcloud(tmp_path, "vehicles", "list"))
        stop(again)
    finally:
        again.kill()
        again.wait()


def test_a_closed_terminal_stops_it_in_good_order(tmp_path):
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*CARCLOUD, *PORTS, "up", "--data", str(tmp_path), "--roles", "gateway"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one system call
    )
    os.close(end)
    words = b""
    while b"Ctrl-C" not in words:
        words += os.read(terminal, 4096)
    os.close(terminal)
    assert process.wait(100) == 0
    assert not (tmp_path / "run" / "stream.json").exists()


def test_a_signal_while_it_starts_stops_it_in_good_order(tmp_path):
    process = up(tmp_path)
    try:
        while not (tmp_path / "run" / "stream.json").exists():  # the stream runs, roles start
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 1
        assert process.stderr is not None
        assert "asked to stop before it was ready" in process.stderr.read()
        assert not (tmp_path / "run" / "stream.json").exists()
    finally:
        process.kill()
        process.wait()


def test_a_signal_while_the_stream_server_starts_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(Settings({"data": str(tmp_path)}), ())

    def serves(_server: NatsServer) -> bool:
        """Not yet; and somebody has asked to stop."""
        supervisor._on_signal(signal.SIGTERM, None)
        return False

    monkeypatch.setattr(NatsServer, "_serves", serves)
    with pytest.raises(StartFailed, match="asked to stop"):
        supervisor.start_stream()
    assert supervisor.server is not None
    process = supervisor.server.process
    supervisor.stop()
    assert process.returncode is not None


def test_a_host_without_the_role_says_so(tmp_path: Path) -> None:
    supervisor = Supervisor(Settings({"data": str(tmp_path)}), ())
    supervisor.run.claim()
    supervisor.run.ask("web")
    supervisor.tend()
    assert supervisor.run.answered("web") == "no web process runs on this machine"
    supervisor.stop()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def failed_start(data: Path, *given: str) -> tuple[str, str]:
    """(what it printed, its error) of an `up` that cannot start."""
    done = subprocess.run(
        [*CARCLOUD, *PORTS, *given, "up", "--data", str(data)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("Error:")
    return done.stdout, error


def test_a_taken_port_is_told_in_one_line_before_anything_is_made(tmp_path, taken_port):
    _, error = failed_start(tmp_path, f"--set=gateway.gbt32960.port={taken_port}")
    assert str(taken_port) in error
    assert not (tmp_path / "records.sqlite").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no two sockets bind to a port so")
def test_nobody_else_gets_the_ports_of_gateways_before_they_listen_or_while_they_restart(tmp_path):
    given = {f"gateway.{name}.port": 0 for name in ("gbt32960", "jt808", "mqtt")}
    settings = Settings({"data": str(tmp_path), **given})
    prepare(settings)
    supervisor = Supervisor(settings, ("gateway",))
    try:
        supervisor.start()
        ports = [supervisor.settings.whole(name) for name in given]
        gateway = supervisor.children["gateway"].process
        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait(60)
        for port in ports:
            for reuse in (False, True):  # as another carcloud does
                with pytest.raises(OSError, match="in use"), socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                    other.bind(("127.0.0.1", port))
        deadline = time.monotonic() + 60
        while not supervisor.run.ready("gateway", supervisor.pids()["gateway"]):
            assert time.monotonic() < deadline
            supervisor.tend()
            time.sleep(0.05)
        facts = supervisor.run.facts("gateway")
        assert [facts[name.split(".")[1]]["port"] for name in given] == ports
    finally:
        supervisor.stop()
    for port in ports:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))


def with_mqtt(data: Path, port: int, **given: int) -> Supervisor:
    """One of which only the listener of MQTT has a port of vehicles."""
    off = {"gateway.gbt32960.port": -1, "gateway.jt808.port": -1, "storage.port": 0}
    return Supervisor(Settings({"data": str(data), "gateway.mqtt.port": port, **off, **given}))


def opened(*options: int, port: int = 0) -> socket.socket:
    bound = socket.socket()
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def test_connections_of_an_earlier_program_in_time_wait_keep_no_port_from_a_gateway(tmp_path):
    with opened(socket.SO_REUSEADDR) as earlier:
        earlier.listen()
        address = earlier.getsockname()
        with socket.create_connection(address) as client:
            earlier.accept()[0].close()
            assert client.recv(1) == b""
    supervisor = with_mqtt(tmp_path, address[1])
    try:
        supervisor._settle_port()
        with opened(socket.SO_REUSEADDR, socket.SO_REUSEPORT, port=address[1]) as gateway:
            gateway.listen()
    finally:
        supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no two sockets bind to a port so")
def test_of_two_that_have_bound_to_a_port_one_gets_it_and_the_other_is_told(tmp_path):
    with opened(socket.SO_REUSEADDR) as other:
        port = other.getsockname()[1]
        supervisor = with_mqtt(tmp_path, port)
        try:
            supervisor._settle_port()
            with pytest.raises(OSError, match="in use"):
                other.listen()
            with pytest.raises(StartFailed, match=str(port)):
                with_mqtt(tmp_path, port)._settle_port()
        finally:
            supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no two sockets bind to a port so")
def test_clouds_that_start_at_once_do_not_share_a_port(tmp_path):
    both = threading.Barrier(2, timeout=30)
    got: list[int] = []  # rounds

    def start(port: int) -> None:
        for number in range(200):
            supervisor = with_mqtt(tmp_path, port)
            both.wait()
            with suppress(StartFailed):
                supervisor._settle_port()
                got.append(number)
            both.wait()
            supervisor.stop()

    with opened(socket.SO_REUSEADDR) as bound:  # so that nobody is given the port meanwhile
        port = bound.getsockname()[1]
        threads = [threading.Thread(target=start, args=(port,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not both.broken  # nothing but `StartFailed` was raised
    assert got
    assert len(got) == len(set(got))


def test_a_start_that_fails_holds_no_port(tmp_path, taken_port):
    supervisor = with_mqtt(tmp_path, 0, **{"web.port": taken_port})
    with pytest.raises(StartFailed, match=str(taken_port)):
        supervisor.call()
    assert not supervisor._bound
    RunDir(tmp_path).claim()


def test_a_start_that_fails_later_tells_the_password_it_made(tmp_path, taken_port):
    printed, _ = failed_start(tmp_path, f"--set=stream.port={taken_port}")
    assert "password" in printed  # the next start makes no other


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; that of a fork is one word with spaces."""
    try:
        return " ".join(process.cmdline()).split()
    except psutil.Error:
        return []


def processes_of(data: Path) -> dict[int, list[str]]:
    found = {one.pid: words_of(one) for one in psutil.process_iter()}
    return {pid: words for pid, words in found.items() if str(data) in words}


def roles_of(data: Path) -> dict[str, psutil.Process]:
    found = {}
    for pid, words in processes_of(data).items():
        if "role" in words:
            with suppress(psutil.NoSuchProcess):  # it has just ended
                found[words[words.index("role") + 1]] = psutil.Process(pid)
    return found


def test_roles_are_forks_that_let_go_and_die_with_their_supervisor(tmp_path):
    process = up(tmp_path)
    try:
        told(process)
        roles = roles_of(tmp_path)
        assert set(roles) == {"gateway", "ingest", "web", "jobs"}
        lock = (tmp_path / "run" / "lock").resolve()
        for name, role in roles.items():
            assert os.getsid(role.pid) == role.pid  # Ctrl-C is for the supervisor to handle
            assert lock not in [Path(file.path) for file in role.open_files()]
            listening = {c.laddr.port for c in role.net_connections("tcp") if c.status == "LISTEN"}
            assert bool(listening) == (name in ("gateway", "web"))
            assert role.ppid() == process.pid
        roles["jobs"].kill()  # the next one is a new interpreter
        wait_for(lambda: roles_of(tmp_path).get("jobs", roles["jobs"]) != roles["jobs"])
    finally:
        process.kill()  # with no chance to end them
        process.wait(30)
    wait_for(lambda: not any("carcloud" in words for words in processes_of(tmp_path).values()))


def test_a_new_stream_goes_on_where_the_lake_is(tmp_path):
    import asyncio
    import shutil

    from carcloud.app.continuity import go_on
    from carcloud.app.engines import open_engines, open_lake
    from carcloud.app.first_start import prepare
    from carcloud.config import Settings
    from carcloud.model.ids import DEFAULT_TENANT
    from carcloud.ports.lake import TableRef
    from carcloud.rundir import RunDir

    settings = Settings({"data": str(tmp_path)})
    run = RunDir(tmp_path)
    run.claim()
    prepare(settings)
    import pyarrow as pa

    rows = pa.table(
        {
            "vehicle": ["x"],
            "time": pa.array([0], pa.timestamp("us", "UTC")),
            "seq": pa.array([1000], pa.int64()),
        }
    )
    table = TableRef(DEFAULT_TENANT, "signals")
    open_lake(settings).append(table, rows, writer="ingest", seq=1000)

    async def publish() -> int:
        engines = await open_engines(settings)
        seq = await engines.stream.publish("frames.default.gbt32960", b"x", "1")
        await engines.close()
        return seq

    for expected in (1001, 1001):  # also after the stream is taken away once more
        server = NatsServer.start(tmp_path / "stream", user="u", password="p", max_bytes=20 * 10**9)
        server.ready()
        run.write_stream(f"nats://127.0.0.1:{server.port}", "u", "p")
        assert go_on(settings) == 1000
        assert asyncio.run(publish()) == expected
        server.stop()
        shutil.rmtree(tmp_path / "stream")
