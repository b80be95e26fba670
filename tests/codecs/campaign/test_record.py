"""Records as bytes: whole, split by real size, and what is no record."""

import random

import pytest

from carcloud.codecs.campaign.record import (
    RawFrame,
    Record,
    RecordError,
    RecordTooLarge,
    Series,
    decode,
    encode,
    messages,
)
from carcloud.codecs.campaign.wire import put_bytes


def record(samples=50, **changed):
    offsets = tuple(range(-samples * 1000, samples * 1000, 2000))
    given = {
        "campaign": "hard-braking",
        "version": 3,
        "event": (1_900_000_000_000 << 8) | 7,
        "time_us": 1_900_000_000_000_000,
        "series": (
            Series("Vehicle.Speed", offsets, tuple(at / 7 for at in range(samples))),
            Series("Vehicle.Count", (-5, 0, 5), (-(2**63), 0, 2**63 - 1)),
            Series("Vehicle.IsMoving", (0, 1), (True, False)),
            Series("Vehicle.State", (0,), ("ON",)),
            Series("Vehicle.Cells", (0, 1), ([3.5, 3.25], None)),
        ),
        "frames": (
            RawFrame(-1000, 0x18FEF147, True, "can0", bytes(range(8))),
            RawFrame(0, 0x123, False, "", b""),
        ),
        "dimensions": (("fleet", "north"), ("Vehicle.State", "ON")),
        "partition": "events",
        **changed,
    }
    return Record(**given)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_record_comes_back_as_it_was(compressed):
    records = [record(), record(campaign="b", series=(), frames=())]
    assert decode(encode(records, compressed=compressed)) == records


def test_compression_makes_a_smaller_message():
    assert len(encode([record(2000)])) < len(encode([record(2000)], compressed=False))


@pytest.mark.parametrize("compressed", [True, False])
def test_a_large_record_is_split_by_its_real_size(compressed):
    source = random.Random(7)
    noise = Series("Vehicle.A", tuple(range(9000)), tuple(source.random() for _ in range(9000)))
    whole = record(series=(noise, *record().series))
    sent = messages(whole, 20_000, compressed=compressed)
    assert max(map(len, sent)) <= 20_000
    assert sum(map(len, sent)) > 60_000, "so that there is something to split"
    parts = [each for message in sent for each in decode(message)]
    assert [(each.part, each.parts) for each in parts] == [
        (at, len(sent)) for at in range(len(sent))
    ]
    assert {(each.event, each.campaign, each.dimensions) for each in parts} == {
        (whole.event, whole.campaign, whole.dimensions)
    }
    assert tuple(frame for each in parts for frame in each.frames) == whole.frames
    values: dict[str, list] = {}
    for part in parts:
        for series in part.series:
            values.setdefault(series.path, []).extend(
                zip(series.offsets_us, series.values, strict=True)
            )
    assert values == {
        each.path: list(zip(each.offsets_us, each.values, strict=True)) for each in whole.series
    }


def test_a_sample_that_is_larger_than_a_message_is_told():
    with pytest.raises(RecordTooLarge):
        messages(record(series=(Series("Vehicle.State", (0,), ("x" * 5000,)),)), 2000,
                 compressed=False)  # fmt: skip


def test_truncated_and_changed_bytes_are_refused_or_read_but_never_fail_otherwise():
    whole = encode([record()], compressed=False)
    for cut in range(1, len(whole)):
        with pytest.raises(RecordError):
            decode(whole[:cut])
    for at in range(len(whole)):
        for value in (0, 0x7F, 0xFF):
            try:
                decode(whole[:at] + bytes((value,)) + whole[at + 1 :])
            except RecordError:
                continue


def test_a_batch_that_inflates_without_end_is_refused():
    import zlib

    bomb = bytearray()
    put_bytes(bomb, 2, zlib.compress(bytes(64 << 20), 9))
    with pytest.raises(RecordError, match="does not end"):
        decode(bytes(bomb))
