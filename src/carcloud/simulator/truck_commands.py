"""What a simulated truck does when the platform tells it something."""

from typing import TYPE_CHECKING, Any

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.layout import Value

if TYPE_CHECKING:
    from carcloud.simulator.truck import Truck

_DONE, _WRONG, _UNSUPPORTED = 0, 2, 3
_HEARTBEAT, _INTERVAL = 0x0001, 0x0029  # parameters
_OBEYED = frozenset(
    (0x8105, 0x8203, 0x8204, 0x8300, *range(0x8600, 0x8608), 0x8803, 0x8805, 0x8400, 0x8401)
)
_PICTURE_BYTES = 20_000


class Commands:
    """The parameters of one truck, and its answers."""

    def __init__(self, truck: "Truck") -> None:
        self._truck = truck
        self._parameters: dict[int, Any] = {
            _HEARTBEAT: 30,
            _INTERVAL: max(1, round(truck.period_s)),
            0x0055: 100,  # highest speed, km/h
        }
        self._media = 0
        self.track_s = 0  # while temporary tracking lasts, the interval
        self.track_left_s = 0

    @property
    def period_s(self) -> float:
        """Seconds between two positions now."""
        return self.track_s if self.track_left_s > 0 and self.track_s else self._truck.period_s

    def passed(self, seconds: int) -> None:
        """Time has passed."""
        self.track_left_s = max(0, self.track_left_s - seconds)

    def take(self, frame: Frame) -> None:
        """Obey one command and answer it."""
        truck = self._truck
        if frame.packets > 1:
            return  # areas of several packets: this truck keeps none
        try:
            fields: dict[str, Any] = dict(decode(frame).fields)
        except FrameError:
            truck.reply(frame, _WRONG)
            return
        match frame.message:
            case 0x8103:
                self._set(fields["items"])
                truck.reply(frame, _DONE)
            case 0x8104 | 0x8106:
                self._tell_parameters(frame, fields)
            case 0x8201:
                position: dict[str, Value] = {
                    "reply_serial": frame.serial,
                    "position": truck.hub.position(truck),
                }
                truck.send(0x0201, encode(0x0201, truck.edition, position))
            case 0x8202:
                self.track_s = fields["interval_s"]
                self.track_left_s = fields.get("validity_s") or 0
                truck.reply(frame, _DONE)
            case 0x8500:
                self._control(frame, fields)
            case 0x8801:
                self._shoot(frame, fields)
            case known:
                truck.reply(frame, _DONE if known in _OBEYED else _UNSUPPORTED)

    def _set(self, items: list[dict[str, Any]]) -> None:
        for item in items:
            self._parameters[item["parameter"]] = item["value"]
        self._truck.period_s = max(1, int(self._parameters[_INTERVAL]))

    def _tell_parameters(self, frame: Frame, fields: dict[str, Any]) -> None:
        truck, known = self._truck, self._parameters
        wanted = fields.get("ids") or list(known)
        items: list[Value] = [
            {"parameter": one, "value": known[one]} for one in wanted if one in known
        ]
        answer: dict[str, Value] = {"reply_serial": frame.serial, "items": items}
        truck.send(0x0104, encode(0x0104, truck.edition, answer))

    def _control(self, frame: Frame, fields: dict[str, Any]) -> None:
        """Doors: in 2019 the value 0 locks, before it the flag 1."""
        truck = self._truck
        truck.reply(frame, _DONE)
        if truck.edition == 2019:
            for control in fields["controls"]:
                if control["id"] == 1:
                    truck.locked = control["value"] == 0
        else:
            truck.locked = bool(fields["flags"] & 1)
        answer: dict[str, Value] = {
            "reply_serial": frame.serial,
            "position": truck.hub.position(truck),
        }
        truck.send(0x0500, encode(0x0500, truck.edition, answer))

    def _shoot(self, frame: Frame, fields: dict[str, Any]) -> None:
        """Say that a picture is taken, and upload it: bytes framed like a JPEG, not a real one."""
        truck = self._truck
        self._media += 1
        answer: dict[str, Value] = {
            "reply_serial": frame.serial,
            "result": 0,
            "media_ids": [self._media],
        }
        truck.send(0x0805, encode(0x0805, truck.edition, answer))
        noise = bytes((index * 31 + self._media) & 0xFF for index in range(_PICTURE_BYTES))
        media: dict[str, Value] = {
            "media_id": self._media,
            "kind": 0,
            "format": 0,
            "event": 0,
            "channel": fields["channel"],
            "position": truck.hub.position(truck)[:28],
            "data": b"\xff\xd8" + noise + b"\xff\xd9",
        }
        truck.send_long(0x0801, encode(0x0801, truck.edition, media))
