"""Frames: the checksum, building, parsing, replies, and cutting a stream whatever it holds."""

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples as ex
from tests.codecs.gbt32960.strategies import any_frames

from carcloud.codecs.gbt32960.constants import MAX_DATA, MAX_FRAME, Command, Flag
from carcloud.codecs.gbt32960.errors import EncodeError, FrameError
from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter, bcc, build, parse, reply

TIME_27 = bytes.fromhex("1a030e0f091b")
HOSTILE = {
    "number signs": b"#" * 65_536,
    "dollars": b"$" * 65_536,
    "mixed": b"#$" * 32_768,
    "starts with the largest length": (b"##" + b"\x02\xfe" + b"A" * 17 + b"\x01\xff\xfb") * 2000,
    "starts that nest": b"##\x02\xfeAAAAAAAAAAAAAAA##\x01\x20\x20" * 3000,
    "zeros": bytes(65_536),
}


def frames(found: list[Frame | Garbage]) -> list[bytes]:
    return [part.raw for part in found if isinstance(part, Frame)]


def test_bcc_of_short_and_long_data():
    assert bcc(b"") == 0
    assert bcc(b"\x5a") == 0x5A


@given(st.binary(max_size=600))
def test_bcc_is_the_xor_of_all_bytes(data):
    assert bcc(data) == reduce(xor, data, 0)
    assert bcc(bytearray(data)) == bcc(data)


@given(any_frames())
def test_what_is_built_is_parsed(raw):
    frame = parse(raw)
    assert frame.raw == raw
    again = build(
        frame.edition,
        frame.command,
        frame.flag,
        frame.unique_id,
        frame.data,
        encryption=frame.encryption,
    )
    assert again == raw


def test_frame_fields():
    frame = parse(ex.LOGIN_2016)
    assert (frame.edition, frame.command, frame.flag) == (2016, Command.LOGIN, Flag.COMMAND)
    assert (frame.unique_id, frame.encryption) == (ex.VEHICLE, 1)
    assert frame.is_command
    assert len(frame.data) == 38
    assert not parse(ex.LOGIN_REPLY_A).is_command
    assert parse(ex.SET_2025).edition == 2025


def test_short_unique_ids_are_padded_with_nul():
    raw = build(2016, 7, 0xFE, "P1")
    assert raw[4:21] == b"P1" + bytes(15)
    assert parse(raw).unique_id == "P1"


def test_largest_and_too_large_data_unit():
    raw = build(2025, 2, 0xFE, ex.VEHICLE, bytes(MAX_DATA))
    assert len(raw) == MAX_FRAME
    assert parse(raw).data == bytes(MAX_DATA)
    with pytest.raises(EncodeError, match="data"):
        build(2025, 2, 0xFE, ex.VEHICLE, bytes(MAX_DATA + 1))


@pytest.mark.parametrize("text", ["X" * 18, "é", "\n"])
def test_unique_ids_that_the_header_cannot_carry(text):
    with pytest.raises(EncodeError, match="unique_id"):
        build(2016, 7, 0xFE, text)


@pytest.mark.parametrize(
    ("raw", "code", "offset"),
    [
        (b"", "truncated", 0),
        (b"#", "truncated", 1),
        (b"#$", "start", 0),
        (ex.HEARTBEAT[:24], "truncated", 24),
        (ex.LOGIN_2016[:-1], "truncated", 62),
        (ex.HEARTBEAT + b"\x00", "trailing", 25),
        (ex.HEARTBEAT[:-1] + b"\x00", "bcc", 24),
        (ex.HEARTBEAT[:4] + b"\x07" + ex.HEARTBEAT[5:], "unique-id", 4),
        (ex.HEARTBEAT[:22] + b"\xff\xfc\x00", "length", 22),
    ],
)
def test_what_is_no_frame(raw, code, offset):
    with pytest.raises(FrameError) as caught:
        parse(raw)
    assert (caught.value.code, caught.value.offset) == (code, offset)


@pytest.mark.parametrize("raw", [ex.LOGIN_2016, ex.REALTIME_2025, ex.HEARTBEAT])
def test_truncation_at_every_byte_is_an_error(raw):
    for size in range(len(raw)):
        with pytest.raises(FrameError, match="truncated"):
            parse(raw[:size])


@pytest.mark.parametrize(
    ("request_", "flag", "reading", "wanted"),
    [
        (ex.LOGIN_2016, Flag.SUCCESS, "time", ex.LOGIN_REPLY_A),
        (ex.LOGIN_2016, Flag.SUCCESS, "echo", ex.LOGIN_REPLY_B),
        (ex.LOGIN_2016, Flag.VIN_DUPLICATE, "time", ex.VIN_DUPLICATE),
        (ex.REALTIME_2016, Flag.SUCCESS, "time", ex.REALTIME_REPLY),
        (ex.REALTIME_2025, Flag.BAD_SIGNATURE, "time", ex.BAD_SIGNATURE_REPLY),
        (ex.HEARTBEAT, Flag.SUCCESS, "time", ex.HEARTBEAT_REPLY),
        (ex.HEARTBEAT, Flag.SUCCESS, "echo", ex.HEARTBEAT_REPLY),
        (ex.TIME_SYNC, Flag.SUCCESS, "time", ex.TIME_SYNC_REPLY),
        (ex.TIME_SYNC, Flag.SUCCESS, "echo", ex.TIME_SYNC_REPLY),
    ],
)
def test_replies(request_, flag, reading, wanted):
    assert reply(parse(request_), flag, reading, TIME_27) == wanted


def test_reply_to_what_could_not_be_decrypted_carries_the_present():
    request = build(2025, 2, 0xFE, ex.VEHICLE, bytes(32), encryption=5)
    answer = parse(reply(parse(request), Flag.BAD_DECRYPTION, "echo", TIME_27))
    assert (answer.data, answer.encryption) == (TIME_27, 1)


EXAMPLES = [ex.LOGIN_2016, ex.REALTIME_2016, ex.HEARTBEAT, ex.REALTIME_2025, ex.LOGOUT]


def test_splitter_takes_a_whole_stream():
    assert frames(Splitter().feed(b"".join(EXAMPLES))) == EXAMPLES


def test_splitter_takes_single_bytes():
    splitter = Splitter()
    found = [part for byte in b"".join(EXAMPLES) for part in splitter.feed(bytes((byte,)))]
    assert frames(found) == EXAMPLES
    assert splitter.pending == 0
    assert splitter.finish() == []


@given(st.lists(any_frames(), max_size=5), st.data())
def test_splitter_takes_any_cuts(wanted, data):
    stream, splitter = b"".join(wanted), Splitter()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[begin:end])
    assert frames(found) == wanted
    assert len(found) == len(wanted)


def test_trailing_bytes_stay_for_the_next_frame():
    splitter = Splitter()
    assert frames(splitter.feed(ex.HEARTBEAT + ex.LOGOUT[:10])) == [ex.HEARTBEAT]
    assert splitter.pending == 10
    assert frames(splitter.feed(ex.LOGOUT[10:])) == [ex.LOGOUT]


def test_bytes_left_at_the_end_are_garbage():
    splitter = Splitter()
    splitter.feed(ex.LOGOUT[:10])
    (left,) = splitter.finish()
    assert (left.raw, left.error.code) == (ex.LOGOUT[:10], "truncated")
    assert splitter.pending == 0


@pytest.mark.parametrize(
    "stray", [b"#", b"##", b"$", b"#$", b"\x00", b"noise", b"noise##", b"\r\n"]
)
def test_garbage_before_a_frame_is_given_and_the_frame_found(stray):
    splitter = Splitter()
    found = splitter.feed(stray + ex.LOGIN_2016 + ex.HEARTBEAT)
    found += splitter.feed(ex.LOGOUT)
    assert frames(found) == [ex.LOGIN_2016, ex.HEARTBEAT, ex.LOGOUT]
    assert b"".join(part.raw for part in found if isinstance(part, Garbage)) == stray


def test_a_bad_checksum_loses_that_frame_alone():
    bad = ex.LOGIN_2016[:-1] + bytes((ex.LOGIN_2016[-1] ^ 1,))
    first, second, third = Splitter().feed(ex.HEARTBEAT + bad + ex.LOGOUT)
    assert (first.raw, third.raw) == (ex.HEARTBEAT, ex.LOGOUT)
    assert isinstance(second, Garbage)
    assert second.raw == bad
    assert (second.error.code, second.error.offset) == ("bcc", len(bad) - 1)


def test_a_bad_checksum_is_reported_at_once():
    bad = ex.LOGIN_2016[:-1] + bytes((ex.LOGIN_2016[-1] ^ 1,))
    (garbage,) = Splitter().feed(bad)
    assert garbage.raw == bad


def test_a_frame_inside_a_false_length_is_found():
    false = b"##\x02\xfe" + ex.VEHICLE.encode() + b"\x01" + (200).to_bytes(2, "big")
    found = Splitter().feed(false + ex.LOGIN_2016 + ex.LOGIN_2025 + bytes(200))
    assert frames(found) == [ex.LOGIN_2016, ex.LOGIN_2025]


def test_start_pairs_inside_a_data_unit_do_not_cut_it():
    raw = build(2016, 0xC0, 0xFE, ex.VEHICLE, b"##$$##" * 20)
    assert frames(Splitter().feed(raw + raw)) == [raw, raw]


def test_without_bcc_check_frames_are_cut_by_length():
    bad = ex.LOGIN_2016[:-1] + b"\x00"
    splitter = Splitter(check_bcc=False)
    assert frames(splitter.feed(bad)) == [bad]
    assert frames(splitter.feed(bad + ex.LOGOUT)) == [bad, ex.LOGOUT]


@given(st.lists(st.one_of(st.binary(max_size=60), any_frames(), st.just(b"##")), max_size=8))
def test_no_byte_is_lost_or_made_up(parts):
    splitter = Splitter()
    found = [piece for part in parts for piece in splitter.feed(part)] + splitter.finish()
    assert b"".join(piece.raw for piece in found) == b"".join(parts)
    assert all(parse(raw).raw == raw for raw in frames(found))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("step", [1, 1460, 1 << 20])
def test_hostile_input_holds_little_and_ends(name, step):
    stream, splitter, taken = HOSTILE[name], Splitter(), 0
    for at in range(0, len(stream), step):
        taken += sum(len(part.raw) for part in splitter.feed(stream[at : at + step]))
        assert splitter.pending < MAX_FRAME
    assert taken + splitter.pending == len(stream)


@pytest.mark.parametrize("name", HOSTILE)
def test_work_on_hostile_input_is_linear(name, monkeypatch):
    """Bytes that go through a checksum, counted, not timed."""
    from carcloud.codecs.gbt32960 import frame as module

    summed = 0

    def counting(data):
        nonlocal summed
        summed += len(data)
        return bcc(data)

    monkeypatch.setattr(module, "bcc", counting)
    splitter = Splitter()
    for at in range(0, len(HOSTILE[name]), 100):
        splitter.feed(HOSTILE[name][at : at + 100])
    assert summed <= 2 * len(HOSTILE[name])
