"""`decode_line`: any line gives one JSON object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples as ex
from tests.codecs.gbt32960.strategies import realtime_frames

from carcloud.codecs.gbt32960.describe import decode_line


def test_a_report_with_its_signals():
    document = decode_line(ex.REALTIME_2025.hex())
    assert document["command"] == "realtime"
    assert (document["flag"], document["encryption"]) == ("command", "none")
    assert (document["vehicle"], document["edition"]) == (ex.VEHICLE, 2025)
    assert document["time"] == "2026-03-14T07:09:26Z"
    assert document["items"][0]["speed_kmh"] == 63.5
    assert document["items"][6]["packs"][0]["quality"] == {"cell_v[2]": "abnormal"}
    assert document["signals"]["Vehicle.Speed"] == 63.5
    assert (document["partial"], document["diagnoses"]) == (False, [])


def test_spaces_and_capitals_do_not_matter():
    spaced = " ".join(f"{byte:02X}" for byte in ex.LOGOUT)
    assert decode_line(f"{spaced}\r\n") == decode_line(ex.LOGOUT.hex())


@pytest.mark.parametrize(
    ("line", "code", "offset"),
    [
        ("xyz", "hex", 0),
        ("232", "hex", 0),
        ("", "truncated", 0),
        ("4040" + ex.LOGOUT.hex()[4:], "start", 0),
        (ex.LOGOUT.hex()[:-2], "truncated", 32),
        (ex.LOGOUT.hex()[:-2] + "00", "bcc", 32),
        (ex.LOGOUT.hex() + "23", "trailing", 33),
    ],
)
def test_errors_name_the_byte_and_the_clause(line, code, offset):
    error = decode_line(line)["error"]
    assert (error["code"], error["offset"]) == (code, offset)
    assert error["clause"]
    assert error["detail"]


@given(
    st.one_of(st.text(), st.binary().map(bytes.hex), realtime_frames(strange=True).map(bytes.hex))
)
def test_any_line_gives_json(line):
    assert json.loads(json.dumps(decode_line(line)))
