"""Usual reports go a short way through the gateway: it must come to the same as the long one."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.frame import bcc, build
from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway
from carcloud.gateway.gbt32960.rules import Rules, time6
from carcloud.gateway.gbt32960.session import Session
from carcloud.gateway.gbt32960.vehicle_link import VehicleLink
from carcloud.gateway.limits import Limits
from carcloud.model.ids import Tenant

TENANT = Tenant("default")
VIN = "LTESTVNA4A0000101"
DAY = 86_400.0


@dataclass
class Kept:
    """In place of the outbox: what a session gave it."""

    pressed: bool = False
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, tenant, vehicle, received, frame, session, reply, fault=None) -> None:
        assert received > 0
        self.rows.append((tenant, vehicle, frame, reply, fault))

    def after_earlier(self, tenant, session, reply) -> None:
        self.rows.append((tenant, None, None, reply, None))


class Transport(asyncio.Transport):
    """Of a peer that only talks."""

    closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_reading(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def outcome(
    packets: list[bytes], rules: Rules, edition: int, *, short: bool
) -> tuple[Any, ...]:
    kept = Kept()
    desk: Any = AdmissionDesk(lambda logins: [Admission(TENANT) for _ in logins], 1, failed=None)
    gateway = Gbt32960Gateway(kept, desk, rules, Limits(), fallback_tenant=TENANT)  # type: ignore[arg-type]
    session = Session(gateway)
    session.connection_made(Transport())
    login = Login(VIN, "", "gbt32960", "127.0.0.1", edition)
    link = session.link = VehicleLink(session, login, TENANT, Admission(TENANT))
    assert link._usual
    if not short:
        link._usual = {}
    for packet in packets:
        session.get_buffer(-1)[: len(packet)] = packet
        session.buffer_updated(len(packet))
        await asyncio.sleep(0)
    figures = gateway.figures
    counts = figures.frames, figures.refused, figures.closed, gateway.quotas.take_counts()[0]
    return kept.rows, counts, session._splitter.pending, session._frames


def moments() -> st.SearchStrategy[bytes]:
    """Collection times: good, too old, in the future, impossible."""
    shifts = st.sampled_from([0.0, -60.0, -3 * DAY + 60, -3 * DAY - 60, -8 * DAY, 240.0, 3_600.0])
    real = shifts.map(lambda shift: time6(int((time.time() + shift) * 1e6)))
    return real | st.binary(min_size=6, max_size=6) | st.just(bytes.fromhex("1a0d01000000"))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame, mostly a good report, with at most one thing that is not usual."""
    edition = draw(st.sampled_from([2025, 2025, 2025, 2016]))
    command = draw(st.sampled_from([Command.REALTIME, Command.REISSUE, Command.HEARTBEAT, 0xC1]))
    flag = draw(st.sampled_from([Flag.COMMAND, Flag.COMMAND, Flag.SUCCESS]))
    vin = draw(st.sampled_from([VIN, VIN, VIN, "LTESTVNA6A0000102", VIN[:-1]]))
    body = draw(moments()) + draw(st.binary(max_size=40))
    body = body[: draw(st.sampled_from([46, 46, 46, 6, 5, 0]))]
    encryption = draw(st.sampled_from([Encryption.NONE, Encryption.NONE, Encryption.AES]))
    frame = bytearray(build(edition, command, flag, vin, body, encryption=encryption))
    damage = draw(st.sampled_from(["", "", "", "byte", "cut", "more"]))
    if damage == "byte":
        frame[draw(st.integers(0, len(frame) - 1))] ^= draw(st.integers(1, 255))
    elif damage == "cut":
        del frame[draw(st.integers(0, len(frame) - 1)) :]
    elif damage == "more":
        frame += draw(st.binary(max_size=5))
    return bytes(frame)


@given(
    st.lists(frames(), max_size=6),
    st.lists(st.integers(1, 200), max_size=6),
    st.sampled_from([2016, 2025, 2025]),
    st.booleans(),
)
def test_the_short_way_comes_to_the_same(sent, cuts, edition, reply_reports):
    stream, packets = b"".join(sent), []
    for cut in [*cuts, len(stream)]:
        packets.append(stream[:cut])
        stream = stream[cut:]
    rules = Rules(reply_reports=reply_reports)
    packets = [packet for packet in packets if packet]
    short = asyncio.run(outcome(packets, rules, edition, short=True))
    assert short == asyncio.run(outcome(packets, rules, edition, short=False))


def test_a_good_report_is_taken_the_short_way(monkeypatch):
    """Else the test above compares the long way with itself."""
    parsed = []
    monkeypatch.setattr(Session, "_receive", lambda _self, pieces: parsed.append(pieces))
    good = build(2016, Command.REALTIME, Flag.COMMAND, VIN, time6(int(time.time() * 1e6)) + b"\x01")
    rules = Rules(reply_reports=True)
    rows, _, pending, _ = asyncio.run(outcome([good + good[:30]], rules, 2016, short=True))
    assert not parsed[0] and pending == len(good[:30])
    assert [(row[1], row[2]) for row in rows] == [(VIN, good)]
    assert bcc(rows[0][3][2:-1]) == rows[0][3][-1]
