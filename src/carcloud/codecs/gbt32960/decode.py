"""The reference decoder: a frame in, a `Message` out; it never raises on a peer's bytes."""

from datetime import datetime
from typing import Final

from carcloud.codecs.gbt32960.constants import (
    HEADER_SIZE,
    SIGNATURE_MARK,
    Command,
    Encryption,
    Flag,
)
from carcloud.codecs.gbt32960.control import UpgradeOrder, read_argument
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.codecs.gbt32960.layout import Fields, Number, Text
from carcloud.codecs.gbt32960.message import Item, Message
from carcloud.codecs.gbt32960.reading import Overrun, Reader, read_row, read_table
from carcloud.codecs.gbt32960.tables import BODIES, PARAMETERS, REQUESTS, TIME_ONLY

_REPORTS: Final = (Command.REALTIME, Command.REISSUE)
_WITHOUT_TIME: Final = (Command.ACTIVATION_RESULT, Command.KEY_EXCHANGE)
_SIGNATURE_HEAD: Final = 5  # bytes of a signature that are neither R nor S
_HEAD: Final = (
    *TIME_ONLY.rows,
    Number("count", 1, (0, 252), 1, 0, "", "std", "number of parameters"),
)
_PARAMETER_CLAUSE: Final = "S16 tables B.10, B.13; S25 tables B.6, B.9"


def decode(
    frame: Frame,
    *,
    signature_covers_mark: bool = False,
    upgrade_order: UpgradeOrder = "B.15",
) -> Message:
    """Read a frame's data unit, which must be in clear (see `security.decrypted`).

    What cannot be read is kept in `rest` and named in `diagnoses`. `signature_covers_mark`
    counts the mark 0xFF as signed (S25 7.2.4, reading b); `upgrade_order` is the order of the
    fields of an upgrade command.
    """
    reading = _Reading(frame, signature_covers_mark, upgrade_order)
    reading.run()
    return reading.message()


def read_time(frame: Frame) -> datetime | None:
    """The message time in the first six bytes of a data unit in clear; None without a valid one."""
    if frame.encryption != Encryption.NONE or frame.command in _WITHOUT_TIME:
        return None
    reader = Reader(frame.data[:6], HEADER_SIZE)
    try:
        found = read_table(reader, TIME_ONLY)["time"]
    except Overrun:
        return None
    return found if isinstance(found, datetime) else None


class _Reading:
    """One pass over one data unit."""

    def __init__(self, frame: Frame, covers_mark: bool, order: UpgradeOrder) -> None:
        self.frame = frame
        self.covers_mark = covers_mark
        self.order: UpgradeOrder = order
        self.reader = Reader(frame.data, HEADER_SIZE)
        self.fields: Fields = {}
        self.items: list[Item] = []
        self.signed: int | None = None
        self.mark: int | None = None
        self.rest_from: int | None = None

    def run(self) -> None:
        """Choose the layout by command and flag, and read."""
        frame, reader = self.frame, self.reader
        if frame.encryption != Encryption.NONE:
            self._stop(0, "encrypted", "5, table 5", f"encryption 0x{frame.encryption:02x}")
            return
        try:
            if not frame.is_command:
                self._reply()
            elif frame.command in _REPORTS:
                self._report()
            elif frame.command == Command.SET:
                self._parameters()
            else:
                self._request()
        except Overrun as overrun:
            self._stop(0, "overrun", "6.2, table 2", str(overrun))
            return
        if reader.left:
            self._stop(reader.at, "trailing", "6.2, table 2", f"{reader.left} bytes too many")

    def message(self) -> Message:
        """What was read."""
        frame = self.frame
        time = self.fields.get("time", read_time(frame))
        return Message(
            edition=frame.edition,
            command=frame.command,
            flag=frame.flag,
            vehicle=frame.unique_id,
            encryption=frame.encryption,
            time=time if isinstance(time, datetime) else None,
            fields={key: value for key, value in self.fields.items() if key != "time"},
            items=tuple(self.items),
            partial=self.rest_from is not None,
            rest=b"" if self.rest_from is None else frame.data[self.rest_from :],
            signed=self.signed,
            mark=self.mark,
            diagnoses=tuple(self.reader.diagnoses),
        )

    def _stop(self, at: int, code: str, clause: str, detail: str) -> None:
        """Leave everything from byte `at` of the data unit unread."""
        self.rest_from = at
        self.reader.at = len(self.frame.data)
        self.reader.note(code, at, clause, detail)

    def _reply(self) -> None:
        """A reply has no body, the time alone (reading A), or the whole body (reading B)."""
        frame = self.frame
        if frame.command == Command.QUERY and frame.flag == Flag.SUCCESS and len(frame.data) > 6:
            self._parameters()
        elif frame.command == Command.TIME_SYNC or 0 < len(frame.data) <= 6:
            self._time()
        elif frame.data and frame.command in _REPORTS:
            self._report()
        elif frame.data and frame.command == Command.SET:
            self._parameters()
        elif frame.data:
            self._request()

    def _request(self) -> None:
        frame = self.frame
        table = REQUESTS[frame.edition].get(frame.command)
        if table is None:
            detail = f"0x{frame.command:02x} has no meaning in {frame.edition}"
            self._stop(0, "command", "6.3.1, table 3", detail)
            return
        self.fields = read_table(self.reader, table)
        if frame.command == Command.CONTROL:
            self.fields.update(read_argument(self.fields, self.order))
        if frame.command == Command.ACTIVATION:
            self.signed = self.reader.at - _signature_size(self.fields)

    def _time(self) -> None:
        self.fields.update(read_table(self.reader, TIME_ONLY))

    def _report(self) -> None:
        """Collection time, then (type, body) pairs to the end (table 7)."""
        self._time()
        while self.reader.left:
            at = self.reader.at
            kind = self.reader.take("type", 1)[0]
            if not self._body(kind, at):
                return
            if kind == SIGNATURE_MARK and self.reader.left:
                detail = f"{self.reader.left} bytes after the signature"
                self._stop(self.reader.at, "after-signature", "S25 table 7", detail)

    def _body(self, kind: int, at: int) -> bool:
        """Read one body; False where the rest of the data unit cannot be read."""
        table = BODIES[self.frame.edition].get(kind)
        if table is None:
            detail = f"type 0x{kind:02X} has no length, nothing after it can be read"
            self._stop(at, "unknown-type", "7.2.2, table 8", detail)
            return False
        if kind == SIGNATURE_MARK:
            self.mark = at
        noted = len(self.reader.diagnoses)
        try:
            fields = read_table(self.reader, table)
        except Overrun as overrun:
            del self.reader.diagnoses[noted:]
            self._stop(at, "overrun", table.clause, f"type 0x{kind:02X}: {overrun}")
            return False
        if kind == SIGNATURE_MARK:
            self.signed = at + 1 if self.covers_mark else at
        self.items.append(Item(kind, table.name, fields, at))
        return True

    def _parameters(self) -> None:
        """Time, count, then parameters whose size follows from their id (B.10, B.13)."""
        codes: dict[str, list[int]] = {}
        for row in _HEAD:
            self.fields[row.key] = read_row(self.reader, row, _PARAMETER_CLAUSE, codes)
        for _ in range(codes["count"][0]):
            if not self._parameter(codes):
                return

    def _parameter(self, codes: dict[str, list[int]]) -> bool:
        at = self.reader.at
        ident = self.reader.take("parameter id", 1)[0]
        row = PARAMETERS[self.frame.edition].get(ident)
        needed = None if isinstance(row, (Number, Text)) or row is None else row.count
        if row is None or (needed is not None and needed not in codes):
            why = "is not known" if row is None else "needs its length before it"
            self._stop(at, "parameter", _PARAMETER_CLAUSE, f"parameter 0x{ident:02X} {why}")
            return False
        try:
            value = read_row(self.reader, row, _PARAMETER_CLAUSE, codes)
        except Overrun as overrun:
            self._stop(at, "overrun", _PARAMETER_CLAUSE, f"parameter 0x{ident:02X}: {overrun}")
            return False
        self.items.append(Item(ident, row.key, {"value": value}, at))
        return True


def _signature_size(fields: Fields) -> int:
    """Bytes of the signature that ends an activation (S25 table B.3)."""
    match fields["signature"]:
        case [{"r": bytes() as r, "s": bytes() as s}]:
            return _SIGNATURE_HEAD + len(r) + len(s)
        case _:
            raise TypeError("an activation has one signature")
