"""Logs of candump in both forms, plain and compiled."""

import random

import pytest

from carcloud.codecs.can.candump import Candump, read_plainly
from carcloud.codecs.can.candump_kernel import read_block
from carcloud.codecs.can.errors import BadLog
from carcloud.codecs.can.frames import BRS, ERROR, ESI, FD, REMOTE, TRANSMITTED, CanFrames

COMPACT = b"""\
(1700000000.001300) can0 123#0011223344556677
(1700000000.002600) vcan1 18FEF147#00FF T
(1700000000.003000) can0 7DF##3AABB
(1700000000.004) can0 123#R
(1700000000.005) can0 123#R4 R

# a comment
(1700000000.000006000) can0 20000088#0000000000000000
(1700000000.007000) can0 001#
"""
PRINTED = b"""\
 (1700000000.001300)  can0  123   [8]  00 11 22 33 44 55 66 77
 (1700000000.002600)  can0  18FEF147   [2]  00 FF   '..'
 (1700000000.003000)  can0  7DF  [12]  AA BB 00 00 00 00 00 00 00 00 00 01
 (1700000000.003500)  can0  123   [4]  remote request
 (1700000000.003600)  can0  TX - -  123   [1]  7F
 (1700000000.004000)  can0  001   [0]
"""


def listed(frames: CanFrames) -> list[tuple]:
    return [
        (*(int(c[i]) for c in (frames.time, frames.bus, frames.can_id, frames.extended)),
         int(frames.flags[i]), frames.payload_of(i).hex())
        for i in range(len(frames))
    ]  # fmt: skip


def read(log: bytes) -> list[tuple]:
    parser = Candump()
    return listed(parser.feed(log)) + listed(parser.finish())


T = 1_700_000_000_000_000_000


def test_the_compact_form():
    assert read(COMPACT) == [
        (T + 1_300_000, 0, 0x123, 0, 0, "0011223344556677"),
        (T + 2_600_000, 1, 0x18FEF147, 1, TRANSMITTED, "00ff"),
        (T + 3_000_000, 0, 0x7DF, 0, FD | BRS | ESI, "aabb"),
        (T + 4_000_000, 0, 0x123, 0, REMOTE, ""),
        (T + 5_000_000, 0, 0x123, 0, REMOTE, ""),
        (T + 6_000, 0, 0x88, 1, ERROR, "0000000000000000"),
        (T + 7_000_000, 0, 1, 0, 0, ""),
    ]


def test_the_printed_form():
    assert read(PRINTED) == [
        (T + 1_300_000, 0, 0x123, 0, 0, "0011223344556677"),
        (T + 2_600_000, 0, 0x18FEF147, 1, 0, "00ff"),
        (T + 3_000_000, 0, 0x7DF, 0, FD, "aabb00000000000000000001"),
        (T + 3_500_000, 0, 0x123, 0, REMOTE, ""),
        (T + 3_600_000, 0, 0x123, 0, TRANSMITTED, "7f"),
        (T + 4_000_000, 0, 1, 0, 0, ""),
    ]


@pytest.mark.parametrize("log", [COMPACT, PRINTED, COMPACT.replace(b"\n", b"\r\n")])
def test_blocks_may_end_anywhere(log):
    parser = Candump()
    parts = [parser.feed(log[at : at + 7]) for at in range(0, len(log), 7)]
    assert sum((listed(part) for part in parts), listed(parser.finish())) == read(log)
    assert parser.remarks == []


def lines(rng: random.Random, count: int) -> bytes:
    text = []
    for number in range(count):
        time = f"({1_700_000_000 + number}.{rng.randrange(10**6):06})"
        name = rng.choice(["can0", "can1", "vcan12", "can"])
        can_id = rng.choice([f"{rng.randrange(0x800):03X}", f"{rng.randrange(0x20000000):08X}"])
        data = rng.randbytes(rng.randrange(9)).hex().upper()
        pairs = " ".join(data[i : i + 2] for i in range(0, len(data), 2))
        text.append(
            rng.choice(
                [
                    f"{time} {name} {can_id}#{data}",
                    f"{time} {name} {can_id}##{rng.randrange(4)}{data} T",
                    f"{time} {name} {can_id}#R8",
                    f"  {time}  {name}  {can_id}   [{len(data) // 2}]  {pairs}",
                ]
            )
        )
    return "\n".join(text).encode() + b"\n"


def test_the_compiled_reader_gives_what_the_plain_one_gives():
    seed = random.randrange(10**9)
    log = lines(random.Random(seed), 3000)
    plain_names: list[bytes] = []
    names: list[bytes] = []
    plain = listed(read_plainly(log, 0, plain_names))
    compiled = read_block(log, names)
    assert compiled is not None, f"seed {seed}"
    assert listed(compiled) == plain, f"seed {seed}"
    assert names == plain_names, f"seed {seed}"


def test_a_broken_line_is_never_read_otherwise_by_the_compiled_reader():
    seed = random.randrange(10**9)
    rng = random.Random(seed)
    log = lines(rng, 1)
    for _ in range(3000):
        bad = bytearray(log)
        for _ in range(rng.randrange(1, 3)):
            bad[rng.randrange(len(bad) - 1)] = rng.choice(b"#().[]RT \t0fFg_x\r")
        names: list[bytes] = []
        compiled = read_block(bytes(bad), names)
        if compiled is not None:
            plain = read_plainly(bytes(bad), 0, [])
            assert listed(compiled) == listed(plain), f"seed {seed}: {bytes(bad)!r}"


def test_a_long_log_is_read_compiled_and_its_odd_lines_too():
    log = COMPACT.split(b"\n\n")[0] + b"\n"
    assert read(log * 500) == read(log) * 500
    dotted = log + b"(1700000000.007000) can0 001#00.11.22\n"
    assert read(dotted * 400) == read(dotted) * 400


@pytest.mark.parametrize(
    "line",
    [
        b"(1700000000.1) can0 12#00",
        b"(1700000000.1) can0 123#0",
        b"(1700000000.1) can0 FFF#00",
        b"can0  123   [2]  00 11",
        b"(1700000000.1)  can0  123   [3]  00 11",
        b"(2023-11-14 22:13:20.1)  can0  123   [1]  00",
        b"(1700000000.1) can0 123#80:00:00",
        b"(1700000000.1) can0 123#00112233445566778899",
        b"(1700000000.1)  can0  123   [9]  00 11 22 33 44 55 66 77 88",
        b"(1700000000.1) can0 123##0" + b"00" * 65,
    ],
)
def test_a_bad_line_is_named(line):
    with pytest.raises(BadLog, match=r"^line 9: "):
        read(COMPACT[: COMPACT.index(b"\n\n")] + b"\n\n\n\n" + line + b"\n")


def test_a_last_line_that_was_cut_off_is_told():
    parser = Candump()
    assert len(parser.feed(COMPACT + b"(1700000000.1) can0 12")) == 7
    assert len(parser.finish()) == 0
    assert parser.remarks == ["line 10 is cut off and was left out"]


def test_small_times_are_relative_and_differences_are_refused():
    parser = Candump()
    frames = parser.feed(
        b" (000.000000)  can0  123   [1]  00\n (012.500000)  can0  123   [1]  01\n"
    )
    assert parser.clock == frames.clock == "relative"
    assert frames.time.tolist() == [0, 12_500_000_000]
    rows = b"".join(b" (000.%06d)  can0  123   [1]  00\n" % (i * 7919 % 1000) for i in range(200))
    with pytest.raises(BadLog, match="-t d"):
        Candump().feed(rows)


def test_interfaces_get_the_numbers_of_their_names():
    parser = Candump()
    frames = parser.feed(
        b"(1700000000.1) can3 1AB#00\n(1700000000.1) vcan3 1AB#00\n(1700000000.1) slcan 1AB#00\n"
    )
    assert frames.bus.tolist() == [3, 0, 1]
    assert parser.bus_names == {3: "can3", 0: "vcan3", 1: "slcan"}
    assert parser.remarks == ["vcan3 is bus 0", "slcan is bus 1"]
