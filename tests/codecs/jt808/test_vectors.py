"""Frames and bodies of three public test suites, with the values that these state."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.codecs.jt808.vector_names import DIFFERENT, NAMES, OF_MESSAGE
from tests.data import shared_data

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import decode, decode_body
from carcloud.codecs.jt808.describe import decode_line
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import FLAG, Frame, Garbage, Splitter, escape, parse
from carcloud.codecs.jt808.parameters import PARAMETERS
from carcloud.codecs.jt808.tables import MESSAGES

REFUSED = {
    "length": {"sc-023", "sc-141", "sc-180", "sc-206", "go-055", "tr-016", "tr-024", "tr-031"},
    "overrun": {"go-094", "go-149"},
}
"""Well-formed frames that are refused: a header or body with another length than it says. tr-049, a
vendor's, has a wrong length too."""
NO_PHONE = {"tr-001", "tr-002", "tr-018", "tr-019", "tr-025", "tr-046"}
"""Terminals without a phone number: refused by the gateway, and read with a diagnosis."""
ATTRIBUTES = 0x0107
VENDOR_SIZED = {"go-171", "go-172", "go-173"}  # refused by their source, read here item by item


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    return json.loads(shared_data("jt808/vectors.json").read_text("utf-8"))  # type: ignore[no-any-return]


def wire(vector: dict[str, Any]) -> bytes:
    raw = bytes.fromhex(vector["hex"])
    return raw if vector.get("escaped", True) else FLAG + escape(raw[1:-1]) + FLAG


def frames(vectors: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    return ((vector, wire(vector)) for vector in vectors if vector["kind"] == "frame")


def test_every_frame_is_read_or_refused_for_a_reason(vectors: list[dict[str, Any]]) -> None:
    reasons = {name: reason for reason, names in REFUSED.items() for name in names}
    for vector, raw in frames(vectors):
        plain = vector["hex"], vector["escaped"] is False
        (found, *more) = decode_line(plain[0], unescaped=plain[1])
        assert more == [] or not vector["checksum_valid"], vector["id"]
        if not vector["checksum_valid"] or vector["id"] in reasons:
            assert "error" in found, vector["id"]
            assert reasons.get(vector["id"], found["error"]["code"]) == found["error"]["code"]
        elif vector["id"] in NO_PHONE:
            assert "phone" in [note["code"] for note in found["diagnoses"]], vector["id"]
            assert found["id"] == vector["message_id"], vector["id"]
            with pytest.raises(FrameError, match="no phone number"):
                parse(raw)
        elif vector["id"] != "tr-049":
            frame = parse(raw)
            assert found.get("id") == vector["message_id"], vector["id"]
            assert (found["vehicle"], found["serial"]) == (frame.phone, frame.serial)
            json.dumps(found)


def test_wrong_items_leave_the_rest_readable(vectors: list[dict[str, Any]]) -> None:
    for vector, raw in frames(vectors):
        if vector["id"] in VENDOR_SIZED:
            message = decode(parse(raw))
            assert message.reports
            assert {note.code for note in message.diagnoses} & {"item", "item-length"}


@pytest.mark.parametrize(
    ("name", "read"),
    [("sc-085", 1), ("sc-088", 7), ("go-179", 1), ("go-180", 0), ("go-181", 0)],
)
def test_parameters_before_a_broken_one_are_read(
    vectors: list[dict[str, Any]], name: str, read: int
) -> None:
    (vector,) = (one for one in vectors if one["id"] == name)
    (found,) = decode_line(vector["hex"])
    assert len(found["fields"]["items"]) == read
    assert found["partial"]
    assert "overrun" in [note["code"] for note in found["diagnoses"]]


def values(found: Any, key: str) -> Iterator[Any]:
    """Every value under a key, depth first."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(found, list):
        for part in found:
            yield from values(part, key)


def flat(expected: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(expected, dict):
        for name, value in expected.items():
            yield from flat(value, f"{path}.{name}" if path else name)
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        for at, value in enumerate(expected):
            yield from flat(value, f"{path}[{at}]")
    else:
        yield path, expected


def stated(vector: dict[str, Any], fields: Any) -> int:
    """Compare what a source states with what was read; returns how many values were compared."""
    count = 0
    own = OF_MESSAGE.get(vector["message_id"], {})
    for path, wanted in flat({k: v for k, v in vector["expected"].items() if k[:7] != "Header."}):
        leaf = next(
            (
                name
                for name in (path, ".".join(path.split(".")[-2:]), path.split(".")[-1])
                if name in own or name in NAMES
            ),
            None,
        )
        if leaf is None:
            continue
        key, turn = own.get(leaf) or NAMES[leaf]
        if key in DIFFERENT.get(vector["id"], ()) or "Details" in path:
            continue
        at = next((int(number) for number in re.findall(r"\[(\d+)\]", path)), 0)
        found = list(values(fields, key))
        assert len(found) > at, (vector["id"], path, key)
        assert turn(found[at]) == wanted, (vector["id"], path)
        count += 1
    return count


def in_standard(vector: dict[str, Any]) -> bool:
    """Extensions of the sources test items and messages that are not JT/T 808."""
    number = vector["message_id"]
    return (
        isinstance(vector["expected"], dict)
        and number is not None
        and int(number, 16) in MESSAGES
        and not any("Extensions" in source for source in vector["source"])
        and vector["id"][:2] in ("sc", "go")
    )


def test_frames_say_what_their_sources_state(vectors: list[dict[str, Any]]) -> None:
    compared = 0
    for vector, raw in frames(vectors):
        if in_standard(vector) and vector["checksum_valid"] and "error" not in vector["expected"]:
            if any(vector["id"] in names for names in REFUSED.values()):
                continue
            compared += stated(vector, decode(parse(raw)).fields)
    assert compared > 280


def test_bodies_say_what_their_sources_state(vectors: list[dict[str, Any]]) -> None:
    compared = 0
    for vector in vectors:
        if vector["kind"] == "body" and in_standard(vector):
            number, body = int(vector["message_id"], 16), bytes.fromhex(vector["hex"])
            fields, _ = decode_body(number, int(vector["version"]), body)
            compared += stated(vector, fields)
    assert compared > 200


def test_parameters_have_the_values_that_their_source_states(vectors: list[dict[str, Any]]) -> None:
    compared = 0
    for vector, raw in frames(vectors):
        stated_ones = (vector["expected"] or {}).get("TerminalParamDetails")
        if not stated_ones:
            continue
        items = decode(parse(raw)).fields["items"]
        assert isinstance(items, list)
        found = {item["parameter"]: item["value"] for item in items if isinstance(item, dict)}
        for path, number in flat(stated_ones):
            if not path.endswith(".ID") or number not in PARAMETERS:
                continue
            wanted = next(value for name, value in flat(stated_ones) if name == path[:-2] + "Value")
            value = found[number]
            if isinstance(value, float):
                value = round(value * PARAMETERS[number].divisor)
            if not isinstance(value, bytes) and not isinstance(wanted, list):
                assert value == wanted, (vector["id"], path)
                compared += 1
    assert compared > 50


def test_what_is_read_can_be_written(vectors: list[dict[str, Any]]) -> None:
    written = 0
    for vector, raw in frames(vectors):
        try:
            frame = parse(raw)
            message = decode(frame)
        except FrameError:
            continue
        if message.rest or message.diagnoses or not message.fields:
            continue
        body = encode(message.message, message.edition, message.fields)
        fields, _ = decode_body(message.message, message.edition, body)
        assert fields == message.fields, vector["id"]
        longer = message.message == ATTRIBUTES  # some send a longer maker code than the text has
        assert len(body) == len(frame.body) or longer, vector["id"]
        written += 1
    assert written > 150


def test_streams_are_cut_as_their_source_cuts_them(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        wanted = (vector["expected"] or {}).get("frames") if vector["kind"] == "stream" else None
        if not isinstance(wanted, list) or vector["expected"].get("decode_error"):
            continue
        pieces = Splitter().feed(bytes.fromhex(vector["hex"]))
        found = [piece.raw.hex() for piece in pieces if isinstance(piece, Frame)]
        garbage = [piece.raw.hex() for piece in pieces if isinstance(piece, Garbage)]
        assert found == [one for one in wanted if one not in garbage], vector["id"]
