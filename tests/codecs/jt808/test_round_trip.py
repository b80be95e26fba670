"""Every body of every edition: written and read again, cut at every byte, with bytes behind it."""

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.jt808.bodies import BODIES, POSITION, TIME

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import MAX_INFLATED, decode, decode_body
from carcloud.codecs.jt808.encode import encode, encode_position
from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.frame import build_message, parse
from carcloud.codecs.jt808.packets import parse_message
from carcloud.codecs.jt808.tables import EDITIONS, MESSAGES

SPECIAL = {0x0608, 0x0901}  # tested by themselves: what they hold is read further
CASES = [(year, number) for year in EDITIONS for number in BODIES[year]]
COUNTS = ("count", "packet_count", "length", "size", "name_length", "phone_length", "code_length")


def test_every_message_has_a_body_here() -> None:
    for year in EDITIONS:
        assert BODIES[year].keys() | SPECIAL | {0x0107} == MESSAGES.keys()


@pytest.mark.parametrize(("year", "number"), CASES)
def test_a_body_is_written_and_read_again(year: int, number: int) -> None:
    fields = BODIES[year][number]
    body = encode(number, year, fields)
    assert decode_body(number, year, body) == (fields, ())


def bare(value: Any) -> Any:
    """Without what can be counted."""
    if isinstance(value, dict):
        return {key: bare(part) for key, part in value.items() if key not in COUNTS}
    return [bare(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("year", "number"), CASES)
def test_counts_and_lengths_need_not_be_given(year: int, number: int) -> None:
    fields = BODIES[year][number]
    assert encode(number, year, bare(fields)) == encode(number, year, fields)


@pytest.mark.parametrize(("year", "number"), CASES)
def test_a_body_cut_at_any_byte_is_refused_or_says_so(year: int, number: int) -> None:
    body = encode(number, year, BODIES[year][number])
    for size in range(len(body)):
        try:
            fields, notes = decode_body(number, year, body[:size])
        except FrameError as error:
            assert error.code == "overrun"
            assert error.clause
            assert error.offset <= size
            continue
        if not notes:  # texts and lists to the end may end anywhere, optional fields be absent
            assert decode_body(number, year, encode(number, year, fields)) == (fields, ())


@pytest.mark.parametrize(("year", "number"), CASES)
def test_a_message_around_the_body_is_read_whole(year: int, number: int) -> None:
    body = encode(number, year, BODIES[year][number])
    raw = b"".join(build_message(year, number, "13900000101", 7, body, packet_bytes=20))
    message = decode(parse_message(raw), year)
    assert (message.fields, message.diagnoses, message.partial) == (BODIES[year][number], (), False)
    assert message.packets == max(1, -(-len(body) // 20))


def test_bytes_behind_the_body_are_kept() -> None:
    body = encode(0x0001, 2019, BODIES[2019][0x0001]) + b"\x01\x02"
    (raw,) = build_message(2019, 0x0001, "13900000101", 7, body)
    message = decode(parse(raw))
    assert (message.rest, message.partial) == (b"\x01\x02", True)
    assert [(note.code, note.offset) for note in message.diagnoses] == [("trailing", 18 + 5)]


def test_one_packet_of_several_is_kept_as_it_is() -> None:
    body = encode(0x0704, 2019, BODIES[2019][0x0704])
    first, *_ = build_message(2019, 0x0704, "13900000101", 7, body, packet_bytes=30)
    message = decode(parse(first))
    assert (message.fields, message.rest, message.partial) == ({}, body[:30], True)
    assert message.diagnoses[0].code == "packet"


def test_compressed_content_is_read_but_not_without_end() -> None:
    for content, complete in ((b"hello", True), (bytes(MAX_INFLATED + 1), False)):
        data = gzip.compress(content)
        fields, notes = decode_body(0x0901, 2019, encode(0x0901, 2019, {"data": data}))
        assert fields["content"] == content[:MAX_INFLATED]
        assert [note.code for note in notes] == ([] if complete else ["gzip"])
    broken, notes = decode_body(0x0901, 2019, encode(0x0901, 2019, {"data": b"no gzip"}))
    assert "content" not in broken
    assert notes[0].code == "gzip"


@pytest.mark.parametrize(("kind", "number"), [(1, 0x8600), (2, 0x8602), (3, 0x8604), (4, 0x8606)])
def test_areas_told_are_read_like_areas_set(kind: int, number: int) -> None:
    fields = BODIES[2019][number]
    data = encode(number, 2019, fields) * 2
    found, notes = decode_body(
        0x0608, 2019, encode(0x0608, 2019, {"kind": kind, "count": 2, "data": data})
    )
    assert (found["bodies"], notes) == ([fields, fields], ())
    found, notes = decode_body(
        0x0608, 2019, encode(0x0608, 2019, {"kind": kind, "count": 1, "data": b"\0"})
    )
    assert "bodies" not in found
    assert notes[0].code == "areas"


def test_a_driver_may_tell_more_than_the_state_asks_for() -> None:
    fields = BODIES[2019][0x0702] | {"state": 2}
    body = encode(0x0702, 2013, fields)
    assert decode_body(0x0702, 2013, body) == (fields, ())
    assert decode_body(0x0702, 2013, body[:7])[0] == {"state": 2, "time": TIME}


def test_some_2019_terminals_send_a_long_maker_code() -> None:
    fields = BODIES[2019][0x0107]
    body = encode(0x0107, 2019, fields)
    longer = body[:7] + bytes(6) + body[7:]
    assert decode_body(0x0107, 2019, longer) == (fields, ())


def test_a_waybill_without_a_length_is_text() -> None:
    assert decode_body(0x0701, 2013, b"OK,1234")[0] == {"text": "OK,1234"}


@pytest.mark.parametrize(
    ("message", "fields", "field"),
    [
        (0x0001, {"reply_serial": 1, "reply_id": 2}, "result"),
        (0x0001, {"reply_serial": 65536, "reply_id": 2, "result": 0}, "reply_serial"),
        (0x8300, {"flags": 1, "kind": 1, "text": "\u0e01"}, "text"),
        (0x8004, {"server_time": "noon"}, "server_time"),
        (0x8004, {"server_time": TIME.replace(year=2100)}, "server_time"),
        (0x8103, {"items": [{"parameter": 1, "value": "x"}]}, "heartbeat_s"),
        (0x0200, {"position": {"items": [{"item": 0xE1}]}}, "item"),
        (0x0200, {"position": {"altitude_m": "high"}}, "altitude_m"),
        (0x1234, {}, "message"),
    ],
)
def test_what_the_wire_cannot_carry_is_named(message: int, fields: Any, field: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(message, 2019, fields)
    assert caught.value.field in (field, "latitude_deg")


def test_items_of_another_length_are_kept_and_the_others_read() -> None:
    basic = encode_position(POSITION | {"items": []})
    body = basic + bytes.fromhex("010200013001053105aa")
    fields, notes = decode_body(0x0200, 2013, body)
    position = fields["position"]
    assert isinstance(position, dict)
    assert position["items"] == [
        {"item": 1, "name": "odometer", "data": b"\x00\x01"},
        {"item": 0x30, "name": "radio", "signal_strength": 5},
    ]
    assert position["rest"] == bytes.fromhex("3105aa")
    assert [(note.code, note.offset) for note in notes] == [("item-length", 30), ("item", 35)]


@pytest.mark.parametrize(
    ("number", "year", "key", "count"),
    [
        (0x0104, 2019, "items", 3),
        (0x8103, 2011, "items", 2),
        (0x0704, 2013, "positions", 3),
        (0x0705, 2019, "frames", 2),
        (0x8106, 2019, "ids", 2),
        (0x8604, 2019, "vertices", 3),
        (0x0802, 2013, "items", 1),
    ],
)
def test_a_list_that_ends_before_its_count_gives_what_it_has(
    number: int, year: int, key: str, count: int
) -> None:
    fields = BODIES[year][number]
    entries = (fields[key] * 3)[:count]
    rest = {"name", "name_length", "night_max_speed_kmh"}  # behind the list
    whole = {name: part for name, part in fields.items() if name not in {*rest, *COUNTS}}
    body = encode(number, 2013 if number == 0x8604 else year, whole | {key: entries})[:-1]
    found, (note,) = decode_body(number, year, body)
    assert (found[key], note.code) == (entries[:-1], "overrun")
    assert rest.isdisjoint(found)
    if number != 0x0802:  # to the end of the body
        assert f"{count - 1} of {count} {key}" in note.detail
    (raw,) = build_message(year, number, "13900000101", 7, body)
    message = decode(parse(raw), year)
    assert message.partial
    assert message.rest == body[-len(message.rest) :] != b""


def test_an_answer_of_2011_may_have_the_serial_number_of_later_editions() -> None:
    fields = {"reply_serial": 5, "position": POSITION}
    assert decode_body(0x0201, 2011, encode(0x0201, 2011, fields)) == (fields, ())
    without = {"position": POSITION}
    assert decode_body(0x0201, 2013, encode(0x0201, 2011, without)) == (without, ())


def test_media_found_in_2011_may_be_counted() -> None:
    fields = BODIES[2011][0x0802] | {"packet_count": 1}
    body = encode(0x0802, 2011, fields)
    assert len(body) == 1 + len(encode(0x0802, 2011, BODIES[2011][0x0802]))
    assert decode_body(0x0802, 2011, body) == (fields, ())


def test_the_section_time_of_2011_is_a_byte_longer() -> None:
    body = encode_position(POSITION | {"items": []}) + bytes.fromhex("130800000009 0258 0001")
    fields, notes = decode_body(0x0200, 2013, body)
    assert notes == ()
    position = fields["position"]
    assert isinstance(position, dict)
    assert position["items"] == [
        {"item": 0x13, "name": "section_time", "section_id": 9, "driven_s": 600, "result": 1}
    ]


@given(st.sampled_from(sorted(MESSAGES)), st.sampled_from(EDITIONS), st.binary(max_size=120))
def test_any_body_is_read_or_refused(number: int, year: int, body: bytes) -> None:
    try:
        decode_body(number, year, body)
    except FrameError as error:
        assert error.code == "overrun"


def test_a_long_maker_code_is_long_in_bytes() -> None:
    body = bytes.fromhex("1818caca2b2f3500000000000000000000")
    fields, notes = decode_body(0x8108, 2011, body)
    assert (fields["maker"], notes) == ("\x18适+/5", ())
    assert encode(0x8108, 2011, fields) == body


def test_the_layout_of_a_long_maker_code_is_known_by_any_text_that_is_too_long() -> None:
    """A short maker code in the wide field: the terminal id tells that the fields are the wide."""
    fields = BODIES[2019][0x0107] | {"maker": "M", "terminal_id": "LONGERTHAN7"}
    narrow = BODIES[2013][0x0107] | {"maker": "M"}
    assert len(encode(0x0107, 2013, fields)) == len(encode(0x0107, 2013, narrow)) + 6 + 10 + 23
    body = encode(0x0107, 2013, fields)
    assert decode_body(0x0107, 2013, body) == (fields, ())
