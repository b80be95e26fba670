"""JT/T 808 under `kill -9`: what was answered with result 0 is in the lake once, media in their
bucket."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from carcloud.codecs.jt808.frame import Frame, build_message
from carcloud.codecs.jt808.times import BEIJING
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.records import Records
from carcloud.services.vehicles.api import NewVehicle, VehicleModel, Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from tests.gateway.terminals import POSITION, Terminal, code_body, general, registration_body
from tests.kill.scene import Kills, Lost, client, cloud, meanwhile, moments, port, stored, twice

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

DBC = """\
BO_ 291 Wheels: 8 ECU
 SG_ Speed : 8|8@1+ (1,0) [0|250] "km/h" ECU
"""
MAPPING = "dbc: [truck.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.Speed}\n"
SPEED = "Vehicle.Speed"
WINDOW = 4  # messages that are not answered
LONG = 40  # positions of a batch: it goes in packets
LOCATION, BATCH, CAN, MEDIA = 0x0200, 0x0704, 0x0705, 0x0801
ROUND = (LOCATION, CAN, LOCATION, BATCH, CAN, LOCATION, MEDIA)


@dataclass
class Sent:
    """A message: its body, the rows that it gives, and the packets as they went last."""

    message: int
    body: bytes
    rows: dict[int, float]  # speed by us
    packets: list[bytes] = field(default_factory=list)


@dataclass
class Truck:
    """A terminal that sends until told. What is not answered goes again over the next connection,
    and one that was answered as well."""

    phone: str
    began_s: int
    seconds: int = 0
    cans: int = 0
    media: int = 0
    serial: int = 0
    code: str = ""
    turn: int = 0
    waiting: dict[int, Sent] = field(default_factory=dict)  # by the serial that a reply names
    durable: list[Sent] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)  # serials of this connection
    again: int = 0

    async def run(self, where: int, over: threading.Event) -> None:
        """Report until it is over and all is answered."""
        while True:
            try:
                link = await self._signed_in(where)
                await self._report(link, over)
            except (OSError, Lost):
                await asyncio.sleep(0.2)
            else:
                return

    async def _signed_in(self, where: int) -> Terminal:
        link = Terminal(*await asyncio.open_connection("127.0.0.1", where), 2019, self.phone)
        if not self.code:
            self._write(link, 0x0100, registration_body(2019))
            answer = await heard(link)
            if answer.body[2]:
                raise Lost("not registered")
            self.code = answer.body[3:].decode()
        self._write(link, 0x0102, code_body(2019, self.code))
        if general(await heard(link))[2]:
            raise Lost("not let in")
        return link

    async def _report(self, link: Terminal, over: threading.Event) -> None:
        unanswered, self.waiting = list(self.waiting.values()), {}
        self.answered.clear()
        self.again += len(unanswered)
        for sent in unanswered + self.durable[-1:]:
            self._send(link, sent)
        while not over.is_set() or self.waiting:
            while not over.is_set() and len(self.waiting) < WINDOW:
                self._send(link, self._next())
            self._take(link, await heard(link))
            await asyncio.sleep(0.01)
        link.writer.close()

    def _write(self, link: Terminal, message: int, body: bytes) -> list[bytes]:
        packets = build_message(2019, message, self.phone, self.serial, body, packet_bytes=1000)
        self.serial = (self.serial + len(packets)) & 0xFFFF
        link.write(*packets)
        return packets

    def _send(self, link: Terminal, sent: Sent) -> None:
        sent.packets = self._write(link, sent.message, sent.body)
        self.waiting[(self.serial - 1) & 0xFFFF] = sent

    def _next(self) -> Sent:
        message = ROUND[self.turn % len(ROUND)]
        self.turn += 1
        if message == CAN:
            return self._can()
        if message == BATCH:
            before = self._position(advance=0)  # one that has gone alone
            every = [before, *(self._position() for _ in range(LONG - 1))]
            body = LONG.to_bytes(2) + b"\1" + b"".join(len(b).to_bytes(2) + b for b, _ in every)
            return Sent(message, body, {at: speed for _, (at, speed) in every})
        position, (at, speed) = self._position()
        if message == LOCATION:
            return Sent(message, position, {at: speed})
        self.media += 1
        picture = self.media.to_bytes(4) + bytes(range(256)) * 20
        return Sent(message, self.media.to_bytes(4) + b"\0\0\0\1" + position + picture, {at: speed})

    def _position(self, advance: int = 1) -> tuple[bytes, tuple[int, float]]:
        """A body of 0x0200 and the row that it gives."""
        self.seconds += advance
        at, speed = self.began_s + self.seconds, self.seconds % 120
        told = datetime.fromtimestamp(at, BEIJING).strftime("%y%m%d%H%M%S")
        body = POSITION[:18] + (speed * 10).to_bytes(2) + POSITION[20:22] + bytes.fromhex(told)
        return body, (at * 1_000_000, float(speed))

    def _can(self) -> Sent:
        self.cans += 1
        ms, speed = (self.began_s - 7200) * 1000 + self.cans * 7, self.cans % 120
        told = datetime.fromtimestamp(ms / 1000, BEIJING).strftime("%H%M%S") + f"{ms % 1000:04d}"
        frame = (0x123).to_bytes(4) + bytes((0, speed)) + bytes(6)
        return Sent(CAN, b"\0\1" + bytes.fromhex(told) + frame, {ms * 1000: float(speed)})

    def _take(self, link: Terminal, answer: Frame) -> None:
        match answer.message:
            case 0x8001:
                self._replied(link, *general(answer))
            case 0x8800:
                self._told_of_picture(link, answer.body[:4], complete=len(answer.body) == 4)
            case 0x8003:
                first = int.from_bytes(answer.body[:2])
                for last, sent in self.waiting.items():
                    if (last - len(sent.packets) + 1) & 0xFFFF == first:
                        link.write(*sent.packets)
            case other:
                raise AssertionError(hex(other))

    def _told_of_picture(self, link: Terminal, media: bytes, *, complete: bool) -> None:
        mine = (s for s, m in self.waiting.items() if (m.message, m.body[:4]) == (MEDIA, media))
        serial = next(mine, None)
        if serial is None:  # what was asked for again may come twice, and is answered twice
            assert any(one.message == MEDIA and one.body[:4] == media for one in self.durable)
        elif complete:
            self._ended(serial)
        else:
            link.write(*self.waiting[serial].packets)

    def _replied(self, link: Terminal, serial: int, message: int, result: int) -> None:
        if serial in self.answered:  # each packet that comes again is answered
            assert result == 0 or message == MEDIA
            return
        if result == 0:
            self._ended(serial)
            return
        sent = self.waiting.pop(serial)
        self.answered.add(serial)
        assert (message, result) == (MEDIA, 1)  # the bucket is away: it may come anew
        self.again += 1
        self._send(link, sent)

    def _ended(self, serial: int) -> None:
        self.durable.append(self.waiting.pop(serial))
        self.answered.add(serial)

    def rows(self) -> dict[tuple[str, int], float]:
        """What was answered, by moment."""
        return {(self.phone, at): v for sent in self.durable for at, v in sent.rows.items()}

    def pictures(self) -> set[bytes]:
        """Media that were said to be complete, without their header."""
        return {sent.body[36:] for sent in self.durable if sent.message == MEDIA}


async def heard(link: Terminal) -> Frame:
    """The next message; raises `Lost`."""
    try:
        async with asyncio.timeout(8):
            while not link._here:
                data = await link.reader.read(65536)
                if not data:
                    raise Lost("closed")
                link._here += [one for one in link._splitter.feed(data) if isinstance(one, Frame)]
    except TimeoutError as error:
        raise Lost("silence") from error
    return link._here.pop(0)


PHONES = [f"1390000{number:04d}" for number in range(8)]


def enrol(_settings: Settings, records: Records, vehicles: Vehicles) -> None:
    """Trucks of a model whose CAN uploads become rows."""
    model = VehicleModel("truck", "Truck", protocol="jt808")
    vehicles.create_model(DEFAULT_TENANT, model, actor="test")
    mappings = Mappings(records, Vocabulary(records).catalogue)
    mappings.save(
        DEFAULT_TENANT, "truck", MAPPING, {"truck.dbc": DBC}, note="", actor="test", if_version=None
    )
    for phone in PHONES:
        vehicles.create(DEFAULT_TENANT, NewVehicle(phone, model="truck"), actor="test")


def kept_media(supervisor: Any, phone: str) -> list[bytes]:
    """Every object of a truck."""
    with client(supervisor) as http:
        box = "/v1/buckets/media-default"
        listed = http.get(f"{box}/objects", params={"prefix": f"jt808/{phone}/", "limit": 1000})
        keys = [one["key"] for one in listed.json()["items"]]
        return [http.get(f"{box}/object", params={"key": key}).content for key in keys]


def test_every_answered_message_is_in_the_lake_once(tmp_path: Path) -> None:
    with cloud(tmp_path, enrol, gateway__jt808__packet_wait_s=1.0) as supervisor:
        where = port(supervisor, "jt808")
        trucks = [Truck(phone, int(time.time()) - 6 * 3600) for phone in PHONES]
        kills = Kills(supervisor, work=lambda: [len(one.durable) for one in trucks], least=50)

        async def work() -> None:
            async with asyncio.timeout(150), asyncio.TaskGroup() as group:
                for one in trucks:
                    group.create_task(one.run(where, kills.over))

        meanwhile(supervisor, work, kills)
        wanted = {moment: speed for one in trucks for moment, speed in one.rows().items()}
        rows = stored(supervisor, wanted)
        media = {one.phone: kept_media(supervisor, one.phone) for one in trucks}
    found = moments(rows)
    speeds = dict(zip(found, rows[SPEED].to_pylist(), strict=True))
    again = [one.again for one in trucks]
    print(kills.done, len(wanted), rows.num_rows, again, sum(map(len, media.values())))
    assert set(kills.done) == {"gateway", "ingest", "stream", "web"}
    assert all(again) and len(wanted) > 2000
    assert twice(found) == []
    assert speeds == wanted
    for one in trucks:
        assert one.pictures() and len(media[one.phone]) == len(one.pictures())
        assert set(media[one.phone]) == one.pictures()
