"""The frames of CAN buses as arrays."""

import numpy as np
import pytest

from carcloud.codecs.can.frames import ERROR, FD, REMOTE, CanFrames, FrameList


def three() -> CanFrames:
    rows = FrameList()
    rows.append(30, 0x123, b"\x01\x02", bus=1)
    rows.append(10, 0x18FEF147, b"\x03\x04\x05\x06\x07\x08\x09\x0a\x0b", extended=True, flags=FD)
    rows.append(20, 0x7, flags=REMOTE)
    return rows.frames()


def payloads(frames: CanFrames) -> list[bytes]:
    return [frames.payload_of(index) for index in range(len(frames))]


def test_what_was_appended_is_there():
    frames = three()
    assert len(frames) == 3
    assert frames.time.tolist() == [30, 10, 20]
    assert frames.length.tolist() == [2, 9, 0]
    assert frames.extended.tolist() == [False, True, False]
    assert payloads(frames) == [b"\1\2", bytes(range(3, 12)), b""]


def test_select_sort_and_compact_keep_each_payload_with_its_frame():
    frames = three()
    assert payloads(frames.by_time()) == [bytes(range(3, 12)), b"", b"\1\2"]
    picked = frames.select(np.array([1]))
    assert picked.payload is frames.payload
    packed = frames.by_time().compact()
    assert packed.start.tolist() == [0, 9, 9]
    assert payloads(packed) == payloads(frames.by_time())
    assert len(picked.compact().payload) == 9


def test_matrix_cuts_and_fills():
    assert three().matrix(3).tolist() == [[1, 2, 0], [3, 4, 5], [0, 0, 0]]
    assert CanFrames.empty().matrix().shape == (0, 8)
    only_empty = three().select(np.array([2])).compact()
    assert only_empty.matrix(2).tolist() == [[0, 0]]


def test_concat_shifts_payloads_and_takes_the_worst_clock():
    frames = three()
    assumed = CanFrames.build([5], [1], [9], [1], clock="local_assumed")
    joined = CanFrames.concat([frames, CanFrames.empty("relative"), assumed])
    assert payloads(joined) == [*payloads(frames), b"\x09"]
    assert joined.clock == "local_assumed"
    assert len(CanFrames.concat([])) == 0


def test_relative_times_are_not_joined_to_dates():
    relative = CanFrames.build([5], [1], [9], [1], clock="relative")
    with pytest.raises(ValueError, match="relative"):
        CanFrames.concat([three(), relative])


def test_groups_by_bus_kind_and_id():
    rows = FrameList()
    for time, can_id, extended, bus in [(1, 5, False, 0), (2, 5, True, 0), (3, 5, False, 0)]:
        rows.append(time, can_id, extended=extended, bus=bus)
    groups = [(bus, ext, cid, i.tolist()) for bus, ext, cid, i in rows.frames().groups()]
    assert groups == [(0, False, 5, [0, 2]), (0, True, 5, [1])]
    assert list(CanFrames.empty().groups()) == []


def test_messages_leave_out_error_and_remote_frames():
    rows = FrameList()
    rows.append(1, 1, flags=ERROR)
    rows.append(2, 2, b"\x01", flags=FD)
    assert rows.frames().messages().can_id.tolist() == [2]
    assert three().messages().can_id.tolist() == [0x123, 0x18FEF147]


def test_wrong_ids_and_lengths_are_refused():
    with pytest.raises(ValueError, match="0x800"):
        FrameList().append(0, 0x800)
    with pytest.raises(ValueError, match="add up"):
        CanFrames.build([1], [1], [1, 2], [3])
    with pytest.raises(ValueError, match="shape"):
        CanFrames.build([1, 2], [1], [], 0)
