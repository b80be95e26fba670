"""`decode_line`: any line gives JSON objects."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.jt808 import examples as ex
from tests.codecs.jt808.bodies import BODIES

from carcloud.codecs.checks import bcc
from carcloud.codecs.jt808 import gather
from carcloud.codecs.jt808.describe import Capture, decode_bytes, decode_line
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import Frame, Splitter, build, build_message, unescape
from carcloud.codecs.jt808.gather import Gatherer, Lone


def one(raw: bytes) -> dict[str, Any]:
    (document,) = decode_line(raw.hex())
    return document


def test_a_position_with_its_items_and_signals() -> None:
    document = one(ex.POSITION_2019)
    position = document["fields"]["position"]
    assert (document["message"], document["id"], document["edition"]) == (
        "position",
        "0x0200",
        2019,
    )
    assert (document["vehicle"], document["serial"]) == ("13900000101", 4)
    assert document["time"] == "2026-03-14T07:09:26Z"
    assert position["alarms"] == ["overspeed"]
    assert position["states"] == ["acc_on", "fix", "gps", "moving"]
    assert (position["latitude_deg"], position["longitude_deg"]) == (31.230416, 121.473701)
    assert (position["altitude_m"], position["speed_kmh"]) == (18, 63.5)
    items = {item["item"]: item for item in position["items"]}
    assert items["0x01"]["odometer_km"] == 123456.7
    assert items["0x02"]["fuel_l"] == 45.5
    assert items["0x03"]["recorder_kmh"] == 63.4
    assert items["0x06"]["cabin_temp_c"] == -5
    assert (items["0x11"]["place"], items["0x11"]["area_id"]) == (1, 7)
    assert items["0x25"]["on"] == ["low_beam", "brake"]
    assert items["0xE1"] == {"item": "0xE1", "data": "7d7e"}
    assert document["signals"]["Vehicle.Speed"] == 63.5
    assert (document["partial"], document["diagnoses"]) == (False, [])


def test_a_batch_tells_the_signals_of_each_position() -> None:
    document = one(ex.BATCH_2019)
    assert document["fields"]["kind"] == 1
    first, second = document["fields"]["positions"]
    stamp = "Vehicle.CurrentLocation.Timestamp"
    assert first["signals"][stamp] == "2026-03-14T07:09:26Z"
    assert second["signals"][stamp] == "2026-03-14T07:09:56Z"
    assert document["signals"] == {}


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (ex.REGISTER_2019, {"province": 31, "city": 104, "maker": "70101", "model": "SIM-1",
                            "terminal_id": "T000101", "plate_colour": 1, "plate": "沪A00101"}),
        (ex.REGISTER_2013, {"terminal_id": "T000101", "plate": "沪A00101"}),
        (ex.REGISTERED_2019, {"reply_serial": 1, "result": 0, "auth_code": "AUTH000101"}),
        (ex.AUTHENTICATE_2019, {"auth_code": "AUTH000101", "imei": "860000000000101",
                                "software_version": "V1.0.0"}),
        (ex.AUTHENTICATE_2013, {"auth_code": "AUTH000101"}),
        (ex.REPLY_2019, {"reply_serial": 2, "reply_id": "0x0102", "result": 0}),
        (ex.CAN_2019, {"time": "15:09:26.350", "count": 2}),
        (ex.RESEND_2019, {"first_serial": 20, "packet_numbers": [2, 5]}),
        (ex.RESEND_2013, {"first_serial": 20, "packet_numbers": [2, 5]}),
        (ex.MEDIA_KEPT_2019, {"media_id": 1}),
    ],
)  # fmt: skip
def test_worked_examples(raw: bytes, fields: dict[str, Any]) -> None:
    document = one(raw)
    assert fields.items() <= document["fields"].items()
    assert document["diagnoses"] == []


OTHERS = {
    "7e81034028010000000001390000010100080300000001040000003c00000013103139322e302e322e31303a3136"
    "3830380000005504000000"
    "6ec77e": lambda f: [item["value"] for item in f["items"]] == [60, "192.0.2.10:16808", 110],
    "7e8202400601000000000139000001010009000500000258a97e": lambda f: (
        (f["interval_s"], f["validity_s"]) == (5, 600)
    ),
    "7e850040050100000000013900000101000a0001000100f37e": lambda f: (
        f["controls"] == [{"id": 1, "value": 0}]
    ),
    "7e85000001013900000101000a01b77e": lambda f: f["flags"] == 1,
    "7e8600402b0100000000013900000101000b010100000007003f01dc89d0073d8aa5000001f40000000830000000"
    "00180000003c0a00320004b2d6bfe29a7e": lambda f: f["areas"] == [{
        "id": 7, "attr": 63, "attributes": ["times", "speed_limit", "in_driver", "in_platform",
        "out_driver", "out_platform"], "latitude_deg": 31.230416, "longitude_deg": 121.473701,
        "radius_m": 500, "start": "08:30:00", "end": "18:00:00", "max_speed_kmh": 60,
        "overspeed_s": 10, "night_max_speed_kmh": 50, "name_length": 4, "name": "仓库"}],
    "7e860240230100000000013900000101000c000100000008000201dcaf40073d7c3001dc8830073da340003c0a00"
    "320004b2d6bfe2187e": lambda f: (f["action"], f["areas"][0]["id"]) == (0, 8),
    "7e8604402b0100000000013900000101000d000000090002003c0a000301dc8830073d7c3001dcaf40073d7c3001"
    "dcaf40073da34000320004b2d6bfe2507e": lambda f: (
        len(f["vertices"]) == 3 and f["night_max_speed_kmh"] == 50
    ),
    "7e860640370100000000013900000101000e0000000a00000002000000010000000101dc8830073d7c301e020050"
    "0a003c000000020000000201dcaf40073da3401e000004b2d6bfe2697e": lambda f: (
        [p.get("night_max_speed_kmh") for p in f["points"]] == [60, None]
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", OTHERS)
def test_worked_examples_downwards(line: str) -> None:
    (document,) = decode_line(line)
    assert OTHERS[line](document["fields"])
    assert document["diagnoses"] == []


def test_packets_on_one_line_are_one_message() -> None:
    document = one(ex.MEDIA_1_2019 + ex.MEDIA_2_2019)
    assert (document["packets"], document["packet"]) == (2, 0)
    assert bytes.fromhex(document["fields"]["data"]) == bytes(range(64))
    assert document["signals"]["Vehicle.Speed"] == 63.5
    first, second = decode_line(ex.MEDIA_1_2019.hex())[0], one(ex.MEDIA_2_2019)
    assert first["fields"]["media_id"] == 1
    assert (first["diagnoses"][0]["code"], second["fields"]) == ("packet", {})


def capture(*lines: bytes | str, edition: int | None = None) -> list[dict[str, Any]]:
    """The objects of an input of these lines."""
    found = Capture(edition)
    texts = (line if isinstance(line, str) else line.hex() for line in lines)
    return [*(one for text in texts for one in found.line(text)), *found.finish()]


PACKETS = build_message(2019, 0x0801, "13900000101", 0xFFFE, bytes(8) + bytes.fromhex(
    "000000020044000301dc89d0073d8aa50012027b005a260314150926") + bytes(range(64)), packet_bytes=30
)  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_packets_are_joined_in_any_order_on_any_lines(order: tuple[int, ...]) -> None:
    assert len(PACKETS) == 4
    (document,) = capture(*(PACKETS[number] for number in order))
    assert (document["serial"], document["packets"], document["packet"]) == (0xFFFE, 4, 0)
    assert document["fields"]["data"] == bytes(range(64)).hex()
    parts = [PACKETS[number] for number in order]
    assert decode_line(b"".join(parts).hex()) == decode_bytes(b"".join(parts)) == [document]
    between = capture(*parts[:2], ex.HEARTBEAT_2019, *parts[2:])
    assert [found["message"] for found in between] == ["heartbeat", "media"]


@pytest.mark.parametrize(
    "second",
    [
        build(2019, 0x0200, "13900000999", 11, b"", packets=2, packet=2),  # another terminal
        build(2019, 0x0200, "13900000101", 500, b"", packets=2, packet=2),  # another message
        build(2013, 0x0200, "13900000101", 11, b"", packets=2, packet=2),  # another layout
        build(2019, 0x0704, "13900000101", 11, b"", packets=2, packet=2),
        build(2019, 0x0200, "13900000101", 12, b"", packets=3, packet=3),
    ],
)
def test_packets_of_different_messages_are_not_joined(second: bytes) -> None:
    first = build(2019, 0x0200, "13900000101", 10, b"", packets=2, packet=1)
    found = decode_line((first + second).hex())
    assert [one["diagnoses"][0]["detail"][:16] for one in found] == [
        "packet 1 of 2: 2",
        f"packet {found[1]['packet']} of {found[1]['packets']}: 1",
    ]


def test_the_end_of_the_input_says_which_packets_are_missing() -> None:
    found = capture(PACKETS[3], PACKETS[1], ex.HEARTBEAT_2019)
    assert [one["message"] for one in found] == ["heartbeat", "media", "media"]
    assert [one["packet"] for one in found] == [1, 2, 4]
    assert found[1]["diagnoses"][0] == {
        "code": "packet",
        "offset": 0,
        "clause": "4.4.3.4",
        "detail": "packet 2 of 4: 1, 3 did not come",
    }


def test_a_packet_that_comes_again_is_told_and_does_no_harm() -> None:
    found = capture(PACKETS[0], PACKETS[0], *PACKETS[1:], PACKETS[2])
    assert [(one["packet"], len(one["diagnoses"])) for one in found] == [(1, 1), (0, 0), (3, 1)]
    assert [one["diagnoses"][0]["detail"] for one in (found[0], found[2])] == [
        "packet 1 of 4: it is here already",
        "packet 3 of 4: its message was complete before",
    ]
    other = build(2019, 0x0801, "13900000101", 0xFFFF, b"other", packets=4, packet=2)
    found = capture(*PACKETS[:2], other)
    assert [one["packet"] for one in found] == [1, 2, 2]
    assert found[2]["rest"] == b"other".hex()
    assert found[0]["diagnoses"][0]["detail"] == (
        "packet 1 of 4: 3, 4 did not come; another message came under its serial numbers"
    )


def test_incomplete_messages_are_bounded_in_bytes() -> None:
    gatherer = Gatherer(most_held=3000)
    lone: list[Any] = []
    for serial in range(0, 100, 10):
        frame = build(2019, 0x0900, "1", serial, bytes(600), packets=9, packet=1)
        (piece,) = Splitter().feed(frame)
        assert isinstance(piece, Frame)
        lone += gatherer.add(piece)
    assert [one.frame.serial for one in lone] == [0, 10, 20, 30, 40, 50, 60, 70, 80][: len(lone)]
    assert 7 <= len(lone) < 10
    assert all(isinstance(one, Lone) and "too much is incomplete" in one.why for one in lone)


def packet(serial: int, number: int, packets: int) -> Frame:
    raw = build(2019, 0x0900, "1", serial, b"x", packets=packets, packet=number)
    (piece,) = Splitter().feed(raw)
    assert isinstance(piece, Frame)
    return piece


def test_a_lone_packet_costs_little_whatever_its_number_of_packets() -> None:
    gatherer = Gatherer()
    list(gatherer.add(packet(3, 3, 65_535)))
    tracemalloc.start()
    (lone,) = gatherer.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    named = ", ".join(str(number) for number in range(1, 22) if number != 3)
    assert lone.why == f"{named} and 65514 more did not come"
    assert peak < 100_000


def test_complete_messages_are_remembered_in_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_REMEMBERED_PACKETS", 4_000)
    gatherer = Gatherer()

    def whole_of(serial: int, packets: int) -> Frame:
        body = [packet(serial + number, number + 1, packets) for number in range(packets)]
        (found,) = (one for frame in body for one in gatherer.add(frame))
        assert isinstance(found, Frame)
        return found

    tracemalloc.start()
    whole = whole_of(1, 2_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a tuple of whole numbers takes 36 bytes for each
    assert kept < 2_000 * 8 + len(whole.raw) + len(whole.body) + 30_000
    for serial in (20_000, 30_000):
        whole_of(serial, 1_000)
    (lone,) = gatherer.add(packet(8, 8, 2_000))
    assert isinstance(lone, Lone)
    assert lone.code == "repeated"
    whole_of(40_000, 2)
    assert list(gatherer.add(packet(8, 8, 2_000))) == []


def test_bodies_are_of_the_edition_that_the_terminal_has_registered_with() -> None:
    def frame(message: int, year: int, phone: str = "13900000101") -> bytes:
        return build(year, message, phone, 1, encode(message, year, BODIES[year][message]))

    circles = frame(0x8600, 2011)
    before, registered, after, other = capture(
        circles, frame(0x0100, 2011), circles, frame(0x8600, 2013, "13900000102")
    )
    assert before["diagnoses"][-1]["detail"] == "the body has the layout of 2011"
    short = encode(0x0801, 2011, BODIES[2011][0x0801] | {"data": b"\xff"})
    (media,) = decode_bytes(build(2011, 0x0801, "13900000101", 1, short))
    assert media["error"]["detail"].endswith("are left; the body has the layout of 2011")
    assert (before["edition"], registered["edition"], other["edition"]) == (2013, 2011, 2013)
    assert (after["edition"], after["diagnoses"]) == (2011, [])
    assert after["fields"]["packet_count"] == len(after["fields"]["areas"])
    assert capture(circles, edition=2011) == [after]
    again = capture(frame(0x0100, 2011), frame(0x0100, 2013), frame(0x8600, 2013))
    assert [one["edition"] for one in again] == [2011, 2013, 2013]
    assert decode_bytes(circles, registered=2011) == [after]
    newer = capture(frame(0x0100, 2011), frame(0x8600, 2019))  # the header stands above it
    assert newer[1]["edition"] == 2019


@pytest.mark.parametrize(
    ("digits", "phone", "odd"),
    [
        ("000000000000", "0", "000000000000 is all zero"),
        ("4f07788ef876", "4f07788ef876", "4f07788ef876 is no phone number in BCD"),
    ],
)
def test_terminals_without_a_phone_number_are_read(digits: str, phone: str, odd: str) -> None:
    plain = bytes.fromhex(f"00020000{digits}0003")
    document = decode_line((plain + bytes((bcc(plain),))).hex(), unescaped=True)[0]
    assert (document["message"], document["vehicle"], document["serial"]) == ("heartbeat", phone, 3)
    assert document["diagnoses"] == [
        {"code": "phone", "offset": 5, "clause": "4.4.3", "detail": odd}
    ]


def test_no_text_speaks_of_less_than_nothing() -> None:
    report = bytes(22) + bytes.fromhex("26031415092601")
    (cut,) = decode_line(build(2019, 0x0200, "1", 0, report).hex())
    assert cut["diagnoses"][0]["detail"] == "item 0x01 has no length"
    plain = bytes.fromhex("000220000139000001010003")  # bit 13, and no packet item
    (short,) = decode_line((plain + bytes((bcc(plain),))).hex(), unescaped=True)
    assert "-" not in short["error"]["detail"]


def test_several_frames_on_one_line_spaces_and_capitals() -> None:
    both = ex.HEARTBEAT_2019 + ex.POSITION_2019
    spaced = " ".join(f"{byte:02X}" for byte in both)
    assert decode_line(f"{spaced}\r\n") == [one(ex.HEARTBEAT_2019), one(ex.POSITION_2019)]


def test_an_unescaped_frame_reads_like_the_one_on_the_wire() -> None:
    plain = b"\x7e" + unescape(ex.POSITION_2019[1:-1]) + b"\x7e"
    assert plain != ex.POSITION_2019
    assert decode_line(plain.hex(), unescaped=True) == [one(ex.POSITION_2019)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("xyz", "hex"),
        (ex.HEARTBEAT_2019.hex()[:-1], "hex"),
        ("", "truncated"),
        ("7e7e", "truncated"),
        (ex.HEARTBEAT_2019.hex()[:-2], "truncated"),
        (ex.HEARTBEAT_2019.hex()[2:], "flag"),
        (ex.HEARTBEAT_2019.hex()[:-4] + "007e", "bcc"),
        ("7e00027d03007e", "escape"),
    ],
)
def test_errors_name_the_byte_and_the_clause(line: str, code: str) -> None:
    error = decode_line(line)[0]["error"]
    assert error["code"] == code
    assert "fromhex" not in error["detail"]
    assert error["clause"]
    assert error["detail"]


@given(st.one_of(st.text(), st.binary().map(bytes.hex), st.binary(max_size=80)), st.booleans())
def test_any_line_gives_json(line: str | bytes, unescaped: bool) -> None:
    text = line if isinstance(line, str) else (b"\x7e" + line + b"\x7e").hex()
    assert json.loads(json.dumps(decode_line(text, unescaped=unescaped)))
