"""Messages of several frames: J1939 TP, ISO-TP and fast packets, on real logs and on made ones."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from tests.data import shared_data

from carcloud.codecs.can import dm1, fast_packet, j1939
from carcloud.codecs.can.assembly import Assembler, Transport
from carcloud.codecs.can.fast_packet import FastPacket
from carcloud.codecs.can.frames import FD, CanFrames, FrameList
from carcloud.codecs.can.isotp import IsoTp
from carcloud.codecs.can.j1939 import TransportProtocol
from carcloud.engines.canlog_files import read_log

MS = 10**6


@cache
def log(name: str) -> CanFrames:
    return read_log(shared_data(f"can/css/{name}.MF4"))


def run(transport: Transport, frames: CanFrames, step: int = 1 << 30):
    """Messages and what was dropped, block by block."""
    assembler = Assembler(transport)
    blocks = [frames.select(slice(i, i + step)) for i in range(0, len(frames), step)]
    messages = CanFrames.concat([assembler.feed(block) for block in blocks])
    assembler.finish()
    return messages, assembler.dropped


def kinds(messages: CanFrames) -> Counter:
    return Counter(zip(messages.can_id.tolist(), messages.length.tolist(), strict=True))


def payloads(messages: CanFrames) -> list[bytes]:
    return [messages.payload_of(i) for i in range(len(messages))]


@pytest.mark.parametrize("step", [1 << 30, 61])
def test_bam_of_a_real_log(step):
    messages, dropped = run(TransportProtocol(), log("j1939_bam_FCBF0606"), step)
    assert kinds(messages) == {(0x18FEE300, 28): 13, (0x18FEEC00, 28): 3}
    assert Counter(j1939.pgn_of(messages.can_id).tolist()) == {65251: 13, 65260: 3}
    assert not dropped
    speed = messages.select(messages.can_id == 0x18FEE300).matrix(28).astype(int)
    rpm = (speed[:, 12] | speed[:, 13] << 8) * 0.125
    assert (rpm.min(), rpm.max()) == (1566.5, 1600.0)


def test_bam_and_trouble_codes_of_another_log():
    frames = log("j1939_gps_11111111")
    messages, dropped = run(TransportProtocol(), frames)
    assert kinds(messages) == {(0x18FEE300, 39): 25, (0x18FECA00, 18): 127}
    assert not dropped
    told = dm1.trouble_codes(messages)
    assert len(told.time) == 127
    mine = messages.select(messages.can_id == 0x18FECA00)
    plain = []
    for payload in payloads(mine):
        for at in range(2, len(payload) - 3, 4):
            word = int.from_bytes(payload[at : at + 4], "little")
            spn, fmi = word & 0xFFFF | (word >> 21 & 7) << 16, word >> 16 & 31
            if (spn or fmi) and word != 0xFFFFFFFF:
                plain.append((spn, fmi, word >> 24 & 127))
    assert plain
    assert (
        list(zip(told.spn.tolist(), told.fmi.tolist(), told.count.tolist(), strict=True)) == plain
    )
    assert set(told.source.tolist()) == {0}


@pytest.mark.parametrize("step", [1 << 30, 97])
def test_isotp_of_real_logs(step):
    messages, dropped = run(IsoTp(), log("uds_kona_17BD1DB7"), step)
    assert kinds(messages) == {(0x7EC, 62): 120, (0x7BB, 38): 150}
    assert dropped == {"incomplete": 30}  # the log has 30 first frames that nothing follows
    starts = Counter((len(one), one[:3].hex()) for one in payloads(messages))
    assert starts == {(62, "620101"): 120, (38, "620100"): 150}
    leaf, dropped = run(IsoTp(), log("uds_leaf_gnss_2F6913DB"), step)
    starts = Counter((len(one), one[:2].hex()) for one in payloads(leaf))
    assert starts == {(53, "6101"): 13, (31, "6104"): 13, (2, "2101"): 13, (2, "2104"): 13}
    assert not dropped


def test_the_length_byte_of_published_dbc_files():
    ids = IsoTp.of([(0x7BB, False)], length_byte=True)
    messages, _ = run(ids, log("uds_leaf_gnss_2F6913DB"))
    starts = Counter((len(one), one[:3].hex()) for one in payloads(messages))
    assert starts == {(54, "356101"): 13, (32, "1f6104"): 13}


@pytest.mark.parametrize("length_byte", [False, True])
def test_a_first_frame_may_end_within_its_length(length_byte):
    for size in range(8):
        frames = frames_of([(0, 0x7EC, bytes.fromhex("10000000050102")[:size])])
        messages, _ = run(IsoTp(length_byte=length_byte), frames)
        assert payloads(messages) == []


@pytest.mark.parametrize("step", [1 << 30, 113])
def test_fast_packets_of_a_real_log(step):
    messages, dropped = run(FastPacket(frozenset({129029})), log("nmea2000_94C49784"), step)
    assert kinds(messages) == {(0x0DF80523, 43): 60}
    assert not dropped
    data = messages.matrix(43)
    days = data[:, 1].astype(int) | data[:, 2].astype(int) << 8
    assert set(days.tolist()) == {18711}
    seconds = np.ascontiguousarray(data[:, 3:7]).view("<u4")[:, 0] * 1e-4
    assert (round(seconds.min(), 1), round(seconds.max(), 1)) == (55148.9, 55207.9)
    assert set(data[:, 33].tolist()) == {10}  # satellites
    assert fast_packet.is_fast(129029)
    assert not fast_packet.is_fast(127250)


def frames_of(rows: list[tuple[int, int, bytes]], flags: int = 0) -> CanFrames:
    """From (ms, identifier, data); identifiers above 0x7FF are extended."""
    made = FrameList()
    for time, can_id, data in rows:
        made.append(time * MS, can_id, data, extended=can_id > 0x7FF, flags=flags)
    return made.frames()


def bam(size: int, pgn: int = 0xFECA, control: int = 32) -> bytes:
    count = -(-size // 7)
    return bytes([control, size & 255, size >> 8, count, 255, pgn & 255, pgn >> 8 & 255, pgn >> 16])


def packet(number: int, fill: int = 0) -> bytes:
    return bytes([number, *[fill or number] * 7])


TO_ALL, TO_ALL_DATA = 0x1CECFF01, 0x1CEBFF01  # from address 1
TO_TWO, TO_TWO_DATA, FROM_TWO = 0x1CEC0201, 0x1CEB0201, 0x1CEC0102


def test_two_senders_at_once_and_an_abandoned_announcement():
    other, other_data = 0x1CECFF09, 0x1CEBFF09
    messages, dropped = run(
        TransportProtocol(),
        frames_of(
            [
                (0, TO_ALL, bam(20)),
                (10, TO_ALL, bam(10)),
                (20, other, bam(9, 0x1EF00)),
                (30, TO_ALL_DATA, packet(1)),
                (40, other_data, packet(1, 9)),
                (50, TO_ALL_DATA, packet(2)),
                (60, other_data, packet(2, 8)),
            ]
        ),
    )
    assert payloads(messages) == [b"\1" * 7 + b"\2" * 3, b"\x09" * 7 + b"\x08" * 2]
    assert messages.can_id.tolist() == [0x18FECA01, 0x19EFFF09]
    assert messages.time.tolist() == [10 * MS, 20 * MS]
    assert dropped == {"incomplete": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([(10, packet(1)), (20, packet(3))], "sequence"),
        ([(10, packet(1)), (800, packet(2))], "gap"),
        ([(10, packet(1))], "incomplete"),
    ],
)
def test_what_is_wrong_with_a_bam_is_told(data, reason):
    rows = [(0, TO_ALL, bam(10)), *((time, TO_ALL_DATA, each) for time, each in data)]
    messages, dropped = run(TransportProtocol(), frames_of(rows))
    assert len(messages) == 0
    assert dropped[reason] == 1


def test_rts_with_a_packet_sent_again_and_an_abort():
    cts = bytes([17, 2, 1, 255, 255, 0xCA, 0xFE, 0])
    abort = bytes([255, 1, 255, 255, 255, 0xCA, 0xFE, 0])
    rows = [
        (0, TO_TWO, bam(16, control=16)),
        (10, FROM_TWO, cts),
        (20, TO_TWO_DATA, packet(1)),
        (30, TO_TWO_DATA, packet(2, 77)),
        (40, TO_TWO_DATA, packet(3)),
        (50, FROM_TWO, cts),
        (60, TO_TWO_DATA, packet(2)),
        (70, FROM_TWO, bytes([19, 16, 0, 3, 255, 0xCA, 0xFE, 0])),
        (1000, TO_TWO, bam(16, control=16)),
        (1010, TO_TWO_DATA, packet(1)),
        (1020, FROM_TWO, abort),
        (1030, TO_TWO_DATA, packet(2)),
        (1040, TO_TWO_DATA, packet(3)),
    ]
    messages, dropped = run(TransportProtocol(), frames_of(rows))
    assert payloads(messages) == [b"\1" * 7 + b"\2" * 7 + b"\3" * 2]
    assert dropped == {"incomplete": 1, "stray": 2}


def test_isotp_single_frames_wrap_of_numbers_and_errors():
    long = bytes(range(120))
    rows = [(0, 0x7E8, b"\x10\x78" + long[:6])]
    pieces = [long[i : i + 7] for i in range(6, 120, 7)]
    rows += [(n, 0x7E8, bytes([0x20 | n % 16]) + p) for n, p in enumerate(pieces, 1)]
    rows += [
        (100, 0x7E8, b"\x03\x41\x0d\x20\xcc\xcc\xcc\xcc"),
        (101, 0x7E0, b"\x30\x00\x00"),
        (102, 0x7E8, b"\x10\x0a123456"),
        (103, 0x7E8, b"\x22789a"),
        (104, 0x7E8, b"\x0f\x00"),
    ]
    messages, dropped = run(IsoTp(), frames_of(rows))
    assert payloads(messages) == [long, b"\x41\x0d\x20"]
    assert dropped == {"sequence": 1, "incomplete": 1}


def test_isotp_of_fd_and_with_extended_addresses():
    fd = frames_of([(0, 0x7E8, b"\x00\x14" + bytes(range(20)))], FD)
    assert payloads(run(IsoTp(), fd)[0]) == [bytes(range(20))]
    wide = frames_of(
        [(0, 0x7E8, b"\x10\x00\x00\x00\x00\x40" + bytes(58)), (1, 0x7E8, b"\x21" + bytes(6))], FD
    )
    assert payloads(run(IsoTp(), wide)[0]) == [bytes(64)]
    rows = [
        (0, 0x7E8, b"\xf1\x10\x09abcde"),
        (1, 0x7E8, b"\xf2\x02zz"),
        (2, 0x7E8, b"\xf1\x21fghi"),
    ]
    messages, dropped = run(IsoTp(extended_addressing=True), frames_of(rows))
    assert payloads(messages) == [b"abcdefghi", b"zz"]
    assert not dropped


def test_fast_packets_with_numbers_in_turn():
    gnss = 0x0DF80523
    rows = [
        (0, gnss, b"\x20\x0a123456"),
        (1, gnss, b"\x40\x08abcdef"),
        (2, gnss, b"\x217890\xff\xff\xff"),
        (3, gnss, b"\x42gh"),
    ]
    messages, dropped = run(FastPacket(), frames_of(rows))
    assert payloads(messages) == [b"1234567890"]
    assert dropped == {"sequence": 1}


def test_random_bytes_never_break_the_layers():
    seed = int(np.random.default_rng().integers(1 << 31))
    rng = np.random.default_rng(seed)
    n = 4000
    ids = rng.choice([TO_ALL, TO_ALL_DATA, TO_TWO, TO_TWO_DATA, FROM_TWO, 0x7E8, 0x0DF80523], n)
    data = rng.integers(0, 256, (n, 8))
    data[:, 0] = rng.choice([0, 1, 2, 3, 16, 32, 33, 34, 255], n)
    frames = CanFrames.build(
        np.cumsum(rng.integers(0, 3 * MS, n)), ids, data, rng.integers(0, 9, n), extended=ids > 2047
    )
    for transport in (TransportProtocol(), IsoTp(), IsoTp(length_byte=True), FastPacket()):
        whole, _ = run(transport, frames)
        pieces, _ = run(transport, frames, 37)
        assert sorted(payloads(whole)) == sorted(payloads(pieces)), f"seed {seed}, {transport}"


def test_trouble_codes_of_single_frames():
    spn, fmi, count = 520192 + 7, 31, 5
    code = bytes([spn & 255, spn >> 8 & 255, (spn >> 16) << 5 | fmi, count | 128])
    frames = frames_of(
        [
            (0, 0x18FECA21, b"\x44\xff" + code + b"\xff\xff"),
            (5, 0x18FECA21, b"\x00\xff" + bytes(4) + b"\xff\xff"),
        ]
    )
    told = dm1.trouble_codes(frames)
    assert (told.spn.tolist(), told.fmi.tolist()) == ([spn], [fmi])
    assert (told.count.tolist(), told.conversion.tolist()) == ([count], [1])
    assert told.message.tolist() == [0]
    assert told.lamps.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert told.source.tolist() == [0x21, 0x21]
