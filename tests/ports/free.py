"""Ports for engines that must be told theirs before they begin."""

import random
import socket
import sys

_PORTS = range(10_000, 12_000)
_TWIN = 10_000  # how much higher the gRPC port of SeaweedFS lies
_ours: list[socket.socket] = []


def free_port() -> int:
    """As `free_ports`, one."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are ours until this process ends, each with the one 10000 higher.

    All lie below what the system hands out to connections (32768 and more) and what stream servers
    choose for themselves (22000 and more): nobody gets one of them between the look and the
    engine's start, or while an engine starts again.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if _lock(port):
            if _is_free(port) and _is_free(port + _TWIN):
                found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no port is free")


def _lock(port: int) -> bool:
    """Keep other processes that run tests away; ends with this process."""
    if sys.platform != "linux":  # no abstract names: only chance keeps others away
        return True
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0carcloud-test-port-{port}")
    except OSError:
        held.close()
        return False
    _ours.append(held)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
