"""Batches of samples over MQTT become rows: types, what is left out and told, repeats."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.mqtt.message import pack_message
from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.model.catalogue import Signal
from carcloud.model.ids import Tenant
from carcloud.services.telemetry.decode_mqtt import decoder
from carcloud.services.telemetry.protocols import DecodedFrames, TooWide

A, CAR = Tenant("a"), "CAR-0001"
NOW = 1_767_225_600_000_000
SIGNALS = {
    signal.path: signal
    for signal in (
        Signal("f", "float", maximum=200), Signal("d", "double"), Signal("i8", "int8"),
        Signal("u8", "uint8", minimum=0, maximum=100), Signal("u32", "uint32"),
        Signal("i64", "int64"), Signal("u64", "uint64"), Signal("b", "boolean"),
        Signal("s", "string"), Signal("e", "string", allowed=("ON", "OFF")),
        Signal("fs", "float[]", minimum=0), Signal("is", "uint8[]"), Signal("bs", "boolean[]"),
        Signal("ss", "string[]", allowed=("x", "y")),
    )
}  # fmt: skip
WRITERS = (json_batch.write, cbor_batch.write, protobuf_batch.write)
decode_all = decoder(lambda _: SIGNALS)


def decode(*payloads: bytes, topic: str = f"v1/{CAR}/signals") -> DecodedFrames:
    frames = pa.array([pack_message(topic, payload) for payload in payloads], pa.binary())
    count = len(payloads)
    return decode_all(A, pa.array([CAR] * count), frames, pa.array(np.full(count, NOW)))


def one(values: dict[str, Any], write: Any = cbor_batch.write) -> tuple[dict[str, Any], str]:
    """The row of one moment, and the letter beside it."""
    found = decode(write([(NOW, values)]))
    row = found.rows.to_pylist()[0] if found.rows.num_rows else {}
    return row, found.faults[0].reason if found.faults else ""


@pytest.mark.parametrize("write", WRITERS)
def test_values_come_out_as_they_went_in(write: Any) -> None:
    values = {
        "f": 63.5, "d": 1e-300, "i8": -128, "u8": 7, "u32": 4_294_967_295, "b": False,
        "i64": -9_223_372_036_854_775_808, "u64": 9_223_372_036_854_775_807, "s": "ä\0", "e": "ON",
        "fs": [1.5, 2.0], "is": [1, 255], "bs": [True, False], "ss": ["x", "y"],
    }  # fmt: skip
    found = decode(write([(NOW, values), (NOW + 1, {"d": 9_007_199_254_740_993.0, "fs": []})]))
    first, second = found.rows.to_pylist()
    assert {path: first[path] for path in values} == values
    assert (first["partial"], first["out_of_range"], first["vehicle"]) == (False, False, CAR)
    assert (second["d"], second["fs"], second["f"]) == (9_007_199_254_740_992.0, [], None)
    assert found.rows["time"].cast(pa.int64()).to_pylist() == [NOW, NOW + 1]
    assert first["source"] in ("mqtt.json", "mqtt.cbor", "mqtt.protobuf")
    assert found.faults == {}
    assert found.kinds.to_pylist() == ["signals"]
    assert found.times.tolist() == [NOW]
    types = {name: found.rows.schema.field(name).type for name in ("f", "u8", "is", "time")}
    assert types == {
        "f": pa.float32(), "u8": pa.int16(), "is": pa.list_(pa.int16()),
        "time": pa.timestamp("us", "UTC"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"no.such": 1}, "no.such: not in the catalogue"),
        ({"f": "fast"}, "f: text where a number is wanted"),
        ({"f": True}, "f: a boolean where a number is wanted"),
        ({"f": None}, "f: no value where a number is wanted"),
        ({"f": {"a": 1}}, "f: an object where a number is wanted"),
        ({"f": [1.0]}, "f: an array where a number is wanted"),
        ({"f": b"x"}, "f: bytes where a number is wanted"),
        ({"f": float("nan")}, "f: not a finite number, or too large for its type"),
        ({"d": float("inf")}, "d: not a finite number, or too large for its type"),
        ({"f": 1e39}, "f: not a finite number, or too large for its type"),
        ({"u8": 1.5}, "u8: a number where a whole number is wanted"),
        ({"u8": 70_000}, "u8: too large for its type"),
        ({"i64": 1 << 63}, "i64: too large for its type"),
        ({"u64": 1 << 63}, "u64: too large for its type"),
        ({"b": 1}, "b: a number where true or false is wanted"),
        ({"s": 1}, "s: a number where text is wanted"),
        ({"s": "x" * 65_537}, "s: text of over 65536 characters"),
        ({"fs": 1.0}, "fs: a number where an array is wanted"),
        ({"fs": [1.0, "x"]}, "fs: text where a number is wanted"),
        ({"fs": [1.0, None]}, "fs: no value where a number is wanted"),
        ({"fs": [1.0, float("nan")]}, "fs: not a finite number, or too large for its type"),
        ({"is": [1, 70_000]}, "is: too large for its type"),
        ({"is": [[1]]}, "is: an array where a whole number is wanted"),
        ({"ss": ["x", 1]}, "ss: a number where text is wanted"),
    ],
)
def test_a_wrong_value_is_named_and_the_rest_is_kept(values: Any, reason: str) -> None:
    row, told = one({"i8": 5, **values, "e": "ON"})
    assert told == reason
    assert (row["i8"], row["e"], row["partial"]) == (5, "ON", True)
    assert row.get(next(iter(values))) is None
    row, told = one(values)
    assert (row, told) == ({}, reason)  # nothing is left: no row


def test_whole_numbers_may_come_as_floats_from_small_devices() -> None:
    row, told = one({"u8": 7.0, "i64": -0.0, "is": [1.0, 2], "f": 3, "fs": [1, 2.5]})
    assert told == ""
    assert (row["u8"], row["i64"], row["is"], row["f"]) == (7, 0, [1, 2], 3.0)


@pytest.mark.parametrize(
    "values", [{"f": 200.5}, {"u8": 101}, {"u8": 300}, {"u8": -1}, {"e": "BROKEN"},
               {"fs": [1.0, -1.0]}, {"is": [256]}, {"ss": ["x", "z"]}]
)  # fmt: skip
def test_what_is_out_of_range_is_kept(values: dict[str, Any]) -> None:
    row, told = one(values)
    assert {path: row[path] for path in values} == values
    assert (row["partial"], told) == (False, "")


def test_one_letter_names_what_is_wrong_in_a_message() -> None:
    values = {f"x{n}": n for n in range(9)} | {"f": 1.0}
    found = decode(
        cbor_batch.write([(NOW, values), (NOW + 1, values)]), cbor_batch.write([(NOW, {"f": 1.0})])
    )
    assert list(found.faults) == [0]
    assert found.faults[0].reason.startswith("x0: not in the catalogue; x1: not in")
    assert found.faults[0].reason.endswith("; and 4 more")
    assert found.rows["partial"].to_pylist() == [True, True, False]
    assert found.row_frame.tolist() == [0, 0, 1]


def test_a_message_that_is_no_batch_tells_the_byte_of_its_frame() -> None:
    good = json_batch.write([(NOW, {"f": 1.0})])
    found = decode(b'{"time": x}', good)
    offset = len(pack_message(f"v1/{CAR}/signals", b"")) + 9
    assert (found.faults[0].offset, found.row_frame.tolist()) == (offset, [1])
    assert "malformed" in found.faults[0].reason
    assert found.times.tolist() == [-1, NOW]


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (f"v1/{CAR}/signals", "signals"), (f"v1/{CAR}/collected", "collected"),
        (f"v1/{CAR}/checkin", "checkin"), (f"v1/{CAR}/commands/c-1/result", "result"),
        (f"v1/{CAR}/state/reported", "reported"), ("v1/CAR-0002/signals", "unknown"),
        (f"v2/{CAR}/signals", "unknown"), (f"v1/{CAR}/commands", "unknown"),
        (f"v1/{CAR}/signals/x", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_topics_become_kinds(topic: str, kind: str) -> None:
    found = decode(json_batch.write([(NOW, {"f": 1.0})]), topic=topic)
    assert found.kinds.to_pylist() == [kind]
    assert found.rows.num_rows == (kind == "signals")
    assert bool(found.faults) == (kind in ("unknown", "collected"))  # no batch of records


def test_each_tenant_has_its_own_signals() -> None:
    own = {A: {"Vehicle.Own": Signal("Vehicle.Own", "uint8")}, Tenant("b"): {}}
    payload = json_batch.write([(NOW, {"Vehicle.Own": 1})])
    frames = pa.array([pack_message(f"v1/{CAR}/signals", payload)], pa.binary())
    of_a, of_b = (
        decoder(own.__getitem__)(tenant, pa.array([CAR]), frames, pa.array([NOW])) for tenant in own
    )
    assert of_a.rows["Vehicle.Own"].to_pylist() == [1]
    assert (of_b.rows.num_rows, of_b.faults[0].reason) == (0, "Vehicle.Own: not in the catalogue")


def test_moments_far_off_are_refused_alone() -> None:
    day = 86_400_000_000
    times = (NOW - 91 * day, NOW - 89 * day, NOW, NOW + 299_000_000, NOW + 301_000_000)
    found = decode(cbor_batch.write([(time, {"f": 1.0}) for time in times]))
    assert found.rows["time"].cast(pa.int64()).to_pylist() == list(times[1:4])
    assert found.faults[0].reason.count("is too") == 2
    assert found.times.tolist() == [-1]


def test_garbage_is_told_and_stops_nobody() -> None:
    frames = pa.array([b"", b"\xff", b"\x00\x02\xff\xff", pack_message("", b"")], pa.binary())
    vehicles = pa.array([CAR] * 4)
    found = decode_all(A, vehicles, frames, pa.array(np.full(4, NOW)))
    assert sorted(found.faults) == [0, 1, 2, 3]
    assert len(found.kinds) == 4
    assert decode().rows.num_rows == 0


@given(
    st.dictionaries(
        st.sampled_from(["f", "d", "s", "fs", "ss"]),
        st.one_of(st.floats(width=32), st.integers(), st.text(), st.lists(st.floats(width=32))),
        min_size=1,
    )
)
def test_the_digest_is_of_the_content_whatever_the_form_and_order(values: dict[str, Any]) -> None:
    def digest(rows: Any, write: Any = cbor_batch.write) -> list[int]:
        return decode(write(rows)).rows["digest"].to_pylist()

    try:
        again = digest([(NOW, dict(reversed(values.items())))], protobuf_batch.write)
    except ValueError:
        return  # an integer that protobuf does not hold
    mine = digest([(NOW, values)])
    assert mine == again
    together = digest([(NOW - 1, {"b": True}), (NOW, values), (NOW + 1, {"u8": 3})])
    assert (together[1:2] if mine else []) == mine
    if mine:
        assert digest([(NOW, {**values, "b": True})]) != mine


def test_other_values_have_other_digests() -> None:
    rows = [
        {"f": 1.0}, {"d": 1.0}, {"f": 2.0}, {"i8": 1}, {"i64": 1}, {"b": True}, {"s": "a"},
        {"s": ""}, {"fs": [1.0]}, {"fs": [1.0, 0.0]}, {"fs": []}, {"fs": [0.0, 1.0]},
        {"f": 1.0, "d": 2.0}, {"f": 2.0, "d": 1.0}, {"ss": ["x"]}, {"ss": ["x", "x"]}, {"ss": []},
    ]  # fmt: skip
    found = decode(cbor_batch.write([(NOW + n, row) for n, row in enumerate(rows)]))
    digests = found.rows["digest"].to_pylist()
    assert len(set(digests)) == len(rows)


def test_a_call_whose_table_would_be_gigabytes_is_refused_before_it_is_made() -> None:
    wide = {f"s{at}": Signal(f"s{at}", "float") for at in range(2_001)}
    names = list(wide)
    rows: list[tuple[int, dict[str, Any]]] = [
        (NOW + at, {names[at % len(names)]: 1.0}) for at in range(10_000)
    ]
    frames = pa.array([pack_message(f"v1/{CAR}/signals", cbor_batch.write(rows))], pa.binary())
    with pytest.raises(TooWide, match="10,000 moments of 2,001 signals"):
        decoder(lambda _: wide)(A, pa.array([CAR]), frames, pa.array(np.full(1, NOW)))
