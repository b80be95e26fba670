"""Sentinels, ranges, unreadable parts, and bytes that keep no rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples as ex
from tests.codecs.gbt32960.strategies import EDITIONS, any_frames, realtime_frames

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode, read_time
from carcloud.codecs.gbt32960.digest import content, digest
from carcloud.codecs.gbt32960.errors import EncodeError
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.codecs.gbt32960.layout import (
    ABNORMAL,
    BITS,
    INVALID,
    STD,
    TENTH,
    U8,
    U16,
    U32,
    Number,
    Raw,
    Records,
    Table,
)
from carcloud.codecs.gbt32960.message import Message
from carcloud.codecs.gbt32960.reading import physical
from carcloud.codecs.gbt32960.tables import ALARM_BITS, ALARM_CODES, BODIES, PARAMETERS, REQUESTS
from carcloud.codecs.gbt32960.writing import code

TIME = bytes.fromhex("1a030e0f091a")


def report(edition: int, items: bytes, command: int = Command.REALTIME) -> Message:
    return decode(parse(build(edition, command, Flag.COMMAND, ex.VEHICLE, TIME + items)))


def only(message: Message) -> Message:
    assert len(message.items) == 1
    return message


def _rows(table: Table):
    for row in table.rows:
        if isinstance(row, Number):
            yield row
        elif isinstance(row, Records):
            yield from _rows(row.table)


ALL_ROWS = {
    f"{edition}-{table.name}-{row.key}": row
    for edition in EDITIONS
    for tables in (BODIES[edition].values(), REQUESTS[edition].values())
    for table in tables
    for row in _rows(table)
}


@pytest.mark.parametrize("name", ALL_ROWS)
def test_every_field_keeps_sentinels_values_and_strange_codes_apart(name):
    row = ALL_ROWS[name]
    highest = (1 << 8 * row.wire) - 1
    low, high = row.valid or (0, highest if row.sentinels == BITS else highest - 2)
    if row.sentinels != BITS:
        assert physical(row, highest) is INVALID
        assert physical(row, highest - 1) is ABNORMAL
        assert (code(row, INVALID), code(row, ABNORMAL)) == (highest, highest - 1)
        assert high < highest - 1, "a sentinel lies in the valid range"
    assert code(row, physical(row, low)) == low
    assert code(row, physical(row, high)) == high
    if high + 1 < highest - 1:
        assert physical(row, high + 1) == Raw(high + 1)
    if low > 0:
        assert physical(row, low - 1) == Raw(low - 1)
    assert row.zero * row.scale == row.offset


@pytest.mark.parametrize(
    ("edition", "kind", "key", "raw", "value"),
    [
        (2016, 0x01, "current_a", 0, -1000),
        (2025, 0x01, "current_a", 0, -3000),
        (2016, 0x01, "speed_kmh", 2200, 220),
        (2016, 0x08, "current_a", 0, -1000),
        (2016, 0x02, "torque_nm", 0, -2000),
        (2025, 0x02, "torque_nm", 400_000, 20_000),
        (2025, 0x02, "speed_rpm", 0, -32_000),
        (2025, 0x03, "h2_max_concentration_pct", 60_000, 6),
        (2025, 0x03, "h2_max_temp_c", 250, 210),
        (2016, 0x03, "h2_max_temp_c", 2400, 200),
        (2025, 0x07, "cell_v", 60_000, 60),
        (2025, 0x30, "h2_inlet_pressure_kpa", 0, -100),
        (2016, 0x04, "crank_rpm", 60_000, 60_000),
    ],
)
def test_ends_of_ranges(edition, kind, key, raw, value):
    row = next(row for row in _rows(BODIES[edition][kind]) if row.key == key)
    assert physical(row, raw) == value


@pytest.mark.parametrize(
    ("edition", "kind", "size"),
    [
        (2016, 1, 20),
        (2016, 4, 5),
        (2016, 5, 9),
        (2016, 6, 14),
        (2025, 1, 18),
        (2025, 3, 12),
        (2025, 4, 2),
        (2025, 5, 10),
        (2025, 0x32, 18),
    ],
)
def test_sizes_of_fixed_bodies(edition, kind, size):
    assert sum(row.wire for row in BODIES[edition][kind].rows) == size


@pytest.mark.parametrize(("edition", "kind", "size"), [(2016, 7, 9), (2025, 6, 10)])
def test_shortest_alarm(edition, kind, size):
    message = report(edition, bytes((kind,)) + bytes(size))
    assert not message.partial
    assert report(edition, bytes((kind,)) + bytes(size - 1)).partial


def test_sentinels_are_null_in_json_with_their_quality():
    body = bytes.fromhex("01 fe ff 01 ffff fffffffe 0064 fffe ff 01 ff fffe ff fe")
    document = only(report(2016, body)).to_json()["items"][0]
    assert document["quality"] == {
        "vehicle_state": "abnormal",
        "charge_state": "invalid",
        "speed_kmh": "invalid",
        "odometer_km": "abnormal",
        "current_a": "abnormal",
        "soc_pct": "invalid",
        "gear": "invalid",
        "insulation_kohm": "abnormal",
        "accelerator_pct": "invalid",
        "brake_pct": "abnormal",
    }
    assert all(document[key] is None for key in document["quality"])
    assert (document["voltage_v"], document["run_mode"]) == (10, 1)


def test_codes_out_of_range_are_no_numbers():
    body = bytes.fromhex("01 01 03 01 0899 00000000 0064 2710 65 01 00 0001 00 66")
    message = report(2016, body)
    document = message.to_json()
    assert message.out_of_range
    assert document["items"][0]["quality"] == {
        "speed_kmh": "out_of_range",
        "soc_pct": "out_of_range",
        "brake_pct": "out_of_range",
    }
    assert document["items"][0]["speed_kmh"] is None
    assert [entry["offset"] for entry in document["diagnoses"]] == [34, 44, 50]
    assert "2201" in document["diagnoses"][0]["detail"]


@pytest.mark.parametrize(("edition", "kind"), [(2016, 8), (2016, 9), (2025, 7), (2025, 8)])
@pytest.mark.parametrize("count", [b"\xfe", b"\xff"])
def test_a_sentinel_count_has_no_list(edition, kind, count):
    message = report(edition, bytes((kind,)) + count + bytes.fromhex("800001aa"))
    assert [item.type for item in message.items] == [kind, 0x80]
    assert message.items[0].fields["packs"] == []
    assert not message.partial


@pytest.mark.parametrize("bits", range(16))
def test_position_status_bits(bits):
    message = report(2016, bytes((5, bits)) + (10_000_000).to_bytes(4, "big") * 2)
    document = message.to_json()["items"][0]
    assert document["is_valid"] == (bits & 1 == 0)
    assert document["is_south"] == (bits & 2 != 0)
    assert document["is_west"] == (bits & 4 != 0)


def test_position_sentinels_have_32_bits():
    items = report(2016, bytes.fromhex("05 00 0000ffff 0000fffe")).items
    assert items[0].fields["longitude_deg"] == 0.065535
    items = report(2016, bytes.fromhex("05 00 ffffffff fffffffe")).items
    assert items[0].fields["longitude_deg"] is INVALID
    assert items[0].fields["latitude_deg"] is ABNORMAL


@pytest.mark.parametrize(
    ("edition", "gear", "position"),
    [(2016, 0x2F, 15), (2016, 0x8E, 14), (2025, 0x8E, None), (2025, 0x1D, 13), (2025, 0, 0)],
)
def test_gear(edition, gear, position):
    size = {2016: 20, 2025: 18}[edition]
    body = bytes(15) + bytes((gear,)) + bytes(size - 16)
    assert report(edition, b"\x01" + body).to_json()["items"][0]["gear_position"] == position


@pytest.mark.parametrize(("edition", "kind"), [(2016, 7), (2025, 6)])
def test_alarm_names_stop_where_the_edition_stops(edition, kind):
    body = bytes((0,)) + bytes.fromhex("0fffffff") + bytes(5 if edition == 2025 else 4)
    document = report(edition, bytes((kind,)) + body).to_json()
    assert document["items"][0]["alarms"] == list(ALARM_CODES[: ALARM_BITS[edition]])


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("kind", [0x00, 0x0A, 0x2F, 0x33, 0x7F])
def test_unknown_types_stop_the_reading(edition, kind):
    message = report(edition, bytes.fromhex("800001aa") + bytes((kind,)) + b"\x01\x02\x03")
    assert [item.type for item in message.items] == [0x80]
    assert message.partial
    assert message.rest == bytes((kind,)) + b"\x01\x02\x03"
    (diagnosis,) = message.diagnoses
    assert (diagnosis.code, diagnosis.offset) == ("unknown-type", 34)


def test_the_signature_mark_is_no_type_in_2016():
    assert report(2016, b"\xff\x01" + bytes(4)).diagnoses[0].code == "unknown-type"


@pytest.mark.parametrize("items", ["810100aabb", "8000", "80", "0101020304"])
def test_items_that_overrun_are_kept_raw(items):
    message = report(2016, bytes.fromhex("820001aa" + items))
    assert [item.type for item in message.items] == [0x82]
    assert message.rest == bytes.fromhex(items)
    assert (message.diagnoses[0].code, message.diagnoses[0].offset) == ("overrun", 34)


def test_what_follows_a_signature_is_kept_raw():
    signature = bytes.fromhex("ff 01 0001 aa 0001 bb")
    message = report(2025, bytes.fromhex("04ffff") + signature + bytes.fromhex("820001aa"))
    assert [item.type for item in message.items] == [4, 0xFF]
    assert message.rest == bytes.fromhex("820001aa")
    assert message.diagnoses[0].code == "after-signature"
    assert message.signed == 9


@pytest.mark.parametrize("raw", [ex.REALTIME_2016, ex.REALTIME_2025, ex.LOGIN_2016, ex.ACTIVATION])
def test_data_units_cut_anywhere_are_read_as_far_as_they_go(raw):
    frame = parse(raw)
    whole = decode(frame)
    for size in range(len(frame.data)):
        cut = parse(build(frame.edition, frame.command, 0xFE, ex.VEHICLE, frame.data[:size]))
        message = decode(cut)
        assert message.items == whole.items[: len(message.items)]
        assert cut.data.endswith(message.rest)
        assert message.time == (whole.time if size >= 6 else None)
        if frame.command == Command.REALTIME and not message.partial:
            assert size in {6, *(item.offset for item in whole.items)}


def test_bytes_after_the_body_of_a_command_are_kept_raw():
    message = decode(parse(build(2016, 4, 0xFE, ex.VEHICLE, TIME + b"\x00\x01\xaa")))
    assert message.fields == {"serial": 1}
    assert (message.rest, message.diagnoses[0].code) == (b"\xaa", "trailing")


@pytest.mark.parametrize("time", ["1a000e0f091a", "1a0d0e0f091a", "1a021e0f091a", "640101000000"])
def test_bytes_that_are_no_time(time):
    frame = parse(build(2016, 2, 0xFE, ex.VEHICLE, bytes.fromhex(time + "800001aa")))
    message = decode(frame)
    assert message.time is None
    assert read_time(frame) is None
    assert message.diagnoses[0].code == "time"
    assert [item.type for item in message.items] == [0x80]


@pytest.mark.parametrize("encryption", [0, 2, 3, 4, 5, 0xFE, 0xFF])
def test_encrypted_data_units_are_left_alone(encryption):
    frame = parse(build(2025, 2, 0xFE, ex.VEHICLE, bytes(32), encryption=encryption))
    message = decode(frame)
    assert (message.rest, message.time, message.partial) == (bytes(32), None, True)
    assert message.diagnoses[0].code == "encrypted"


@pytest.mark.parametrize(("edition", "command"), [(2016, 0x09), (2016, 0x0B), (2025, 0x83)])
def test_commands_without_meaning(edition, command):
    message = decode(parse(build(edition, command, 0xFE, ex.VEHICLE, b"\x01")))
    assert (message.rest, message.diagnoses[0].code) == (b"\x01", "command")


@pytest.mark.parametrize(
    ("parameters", "left"), [("01 8a0102", "8a0102"), ("01 0501", "0501"), ("02 09ff 01", "01")]
)
def test_parameters_that_cannot_be_read(parameters, left):
    data = TIME + bytes.fromhex(parameters)
    message = decode(parse(build(2016, Command.SET, 0xFE, ex.VEHICLE, data)))
    assert message.rest == bytes.fromhex(left)
    assert message.partial


def test_parameter_sizes_of_both_editions():
    sizes = {2: (2, 1), 3: (2, 1), 1: (2, 2), 9: (1, 1), 0x0A: (2, 2), 0x0C: (1, 1)}
    for ident, wanted in sizes.items():
        found = tuple(PARAMETERS[edition][ident].wire for edition in EDITIONS)
        assert found == wanted


@given(any_frames())
def test_no_bytes_make_the_decoder_raise(raw):
    message = decode(parse(raw))
    assert isinstance(message.to_json(), dict)
    assert message.partial or not message.rest


@settings(max_examples=60)
@given(realtime_frames(strange=True), st.data())
def test_damaged_reports_never_raise(raw, data):
    frame = parse(raw)
    at = data.draw(st.integers(0, len(frame.data) - 1))
    broken = bytearray(frame.data)
    broken[at] = data.draw(st.integers(0, 255))
    message = decode(parse(build(frame.edition, frame.command, 0xFE, "V", bytes(broken))))
    assert isinstance(message.to_json(), dict)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (Number("speed", U16, (0, 2200), TENTH, 0, "km/h", STD, ""), 220.1),
        (Number("speed", U16, (0, 2200), TENTH, 0, "km/h", STD, ""), -1),
        (Number("soc", U8, (0, 100), 1, 0, "%", STD, ""), "x"),
        (Number("flags", U32, None, 1, 0, "", BITS, ""), 1 << 32),
    ],
)
def test_values_that_the_wire_cannot_carry(row, value):
    with pytest.raises(EncodeError):
        code(row, value)


def test_digest_is_that_of_the_definition():
    seed, factor, word = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, (1 << 64) - 1
    mixed = (seed ^ 3 ^ 0x030201) * factor & word
    mixed ^= mixed >> 32
    assert digest(b"\x01\x02\x03") == (mixed - (1 << 64) if mixed >> 63 else mixed)
    assert digest(b"") == seed - (1 << 64)


@settings(max_examples=40)
@given(realtime_frames())
def test_content_is_the_same_for_reissue_and_another_signature(raw):
    frame = parse(raw)
    kept = content(frame)
    assert frame.data.startswith(kept)
    if frame.edition == 2025:
        signed = kept + b"\xff\x01" + bytes.fromhex("0001aa0000")
        again = parse(build(2025, Command.REISSUE, Flag.COMMAND, frame.unique_id, signed))
        assert content(again) == kept
        assert digest(content(again)) == digest(kept)


def test_content_of_a_unit_that_cannot_be_read_is_all_of_it():
    frame = parse(build(2025, 2, 0xFE, ex.VEHICLE, TIME + b"\x33\x01\xff\x01\x00\x00\x00\x00"))
    assert content(frame) == frame.data
