"""CAN interfaces: layouts and control messages of the kernel, and interfaces that come and go.

Sockets of other families stand in for one of CAN where this kernel has none: they keep datagrams
apart, date them, and count what they drop, by the same code of the kernel.
"""

import asyncio
import errno
import json
import logging
import os
import random
import socket
import subprocess
import time
from pathlib import Path

import pytest
from can import Message
from can.interfaces.socketcan.socketcan import build_can_frame
from tests.agent.server import Server

from carcloud.agent import socketcan
from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings
from carcloud.agent.socketcan import CanReader, CanSocket, open_can, prepare
from carcloud.codecs.campaign.frames import EXTENDED

FD_LENGTHS = (*range(9), 12, 16, 20, 24, 32, 48, 64)


def message(can_id, payload, **given):
    """The bytes of a frame, as another library packs them."""
    given = {"is_extended_id": False, "is_fd": len(payload) > 8} | given
    return build_can_frame(Message(arbitration_id=can_id, data=payload, **given))


@pytest.fixture
def pair():
    """Something that writes frames, and a source that reads them."""
    writer, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    prepare(reader)
    with writer, reader:
        yield writer, CanSocket("can0", reader)


def taken(source, now=7):
    """Key and payload of each frame that waits; the interface must be well."""
    frames, error = source.take(now)
    assert error is None
    return [frame[1:] for frame in frames]


@pytest.mark.parametrize(
    ("sent", "key", "payload"),
    [
        (message(0x123, b"\xaa\xbb"), 0x123, b"\xaa\xbb"),
        (message(0, b""), 0, b""),
        (message(0x7FF, bytes(range(8))), 0x7FF, bytes(range(8))),
        (message(0x7FF, b"", is_extended_id=True), 0x7FF | EXTENDED, b""),
        (message(0x1FFFFFFF, b"\1", is_extended_id=True), 0x1FFFFFFF | EXTENDED, b"\1"),
        (message(0x18FEF100, bytes(range(64)), is_extended_id=True), 0x18FEF100 | EXTENDED,
         bytes(range(64))),
        (message(0x321, b"\7", is_fd=True, bitrate_switch=True, error_state_indicator=True),
         0x321, b"\7"),
    ],
)  # fmt: skip
def test_frames_have_the_layouts_of_the_kernel(pair, sent, key, payload):
    writer, source = pair
    writer.send(sent)
    assert taken(source) == [(key, payload)]


def test_any_frames_are_read_as_another_library_packs_them(pair):
    writer, source = pair
    rng = random.Random(seed := 20261129)
    for _ in range(200):
        wide, fd = rng.random() < 0.5, rng.random() < 0.5
        can_id = rng.getrandbits(29 if wide else 11)
        payload = rng.randbytes(rng.choice(FD_LENGTHS) if fd else rng.randint(0, 8))
        writer.send(message(can_id, payload, is_extended_id=wide, is_fd=fd))
        assert taken(source) == [(can_id | EXTENDED if wide else can_id, payload)], seed


def test_what_is_no_data_frame_is_passed_over(pair):
    writer, source = pair
    classic, flexible = message(1, b"\1"), message(2, bytes(12))
    xl = b"\1\0\0\0\x80\0\0\2" + bytes(4 + 512)  # a CAN XL frame of 512 bytes
    for sent in (
        b"", b"\1", classic[:7], classic[:15], classic + b"\0", flexible[:71],
        flexible + b"\0", xl,
        classic[:4] + b"\x09" + classic[5:],  # longer than such a frame can be
        flexible[:4] + b"\x41" + flexible[5:],
        message(5, b"", is_remote_frame=True),
        message(5, b"", is_remote_frame=True, is_extended_id=True),
        message(0x40, bytes(8), is_error_frame=True),  # bus off
    ):  # fmt: skip
        writer.send(sent)
        writer.send(classic)
        assert taken(source) == [(1, b"\1")], sent


def test_a_frame_has_the_time_at_which_the_kernel_got_it(pair):
    writer, source = pair
    before = time.time_ns() // 1000
    writer.send(message(1, b"\1"))
    after = time.time_ns() // 1000
    time.sleep(0.02)
    (frame,), _ = source.take(time.time_ns() // 1000)
    assert before - 10_000 <= frame[0] <= after  # the kernel's clock ticks more coarsely


def test_without_a_time_of_the_kernel_a_frame_has_that_of_reading():
    writer, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with writer, reader:
        reader.setblocking(False)
        writer.send(message(1, b"\1"))
        assert CanSocket("can0", reader).take(7)[0] == [(7, 1, b"\1")]


def gathered(source, enough):
    """The frames that come, until there are enough; the kernel may be some time about it."""
    frames, end = [], time.monotonic() + 60
    while not enough(frames) and time.monotonic() < end:
        more, error = source.take(0)
        assert error is None
        frames += more
    return frames


def overflow(source, writer):
    """Sends more frames than fit; what was read and what was dropped is all, each time."""
    source.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    read = sent = 0

    def all_told(frames):
        nonlocal sent
        if read + len(frames) + source.dropped == sent:
            return True
        writer.send(message(1, b"\1"))  # the kernel tells with it what it had to drop before
        sent += 1
        return False

    for rounds in (1, 2):
        for _ in range(100):
            writer.send(message(1, b"\1"))
        sent += 100
        read += len(gathered(source, all_told))
        assert read + source.dropped == sent
        assert source.dropped > 50 * rounds


def test_frames_that_the_kernel_drops_are_counted():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as writer,
    ):
        reader.bind(("127.0.0.1", 0))
        writer.connect(reader.getsockname())
        prepare(reader)
        overflow(CanSocket("can0", reader), writer)


class Troubled(socket.socket):
    """A socket whose reads fail as those of a CAN socket do: once, whatever waits."""

    def __init__(self, reader):
        super().__init__(fileno=reader.detach())
        self.errors = []

    def recvmsg(self, *args):
        """A frame, or None in the list of errors for one that comes before the next error."""
        if self.errors and (error := self.errors.pop(0)):
            raise OSError(error, os.strerror(error))
        return super().recvmsg(*args)


def troubled():
    """A writer, and a socket that fails on demand."""
    writer, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    prepare(reader)
    return writer, Troubled(reader)


@pytest.mark.parametrize("at", range(4))
def test_frames_around_an_error_are_kept(at):
    writer, reader = troubled()
    with writer, reader:
        for each in range(3):
            writer.send(message(each, b""))
        reader.errors = [None] * at + [errno.ENETDOWN]
        frames, error = CanSocket("can0", reader).take(7)
        assert [key for _, key, _ in frames] == [0, 1, 2]
        assert error.errno == errno.ENETDOWN


def test_an_error_that_stays_ends_the_reading():
    writer, reader = troubled()
    with writer, reader:
        reader.errors = [errno.ENETDOWN, errno.ENODEV, errno.EIO]
        frames, error = CanSocket("can0", reader).take(7)
        assert (frames, error.errno, reader.errors) == ([], errno.ENODEV, [errno.EIO])


class Buses:
    """Interfaces that are there or not; `opened` notes each socket that is made."""

    def __init__(self):
        self.opened = []
        self.there = True

    def open(self, name):
        """The socket of one, as `open_can` makes it."""
        if not self.there:
            raise OSError(errno.ENODEV, f"{name}: {os.strerror(errno.ENODEV)}")
        writer, reader = troubled()
        self.opened.append((writer, reader))
        return reader


async def until(condition):
    """Waits for something."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def reading(names, opened, script):
    """Runs a script with a reader that works, and the frames that it feeds."""

    async def run():
        fed = []
        reader = CanReader(
            names, lambda bus, frames: fed.extend((bus, each[1]) for each in frames),
            lambda: time.time_ns() // 1000, opened,
        )  # fmt: skip
        task = asyncio.create_task(reader.run())
        try:
            await script(reader, fed)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_an_interface_that_is_down_is_read_on_when_it_is_up(caplog):
    buses = Buses()

    async def script(_reader, fed):
        await until(lambda: len(buses.opened) == 2)
        writer, socket_ = buses.opened[0]
        socket_.errors = [errno.ENETDOWN]
        writer.send(message(1, b""))
        await until(lambda: fed == [("can0", 1)])
        writer.send(message(2, b""))
        buses.opened[1][0].send(message(3, b""))
        await until(lambda: len(fed) == 3)
        assert set(fed[1:]) == {("can0", 2), ("can1", 3)}

    reading(["can0", "can1", "can0"], buses.open, script)
    assert len(buses.opened) == 2
    assert "can0 is down" in caplog.text
    assert all(reader.fileno() == -1 for _, reader in buses.opened)
    for writer, _ in buses.opened:
        writer.close()


def test_an_interface_that_was_removed_is_read_again_when_it_is_there(caplog, monkeypatch):
    monkeypatch.setattr(socketcan, "_AGAIN_S", 0.01)
    caplog.set_level(logging.DEBUG, "carcloud.agent.socketcan")
    buses = Buses()

    async def script(reader, fed):
        await until(lambda: buses.opened)
        writer, socket_ = buses.opened[0]
        reader._sources["can0"].dropped = 5
        socket_.errors = [None, errno.ENODEV]
        buses.there = False
        writer.send(message(1, b""))
        await until(lambda: "can0: No such device" in caplog.text)
        await until(lambda: caplog.text.count("No such device") > 3)  # it is looked for
        assert fed == [("can0", 1)]
        assert socket_.fileno() == -1
        buses.there = True
        await until(lambda: len(buses.opened) == 2)
        buses.opened[1][0].send(message(2, b""))
        await until(lambda: fed == [("can0", 1), ("can0", 2)])
        assert reader.dropped == 5
        assert "can0 is there again" in caplog.text

    reading(["can0"], buses.open, script)
    for writer, _ in buses.opened:
        writer.close()


def test_an_interface_that_is_not_there_at_the_start_is_an_error():
    buses = Buses()

    def opened(name):
        buses.there = name == "can0"
        return buses.open(name)

    reader = CanReader(["can0", "can1"], lambda _bus, _frames: None, lambda: 0, opened)
    with pytest.raises(OSError, match="can1: No such device"):
        asyncio.run(reader.run())
    ((writer, socket_),) = buses.opened
    assert socket_.fileno() == -1
    writer.close()
    with pytest.raises(OSError, match="nothing9: "):
        open_can("nothing9")


# On a kernel that makes virtual CAN interfaces


def ip(*words):
    """Runs `ip link`."""
    subprocess.run(["ip", "link", *words], check=True, capture_output=True)


@pytest.fixture
def vcan():
    """The name of a virtual CAN interface that is up."""
    name = f"vcan{os.getpid()}"
    try:
        ip("add", name, "type", "vcan")
        ip("set", name, "mtu", "72", "up")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this kernel makes no virtual CAN interface, or not for this user")
    yield name
    subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def test_a_virtual_interface_gives_frames_of_every_kind(vcan):
    with open_can(vcan) as writer, open_can(vcan) as reader:
        source = CanSocket(vcan, reader)
        before = time.time_ns() // 1000
        writer.send(message(0x123, b"\xaa\xbb"))
        writer.send(message(0x18FEF100, bytes(8), is_extended_id=True))
        writer.send(message(5, b"", is_remote_frame=True))
        writer.send(message(0x321, bytes(range(64)), bitrate_switch=True))
        frames = gathered(source, lambda frames: len(frames) == 3)
        assert [frame[1:] for frame in frames] == [
            (0x123, b"\xaa\xbb"),
            (0x18FEF100 | EXTENDED, bytes(8)),
            (0x321, bytes(range(64))),
        ]
        times = [frame[0] for frame in frames]
        assert times == sorted(times)
        assert before - 10_000 <= times[0] <= times[-1] <= time.time_ns() // 1000


def test_frames_that_a_virtual_interface_drops_are_counted(vcan):
    with open_can(vcan) as writer, open_can(vcan) as reader:
        overflow(CanSocket(vcan, reader), writer)


def test_a_virtual_interface_may_go_down_and_away(vcan, caplog, monkeypatch):
    monkeypatch.setattr(socketcan, "_AGAIN_S", 0.05)

    def send(can_id):
        with open_can(vcan) as writer:
            writer.send(message(can_id, b""))

    async def script(reader, fed):
        await until(lambda: reader._sources)
        send(1)
        await until(lambda: fed == [(vcan, 1)])
        ip("set", vcan, "down")
        await until(lambda: f"{vcan} is down" in caplog.text)
        ip("set", vcan, "up")
        send(2)
        await until(lambda: fed == [(vcan, 1), (vcan, 2)])
        ip("del", vcan)
        await until(lambda: not reader._sources)
        ip("add", vcan, "type", "vcan")
        await until(lambda: caplog.text.count("is down") > 1)  # it is there, and not up yet
        ip("set", vcan, "up")
        send(3)
        await until(lambda: fed == [(vcan, 1), (vcan, 2), (vcan, 3)])

    reading([vcan], open_can, script)


def test_an_agent_reads_a_virtual_interface(vcan, tmp_path):
    dbc = 'BU_: E\nBO_ 256 Drive: 2 E\n SG_ Speed : 0|16@1+ (1,0) [0|0] "km/h" E\n'
    speed = {"message": "Drive", "signal": "Speed", "path": "Vehicle.Speed", "datatype": "float"}
    model = Path(tmp_path / "model.json")
    model.write_text(json.dumps({"id": "car", "dbc": [{"text": dbc}], "signals": [speed]}))

    async def script():
        server = await Server().start()
        given = {"vehicle": "car-1", "folder": str(tmp_path / "agent"), "server.port": server.port,
                 "model": str(model), "report_interval_ms": 20, "interfaces": [vcan]}  # fmt: skip
        stop = asyncio.Event()
        agent = Agent(load_settings(None, given))
        running = asyncio.create_task(agent.run(stop))
        with open_can(vcan) as writer:
            await until(lambda: agent.status()["connected"])
            writer.send(message(256, b"\x2a\0"))
            await until(lambda: server.on("/signals"))
        stop.set()
        await running
        assert json.loads(server.on("/signals")[0])[0]["values"] == {"Vehicle.Speed": 42.0}
        assert agent.status()["frames"]["dropped"] == 0
        await server.stop()

    asyncio.run(script())
