"""Messages of several packets: any order, twice, missing, contradicting, too many, too large."""

import random
from itertools import pairwise

import pytest
from tests.codecs.jt808 import examples

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame, build, build_message, parse
from carcloud.codecs.jt808.packets import (
    Assembler,
    PacketLimits,
    Progress,
    Room,
    joined,
    parse_message,
)

PHONE = "13900000101"
BODY = bytes(range(256)) * 20


def packets(
    edition: int = 2019, serial: int = 0xFFFE, body: bytes = BODY, message: int = 0x0801
) -> list[Frame]:
    return [parse(raw) for raw in build_message(edition, message, PHONE, serial, body)]


def test_the_two_packets_of_the_example() -> None:
    assembler = Assembler()
    assert assembler.add(parse(examples.MEDIA_1_2019), 0) is Progress.WAITING
    whole = assembler.add(parse(examples.MEDIA_2_2019), 0)
    assert isinstance(whole, Frame)
    assert whole.body[36:] == bytes(range(64))
    assert (whole.serial, whole.last_serial, whole.packet) == (0x14, 0x15, 0)
    assert parse_message(examples.MEDIA_1_2019 + examples.MEDIA_2_2019) == whole


def test_any_order_and_repetitions_give_the_same_message() -> None:
    wanted = joined(packets())
    for seed in range(20):
        chance = random.Random(seed)
        sent = packets() + chance.sample(packets(), 3)
        chance.shuffle(sent)
        room = Room()
        assembler = Assembler(room=room)
        results = [assembler.add(frame, 0) for frame in sent]
        assert [result for result in results if isinstance(result, Frame)] == [wanted], seed
        again = results.count(Progress.REPEATED) + results.count(Progress.COMPLETE)
        assert again == 3, seed
        assert len(assembler) == room.used == 0
    assert wanted.body == BODY


def test_what_is_missing_is_told_after_silence_and_then_given_up() -> None:
    room = Room()
    assembler = Assembler(PacketLimits(ask_after_s=5, asks=2), room)
    frames = packets()
    for at in (3, 0, 5):
        assembler.add(frames[at], now=at)
    assert list(assembler.due(9)) == []
    (asked,) = assembler.due(10)
    assert (asked.serial, asked.numbers, asked.given_up) == (0xFFFE, (2, 3, 5), False)
    assert asked.first == frames[0]
    assert list(assembler.due(11)) == []
    assembler.add(frames[1], 12)
    (again,) = assembler.due(17)
    assert again.numbers == (3, 5)
    (last,) = assembler.due(22)
    assert last.given_up
    assert last.frames == (frames[0], frames[1], frames[3], frames[5])
    assert len(assembler) == room.used == 0


def test_a_repeated_packet_may_come_under_a_new_serial_number() -> None:
    assembler = Assembler(PacketLimits(ask_after_s=5))
    frames = packets()
    for frame in frames[:-1]:
        assembler.add(frame, 0)
    list(assembler.due(5))
    last = frames[-1]
    again = parse(
        build(2019, 0x0801, PHONE, 77, last.body, packets=last.packets, packet=last.packet)
    )
    whole = assembler.add(again, 6)
    assert isinstance(whole, Frame)
    assert whole.body == BODY


@pytest.mark.parametrize("message", [0x0801, 0x0704])
@pytest.mark.parametrize("missing", range(5))
def test_another_message_of_as_many_packets_is_not_taken_for_what_is_missing(
    message: int, missing: int
) -> None:
    assembler = Assembler(PacketLimits(ask_after_s=5, messages=2))
    for at, frame in enumerate(packets(message=message)):
        if at != missing:
            assembler.add(frame, 0)
    list(assembler.due(5))
    other = packets(serial=300, body=BODY[::-1], message=message)
    whole = [r for r in (assembler.add(frame, 6) for frame in other) if isinstance(r, Frame)]
    assert [(frame.body, frame.serial) for frame in whole] == [(BODY[::-1], 300)]
    assert [one.numbers for one in assembler.due(11)] == [(missing + 1,)]

    assembler.add(packets(serial=700)[0], 12)  # no room for a third: it is no part of the first
    refused = packets(serial=900, body=BODY[::-1], message=message)
    for frame in refused:
        with pytest.raises(FrameError, match="too-large"):
            assembler.add(frame, 12)


def test_another_message_under_the_same_serial_numbers_begins_anew() -> None:
    room = Room()
    assembler = Assembler(room=room)
    for frame in packets()[:3]:
        assembler.add(frame, 0)
    other = packets(body=BODY[::-1])
    assert assembler.add(other[0], 1) is Progress.WAITING
    (lost,) = assembler.replaced()
    whole = [r for r in (assembler.add(frame, 1) for frame in other[1:]) if isinstance(r, Frame)]
    assert [frame.body for frame in whole] == [BODY[::-1]]
    assert not list(assembler.replaced())
    assert (lost.frames, lost.given_up) == (tuple(packets()[:3]), True)
    assert len(assembler) == room.used == 0


def test_a_message_that_comes_anew_takes_the_place_of_what_was_incomplete() -> None:
    room = Room()
    assembler = Assembler(PacketLimits(ask_after_s=5), room)
    for frame in packets()[:3]:
        assembler.add(frame, 0)
    list(assembler.due(5))
    whole = [assembler.add(frame, 6) for frame in packets(serial=300)][-1]
    assert isinstance(whole, Frame)
    assert whole.body == BODY
    assert len(assembler) == room.used == 0


def test_packets_that_contradict_each_other() -> None:
    assembler = Assembler()
    assembler.add(packets()[0], 0)
    for other in (packets(2013)[1], packets(body=BODY + bytes(3000))[1]):
        with pytest.raises(FrameError, match="packet at byte 1"):
            assembler.add(other, 0)
    assert isinstance([assembler.add(frame, 0) for frame in packets()[1:]][-1], Frame)


def test_two_messages_at_the_same_time_do_not_mix() -> None:
    assembler = Assembler()
    one, two = packets(serial=10), packets(serial=500, body=BODY[::-1])
    mixed = [frame for pair in zip(one, two, strict=True) for frame in pair]
    done = [r for r in (assembler.add(frame, 0) for frame in mixed) if isinstance(r, Frame)]
    assert [frame.body for frame in done] == [BODY, BODY[::-1]]


def test_bounds_in_messages_bytes_and_room() -> None:
    assembler = Assembler(PacketLimits(messages=2))
    assembler.add(packets(serial=1)[0], 0)
    assembler.add(packets(serial=100)[0], 0)
    with pytest.raises(FrameError, match="too-large"):
        assembler.add(packets(serial=200)[0], 0)

    small = Assembler(PacketLimits(message_bytes=5000))
    with pytest.raises(FrameError, match="too-large"):  # told by the first packet
        small.add(packets()[0], 0)
    with pytest.raises(FrameError, match="too-large"):  # seen while they come
        [small.add(frame, 0) for frame in packets()[1:]]
    assert len(small) == 0

    room = Room(most=3000)
    one, other = Assembler(room=room), Assembler(room=room)
    one.add(packets()[0], 0)
    one.add(packets()[1], 0)
    with pytest.raises(FrameError, match="no room"):
        other.add(packets()[0], 0)
    assert len(other) == 0
    assert [gone.given_up for gone in one.clear()] == [True]
    assert room.used == 0
    other.add(packets()[0], 0)


def test_the_kept_form_of_a_message_is_its_packets() -> None:
    frames = packets()
    raw = b"".join(frame.raw for frame in frames)
    assert parse_message(raw) == joined(frames)
    assert parse_message(examples.POSITION_2019) == parse(examples.POSITION_2019)
    for wrong in (raw[: len(frames[0].raw)], frames[1].raw + frames[0].raw, raw * 2, b"", b"\x7e"):
        with pytest.raises(FrameError):
            parse_message(wrong)
    with pytest.raises(FrameError):
        parse_message(examples.POSITION_2019 + examples.HEARTBEAT_2019)


def test_serials_go_on_over_the_wrap() -> None:
    serials = [frame.serial for frame in packets()]
    assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(serials))
    assert joined(packets()).last_serial == serials[-1]


def test_a_complete_message_is_known_by_its_content_for_a_minute() -> None:
    assembler, frames = Assembler(), packets()
    whole = [assembler.add(frame, 0) for frame in frames][-1]
    assert isinstance(whole, Frame)
    assert assembler.add(frames[2], 59) is Progress.COMPLETE
    assert assembler.add(frames[2], 60) is Progress.WAITING  # it may be of another message by now
    assert list(assembler.clear())

    other = packets(body=BODY[::-1])  # as long, and begins at the same serial number
    results = [assembler.add(frame, 0) for frame in (*frames, *other)]
    assert [r.body for r in results if isinstance(r, Frame)] == [BODY, BODY[::-1]]
    assert assembler.add(frames[0], 1) is Progress.WAITING

    long = [assembler.add(frame, 0) for frame in packets(serial=100, body=bytes(5000))]
    assert isinstance(long[-1], Frame)
    list(assembler.due(61))
    assert not assembler._done


def test_what_is_held_or_was_not_kept_is_not_complete() -> None:
    assembler, frames = Assembler(), packets()

    def whole() -> Frame:
        made = [assembler.add(frame, 0) for frame in frames][-1]
        assert isinstance(made, Frame)
        return made

    first = whole()
    assembler.hold(first)
    assert assembler.add(frames[0], 90) is Progress.REPEATED
    assembler.settle(first, kept=False)
    second = whole()
    assembler.hold(second)
    assembler.settle(first, kept=False)  # the one before: says nothing of this one
    assembler.settle(second, kept=True)
    assert assembler.add(frames[0], 0) is Progress.COMPLETE
    assembler.forget(second)
    assert whole() == second
