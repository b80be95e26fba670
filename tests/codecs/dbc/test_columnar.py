"""Whole logs: the columnar decoder against the scalar one, over layouts and random databases."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.dbc.layouts import LAYOUTS, PAYLOAD, database_of, signal_line

from carcloud.codecs.can.frames import ERROR, REMOTE, CanFrames
from carcloud.codecs.dbc import Database, Message, Signal, parse
from carcloud.codecs.dbc.columnar import Decoded, LogDecoder, decode, warm
from carcloud.codecs.dbc.scalar import FrameDecoder, physical

Values = dict[tuple[int, str], float | None]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """What compiles inside a property test is traced, and takes minutes."""
    warm()


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def reference(frames: CanFrames, databases: list[Database], *, j1939: bool = False) -> Values:
    """Every value by (frame, signal), by the scalar decoder; None where J1939 has no value."""
    decoder = FrameDecoder(databases, j1939=j1939)
    values: Values = {}
    for at in range(len(frames)):
        codec = decoder.codec(int(frames.can_id[at]), bool(frames.extended[at]))
        if codec is not None and not frames.flags[at] & (ERROR | REMOTE):
            samples = codec.samples(frames.payload_of(at))
            present = {one.signal.name: repr(one.value) for one in samples if not one.missing}
            plain = codec.decode(frames.payload_of(at))
            assert {name: repr(value) for name, value in plain.items()} == present
            for one in samples:
                key = (at, one.signal.name)
                values[key] = None if one.missing else _double(one.value)
    return values


def same(decoded: Decoded, values: Values) -> None:
    """Assert that both say the same, to the last bit."""
    left = dict(values)
    for column in decoded:
        absent = column.missing
        assert len(column.time) == len(column.value) == len(column.index) > 0
        for at, value, none in zip(
            column.index.tolist(), column.value.tolist(), absent.tolist(), strict=True
        ):
            wanted = left.pop((at, column.signal.name))
            assert (wanted is None) == none
            assert wanted is None or _bits(value) == _bits(wanted), (column.signal, value, wanted)
    assert not left
    assert decoded.values == len(values)


def _frames(payloads: list[bytes], ids: list[int] | None = None) -> CanFrames:
    data = np.frombuffer(b"".join(payloads), np.uint8)
    times = np.arange(len(payloads)) * 1000
    return CanFrames.build(
        times, [0x123] * len(payloads) if ids is None else ids, data, [len(one) for one in payloads]
    )


@pytest.mark.parametrize(("layout", "raw"), LAYOUTS)
def test_bit_layouts(layout: str, raw: int) -> None:
    database, _ = database_of([f'S : {layout} (1,0) [0|0] "" E'])
    # alone at the end of the bytes, and in front of others
    for payloads in ([PAYLOAD], [PAYLOAD, bytes(8), b"\xff" * 8]):
        (column,) = decode(_frames(payloads), [database])
        assert column.raw()[0] == raw
        assert column.exact()[0] == raw
        assert column.value[0] == float(raw)


def test_integers_beyond_float64_stay_exact() -> None:
    database, _ = database_of(['S : 0|64@1+ (3,7) [0|0] "" E'])
    (column,) = decode(_frames([b"\xff" * 8, bytes(8)]), [database])
    assert column.raw().tolist() == [2**64 - 1, 0]
    assert column.exact().tolist() == [3 * (2**64 - 1) + 7, 7]
    assert column.value.tolist() == [float(3 * (2**64 - 1) + 7), 7.0]


def test_negative_zero_and_other_floats_keep_their_bits() -> None:
    signals = [
        'A : 0|32@1- (1,0) [0|0] "" E',
        'B : 39|32@0- (2,0) [0|0] "" E',
        'C : 64|64@1- (1,0) [0|0] "" E',
    ]
    types = "SIG_VALTYPE_ 291 A : 1;\nSIG_VALTYPE_ 291 B : 1;\nSIG_VALTYPE_ 291 C : 2;"
    database, _ = database_of(signals, length=16, rest=types)
    reals = (-0.0, 1.5, math.nan, math.inf, -1e-40)
    payloads = [
        struct.pack("<f", one) + struct.pack(">f", one) + struct.pack("<d", one) for one in reals
    ]
    frames = _frames(payloads)
    decoded = decode(frames, [database])
    same(decoded, reference(frames, [database]))
    assert [math.copysign(1, column.value[0]) for column in decoded] == [-1, 1, -1]


def test_error_and_remote_frames_have_no_signals() -> None:
    database, _ = database_of(['S : 0|8@1+ (1,0) [0|0] "" E'])
    frames = CanFrames.build(
        [0, 1, 2, 3], [0x123, 0x123, 0x123, 5], list(range(4)), [1] * 4, flags=[ERROR, 0, REMOTE, 0]
    )
    decoded = decode(frames, [database])
    assert decoded.frames == decoded.values == 1
    assert decoded.unknown == {(0, False, 5): 1}
    assert [column.index.tolist() for column in decoded] == [[1]]


def test_a_payload_outside_of_the_bytes_is_refused() -> None:
    good = _frames([PAYLOAD])
    for start in (-1, 1, 2**40):
        bad = CanFrames(
            good.time, good.bus, good.can_id, good.extended, good.flags, good.length,
            np.array([start]), good.payload,
        )  # fmt: skip
        with pytest.raises(ValueError, match="outside"):
            decode(bad, [])


def test_many_distinct_ids() -> None:
    count = 20_000
    frames = CanFrames.build(
        range(count), range(count), np.zeros(count, np.uint8), [1] * count, extended=True
    )
    decoded = decode(frames, [])
    assert len(decoded.unknown) == count


def test_databases_of_one_bus_and_the_first_that_knows_an_id() -> None:
    one, two = (
        Database((Message(0x123, False, name, 8, (Signal(name, 0, 8),)),)) for name in ("P", "Q")
    )
    frames = CanFrames.build([0, 1], [0x123] * 2, [7, 8], [1] * 2, bus=[1, 2])
    decoder = LogDecoder([(one, 1), two])
    found = [
        (column.signal.name, column.bus, column.value.tolist()) for column in decoder.decode(frames)
    ]
    assert found == [("P", 1, [7.0]), ("Q", 2, [8.0])]
    assert [column.signal.name for column in decode(frames, [two, one])] == ["Q", "Q"]


def test_series_joins_buses_and_sorts() -> None:
    database, _ = database_of(['S : 0|8@1+ (0.5,0) [0|0] "" E'])
    frames = CanFrames.build([5, 1, 3], [0x123] * 3, [7, 8, 9], [1] * 3, bus=[1, 2, 1])
    times, values = decode(frames, [database]).series("S")
    assert (times.tolist(), values.tolist()) == ([1, 3, 5], [4.0, 4.5, 3.5])
    assert decode(frames, [database]).series("T")[0].tolist() == []


_FACTORS = st.one_of(
    st.sampled_from([1, 2, -1, 0.5, 0.1, -0.25, 1e-7, 3, 2.0, 1000003, 2**60, 1e300]),
    st.integers(-(2**40), 2**40).filter(bool),
    st.floats(-1e6, 1e6).filter(bool),
)
_OFFSETS = st.one_of(
    st.sampled_from([0, 0.0, -40, 0.5, 250, 2**55, -(2**70)]), st.floats(-1e9, 1e9)
)


@st.composite
def _signal(draw: st.DrawFn, name: str, size: int) -> Signal:
    kind = draw(st.sampled_from(["int"] * 6 + ["float32", "float64"]))
    longest = 8 * size
    length = {"float32": 32, "float64": 64}.get(kind) or draw(
        st.one_of(st.integers(1, min(longest, 20)), st.integers(1, min(longest, 100)))
    )
    if length > longest:
        kind, length = "int", longest
    first = draw(st.integers(0, longest - length))
    little = draw(st.booleans())
    start = first if little else 8 * (first // 8) + 7 - first % 8
    return Signal(
        name, start, length, little, draw(st.booleans()), kind, draw(_FACTORS), draw(_OFFSETS)
    )


@st.composite
def _message(draw: st.DrawFn, number: int) -> str:
    """The text of a message with switches, and of its rules."""
    size = draw(st.sampled_from([1, 2, 4, 7, 8, 8, 12, 64]))
    j1939 = draw(st.booleans())
    signals = [draw(_signal(f"S{at}", size)) for at in range(draw(st.integers(1, 6)))]
    lines, rules = [], []
    page = draw(st.sampled_from([0, 0x09F80000])) if j1939 else 0  # the second: of NMEA 2000
    file_id = number | page | (1 << 31 if j1939 else 0)
    whole = [one for one in signals if one.kind == "int" and one.length <= 64]
    switches = whole[: draw(st.integers(0, 2))]
    for at, one in enumerate(signals):
        above = [switch for switch in switches if switch is not one and signals.index(switch) < at]
        mark = " M" if one in switches else ""
        if above and draw(st.booleans()):
            low = draw(st.integers(0, 3))
            mark = f" m{low}" + mark.strip()
            rules.append(
                f"SG_MUL_VAL_ {file_id} {one.name} {draw(st.sampled_from(above)).name} "
                f"{low}-{low + draw(st.integers(0, 40))};"
            )
        lines.append(" SG_ " + signal_line(one).replace(" :", f"{mark} :", 1))
        if one.kind != "int":
            rules.append(f"SIG_VALTYPE_ {file_id} {one.name} : {one.length // 32};")
    if j1939:
        rules.append(f'BA_ "VFrameFormat" BO_ {file_id} 3;')
    return "\n".join((f"BO_ {file_id} M{number}: {size} E", *lines, *rules))


def test_an_offset_of_minus_zero_is_zero() -> None:
    database, _ = parse(b'BO_ 16 M16: 1 E\n SG_ S0 : 7|1@0+ (-1,-0.0) [0|0] "" E')
    frames = CanFrames.build(np.arange(2), [16, 16], np.array([0, 0x80], np.uint8), [1, 1])
    [column] = decode(frames, [database])
    assert [math.copysign(1, value) for value in column.value] == [1, -1]
    same(decode(frames, [database]), reference(frames, [database]))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_databases_and_frames(data: st.DataObject) -> None:
    numbers = [0x10, 0x18FEF100, 0x7FF]
    text = "\n".join(
        data.draw(_message(one)) if one < 0x800 else data.draw(_message(one & 0x7FF))
        for one in numbers[: data.draw(st.integers(1, 3))]
    )
    database, findings = parse(text.encode())
    assert not [one for one in findings if one.level == "error"]
    count = data.draw(st.integers(1, 30))
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    lengths = random.choice([0, 1, 2, 5, 8, 8, 12, 64], count)
    payload = random.integers(0, 256, lengths.sum(), np.uint8)
    payload[random.random(len(payload)) < 0.5] &= 3  # switches are often small
    payload[random.random(len(payload)) < 0.2] = 0xFF
    keys = list(database.by_id)
    chosen = [keys[at] for at in random.integers(0, len(keys), count)]
    frames = CanFrames.build(
        np.sort(random.integers(0, 10**9, count)),
        [can_id for can_id, _ in chosen],
        payload,
        lengths,
        extended=[extended for _, extended in chosen],
        bus=random.integers(0, 3, count),
    )
    same(decode(frames, [database]), reference(frames, [database]))
    for column in decode(frames, [database]):
        if column.signal.kind == "int":
            decoder = FrameDecoder([database])
            codec = decoder.codec(column.can_id, (column.can_id, True) in database.by_id)
            assert codec is not None
            raws = [
                {one.signal.name: one.raw for one in codec.samples(frames.payload_of(at))}
                for at in column.index
            ]
            assert column.raw().tolist() == [each[column.signal.name] for each in raws]
            if column.signal.integral:
                exact = [physical(column.signal, each[column.signal.name]) for each in raws]
                assert column.exact().tolist() == exact
