"""What of a session outlives its connection (MQTT 5: 4.1), and the sessions without one."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from carcloud.codecs.mqtt.packets import Subscription
from carcloud.gateway.mqtt.downlink import Message
from carcloud.gateway.mqtt.inflight import Inflight
from carcloud.model.ids import Tenant

FOR_EVER: Final = 0xFFFFFFFF  # 3.1.2.11.2: a session expiry that never comes
_WITHDRAWN: Final = 1_000  # packet identifiers of a session


@dataclass(slots=True, eq=False)
class State:
    """One vehicle's session. `queue` waits to be sent, `inflight` to be acknowledged."""

    tenant: Tenant
    vehicle: str
    client_id: str
    expiry_s: int = 0  # after the end of its connection
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)  # QoS 2 from the vehicle, until PUBREL
    inflight: Inflight = field(default_factory=Inflight)
    queue: deque[tuple[Message, bool]] = field(default_factory=deque)  # and its RETAIN flag
    retained: dict[str, int] = field(default_factory=dict)  # by topic, the message it has
    removing: set[int] = field(default_factory=set)  # delivered, still in the store
    ended: float | None = None  # s of the loop's clock
    since_us: int = 0  # when its last connection came, UTC
    login: int = 0  # the last one it has seen, as the registry keeps it

    @property
    def worn(self) -> bool:
        """So many packet identifiers are not free again that it must not go on."""
        return len(self.inflight.withdrawn) > _WITHDRAWN

    def follow(self, before: int | None, login: int) -> None:
        """A login here that came after the login `before`; both as the registry keeps them."""
        if self.login == before:
            self.login = login

    def known(self) -> frozenset[int]:
        """Messages that need not be looked up again."""
        queued = [message for message, _ in self.queue]
        sent = [one.message for one in self.inflight.sent.values()]
        released = [message for message in self.inflight.released.values() if message is not None]
        numbers = [message.id for message in (*queued, *sent, *released)]
        return frozenset(numbers).union(self.retained.values(), self.removing)


class States:
    """Sessions whose vehicles are away, at most `most`: those longest away are given up first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, State] = OrderedDict()
        self.dropped = 0  # before their time

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, state: State, now: float) -> None:
        """Its connection has ended; `now` in s of the loop's clock."""
        if state.expiry_s <= 0:
            return
        state.ended = now
        self._waiting[state.vehicle] = state
        self._waiting.move_to_end(state.vehicle)
        while len(self._waiting) > self._most:
            self._waiting.popitem(last=False)
            self.dropped += 1

    def take(self, tenant: Tenant, vehicle: str, client_id: str, now: float) -> State | None:
        """The session of this client, to go on with it; another client's is given up."""
        state = self._waiting.pop(vehicle, None)
        if state is None or state.tenant != tenant or state.client_id != client_id:
            return None
        return None if _over(state, now) or state.worn else state

    def follow(self, vehicle: str, before: int | None, login: int) -> None:
        """As of `State`, for the session of a vehicle that is away."""
        state = self._waiting.get(vehicle)
        if state is not None:
            state.follow(before, login)

    def moved(self, vehicle: str, since_us: int) -> None:
        """The vehicle has connected to another gateway then: its session here is over."""
        state = self._waiting.get(vehicle)
        if state is not None and state.since_us < since_us:
            del self._waiting[vehicle]

    def sweep(self, now: float) -> None:
        """Forget sessions whose time is over."""
        for vehicle in [name for name, state in self._waiting.items() if _over(state, now)]:
            del self._waiting[vehicle]


def _over(state: State, now: float) -> bool:
    if state.ended is None or state.expiry_s == FOR_EVER:
        return False
    return now - state.ended > state.expiry_s
