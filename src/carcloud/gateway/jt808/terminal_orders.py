"""Commands to one terminal: encoded, sent, and known by serial number when they are answered."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import Frame, build_message
from carcloud.codecs.jt808.reading import answer_at
from carcloud.gateway.jt808.order_messages import Unmet, asked_parameters, message_of, wants_locked
from carcloud.gateway.jt808.rules import Result, Up
from carcloud.gateway.orders import OnReport, Order, OrderState, report
from carcloud.gateway.outbox import While
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.jt808.session import Session

_MOST = 100  # commands of a terminal that wait for an answer
_LONG = 4  # sent messages of several packets that can be repeated
_SPECIAL: Final[Mapping[int, int]] = {
    0x8104: Up.PARAMETERS,
    0x8106: Up.PARAMETERS,
    0x8107: Up.ATTRIBUTES,
    0x8201: Up.LOCATED,
    0x8302: Up.QUESTION_ANSWER,
    0x8500: Up.CONTROLLED,
    0x8608: Up.AREAS,
    0x8700: Up.RECORDER,
    0x8702: Up.DRIVER,
    0x8801: Up.PICTURES,
    0x8802: Up.STORED_MEDIA,
}
"""Commands that have an answer of their own, besides the general reply that may come first."""

_SHOOT_2011: Final = (0x8801, 2011)  # 2011 has no 0x0805: a general reply ends it
_NO_SERIAL = (Up.ATTRIBUTES, Up.AREAS, Up.DRIVER)  # such an answer does not say what it answers
_DOORS_LOCKED = 1 << 12  # status bit
_RESULTS: Final[Mapping[int, tuple[OrderState, str]]] = {
    Result.SUCCESS: ("executed", ""),
    Result.FAILURE: ("failed", "the terminal failed"),
    Result.WRONG: ("refused", "the terminal finds the message wrong"),
    Result.UNSUPPORTED: ("refused", "the terminal does not support it"),
}


@dataclass(slots=True)
class _Waiting:
    order: Order
    on_report: OnReport
    message: int
    serial: int
    packets: int
    answer: int | None = None  # message that answers it, besides a general reply
    locks: bool | None = None  # doors: what was asked for
    parameters: frozenset[int] = frozenset()  # that were asked for; empty: all

    def is_at(self, serial: int) -> bool:
        """Whether a serial number is of one of its packets."""
        return (serial - self.serial) & 0xFFFF < self.packets

    def tell(self, state: OrderState, reason: str = "", answer: Any = None) -> None:
        self.on_report(report(self.order, state, reason, answer))


class TerminalOrders:
    """The commands of one session that are not at their end."""

    __slots__ = ("_long", "_session", "_waiting")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._waiting: list[_Waiting] = []
        self._long: OrderedDict[int, list[bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command; `on_report` is told what becomes of it, the first time at once."""
        link = self._session.link

        def end(state: OrderState, reason: str) -> None:
            on_report(report(order, state, reason))

        if order.expires_us <= now_us():
            end("timed_out", "it came too late to be sent")
        elif link is None or self._session.gone:
            end("failed", "the terminal is not connected")
        elif len(self._waiting) >= _MOST:
            end("failed", f"{_MOST} commands wait for the terminal's answer")
        else:
            try:
                number, fields = message_of(order, link.edition)
                body = encode(number, link.edition, fields)
            except Unmet as error:
                end("refused", str(error))
            except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
                # An `EncodeError` is a `ValueError`; the others come of arguments of a wrong form.
                end("refused", f"the arguments do not fit: {error}")
            else:
                self._send(order, on_report, number, body)

    def _send(self, order: Order, on_report: OnReport, number: int, body: bytes) -> None:
        session = self._session
        link = session.link
        assert link is not None  # noqa: S101 - `deliver` has looked
        layout = 2019 if link.edition == 2019 else 2013
        count = max(1, -(-len(body) // 1000))
        serial = session.next_serials(count)
        frames = build_message(layout, number, link.vehicle, serial, body)
        if count > 1:
            self._long[serial] = frames
            if len(self._long) > _LONG:
                self._long.popitem(last=False)
        answer = None if (number, link.edition) == _SHOOT_2011 else _SPECIAL.get(number)
        waiting = _Waiting(
            *(order, on_report, number, serial, count, answer),
            wants_locked(order),
            asked_parameters(order, link.edition),
        )
        self._waiting.append(waiting)
        # never before the answer to the authentication, nor after its time
        session.reply_later(While(b"".join(frames), lambda: self._is_due(waiting)))
        waiting.tell("sent")

    def _is_due(self, waiting: _Waiting) -> bool:
        return waiting.order.expires_us > now_us() and any(one is waiting for one in self._waiting)

    def answered(self, frame: Frame) -> None:
        """The terminal has answered something."""
        if frame.message == Up.REPLY:
            self._replied(frame)
            return
        found = self._find(frame)
        if found is None:
            return
        self._waiting.remove(found)
        try:
            message = decode(frame, 2011 if self._edition == 2011 else None)
        except FrameError as error:
            found.tell("failed", f"the answer cannot be read: {error}")
            return
        answer, wrong = message.to_json()["fields"], _wrong_doors(found, message.fields)
        if found.parameters:
            told = [one for one in answer["items"] if int(one["parameter"], 0) in found.parameters]
            answer |= {"items": told, "count": len(told)}
        if frame.message == Up.PICTURES and message.fields.get("result"):
            wrong = "the camera could not do it"
        found.tell("failed" if wrong else "executed", wrong, answer)

    @property
    def _edition(self) -> int:
        return self._session.link.edition if self._session.link is not None else 2013

    def _replied(self, frame: Frame) -> None:
        serial, number = int.from_bytes(frame.body[:2]), int.from_bytes(frame.body[2:4])
        found = next(
            (one for one in self._waiting if one.message == number and one.is_at(serial)), None
        )
        if found is None:
            return
        result = frame.body[4]
        if result == Result.SUCCESS and found.answer is not None:
            found.tell("received")
            return
        self._waiting.remove(found)
        if result in _RESULTS:
            found.tell(*_RESULTS[result])
        else:
            found.tell("failed", f"the terminal answers with result {result}: no edition has it")

    def _find(self, frame: Frame) -> _Waiting | None:
        """The command that this answers, by serial number; else the oldest of its kind."""
        wanted = [one for one in self._waiting if one.answer == frame.message]
        if frame.message == Up.LOCATED and answer_at(frame.body, self._edition) == 0:
            return wanted[0] if wanted else None  # of 2011: it has no serial number
        serial = int.from_bytes(frame.body[:2])
        named = next((one for one in wanted if one.is_at(serial)), None)
        if named is None and (frame.message in _NO_SERIAL or self._edition == 2011):
            return wanted[0] if wanted else None
        return named

    def repeat(self, frame: Frame) -> None:
        """The terminal misses packets of a message of ours (0x0005): send them once more."""
        if len(frame.body) < 4:
            return
        frames = self._long.get(int.from_bytes(frame.body[:2]), [])
        count = min(int.from_bytes(frame.body[2:4]), (len(frame.body) - 4) // 2)
        asked = (int.from_bytes(frame.body[at : at + 2]) for at in range(4, 4 + 2 * count, 2))
        numbers = dict.fromkeys(asked)  # each once: what is sent is no more than the message
        self._session.send(b"".join(frames[n - 1] for n in numbers if 0 < n <= len(frames)))

    def expire(self, now: int) -> None:
        """Commands whose time is over; `now` in us since 1970."""
        for one in [one for one in self._waiting if one.order.expires_us <= now]:
            self._waiting.remove(one)
            one.tell("timed_out", "the terminal has not answered in time")

    def end(self, reason: str) -> None:
        """No answer can come any more."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.tell("failed", reason)


def _wrong_doors(found: _Waiting, told: Mapping[str, Any]) -> str:
    """6.10: whether the doors are as asked is seen by the status that came back."""
    if found.locks is None:
        return ""
    position = told.get("position")
    locked = bool(isinstance(position, dict) and position.get("status", 0) & _DOORS_LOCKED)
    if locked is found.locks:
        return ""
    return f"the doors are {'locked' if locked else 'not locked'}"
