"""What a GB/T 32960 peer is told, apart from sockets: replies, time windows, refusals.

Clauses are those of the 2016 and 2025 editions; where the text allows two readings the
`gateway.gbt32960.*` settings choose.
"""

from dataclasses import dataclass
from datetime import timedelta, timezone

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import BodyReading, Frame, bcc, build, reply
from carcloud.model.time import from_us, now_us

PROTOCOL = "gbt32960"
_TIMES_KEPT = 10_000  # good times of a second, of each kind of link
BEIJING = timezone(timedelta(hours=8))  # §6.3.2: all times are GMT+8


@dataclass(frozen=True, slots=True)
class Rules:
    """The readings and windows in force; see the settings of the same names."""

    reply_reports: bool = False
    reply_body: BodyReading = "time"
    reissue_days_2016: int = 3
    reissue_days_2025: int = 7
    reissue_days_platform: int = 7
    future_tolerance_s: int = 300


def time6(us: int) -> bytes:
    """Microseconds since 1970 as the six bytes of a collection time (§6.3.2, Beijing time)."""
    moment = from_us(us).astimezone(BEIJING)
    return bytes(
        (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    )


def platform_credentials(data: bytes) -> tuple[str, str]:
    """User and password of a platform login (S16 table 21, S25 table 29); raises `FrameError`."""
    if len(data) != 41:
        raise FrameError("length", 24, "table 21", f"{len(data)} bytes, a platform login has 41")
    try:
        user, password = data[8:20].decode("ascii"), data[20:40].decode("ascii")
    except UnicodeDecodeError:
        raise FrameError("text", 32, "table 21", "user or password is not ASCII") from None
    return _text(user), _text(password)


def _text(padded: str) -> str:
    """Without the padding; a NUL inside is no character, and databases take none."""
    return padded.rstrip("\x00").replace("\x00", "\ufffd")


def plausible_time(time: bytes) -> bool:
    """True when six bytes name a moment (calendar details are left to the decoder)."""
    return (
        len(time) == 6
        and time[0] <= 99
        and 1 <= time[1] <= 12
        and 1 <= time[2] <= 31
        and time[3] < 24
        and time[4] < 60
        and time[5] < 60
    )


class Windows:
    """The earliest and latest collection time now accepted, as comparable time bytes.

    Time bytes are ordered like the moments they name, so one comparison of six bytes replaces
    a conversion for each frame. Refresh once a second.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.latest = b""
        self._earliest: dict[tuple[int, bool], bytes] = {}
        self._accepted: dict[tuple[int, bool], dict[bytes, int]] = {}

    def refresh(self, now_us: int) -> None:
        """Move the windows to the present."""
        day = 86_400_000_000
        self.latest = time6(now_us + self._rules.future_tolerance_s * 1_000_000)
        for edition, days in (
            (2016, self._rules.reissue_days_2016),
            (2025, self._rules.reissue_days_2025),
        ):
            self._earliest[edition, False] = time6(now_us - days * day)
            self._earliest[edition, True] = time6(now_us - self._rules.reissue_days_platform * day)
        for times in self._accepted.values():
            times.clear()

    def earliest(self, edition: int, platform: bool) -> bytes:
        """The oldest collection time accepted on a link of this kind."""
        return self._earliest[edition, platform]

    def accepted(self, edition: int, platform: bool) -> dict[bytes, int]:
        """Times found good since the last refresh, with the XOR of their bytes: most vehicles
        report at the same few. See `accepts` for a time that is not among them."""
        return self._accepted.setdefault((edition, platform), {})

    def accepts(self, time: bytes, edition: int, platform: bool) -> int | None:
        """The XOR of the bytes of a collection time; None for one that is not accepted."""
        good = plausible_time(time) and self.earliest(edition, platform) <= time <= self.latest
        if not good:
            return None
        known, check = self.accepted(edition, platform), bcc(time)
        if len(known) < _TIMES_KEPT:
            known[time] = check
        return check


def flag_for(frame: Frame, flag_2025: Flag) -> Flag:
    """The reply flag of a refusal: 2016 knows only `error` for what 2025 tells apart (table 4)."""
    return flag_2025 if frame.edition == 2025 else Flag.ERROR


def answer(frame: Frame, flag: Flag, rules: Rules, now_us: int) -> bytes:
    """The reply to a frame (§6.3.2, B.3.3.2); time sync carries the platform's time (B.2.5).

    A key exchange has no time to keep, and its key is not repeated.
    """
    if frame.command == Command.KEY_EXCHANGE:
        return build(frame.edition, frame.command, flag, frame.unique_id)
    return reply(frame, flag, rules.reply_body, time6(now_us))


def accepted(frame: Frame, rules: Rules) -> bytes:
    """The success reply to a report: `answer`, short for the common case of one sent in clear."""
    if rules.reply_body != "time" or frame.raw[21] != Encryption.NONE:
        return answer(frame, Flag.SUCCESS, rules, now_us())
    raw = frame.raw
    checked = raw[2:3] + b"\x01" + raw[4:21] + b"\x01\x00\x06" + raw[24:30]
    return raw[:2] + checked + bytes((bcc(checked),))


REPORTS = frozenset((Command.REALTIME, Command.REISSUE))
