"""What one peer may take: connections, logins, frames. Each limit is a setting and a counter."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a gateway; see the `gateway.*` settings of the same names."""

    connections: int = 50_000
    connections_per_address: int = 10_000
    logins_per_second: float = 2_000
    frames_per_second_per_vehicle: float = 50
    login_timeout_s: float = 30
    idle_timeout_s: float = 300
    half_frame_s: float = 10  # a frame must be complete by then, or it is given up
    faults_per_minute: int = 100  # damaged frames of one session before it is closed
    reply_backlog_bytes: int = 256 * 1024  # unread replies above which a peer is not read either
    reply_wait_s: float = 10  # and is closed when it stays so


@dataclass(slots=True)
class Doorkeeper:
    """Counts open connections and refuses those above the limits."""

    limits: Limits
    open: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by the setting that refused
    by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count a new connection; False when it must be refused (then do not call `leave`)."""
        if self.open >= self.limits.connections:
            self.refused["gateway.max_connections"] += 1
            return False
        if self.by_address[address] >= self.limits.connections_per_address:
            self.refused["gateway.max_connections_per_address"] += 1
            return False
        self.open += 1
        self.by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that entered has gone."""
        self.open -= 1
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]
