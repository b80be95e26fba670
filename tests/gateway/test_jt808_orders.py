"""Commands as messages of each edition, and the answers that end them."""

from typing import Any

import pytest

from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.encode import encode, encode_position
from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.frame import build, parse
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.jt808.order_messages import Unmet, message_of
from carcloud.gateway.jt808.session import Session
from carcloud.gateway.orders import Order
from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND, now_us
from carcloud.services.commands.api import CONTROL, KINDS
from carcloud.services.commands.kinds import BY_NAME, JT808, check_arguments
from tests.codecs.jt808.bodies import POSITION
from tests.gateway.terminals import Terminal, listening
from tests.gateway.test_gbt32960 import run
from tests.gateway.test_jt808_trucks import Told

DAY = {"after": "2026-05-01T00:00:00+08:00", "before": "2026-05-02T00:00:00+08:00"}
SERVER = {"apn": "net", "user": "u", "password": "p", "address": "192.0.2.1", "tcp_port": 7}
CIRCLE = {"id": 1, "attr": 0, "latitude_deg": 31, "longitude_deg": 121, "radius_m": 1, "name": ""}
INF, NAN = float("inf"), float("nan")
GIVEN: dict[str, tuple[dict[str, Any], int, str]] = {
    "power-off": ({}, 2013, "8105 03"),
    "close-data": ({}, 2011, "8105 06"),
    "close-radio": ({}, 2013, "8105 07"),
    "change-server": (
        SERVER | {"code": "c", "minutes": 5},
        2019,
        "8105 02" + b"0;c;net;u;p;192.0.2.1;7;0;5".hex(),
    ),
    "update-terminal": (
        SERVER | {"url": "http://192.0.2.1/f", "udp_port": 8, "maker": "CARCL", "hardware": "1",
                  "firmware": "2", "minutes": 3},
        2013,
        "8105 01" + b"http://192.0.2.1/f;net;u;p;192.0.2.1;7;8;CARCL;1;2;3".hex(),
    ),
    "check-link": ({}, 2019, "8204"),
    "read-attributes": ({}, 2013, "8107"),
    "read-driver": ({}, 2013, "8702"),
    "read-areas": ({"shape": "polygon", "ids": [9]}, 2019, "8608 03 00000001 00000009"),
    "read-recorder": ({"code": 8, "data": "0102"}, 2013, "8700 08 0102"),
    "set-recorder": ({"code": 0x82, "data": "ff"}, 2013, "8701 82 ff"),
    "pass-through": ({"code": 0xF0, "data": "c0ffee"}, 2019, "8900 f0 c0ffee"),
    "record-video": ({"seconds": 10}, 2013, "8801 01 ffff 000a 00 02 05 80 40 40 80"),
    "record-sound": ({"seconds": 5, "store": True, "rate_khz": "23"}, 2013, "8804 01 0005 01 02"),
    "find-media": (
        DAY | {"medium": "video", "event": "robbery"},
        2013,
        "8802 02 00 02 260501000000 260502000000",
    ),
    "upload-media": (
        {"medium": "picture", "channel": 1, "delete": True},
        2011,
        "8803 00 01 00 000000000000 000000000000 01",
    ),
    "upload-media-item": ({"media_id": 7}, 2013, "8805 00000007 00"),
    "call-back": ({"phone": "123", "listen": True}, 2011, "8400 01 313233"),
    "question": (
        {"text": "ok?", "answers": ["yes", "no"], "speak": True},
        2013,
        "8302 08 03 6f6b3f 01 0003 796573 02 0002 6e6f",
    ),
    "information": ({"code": 1, "text": "hi"}, 2011, "8304 01 0002 0002 6869"),
    "set-events": (
        {"action": "add", "entries": [{"id": 1, "text": "a"}]}, 2011, "8301 02 01 01 01 01 61",
    ),
    "set-menu": ({"action": "delete-all"}, 2013, "8303 00"),
    "set-phone-book": (
        {"action": "replace", "entries": [{"flag": 3, "phone": "1", "name": "a"}]},
        2019,
        "8401 01 01 03 01 31 01 61",
    ),
}  # fmt: skip
"""Arguments, edition, and the message with its body."""

OLD = {"locate", "track", "message", "read-parameters", "set-parameters", "restart", "lock",
       "factory-reset", "unlock", "set-areas", "remove-areas", "photo",
       "confirm-alarm"}  # fmt: skip
"""Commands that simulated trucks obey in their own test."""


def made(name: str, arguments: dict[str, Any], edition: int) -> bytes:
    number, fields = message_of(Order("o", name, arguments, 0), edition)
    return number.to_bytes(2) + encode(number, edition, fields)


def the_session(site: Any) -> Session:
    (session,) = site.gateway.sessions
    assert isinstance(session, Session)
    return session


def test_every_command_of_the_protocol_is_tried() -> None:
    assert {kind.name for kind in KINDS if JT808 in kind.protocols} == set(GIVEN) | OLD


@pytest.mark.parametrize("name", GIVEN)
def test_a_command_becomes_a_message(name: str) -> None:
    arguments, edition, wanted = GIVEN[name]
    check_arguments(BY_NAME[name], arguments)
    assert made(name, arguments, edition).hex() == wanted.replace(" ", "")


def test_what_sets_something_needs_control() -> None:
    reads = {"check-link", "record-video", "find-media", "question", "information"}
    for name in GIVEN:
        harmless = name in reads or name.startswith("read-")
        assert (BY_NAME[name].action == CONTROL) is not harmless, name


@pytest.mark.parametrize(
    ("name", "arguments", "edition", "told"),
    [
        ("confirm-alarm", {"kinds": ["sos"]}, 2011, "JT/T 808-2013"),
        ("read-attributes", {}, 2011, "JT/T 808-2013"),
        ("upload-media-item", {"media_id": 1}, 2011, "JT/T 808-2013"),
        ("check-link", {}, 2013, "JT/T 808-2019"),
        ("read-areas", {"shape": "route"}, 2013, "JT/T 808-2019"),
        ("power-off", {}, 2019, "has no command 3"),
        ("set-signal", {}, 2019, "has no command set-signal"),
        ("upload-package", {}, 2019, "has no command upload-package"),
    ],
)
def test_what_an_edition_does_not_have_is_refused(
    name: str, arguments: dict[str, Any], edition: int, told: str
) -> None:
    with pytest.raises(Unmet, match=told):
        made(name, arguments, edition)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("confirm-alarm", {"kinds": ["overspeed"]}, "these can: sos, danger, area"),
        ("change-server", {}, "address: is needed"),
        ("change-server", {"address": "a;b"}, "';'"),
        ("pass-through", {"code": 1, "data": "0x"}, "hex digits"),
        ("find-media", {"medium": "video", "after": "2026-05-01T00:00:00"}, "its zone"),
        ("find-media", {"medium": "video", "after": "0001-01-01T00:00:00+14:00"}, "after: year 1 "),
        ("find-media", {"medium": "video", "before": "9999-12-31T23:59:59-14:00"}, "before: year"),
        ("set-areas", {"shape": "circle", "areas": [CIRCLE | {"id": INF}]}, "id: .* finite"),
        ("set-areas", {"shape": "circle", "areas": [CIRCLE | {"radius_m": NAN}]}, "radius_m: "),
        ("set-areas", {"shape": "circle", "areas": [CIRCLE | {"latitude_deg": 1e308}]}, "deg: "),
        ("set-parameters", {"parameters": {"heartbeat_s": INF}}, "heartbeat_s: .* finite"),
        ("set-parameters", {"parameters": {"heartbeats_s": 3}}, "try heartbeat_s"),
        ("set-menu", {"action": "delete"}, "must be one of delete-all"),
        ("call-back", {"phone": "一" * 11}, "at most 20 bytes"),
    ],
)
def test_arguments_that_cannot_be(name: str, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(EncodeError, match=told):
        made(name, arguments, 2013)


def test_parameters_go_by_their_names_in_gbt32960_too() -> None:
    one, other = ({name: 30} for name in ("heartbeat_period_s", "heartbeat_s"))
    assert made("set-parameters", {"parameters": one}, 2019) == made(
        "set-parameters", {"parameters": other}, 2019
    )


def test_alarms_that_can_be_confirmed() -> None:
    names = ["sos", "jt_danger", "area", "route", "segment_time", "illegal_ignition"]
    body = made("confirm-alarm", {"serial": 3, "kinds": [*names, "illegal_move"]}, 2013)
    bits = sum(1 << bit for bit in (0, 3, 20, 21, 22, 27, 28))
    assert body == bytes.fromhex("82030003") + bits.to_bytes(4)


def test_a_terminal_of_2011_is_asked_and_answers_as_its_edition_does(server: Any) -> None:
    def admit(logins: list[Login]) -> list[Admission]:
        return [Admission(Tenant("default"), edition=2011) for _ in logins]

    async def scene() -> None:
        async with listening(server, admit=admit) as site:
            one = await Terminal.ready(site, edition=2011)
            session = the_session(site)
            assert session.link is not None
            assert session.link.edition == 2011

            def give(name: str, **arguments: Any) -> Told:
                told = Told()
                session.deliver(Order("o", name, arguments, now_us() + 60 * SECOND), told)
                return told

            photo = give("photo", channel=1)
            sent = await one.reply()
            one.send(0x0001, sent.serial.to_bytes(2) + b"\x88\x01\0")
            assert (await photo.end()).state == "executed"
            assert photo.states == ["sent", "executed"]

            some = give("read-parameters", names=["heartbeat_s", 0x55])
            sent = await one.reply()
            assert (sent.message, sent.body) == (0x8104, b"")
            items: list[Any] = [{"parameter": at, "value": at} for at in (1, 2, 0x55)]
            one.send(0x0104, encode(0x0104, 2011, {"reply_serial": sent.serial, "items": items}))
            answer = (await some.end()).answer
            assert answer is not None
            assert [item["value"] for item in answer["items"]] == [1, 0x55]

            for serial in (b"", None):  # the text of 2011 has none in this answer
                locate = give("locate")
                sent = await one.reply()
                head = sent.serial.to_bytes(2) if serial is None else serial
                one.send(0x0201, head + encode_position(POSITION))
                answer = (await locate.end()).answer
                assert answer is not None
                assert answer["position"]["latitude_deg"] == POSITION["latitude_deg"]

            assert (await give("confirm-alarm", kinds=["sos"]).end()).state == "refused"

    run(scene())


def test_arguments_that_cannot_be_written_are_refused_with_the_field(server: Any) -> None:
    async def scene() -> None:
        async with listening(server) as site:
            await Terminal.ready(site)
            for name, arguments, field in (
                ("find-media", {"medium": "video", "after": "0001-01-01T00:00:00+14:00"}, "after"),
                ("set-areas", {"shape": "circle", "areas": [CIRCLE | {"id": INF}]}, "id"),
            ):
                told = Told()
                order = Order("o", name, arguments, now_us() + 60 * SECOND)
                the_session(site).deliver(order, told)
                assert told.states == ["refused"]
                assert told.reports[0].reason.startswith(f"the arguments do not fit: {field}: ")

    run(scene())


def test_reports_that_answer_a_command_end_it(server: Any) -> None:
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            session = the_session(site)
            told = Told()
            arguments = {"text": "ok?", "answers": ["yes", "no"]}
            session.deliver(Order("o", "question", arguments, now_us() + 60 * SECOND), told)
            sent = await one.reply()
            assert decode(parse(build(2019, 0x8302, one.phone, 1, sent.body))).fields["question"]
            one.send(0x0001, sent.serial.to_bytes(2) + b"\x83\x02\0")
            one.send(0x0302, sent.serial.to_bytes(2) + b"\x02")
            ended = await told.end()
            assert told.states == ["sent", "received", "executed"]
            assert ended.answer is not None
            assert ended.answer["answer_id"] == 2

    run(scene())
