"""`carcloud up`: starts the stream server and the roles as processes of their own, restarts
those that end, and stops all in good order.

Children die with their supervisor, however it ends. What processes must know of each other
(ports, the stream's credentials) lies in `<data>/run`, readable by the owner only.
"""

import logging
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from carcloud.app.continuity import go_on
from carcloud.app.roles import load_shared, play
from carcloud.config import InvalidSetting, Settings
from carcloud.engines.stream_nats import NatsServer
from carcloud.ports.errors import EngineError
from carcloud.role_process import CAN_FORK, Gate, Part, RoleProcess, fork, spawn
from carcloud.rundir import RunDir

log = logging.getLogger(__name__)

ROLES = ("gateway", "ingest", "web", "jobs")
REPLACEABLE = ("web", "gateway")  # without a gap
_SLOWEST = ("web", "ingest", "jobs", "gateway")  # to start
_STOP_ORDER = ("gateway", "ingest", "web", "jobs")  # no new frames first, then store what there is
_CAN_BIND_BESIDE = sys.platform == "linux"  # a socket that has SO_REUSEPORT and does not listen
_VEHICLES = ("gateway.gbt32960", "gateway.jt808", "gateway.mqtt")  # whose ports vehicles connect to
_BACKLOG = 1024  # connections that wait to be accepted
_BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_LOOK_S = 3.0  # between two looks into the stream server's log
_PATIENCE_S = 15.0  # until it is told that a start takes long
_STEADY_S = 30.0  # a process that ran so long starts with a clean record


class StartFailed(Exception):
    """The cloud did not become ready; the message says why and where to look."""


@dataclass(slots=True)
class Child:
    """One role process and its record."""

    process: RoleProcess
    started: float
    failures: int = 0
    restarts: int = 0


@dataclass(slots=True)
class Change:
    """Processes of a role that are being replaced, one after the other."""

    role: str
    names: list[str]  # still to be replaced; the first one now
    fresh: Child
    old: Child | None = None  # once the new one serves: told to end
    told: float = 0.0  # monotonic s


@dataclass(slots=True)
class Supervisor:
    """Runs the stream server and some roles on this machine."""

    settings: Settings
    roles: Sequence[str] = ROLES
    forks: bool = False  # at the start; only where the caller has no threads and opened no engine
    run: RunDir = field(init=False)
    server: NatsServer | None = None
    children: dict[str, Child] = field(default_factory=dict)
    server_restarts: int = 0
    _listeners: dict[str, socket.socket] = field(default_factory=dict)
    _bound: list[socket.socket] = field(default_factory=list)  # to the ports of the gateways
    _gate: Gate | None = None
    _changes: list[Change] = field(default_factory=list)
    _stopping: bool = False
    _looked: float = 0.0  # monotonic s, when the server's log was last read

    def __post_init__(self) -> None:
        self.run = RunDir(Path(self.settings.text("data")))

    def call(self) -> None:
        """Start the processes of all roles: they load what they need and wait for `start`, which
        calls them where nobody did; raises `StartFailed`, and holds nothing then."""
        self.run.claim()
        try:
            self._settle_port()
            self._listen()
        except StartFailed:
            self.stop()
            raise
        if self.forks and CAN_FORK and len(self.roles) > 1:
            load_shared()
        gate = self._gate = Gate()
        names = list(self._names())
        for name in sorted(names, key=lambda name: _SLOWEST.index(_role(name))):
            gate.expect()
            self.children[name] = self._launch(name, gate=gate)

    def start(self, timeout_s: float = 180.0) -> None:
        """Start everything and wait until all roles are ready; raises `StartFailed`."""
        if self._gate is None:
            self.call()
        self.check_stop()
        self.run.write_settings(self.settings)
        self._start_server()
        if self.server is not None:
            self._check_stream()
        self.check_stop()
        self._let_in()
        begun, told = time.monotonic(), False
        while late := [n for n, c in self._each() if not self.run.ready(_role(n), c.process.pid)]:
            self._fail_if_ended()
            self.check_stop()
            waited = time.monotonic() - begun
            if waited > timeout_s:
                names = ", ".join(late)
                raise StartFailed(f"{names} not ready after {timeout_s:g} s; see {self.run.logs}")
            if waited > _PATIENCE_S and not told:
                told = True
                log.warning(
                    "still starting: %s (a first start compiles the decoders: a minute or so)",
                    ", ".join(late),
                )
            time.sleep(0.02)

    def check_stop(self) -> None:
        """Raises `StartFailed` when a signal has asked to stop."""
        if self._stopping:
            raise StartFailed("asked to stop before it was ready")

    def _let_in(self) -> None:
        if self._gate is not None:
            self._gate.open()
            self._gate = None

    def start_stream(self) -> None:
        """The stream server alone, for tools; raises `StartFailed`."""
        self.run.claim()
        self.run.write_settings(self.settings)
        self._start_server()

    def watch(self, every_s: float = 0.2, tick: Callable[[], bool] = lambda: True) -> None:
        """Restart what ends, until a signal asks to stop or `tick` says so."""
        self.heed_signals()
        while not self._stopping and tick():
            self.tend()
            time.sleep(every_s)

    def heed_signals(self) -> None:
        """From now on SIGINT and SIGTERM ask to stop, also while `start` waits.

        SIGHUP replaces processes; from a terminal it says that this was closed.
        """
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._on_signal)
        at_terminal = sys.stdin is not None and sys.stdin.isatty()
        signal.signal(signal.SIGHUP, self._on_signal if at_terminal else self._on_hangup)

    def tend(self) -> None:
        """One look at all processes; whatever has ended is started again."""
        if self.server is not None:
            self._tend_server(self.server)
        for role, child in list(self._each()):
            if child.process.poll() is not None:
                self._restart(role, child)
        self._tend_changes()

    def _tend_changes(self) -> None:
        """Replace the processes of a role one by one, as `carcloud restart` has asked."""
        for role in REPLACEABLE:
            if self.run.asked(role) and not any(c.role == role for c in self._changes):
                names = [name for name in self.children if _role(name) == role]
                if names:
                    self._changes.append(Change(role, names, self._launch(names[0])))
                else:
                    self.run.answer(role, f"no {role} process runs on this machine")
        for change in list(self._changes):
            if change.old is None:
                self._until_ready(change, change.names[0])
            else:
                self._until_gone(change, change.old)

    def _until_ready(self, change: Change, name: str) -> None:
        patience = self.settings.whole("restart.timeout_s")
        problem = None
        if change.fresh.process.poll() is not None:
            problem = f"ended, the old one stays: {self.run.last_words(name)}"
        elif self.run.ready(change.role, change.fresh.process.pid):
            change.old, self.children[name] = self.children[name], change.fresh
            change.told = time.monotonic()
            change.old.process.send_signal(signal.SIGHUP)
            log.info("%s is replaced by a new process", name)
        elif time.monotonic() - change.fresh.started > patience:
            _end(change.fresh.process, 0)
            problem = f"does not serve after {patience} s, the old one stays"
        if problem is not None:
            self._changes.remove(change)
            self.run.answer(change.role, f"the new {name} {problem}")

    def _until_gone(self, change: Change, old: Child) -> None:
        if old.process.poll() is None:
            if time.monotonic() - change.told > self.settings.whole("restart.timeout_s"):
                log.warning("the old %s did not end in time; it is ended now", change.names[0])
                _end(old.process, 0)
            return
        change.names.pop(0)
        change.old = None
        if change.names:
            change.fresh = self._launch(change.names[0])
        else:
            self._changes.remove(change)
            self.run.answer(change.role, "")

    def _tend_server(self, server: NatsServer) -> None:
        if not server.alive():
            log.warning("the stream server ended; starting it again on the same store")
        elif self._write_failed(server):
            # After a write error the server keeps nothing more until it is started again.
            log.warning("the stream server could not write; there is room now, starting it again")
        else:
            return
        self.server_restarts += 1
        self._restart_server(server)

    def _write_failed(self, server: NatsServer) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return False
        self._looked = now
        return self._has_room() and server.write_failed()

    def _has_room(self) -> bool:
        free = shutil.disk_usage(self.run.data).free
        return free > self.settings.whole("disk.reserve_mb") * 1_000_000

    def stop(self, timeout_s: float = 20.0) -> None:
        """End all processes in good order; by force after `timeout_s` each."""
        for role in _STOP_ORDER:
            for name in [name for name in self.children if _role(name) == role]:
                _end(self.children.pop(name).process, timeout_s)
        for change in self._changes:
            for child in filter(None, (change.old, change.fresh)):
                _end(child.process, timeout_s)
        self._changes.clear()
        if self._gate is not None:
            self._gate.leave()
            self._gate = None
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._let_go()
        self.stop_stream()
        self.run.release()

    def stop_stream(self) -> None:
        """End the stream server, if it is ours."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def pids(self) -> dict[str, int]:
        """Process ids by role; the stream server is `stream`."""
        pids = {role: child.process.pid for role, child in self._each()}
        if self.server is not None:
            pids["stream"] = self.server.process.pid
        return pids

    def _check_stream(self) -> None:
        try:
            go_on(self.settings)
        except EngineError as error:
            raise StartFailed(f"stream and lake do not fit: {error}") from error

    def _names(self) -> Iterator[str]:
        """The processes to run: a role's name, and `-2`, `-3` … where it has several."""
        for role in self.roles:
            yield role
            if role == "gateway":
                for number in range(2, self.settings.whole("gateway.processes") + 1):
                    yield f"gateway-{number}"

    def _settle_port(self) -> None:
        """Gateways share their ports, which nobody else may have: they would not notice.

        They stay bound here, without listening, so that no connection of this machine is given one
        as its own port, and no other carcloud takes one, before a gateway listens, or while it is
        started again.
        """
        if "gateway" not in self.roles:
            return
        for prefix in _VEHICLES:
            if self.settings.whole(f"{prefix}.port") < 0:
                continue
            with _opened(self.settings, prefix) as opened, _told(self.settings, prefix):
                port = opened.getsockname()[1]
                if _CAN_BIND_BESIDE:
                    self._bound.append(_kept(opened))
            self.settings = self.settings.with_values({f"{prefix}.port": port})

    def _let_go(self) -> None:
        for bound in self._bound:
            bound.close()
        self._bound.clear()

    def _listen(self) -> None:
        """Web processes get their listening sockets from here: one that replaces another has
        the same, and no connection falls between the two."""
        if "web" in self.roles:
            for name, setting in (("web", "web"), ("s3", "storage")):
                self._listeners[name] = _opened(self.settings, setting)

    def _each(self) -> Iterable[tuple[str, Child]]:
        return self.children.items()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        for role in REPLACEABLE:
            if role in self.roles:
                self.run.ask(role)

    def _start_server(self) -> None:
        if self.settings.text("stream.url"):
            self._use_cluster()
            return
        user, password = "carcloud", secrets.token_urlsafe(24)
        try:
            self.server = NatsServer.start(
                self.run.data / "stream",
                port=self.settings.whole("stream.port"),
                user=user,
                password=password,
                max_bytes=int(self.settings.number("stream.max_gb") * 1e9),
            )
            self.server.ready(meanwhile=self.check_stop)
        except EngineError as error:
            raise StartFailed(f"the stream server does not start: {error}") from error
        self.run.write_stream(f"nats://127.0.0.1:{self.server.port}", user, password)

    def _use_cluster(self) -> None:
        try:
            password = self.settings.secret("stream.password_file")
        except InvalidSetting as error:
            raise StartFailed(str(error)) from error
        url, user = self.settings.text("stream.url"), self.settings.text("stream.user")
        self.run.write_stream(url, user, password)

    def _restart_server(self, server: NatsServer) -> None:
        try:
            self.server = server.restart()
        except EngineError as error:
            log.error("the stream server does not start again: %s", error)
            time.sleep(1.0)

    def _launch(
        self, name: str, failures: int = 0, restarts: int = 0, gate: Gate | None = None
    ) -> Child:
        self.run.logs.mkdir(parents=True, exist_ok=True)
        role = _role(name)
        shared = self._listeners if role == "web" else {}
        part = Part(role, self.run.data, self.run.logs / f"{name}.log", shared, gate)
        at_start = gate is not None  # later, engines are open here
        forked = self.forks and at_start and CAN_FORK
        process = fork(part, play, lambda: self._leave(role)) if forked else spawn(part)
        return Child(process, time.monotonic(), failures, restarts)

    def _leave(self, role: str) -> None:
        """In a fork: let go what is the supervisor's alone, so that it ends with the supervisor."""
        self.run.leave()
        self._let_go()
        if role != "web":
            for listener in self._listeners.values():
                listener.close()

    def _restart(self, role: str, child: Child) -> None:
        ran = time.monotonic() - child.started
        failures = 0 if ran > _STEADY_S else child.failures + 1
        wait = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
        if ran < wait:
            return  # looked at again on the next round
        log.warning("%s ended with %s; starting it again", role, child.process.returncode)
        self.children[role] = self._launch(role, failures, child.restarts + 1)

    def _fail_if_ended(self) -> None:
        for role, child in self._each():
            code = child.process.poll()
            if code is not None:
                words = self.run.last_words(role)
                raise StartFailed(f"{role} ended with {code}: {words}")


@contextmanager
def _told(settings: Settings, prefix: str) -> Iterator[None]:
    """Raises `StartFailed` in place of what the system says of `<prefix>.host` and its port."""
    host, port = settings.text(f"{prefix}.host"), settings.whole(f"{prefix}.port")
    try:
        yield
    except OSError as error:
        raise StartFailed(f"{prefix} cannot listen on {host}:{port}: {error.strerror}") from error


def _opened(settings: Settings, prefix: str) -> socket.socket:
    """A socket that listens on `<prefix>.host` and `<prefix>.port`; raises `StartFailed`."""
    host, port = settings.text(f"{prefix}.host"), settings.whole(f"{prefix}.port")
    with _told(settings, prefix):
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
            opened.listen(_BACKLOG)
        except OSError:
            opened.close()
            raise
    return opened


def _kept(opened: socket.socket) -> socket.socket:
    """A further socket on the port of a listening one, beside which only gateways of this user
    bind once that is closed.

    SO_REUSEADDR is needed where connections of an earlier program are in TIME_WAIT. Two sockets
    that have it bind to one port, but only one of them listens: so `opened` keeps others out until
    the new socket has bound and given it up.
    """
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept = socket.socket(opened.family)
    try:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            kept.setsockopt(socket.SOL_SOCKET, option, 1)
        kept.bind(opened.getsockname())
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        kept.close()
        raise
    return kept


def _role(name: str) -> str:
    return name.partition("-")[0]


def _end(process: RoleProcess, timeout_s: float) -> None:
    """By force after `timeout_s`."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
