"""JT/T 808 frames: the worked examples, every cut of a stream, escapes, and damaged headers."""

import random

import pytest
from tests.codecs.jt808 import examples

from carcloud.codecs.checks import bcc
from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import (
    FLAG,
    MAX_WIRE,
    Frame,
    Garbage,
    Splitter,
    build,
    build_message,
    escape,
    header_of,
    parse,
    unescape,
)

PHONE = "13900000101"


def sealed(plain: bytes) -> bytes:
    """A frame of any header and body, with the right checksum."""
    return FLAG + escape(plain + bytes((bcc(plain),))) + FLAG


def codes(pieces: list[Frame | Garbage]) -> list[str]:
    return [piece.error.code if isinstance(piece, Garbage) else "frame" for piece in pieces]


@pytest.mark.parametrize("raw", examples.ALL)
def test_examples_are_read_and_built_again(raw: bytes) -> None:
    frame = parse(raw)
    assert frame.phone == PHONE
    built = build(
        frame.edition,
        frame.message,
        frame.phone,
        frame.serial,
        frame.body,
        packets=frame.packets,
        packet=frame.packet,
    )
    assert built == raw


def test_the_header_tells_edition_serial_and_packets() -> None:
    new, old = parse(examples.POSITION_2019), parse(examples.AUTHENTICATE_2013)
    assert (new.edition, new.version, new.message, new.serial) == (2019, 1, 0x0200, 4)
    assert new.body.endswith(b"\xe1\x02\x7d\x7e")
    assert (old.edition, old.version, old.message, old.body) == (2013, 0, 0x0102, b"AUTH000101")
    second = parse(examples.MEDIA_2_2019)
    assert (second.packets, second.packet, second.serial, len(second.body)) == (2, 2, 0x15, 40)


def test_the_escape_of_the_standard() -> None:
    assert escape(bytes.fromhex("307e087d55")).hex() == "307d02087d0155"
    assert unescape(bytes.fromhex("307d02087d0155")).hex() == "307e087d55"
    assert unescape(b"\x7d\x01\x02") == b"\x7d\x02"
    with pytest.raises(FrameError) as caught:
        unescape(b"\x01\x7d\x03")
    assert (caught.value.code, caught.value.offset, caught.value.clause) == ("escape", 2, "4.4.2")


@pytest.mark.parametrize("apart", [b"", FLAG, b"\x7e\x7e\x7e"])
def test_a_stream_in_every_cut_gives_the_same_frames(apart: bytes) -> None:
    stream = apart.join(examples.ALL)
    whole = Splitter().feed(stream)
    assert [piece.raw for piece in whole if isinstance(piece, Frame)] == examples.ALL
    single = Splitter()
    assert [piece for byte in stream for piece in single.feed(bytes((byte,)))] == whole
    for seed in range(20):
        cuts = random.Random(seed)
        splitter, pieces, at = Splitter(), [], 0
        while at < len(stream):
            size = cuts.randint(1, 200)
            pieces += splitter.feed(stream[at : at + size])
            at += size
        assert pieces == whole, f"seed {seed}"
        assert splitter.pending == 0


def test_careless_senders_share_one_flag() -> None:
    stream = FLAG + FLAG.join(raw[1:-1] for raw in examples.ALL) + FLAG
    assert [piece.raw for piece in Splitter().feed(stream)] == examples.ALL


def test_damage_costs_one_frame() -> None:
    good = examples.HEARTBEAT_2019
    flipped = good[:8] + bytes((good[8] ^ 1,)) + good[9:]
    escaped = good[:5] + b"\x7d\x03" + good[7:]
    stream = b"\x00\x01" + good + flipped + good + escaped + b"\x55" + good + b"\x7e\x01\x7e" + good
    pieces = Splitter().feed(stream)
    assert codes(pieces) == [
        *("flag", "frame", "bcc", "frame", "escape", "truncated", "frame", "truncated", "frame")
    ]
    assert pieces[0] == Garbage(
        b"\x00\x01", FrameError("flag", 0, "4.4.1", "bytes before the first 7e")
    )


def test_bytes_without_a_flag_are_let_go_in_bounded_pieces() -> None:
    splitter = Splitter()
    pieces = splitter.feed(FLAG) + [p for _ in range(100) for p in splitter.feed(bytes(100))]
    assert codes(pieces) == ["length"] * (10_000 // MAX_WIRE)
    assert splitter.pending <= MAX_WIRE
    assert codes(splitter.feed(examples.HEARTBEAT_2019)) == ["flag", "frame"]


def test_half_a_frame_is_told_at_the_end() -> None:
    splitter = Splitter()
    assert splitter.feed(examples.HEARTBEAT_2019[:9]) == []
    (rest,) = splitter.finish()
    assert (rest.raw, rest.error.code) == (examples.HEARTBEAT_2019[:9], "truncated")
    splitter.feed(examples.HEARTBEAT_2019[:9])
    (stuck,) = splitter.expire()
    assert isinstance(stuck, Garbage)
    assert stuck.error.code == "stuck"
    assert codes(splitter.feed(examples.HEARTBEAT_2019)) == ["frame"]


def test_bit_14_on_a_2013_header_is_read_as_2013() -> None:
    plain = unescape(examples.AUTHENTICATE_2013[1:-1])[:-1]
    frame = parse(sealed(plain[:2] + bytes((plain[2] | 0x40,)) + plain[3:]))
    assert (frame.edition, frame.phone, frame.body) == (2013, PHONE, b"AUTH000101")


def test_a_checksum_that_was_not_escaped_is_accepted_only_if_it_fits() -> None:
    body = b""
    for value in range(256):
        raw = build(2013, 0x0900, PHONE, 1, bytes((value,)))
        if raw.endswith(b"\x7d\x01\x7e"):
            body = bytes((value,))
            assert parse(raw[:-2] + FLAG).body == body
    assert body
    with pytest.raises(FrameError, match="bcc"):
        parse(examples.HEARTBEAT_2019[:-2] + b"\x7d" + FLAG)


@pytest.mark.parametrize(
    ("plain", "code", "offset"),
    [
        ("0002000101390000010100030000", "length", 3),  # 2 bytes of body, 1 told
        ("00024000010000000001390000010100", "length", 3),  # 2019, a byte short
        ("000200000139000001a10003", "phone", 5),
        ("000200000000000000000003", "phone", 5),
        ("00022000013900000101000300020003", "packet", 13),  # packet 3 of 2
        ("00022000013900000101000300000000", "packet", 13),
        ("000220000139000001010003", "length", 3),  # no packet item
        ("0002000001390000010100", "truncated", 13),
    ],
)
def test_headers_that_do_not_fit(plain: str, code: str, offset: int) -> None:
    with pytest.raises(FrameError) as caught:
        parse(sealed(bytes.fromhex(plain)))
    assert (caught.value.code, caught.value.offset) == (code, offset)
    assert caught.value.clause.startswith("4.4")


def test_what_no_header_can_carry() -> None:
    for edition, phone, size in ((2020, PHONE, 0), (2013, "1" * 13, 0), (2019, "", 1024)):
        with pytest.raises(ValueError, match=r"edition|phone|body"):
            build(edition, 2, phone, 1, bytes(size))
    with pytest.raises(FrameError, match="flag"):
        parse(examples.HEARTBEAT_2019 + examples.HEARTBEAT_2019)
    longest = parse(build(2019, 2, "1" * 20, 0x1_0003, b"\x7e" * 1023))
    assert (longest.phone, longest.serial, len(longest.body)) == ("1" * 20, 3, 1023)


def test_a_damaged_frame_may_still_tell_whose_it_is() -> None:
    raw = examples.POSITION_2019
    damaged = raw[:30] + b"\x00" + raw[31:]
    assert header_of(damaged) == (2019, 0x0200, PHONE, 4)
    assert header_of(b"\x7e\x01\x02\x7e") is None
    assert header_of(b"\x7e" + bytes(20) + b"\x7e") is None


def test_random_bytes_never_break_the_splitter() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        noise = bytes(chance.choice(b"\x7e\x7d\x01\x02\x40\x00\x55") for _ in range(400))
        splitter = Splitter()
        pieces = [*splitter.feed(noise), *splitter.finish()]
        kept = b"".join(piece.raw for piece in pieces).replace(FLAG, b"")
        assert kept == noise.replace(FLAG, b""), f"seed {seed}"


def test_a_long_message_is_cut_into_packets() -> None:
    frames = [parse(raw) for raw in build_message(2013, 0x0801, PHONE, 0xFFFF, bytes(2500))]
    assert [(f.serial, f.packet, f.packets, len(f.body)) for f in frames] == [
        (0xFFFF, 1, 3, 1000),
        (0, 2, 3, 1000),
        (1, 3, 3, 500),
    ]
    assert build_message(2013, 2, PHONE, 1, b"") == [build(2013, 2, PHONE, 1)]
