"""MCAP summaries: of files as the specification has them, written here byte by byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.mcap.summary import (
    MAGIC,
    TAIL,
    Channel,
    NoSummary,
    NotMcap,
    read_summary,
    summary_span,
)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


SCHEMA = record(3, struct.pack("<H", 1) + text("nav/Fix") + text("ros2msg") + text("float64 lat"))
CHANNELS = record(4, struct.pack("<HH", 1, 1) + text("/fix") + text("cdr") + text("")) + record(
    4, struct.pack("<HH", 2, 0) + text("/notes é") + text("json") + text("")
)
COUNTS = struct.pack("<HQ", 1, 90) + struct.pack("<HQ", 2, 10)
STATISTICS = record(
    0x0B,
    struct.pack("<QHIIIIQQ", 100, 1, 2, 3, 0, 1, 1_000, 5_000)
    + struct.pack("<I", len(COUNTS))
    + COUNTS,
)
CHUNK = record(
    8,
    struct.pack("<QQQQ", 1_000, 5_000, 50, 700)
    + struct.pack("<I", 10) + struct.pack("<HQ", 1, 9)
    + struct.pack("<Q", 20) + text("zstd") + struct.pack("<QQ", 600, 1_200),
)  # fmt: skip
SUMMARY = SCHEMA + CHANNELS + STATISTICS + CHUNK


def whole(summary: bytes = SUMMARY, start: int | None = None, offsets: int = 0) -> bytes:
    body = MAGIC + record(1, text("") + text("test")) + record(0x0F, bytes(4))
    begin = len(body) if start is None else start
    footer = record(2, struct.pack("<QQI", begin, offsets, 0))
    return body + summary + footer + MAGIC


def read(data: bytes):
    start, end = summary_span(data[:8], data[-TAIL:], len(data))
    return read_summary(data[start:end])


def test_a_summary_is_read():
    found = read(whole())
    assert found.channels == (
        Channel(1, "/fix", "cdr", "nav/Fix", "ros2msg", 90),
        Channel(2, "/notes é", "json", "", "", 10),
    )
    assert (found.messages, found.attachments, found.chunks) == (100, 3, 1)
    assert (found.start_ns, found.end_ns, found.compressions) == (1_000, 5_000, ("zstd",))


def test_files_without_a_summary_or_an_end_say_so():
    with pytest.raises(NoSummary, match="without"):
        read(whole(b"", start=0))
    with pytest.raises(NoSummary, match="cut off"):
        read(whole()[:-20])
    with pytest.raises(NotMcap, match="begin"):
        read(b"RIFF" + whole())


@pytest.mark.parametrize("start", [1, 10**9, 2**63])
def test_summaries_outside_the_file_are_refused(start):
    with pytest.raises(NotMcap, match="outside"):
        read(whole(start=start))


@given(at=st.integers(0, len(SUMMARY) - 1), value=st.integers(0, 255))
def test_a_damaged_byte_is_read_or_refused(at, value):
    damaged = bytearray(SUMMARY)
    damaged[at] = value
    try:
        read_summary(bytes(damaged))
    except NotMcap:
        return


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        read_summary(data)
    except NotMcap:
        return


def test_a_cut_summary_is_refused():
    for length in range(1, len(SCHEMA)):
        with pytest.raises(NotMcap):
            read_summary(SUMMARY[:length])
