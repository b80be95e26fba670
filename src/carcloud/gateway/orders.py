"""Commands on their way down to a vehicle, as a session takes them, and what became of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from carcloud.model.time import now_us

OrderState = Literal["sent", "received", "executed", "refused", "failed", "timed_out"]


@dataclass(frozen=True, slots=True)
class Order:
    """One command: `arguments` are those of the command `name` (JSON values)."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    expires_us: int  # UTC, after which it must not reach the vehicle


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A step of an order: on its way, acknowledged by the vehicle, or at its end.

    "executed", "refused", "failed" and "timed_out" are ends; `reason` says why, in a few words.
    """

    id: str
    state: OrderState
    reason: str
    time_us: int  # UTC
    answer: Mapping[str, Any] | None = None  # what the vehicle told in its answer


SAME_PARAMETERS: Final[Mapping[str, str]] = {
    "heartbeat_period_s": "heartbeat_s",
    "report_period_s": "report_default_s",
    "domain": "main_address",
    "port": "tcp_port",
}
"""Parameters of GB/T 32960 that mean the same in JT/T 808; either protocol takes both names."""

OnReport = Callable[[OrderReport], None]


def report(
    order: Order, state: OrderState, reason: str = "", answer: Mapping[str, Any] | None = None
) -> OrderReport:
    """What has just become of `order`."""
    return OrderReport(order.id, state, reason, now_us(), answer)
