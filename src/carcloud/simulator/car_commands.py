"""What a simulated car does when the platform asks, sets or controls something (Annex B)."""

from datetime import UTC, datetime
from typing import Final

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.control import FACTORY_SETTINGS
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_parameters
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame, build
from carcloud.codecs.gbt32960.layout import Value
from carcloud.codecs.gbt32960.message import Message
from carcloud.simulator.messages import EDITION_2016

_TIME = 6  # bytes of the time that a request begins with
_REPORT, _ALARM, _HEARTBEAT = 0x02, 0x03, 0x09
_LONGEST: Final = {2016: 600, 2025: 30}  # s between reports
_FIRST: Final[dict[int, Value]] = {
    0x01: 10_000,
    _ALARM: 1,
    0x04: 16,
    0x05: "platform.example",
    0x06: 32_960,
    0x07: "SIM-1",
    0x08: "1.0.0",
    0x0A: 30,
    0x0B: 30,
    0x0C: 30,
    0x0D: 14,
    0x0E: "public.example",
    0x0F: 32_960,
    0x10: 2,
}


class CarCommands:
    """The parameters of one car, and its answers. What is set is kept; its pace stays the fleet's.

    `period_s` between reports and `heartbeat_s` are what it tells at first.
    """

    def __init__(self, edition: int, vin: str, period_s: float, heartbeat_s: float) -> None:
        self._edition, self._vin = edition, vin
        self._first: dict[int, Value] = _FIRST | {
            _REPORT: min(max(1, round(period_s)), _LONGEST[edition]),
            _HEARTBEAT: min(max(1, round(heartbeat_s)), 240),
        }
        if edition == EDITION_2016:
            self._first[_ALARM] = 1_000  # ms
        self._parameters = dict(self._first)

    def answer(self, frame: Frame) -> bytes | None:
        """The answer to a command; None to what is wrong, which is passed over (B.3.5)."""
        try:
            asked = decode(frame)
        except FrameError:
            return None
        if asked.partial:
            return None
        if frame.command == Command.QUERY:
            return self._told(asked)
        if frame.command == Command.SET:
            return self._set(frame, asked)
        if frame.command == Command.CONTROL:
            if asked.fields["command"] == FACTORY_SETTINGS:
                self._parameters = dict(self._first)
            return self._replied(frame, Flag.SUCCESS)
        return None

    def _told(self, asked: Message) -> bytes:
        ids = asked.fields["ids"]
        wanted = ids if isinstance(ids, list | tuple) else [ids]
        found = [(int(one), self._parameters[one]) for one in wanted if one in self._parameters]  # type: ignore[arg-type, index]
        unit = encode_parameters(self._edition, datetime.now(UTC), found)
        return build(self._edition, Command.QUERY, Flag.SUCCESS, self._vin, unit)

    def _set(self, frame: Frame, asked: Message) -> bytes:
        """One wrong value rejects all (table B.13)."""
        if asked.out_of_range:
            return self._replied(frame, Flag.ERROR)
        self._parameters |= {item.type: item.fields["value"] for item in asked.items}
        return self._replied(frame, Flag.SUCCESS)

    def _replied(self, frame: Frame, flag: Flag) -> bytes:
        """6.3.2: the flag changes, and only the time stays."""
        return build(self._edition, frame.command, flag, self._vin, frame.data[:_TIME])
