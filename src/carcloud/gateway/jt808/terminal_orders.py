"""Commands to one terminal: sent, and told apart by serial number when they are answered."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carcloud.codecs.jt808.frame import Frame
from carcloud.gateway.orders import OnReport, Order, report

if TYPE_CHECKING:
    from carcloud.gateway.jt808.session import Session

_MOST = 100  # commands of a terminal that wait for an answer


@dataclass(slots=True)
class _Waiting:
    order: Order
    on_report: OnReport
    message: int


class TerminalOrders:
    """The commands of one session that are not at their end."""

    __slots__ = ("_session", "_waiting")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command."""
        on_report(report(order, "failed", "not implemented"))

    def answered(self, frame: Frame) -> None:
        """The terminal has answered something."""

    def repeat(self, frame: Frame) -> None:
        """The terminal misses packets of a message of ours."""

    def expire(self, now: int) -> None:
        """Commands whose time is over."""

    def end(self, reason: str) -> None:
        """No answer can come any more."""
