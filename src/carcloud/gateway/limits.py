"""What one peer may take: connections, logins, frames. Each limit is a setting and a counter."""

from collections import Counter, OrderedDict
from collections.abc import Hashable
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
    carried_timeout_s: float = 90  # of a vehicle that reports over a platform's link
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


_REMEMBERED = 10_000  # keys of a budget; those spent from first are forgotten


@dataclass(slots=True)
class Budget:
    """So much for each key in a while: what is above it is refused until the while is over."""

    most: int
    seconds: float
    _spent: OrderedDict[Hashable, tuple[int, float]] = field(default_factory=OrderedDict)

    def left(self, key: Hashable, now: float) -> bool:
        """Whether there is something left for `key`; `now` in seconds of the loop's clock."""
        count, since = self._spent.get(key, (0, now))
        return now - since > self.seconds or count < self.most

    def spend(self, key: Hashable, now: float) -> None:
        """Take one."""
        count, since = self._spent.get(key, (0, now))
        if now - since > self.seconds:
            count, since = 0, now
        self._spent[key] = (count + 1, since)
        if len(self._spent) > _REMEMBERED:
            self._spent.popitem(last=False)

    def give_back(self, key: Hashable) -> None:
        """One that was spent was not used."""
        count, since = self._spent.get(key, (0, 0.0))
        if count > 1:
            self._spent[key] = (count - 1, since)
        else:
            self._spent.pop(key, None)


@dataclass(slots=True)
class LoginThrottle:
    """Platform logins that may be tried: a password costs much to check, and can be guessed.

    A try counts from when it is asked until it turns out good, so that what waits counts too.
    """

    _pairs: Budget = field(default_factory=lambda: Budget(5, 900))
    _addresses: Budget = field(default_factory=lambda: Budget(20, 900))

    def enter(self, platform: str, address: str, now: float) -> bool:
        """Count a try; False when there were too many from this address."""
        pair = (platform, address)
        if not self._pairs.left(pair, now) or not self._addresses.left(address, now):
            return False
        self._pairs.spend(pair, now)
        self._addresses.spend(address, now)
        return True

    def forgive(self, platform: str, address: str) -> None:
        """The try was good, or was given up before it was looked at."""
        self._pairs.give_back((platform, address))
        self._addresses.give_back(address)
