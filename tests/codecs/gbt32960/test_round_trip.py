"""What is encoded is decoded again: every body of both editions, every command."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.gbt32960.examples import VEHICLE
from tests.codecs.gbt32960.strategies import (
    EDITIONS,
    editions,
    fields,
    items,
    numbers,
    realtime_frames,
    times,
)

from carcloud.codecs.gbt32960 import control
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import (
    encode_login,
    encode_parameters,
    encode_report,
)
from carcloud.codecs.gbt32960.frame import Frame, build, parse
from carcloud.codecs.gbt32960.layout import Number, Opaque, Text
from carcloud.codecs.gbt32960.tables import BODIES, PARAMETERS, REQUESTS
from carcloud.codecs.gbt32960.writing import write_table

KINDS = [
    (edition, kind)
    for edition in EDITIONS
    for kind in BODIES[edition]
    if kind < 0x80 or kind in (0x80, 0xFE, 0xFF)
]
COMMANDS = [(edition, command) for edition in EDITIONS for command in REQUESTS[edition]]


def _frame(edition: int, command: int, data: bytes, flag: int = Flag.COMMAND) -> Frame:
    return parse(build(edition, command, flag, VEHICLE, data))


@pytest.mark.parametrize(("edition", "kind"), KINDS)
@settings(max_examples=40)
@given(st.data())
def test_bodies(edition, kind, data):
    body = data.draw(fields(BODIES[edition][kind], strange=True))
    time = data.draw(times())
    message = decode(
        _frame(edition, Command.REALTIME, encode_report(edition, time, [(kind, body)]))
    )
    assert message.time == time
    assert not message.partial
    assert [(item.type, item.fields) for item in message.items] == [(kind, body)]
    assert message.items[0].offset == 6


@settings(max_examples=60)
@given(st.data())
def test_reports_of_several_items(data):
    edition, time = data.draw(editions), data.draw(times())
    drawn = data.draw(st.lists(items(edition), max_size=6))
    message = decode(_frame(edition, Command.REISSUE, encode_report(edition, time, drawn)))
    assert [(item.type, item.fields) for item in message.items] == drawn
    assert (message.partial, message.diagnoses) == (False, ())


@settings(max_examples=60)
@given(realtime_frames())
def test_random_frames_are_valid(raw):
    message = decode(parse(raw))
    assert message.time is not None
    assert (message.partial, message.out_of_range, message.diagnoses) == (False, False, ())


@pytest.mark.parametrize(("edition", "command"), COMMANDS)
@settings(max_examples=25)
@given(st.data())
def test_commands(edition, command, data):
    if command == Command.LOGIN:
        body = data.draw(_logins(edition))
    elif command == Command.CONTROL:
        time, argument = data.draw(times()), data.draw(st.binary(max_size=20))
        body = {"time": time, "command": 0x80, "argument": argument}
    else:
        body = data.draw(fields(REQUESTS[edition][command]))
    message = decode(_frame(edition, command, write_table(REQUESTS[edition][command], body)))
    time = {"time": message.time} if "time" in body else {}
    assert time | message.fields == body
    assert not message.partial


@st.composite
def _logins(draw, edition):
    ascii_text = st.text("ABCDEFGH0123456789", max_size=20)
    body = {
        "time": draw(times()),
        "serial": draw(st.integers(1, 65_531)),
        "iccid": draw(ascii_text),
    }
    if edition == 2016:
        count, size = draw(st.integers(0, 5)), draw(st.integers(0, 50))
        codes = draw(st.binary(min_size=count * size, max_size=count * size))
        return body | {"subsystem_count": count, "code_length": size, "codes": codes}
    packs = draw(st.lists(st.integers(0, 3), max_size=4))
    codes = draw(st.binary(min_size=24 * sum(packs), max_size=24 * sum(packs)))
    return body | {"bms_count": len(packs), "packs_per_bms": packs, "pack_codes": codes}


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize(("command", "flag"), [(0x80, Flag.SUCCESS), (0x81, Flag.COMMAND)])
@settings(max_examples=40)
@given(st.data())
def test_parameters(edition, command, flag, data):
    idents = data.draw(st.lists(st.sampled_from(sorted(PARAMETERS[edition])), unique=True))
    given_ = []
    for ident in idents:
        row = PARAMETERS[edition][ident]
        if isinstance(row, Opaque):
            text = data.draw(st.text("abcdef.", max_size=20))
            given_ = [pair for pair in given_ if pair[0] != ident - 1]
            given_ += [(ident - 1, len(text)), (ident, text)]
        elif isinstance(row, Text):
            given_.append((ident, data.draw(st.text("ABC123", max_size=row.size))))
        elif isinstance(row, Number) and ident not in (0x04, 0x0D):
            given_.append((ident, data.draw(numbers(row))))
    time = data.draw(times())
    message = decode(_frame(edition, command, encode_parameters(edition, time, given_), flag))
    assert [(item.type, item.fields["value"]) for item in message.items] == given_
    assert (message.time, message.partial) == (time, False)


UPGRADE = {
    "url": "ftp://host/f.bin",
    "apn": "apn",
    "user": "u",
    "password": "p",
    "address": "10.0.0.7",
    "port": 21,
    "manufacturer": "ABCD",
    "hardware_version": "H1.00",
    "firmware_version": "F2.00",
    "time_limit_min": 60,
}


@pytest.mark.parametrize(
    ("order", "lead"), [("B.15", b"ftp://host/f.bin;apn;"), ("B.16", b"apn;u;p")]
)
def test_upgrade_argument_in_both_orders(order, lead):
    argument = control.write_upgrade(order, **UPGRADE)
    assert argument.startswith(lead)
    found = control.read_upgrade(argument, order)
    assert {key: str(value) for key, value in found.items()} == {
        key: str(value) for key, value in UPGRADE.items()
    }


def test_binary_upgrade_fields_may_hold_the_separator():
    argument = control.write_upgrade("B.16", address="59.59.59.59", time_limit_min=0x013B)
    found = control.read_upgrade(argument, "B.16")
    assert found == {"address": "59.59.59.59", "time_limit_min": 0x013B}


@pytest.mark.parametrize(("edition", "count", "size"), [(2016, 3, 8), (2016, 0, 0), (2025, 4, 24)])
def test_login_codes(edition, count, size):
    codes = [f"{number:0{size}}" for number in range(count)]
    login = encode_login(edition, datetime(2026, 1, 2, tzinfo=UTC), 9, "1", codes)
    message = decode(_frame(edition, Command.LOGIN, login))
    key = "codes" if edition == 2016 else "pack_codes"
    assert message.fields[key] == "".join(codes).encode()
