"""Peers that hang up while nobody reads their socket: seen without taking a byte from it."""

import select
from collections.abc import Iterable
from typing import TypeVar

Peer = TypeVar("Peer")

_SENDS_NO_MORE = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere only a reset is seen


def hung_up(waiting: Iterable[tuple[int, Peer]]) -> list[Peer]:
    """Those of (file descriptor, peer) whose other end has closed or reset the connection."""
    poll, peers = select.poll(), dict(waiting)
    for descriptor in peers:
        poll.register(descriptor, _SENDS_NO_MORE)
    return [peers[descriptor] for descriptor, _ in poll.poll(0)]
