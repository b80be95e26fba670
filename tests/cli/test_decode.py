"""`carcloud decode gbt32960`: lines in, lines out, whatever the lines hold."""

import json

import pytest

from carcloud.cli.decode import LINE_BYTES

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
    assert "error" in bad
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
