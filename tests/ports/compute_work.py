"""Functions that the suite of the compute port runs in other processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from carcloud.ports.compute import Desk


def echo(_desk: Desk, argument: bytes) -> bytes:
    return argument


def process(_desk: Desk, _argument: bytes) -> bytes:
    return str(os.getpid()).encode()


def fail(_desk: Desk, argument: bytes) -> bytes:
    raise ValueError(argument.decode())


def no_bytes(_desk: Desk, _argument: bytes) -> bytes:
    return 7  # type: ignore[return-value]


def count(desk: Desk, argument: bytes) -> bytes:
    for number in range(int(argument)):
        desk.tell(str(number).encode())
    return desk.id.encode()


def large_note(desk: Desk, argument: bytes) -> bytes:
    desk.tell(bytes(int(argument)))
    return b""


def sleep(desk: Desk, argument: bytes) -> bytes:
    desk.tell(b"asleep")
    time.sleep(float(argument))
    return b"awake"


def stubborn(desk: Desk, _argument: bytes) -> bytes:
    """Deaf to everything that can be ignored."""
    if threading.current_thread() is threading.main_thread():  # it is not, in Ray
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    desk.tell(b"deaf")
    while True:
        time.sleep(1)


def burn(desk: Desk, argument: bytes) -> bytes:
    """Compute without end, after so many seconds of sleep."""
    time.sleep(float(argument or 0))
    desk.tell(b"hot")
    while True:
        sum(range(1000))


def eat(desk: Desk, _argument: bytes) -> bytes:
    desk.tell(b"hungry")
    eaten = []
    while True:
        eaten.append(b"x" * 10_000_000)


def eat_in_a_child(desk: Desk, _argument: bytes) -> bytes:
    """Its own limit of memory lifted, as a hostile library could."""
    code = (
        "import resource as r; r.setrlimit(r.RLIMIT_DATA, (r.RLIM_INFINITY,) * 2)\n"
        "x = [b'x' * 50_000_000 for _ in range(10)]\nimport time; time.sleep(60)"
    )
    desk.tell(b"hungry")
    subprocess.run([sys.executable, "-c", code], check=True)
    return b""


def die(desk: Desk, _argument: bytes) -> bytes:
    desk.tell(b"dying")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def leave(_desk: Desk, argument: bytes) -> bytes:
    os._exit(int(argument))


def with_child(desk: Desk, _argument: bytes) -> bytes:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    desk.tell(str(child.pid).encode())
    child.wait()
    return b""


def breed(desk: Desk, _argument: bytes) -> bytes:
    """Start processes without end."""
    desk.tell(b"begun")
    while True:
        subprocess.Popen(["sleep", "600"])
        time.sleep(0.001)


def meet(desk: Desk, argument: bytes) -> bytes:
    """Return once as many as `count` have come to `folder`."""
    folder, wanted = argument.decode().split("|")
    (Path(folder) / desk.id).touch()
    for _ in range(600):
        if len(list(Path(folder).iterdir())) >= int(wanted):
            return b"met"
        time.sleep(0.05)
    return b"alone"


def meet_where(desk: Desk, argument: bytes) -> bytes:
    """As `meet`; the network namespace in which it met the others."""
    if meet(desk, argument) != b"met":
        return b"alone"
    return str(Path("/proc/self/ns/net").readlink()).encode()
