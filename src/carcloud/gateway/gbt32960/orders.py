"""Commands down to a GB/T 32960 vehicle: query, setting and control, and their answers.

An answer carries no number, only the command it answers (6.3.1): of each kind one command is on
its way at a time, the others wait behind it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.control import FACTORY_SETTINGS, RESET
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import (
    Parameter,
    encode_control,
    encode_query,
    encode_set,
)
from carcloud.codecs.gbt32960.errors import EncodeError, FrameError
from carcloud.codecs.gbt32960.frame import Frame, build
from carcloud.codecs.gbt32960.layout import Value
from carcloud.codecs.gbt32960.tables import PARAMETERS
from carcloud.gateway.orders import SAME_PARAMETERS, OnReport, Order, OrderReport, report
from carcloud.model.time import now_us

_ANSWER_US: Final = 60_000_000  # an unanswered command holds the next of its kind up so long
_MOST_WAITING: Final = 50
_CONTROLS: Final[Mapping[str, int]] = {"restart": RESET, "factory-reset": FACTORY_SETTINGS}
_LENGTHS: Final = {0x05: 0x04, 0x0E: 0x0D}  # the length of a name stands before it (table B.10)


@dataclass(slots=True)
class _Way:
    """Commands of one kind: the one that is not answered yet, and those behind it."""

    sent: tuple[Order, OnReport] | None = None
    sent_us: int = 0
    waiting: deque[tuple[Order, OnReport, bytes]] = field(default_factory=deque)


class Orders:
    """The commands of one vehicle's link. `send` writes a frame to it, if it is still wanted when
    its turn has come."""

    def __init__(
        self,
        edition: int,
        vehicle: str,
        send: Callable[[bytes, Callable[[], bool]], None],
        now: Callable[[], int] = now_us,
    ) -> None:
        self._edition = edition
        self._vehicle = vehicle
        self._send = send
        self._now = now
        self._ways: dict[int, _Way] = {}

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command, or have it wait for the answer to the one before; refused ones end."""
        try:
            time = datetime.fromtimestamp(self._now() / 1e6, UTC)
            command, data = data_unit(order.name, order.arguments, self._edition, time)
            frame = build(self._edition, command, Flag.COMMAND, self._vehicle, data)
        except EncodeError as error:
            on_report(report(order, "refused", str(error)))
            return
        way = self._ways.setdefault(command, _Way())
        if len(way.waiting) >= _MOST_WAITING:
            on_report(report(order, "refused", "too many commands wait for this vehicle"))
            return
        way.waiting.append((order, on_report, frame))
        self._next(way)

    def answered(self, frame: Frame) -> None:
        """An answer has come: to the command of its kind that was sent last."""
        way = self._ways.get(frame.command)
        if way is None or way.sent is None:
            return
        (order, on_report), way.sent = way.sent, None
        on_report(self._ended(order, frame))
        self._next(way)

    def _next(self, way: _Way) -> None:
        now = self._now()
        if way.sent is not None and now - way.sent_us < _ANSWER_US:
            return
        while way.waiting:
            order, on_report, frame = way.waiting.popleft()
            if order.expires_us <= now:
                on_report(report(order, "timed_out", "it waited for the one before it"))
                continue
            way.sent, way.sent_us = (order, on_report), now
            self._send(frame, partial(self._wanted, way, way.sent))
            return

    def _wanted(self, way: _Way, sent: tuple[Order, OnReport]) -> bool:
        """A command is sent now, unless its time is over."""
        now, (order, on_report) = self._now(), sent
        if order.expires_us > now:
            way.sent_us = now
            on_report(report(order, "sent"))
            return True
        on_report(report(order, "timed_out", "what it reports had to be kept before"))
        if way.sent is sent:
            way.sent = None
            self._next(way)
        return False

    def _ended(self, order: Order, frame: Frame) -> OrderReport:
        if frame.flag != Flag.SUCCESS:
            return report(order, "failed", f"the vehicle answered 0x{frame.flag:02x}")
        if frame.command != Command.QUERY:
            return report(order, "executed")
        try:
            told = decode(frame).to_json()
        except FrameError as error:
            return report(order, "failed", f"its answer cannot be read: {error}")
        asked = {_ident(self._edition, name): name for name in _named(order.arguments)}
        found = {
            asked.get(int(item["type"], 16), item["name"]): item.get("value")
            for item in told["items"]
        }
        return report(order, "executed", answer=found)


def data_unit(
    name: str, arguments: Mapping[str, Any], edition: int, time: datetime
) -> tuple[int, bytes]:
    """What a command becomes: command byte and data unit. Raises `EncodeError`."""
    if name == "read-parameters":
        names = arguments.get("names") or sorted(PARAMETERS[edition])
        return Command.QUERY, encode_query(time, [_ident(edition, one) for one in names])
    if name == "set-parameters":
        given = arguments["parameters"]
        wanted = [(_ident(edition, one), value) for one, value in given.items()]
        return Command.SET, encode_set(edition, time, _with_lengths(wanted))
    if name in _CONTROLS:
        return Command.CONTROL, encode_control(time, _CONTROLS[name])
    raise EncodeError("name", f"GB/T 32960 does not carry {name}")


def _named(arguments: Mapping[str, Any]) -> list[str]:
    """The parameters that were asked for by a name, which the answer tells again."""
    names = arguments.get("names") or ()
    return [one for one in names if isinstance(one, str) and not one[:1].isdigit()]


def _ident(edition: int, name: object) -> int:
    """A parameter by its number, `0x02` say, or by its name in either protocol."""
    for ident, row in PARAMETERS[edition].items():
        same = SAME_PARAMETERS.get(row.key)
        if name in (ident, row.key, same, f"0x{ident:02X}", f"0x{ident:02x}", str(ident)):
            return ident
    known = ", ".join(row.key for row in PARAMETERS[edition].values())
    raise EncodeError("parameters", f"there is no parameter {name!r}; there are {known}")


def _with_lengths(parameters: list[tuple[int, Any]]) -> list[Parameter]:
    """The parameters with the lengths that names need before them; texts as the codec has them."""
    whole: list[Parameter] = []
    for ident, value in parameters:
        checked = _value(ident, value)
        if ident in _LENGTHS:
            size = len(checked) if isinstance(checked, bytes | str) else 0
            whole.append((_LENGTHS[ident], size))
        whole.append((ident, checked))
    return whole


def _value(ident: int, value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise EncodeError(f"0x{ident:02X}", "a number or a text")
    return value
