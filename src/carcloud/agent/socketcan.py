"""CAN interfaces of Linux, read on the event loop, whatever becomes of them.

Layouts are those of linux/can.h; what a raw socket does is that of net/can/raw.c.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable, Sequence

from carcloud.agent.sources import Frame
from carcloud.codecs.campaign.frames import EXTENDED

log = logging.getLogger(__name__)

_ERROR_FLAG = 0x2000_0000  # CAN_ERR_FLAG of an id
_REMOTE_FLAG = 0x4000_0000  # CAN_RTR_FLAG
_EXTENDED_FLAG = 0x8000_0000  # CAN_EFF_FLAG
_HEADER = struct.Struct("=IB3x")  # can_frame and canfd_frame: id, length of the payload
_LONGEST = {16: 8, 72: 64}  # payload in bytes, by the size of the structure: CAN_MTU, CANFD_MTU
_MTU = max(_LONGEST)

# asm-generic/socket.h: Python's socket module has no names for them
_SO_RCVBUFFORCE = 33
_SO_RXQ_OVFL = 40
_SO_TIMESTAMPNS_NEW = 64
_TIME = struct.Struct("=qq")  # __kernel_timespec: seconds and nanoseconds since 1970
_COUNT = struct.Struct("=I")
_CONTROL = socket.CMSG_SPACE(_TIME.size) + socket.CMSG_SPACE(_COUNT.size)

_READ_AT_ONCE = 1024  # frames: half a second of a busy bus
_RECEIVE_BUFFER = 4 << 20  # bytes: some seconds of a busy bus
_AGAIN_S = 1.0  # between looks for an interface that was removed


def open_can(interface: str) -> socket.socket:
    """A raw socket of one CAN interface, classic and FD; raises `OSError` where there is none."""
    family = getattr(socket, "AF_CAN", None)
    if family is None:
        raise OSError("this system has no SocketCAN")
    with contextlib.ExitStack() as undo:
        try:
            connection = socket.socket(family, socket.SOCK_RAW, socket.CAN_RAW)
            undo.callback(connection.close)
            connection.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
            prepare(connection)
            connection.bind((interface,))
        except OSError as error:
            raise OSError(error.errno, f"{interface}: {error.strerror or error}") from error
        undo.pop_all()
    return connection


def prepare(connection: socket.socket) -> None:
    """Have the kernel keep many frames, and tell with each when it came and how many it dropped."""
    connection.setblocking(False)
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:  # without CAP_NET_ADMIN: no more than net.core.rmem_max
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    for option in (_SO_TIMESTAMPNS_NEW, _SO_RXQ_OVFL):
        with contextlib.suppress(OSError):  # before Linux 5.1, frames get the time of reading
            connection.setsockopt(socket.SOL_SOCKET, option, 1)


class CanSocket:
    """What one raw socket gives. `dropped` counts frames that found its buffer full."""

    def __init__(self, bus: str, connection: socket.socket) -> None:
        self.bus = bus
        self.socket = connection
        self.dropped = 0

    def take(self, now: int) -> tuple[list[Frame], OSError | None]:
        """The frames that wait, at most some thousand, and what has become of the interface.

        A frame has the time in us at which the kernel got it, `now` where that is not told.
        Remote frames, error frames, and what is no frame are passed over.
        """
        frames: list[Frame] = []
        error: OSError | None = None
        for _ in range(_READ_AT_ONCE):
            try:
                data, control, flags, _ = self.socket.recvmsg(_MTU, _CONTROL)
            except BlockingIOError:
                break
            except OSError as failure:  # told once, before the frames that wait
                again, error = error is not None, failure
                if again:
                    break
                continue
            time = self._told(control, now)
            if len(data) not in _LONGEST or flags & socket.MSG_TRUNC:
                continue
            can_id, length = _HEADER.unpack_from(data)
            if can_id & (_ERROR_FLAG | _REMOTE_FLAG) or length > _LONGEST[len(data)]:
                continue
            wide = can_id & _EXTENDED_FLAG
            key = can_id & 0x1FFF_FFFF | EXTENDED if wide else can_id & 0x7FF
            frames.append((time, key, data[8 : 8 + length]))
        return frames, error

    def _told(self, control: Sequence[tuple[int, int, bytes]], now: int) -> int:
        for level, kind, data in control:
            if level != socket.SOL_SOCKET:
                continue
            if kind == _SO_TIMESTAMPNS_NEW and len(data) == _TIME.size:
                seconds, nanoseconds = _TIME.unpack(data)
                now = seconds * 1_000_000 + nanoseconds // 1000
            elif kind == _SO_RXQ_OVFL and len(data) == _COUNT.size:
                total = _COUNT.unpack(data)[0]  # of the socket, modulo 2³²
                self.dropped += (total - self.dropped) & 0xFFFF_FFFF
        return now


class CanReader:
    """Interfaces, read while `run` runs: `feed` gets the bus and its frames.

    One that is down is read on once it is up; one that was removed, once it is there again.
    `now` is the clock in us; `opened` makes the socket of an interface.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        feed: Callable[[str, list[Frame]], None],
        now: Callable[[], int],
        opened: Callable[[str], socket.socket] = open_can,
    ) -> None:
        self._interfaces = tuple(dict.fromkeys(interfaces))
        self._feed = feed
        self._now = now
        self._opened = opened
        self._sources: dict[str, CanSocket] = {}
        self._dropped = 0  # of sockets that are closed

    @property
    def dropped(self) -> int:
        """Frames that the kernel dropped, because they were not read in time."""
        return self._dropped + sum(each.dropped for each in self._sources.values())

    async def run(self) -> None:
        """Read until cancelled. Raises `OSError` where an interface is not there at the start."""
        try:
            for name in self._interfaces:
                self._open(name)
            while True:
                await asyncio.sleep(_AGAIN_S)
                for name in self._interfaces:
                    if name not in self._sources:
                        self._look_for(name)
        finally:
            for source in tuple(self._sources.values()):
                self._close(source)

    def _open(self, name: str) -> None:
        source = self._sources[name] = CanSocket(name, self._opened(name))
        asyncio.get_running_loop().add_reader(source.socket, self._read, source)

    def _look_for(self, name: str) -> None:
        try:
            self._open(name)
        except OSError as error:
            log.debug("%s", error)
        else:
            log.info("%s is there again", name)

    def _read(self, source: CanSocket) -> None:
        frames, error = source.take(self._now())
        if frames:
            self._feed(source.bus, frames)
        if error is None:
            return
        if error.errno == errno.ENETDOWN:  # the socket stays bound to its interface
            log.warning("%s is down: frames come again when it is up", source.bus)
            return
        log.warning("%s is read again when it is there: %s", source.bus, error)
        self._close(source)

    def _close(self, source: CanSocket) -> None:
        asyncio.get_running_loop().remove_reader(source.socket)
        self._dropped += source.dropped
        del self._sources[source.bus]
        source.socket.close()
