"""Usual reports go a short way through the gateway: it must come to the same as the long one."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.frame import bcc, build
from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway
from carcloud.gateway.gbt32960.rules import REPORTS, Rules, time6
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


ODD = ("edition", "command", "flag", "vin", "time", "short", "encryption", "byte", "cut", "more")


def moments() -> st.SearchStrategy[bytes]:
    """Odd collection times: at the edges of the windows, beyond them, impossible."""
    shifts = st.sampled_from([-3 * DAY + 60, -3 * DAY - 60, -8 * DAY, 240.0, 3_600.0])
    real = shifts.map(lambda shift: time6(int((time.time() + shift) * 1e6)))
    return real | st.binary(min_size=6, max_size=6) | st.just(bytes.fromhex("1a0d01000000"))


@st.composite
def frames(draw: st.DrawFn, usual_edition: int) -> bytes:
    """A good report of the vehicle, with at most one thing that is odd."""
    odd = draw(st.sampled_from(["", "", *ODD]))
    edition = 4041 - usual_edition if odd == "edition" else usual_edition
    others = st.sampled_from([Command.HEARTBEAT, Command.LOGOUT, 0x33, 0xC1])
    command = draw(others if odd == "command" else st.sampled_from(list(REPORTS)))
    flag = draw(st.sampled_from([Flag.SUCCESS, 0x00])) if odd == "flag" else Flag.COMMAND
    vin = draw(st.sampled_from(["LTESTVNA6A0000102", VIN[:-1]])) if odd == "vin" else VIN
    body = draw(moments()) if odd == "time" else time6(int(time.time() * 1e6) - 60_000_000)
    body = body[: draw(st.integers(0, 5))] if odd == "short" else body + draw(st.binary(max_size=9))
    encryption = Encryption.AES if odd == "encryption" else Encryption.NONE
    frame = bytearray(build(edition, command, flag, vin, body, encryption=encryption))
    if odd == "byte":
        frame[draw(st.integers(0, len(frame) - 1))] ^= draw(st.integers(1, 255))
    elif odd == "cut":
        del frame[draw(st.integers(0, len(frame) - 1)) :]
    elif odd == "more":
        frame += draw(st.binary(max_size=5))
    return bytes(frame)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """The edition of a vehicle, and its frames as packets cut anywhere."""
    edition = draw(st.sampled_from([2016, 2025]))
    stream = b"".join(draw(st.lists(frames(edition), max_size=6)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    edges = [0, *cuts, len(stream)]
    return edition, [stream[a:b] for a, b in pairwise(edges) if a < b]


@given(journeys(), st.booleans())
def test_the_short_way_comes_to_the_same(journey, reply_reports):
    edition, packets = journey
    rules, now_ns = Rules(reply_reports=reply_reports), time.time_ns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now_ns)  # some replies tell the second
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


@pytest.mark.parametrize(
    "body",
    [
        time6(int((time.time() + DAY) * 1e6)),
        time6(int((time.time() - 3 * DAY - 60) * 1e6)),
        bytes.fromhex("1a0d01000000"),
        time6(int(time.time() * 1e6))[:5],
    ],
    ids=["future", "too old", "month 13", "cut off"],
)
def test_what_is_wrong_with_the_time_is_seen(body):
    sent = build(2016, Command.REALTIME, Flag.COMMAND, VIN, body)
    rules = Rules(reply_reports=True)
    rows, _, _, _ = asyncio.run(outcome([sent], rules, 2016, short=True))
    assert rows[0][4] is not None  # a fault
    assert rows == asyncio.run(outcome([sent], rules, 2016, short=False))[0]
