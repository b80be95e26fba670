"""`carcloud decode gbt32960`: lines in, lines out, whatever the lines hold."""

import json

import pytest

from carcloud.cli.decode import LINE_BYTES
from carcloud.codecs.jt808.frame import build_message

# The heartbeat that GB/T 32960.3-2016 B.3.5.7 allows: no data unit.
HEARTBEAT = "232307fe4c54455354564e41344130303030313031010000be"


def _objects(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def test_each_line_gives_one_object(carcloud):
    spaced = HEARTBEAT.upper()
    spaced = " ".join(spaced[at : at + 2] for at in range(0, len(spaced), 2))
    answer = carcloud("decode", "gbt32960", stdin=f"# a capture\n\n{HEARTBEAT}\n{spaced}\r\n")
    plain, with_spaces = _objects(answer.output)
    assert plain == with_spaces
    assert "error" not in plain


def test_a_file_is_read(carcloud, tmp_path):
    file = tmp_path / "capture.txt"
    file.write_text(HEARTBEAT)
    assert len(_objects(carcloud("decode", "gbt32960", str(file)).output)) == 1


@pytest.mark.parametrize(
    "line", [HEARTBEAT[:-2] + "00", HEARTBEAT[:20], "zz", "2323", "é", "2" * 51]
)
def test_a_bad_line_is_an_object_with_error_and_the_rest_goes_on(carcloud, line):
    answer = carcloud("decode", "gbt32960", stdin=f"{line}\n{HEARTBEAT}\n")
    bad, good = _objects(answer.output)
    assert answer.exit_code == 0
    assert "fromhex" not in bad["error"]["detail"]
    assert "error" not in good


def test_strict_ends_with_code_one_when_a_line_failed(carcloud):
    assert carcloud("decode", "gbt32960", "--strict", stdin=HEARTBEAT).exit_code == 0
    answer = carcloud("decode", "gbt32960", "--strict", stdin=f"zz\n{HEARTBEAT}\n")
    assert answer.exit_code == 1
    assert "1 line could not be decoded" in answer.output


def test_a_line_longer_than_any_frame_is_refused_and_skipped(carcloud):
    answer = carcloud("decode", "gbt32960", stdin="23" * LINE_BYTES + f"\n{HEARTBEAT}\n")
    long, good = _objects(answer.output)
    assert long["error"]["code"] == "line-too-long"
    assert "error" not in good


BEAT = "7e0002400001000000000139000001010003787e"
PLAIN = "7e0200001c01390000010100010000000000000002007d7d7d073d8aa5001200000000260314150926547e"


def test_jt808_frames_give_one_object_each(carcloud):
    answer = carcloud("decode", "jt808", stdin=f"# a capture\n\n{BEAT}{BEAT}\n{BEAT.upper()}\r\n")
    found = _objects(answer.output)
    assert [one["message"] for one in found] == ["heartbeat"] * 3
    assert found[0]["vehicle"] == "13900000101"


def test_jt808_reads_unescaped_traces_and_is_strict_when_asked(carcloud):
    (found,) = _objects(carcloud("decode", "jt808", "--unescaped", stdin=PLAIN).output)
    assert found["fields"]["position"]["latitude_deg"] == 0x7D7D7D / 1e6
    assert carcloud("decode", "jt808", "--strict", "--unescaped", stdin=PLAIN).exit_code == 0
    answer = carcloud("decode", "jt808", "--strict", stdin=f"{PLAIN}\n{BEAT}\n")
    assert answer.exit_code == 1
    assert "1 frame could not be decoded" in answer.output


def test_jt808_joins_packets_of_several_lines_and_reads_2011_when_told(carcloud):
    body = bytes.fromhex("0101 01 00000007 0000 01dc89d0 073d8aa5 000001f4")  # a circle of 2011
    second, first = (
        build_message(2011, 0x8600, "13900000101", 7, body, packet_bytes=12)[at].hex()
        for at in (1, 0)
    )
    text = f"{second}\n{BEAT}\n{first}\n"
    beat, circle = _objects(carcloud("decode", "jt808", "--edition", "2011", stdin=text).output)
    assert (beat["edition"], circle["edition"], circle["serial"]) == (2011, 2011, 7)
    assert circle["fields"]["areas"][0]["radius_m"] == 500
    _, lone = _objects(carcloud("decode", "jt808", stdin=f"{second}\n{BEAT}\n").output)
    assert lone["diagnoses"][0]["detail"] == "packet 2 of 2: 1 did not come"


def test_jt808_reads_raw_frames_from_a_file(carcloud, tmp_path):
    file = tmp_path / "capture.bin"
    file.write_bytes(bytes.fromhex(BEAT) + b"\n\xff" + bytes.fromhex(BEAT) * 2)
    found = _objects(carcloud("decode", "jt808", str(file)).output)
    assert [one.get("message", "error") for one in found] == [
        "heartbeat", "error", "heartbeat", "heartbeat",
    ]  # fmt: skip
    answer = carcloud("decode", "jt808", "--unescaped", str(file))
    assert answer.exit_code == 2
    assert "hex digits" in answer.output
