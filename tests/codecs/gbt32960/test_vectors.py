"""Frames from real traffic, with the values that their source gives."""

import json
from datetime import datetime
from typing import Any

import pytest
from tests.data import shared_data

from carcloud.codecs.gbt32960.constants import Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import parse, reply
from carcloud.codecs.gbt32960.message import Message

IDS = [f"gb16-{number:02}" for number in range(1, 31)]
ANSWERED = (2, 4, 6, 8, 9, 10, 15, 20, 24, 28)
WITHOUT_LENGTH = {"gb16-01", "gb16-22", "gb16-23"}  # a fleet's types without the length word


@pytest.fixture(scope="module")
def vectors() -> dict[str, dict[str, Any]]:
    """The vectors by id."""
    listed = json.loads(shared_data("gbt32960/vectors.json").read_text("utf-8"))
    return {vector["id"]: vector for vector in listed}


def _hold(found: Any, wanted: Any, where: str) -> None:
    """Everything in `wanted` stands in `found`; numbers within rounding."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            _hold(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for index, value in enumerate(wanted):
            _hold(found[index], value, f"{where}[{index}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=1e-9), where
    else:
        assert found == wanted, where


def _body(message: Message) -> dict[str, Any]:
    document = message.to_json()
    return document["fields"] | {"items": document["items"]}


def test_every_vector_is_named(vectors):
    assert sorted(vectors) == IDS
    answered = [f"gb16-{number:02}" for number in ANSWERED]
    assert [name for name in IDS if "reply" in vectors[name]] == answered


@pytest.mark.parametrize("name", IDS)
def test_vector(vectors, name):
    vector = vectors[name]
    raw = bytes.fromhex(vector["hex"])
    if not vector["valid_bcc"]:
        with pytest.raises(FrameError) as caught:
            parse(raw)
        assert (caught.value.code, caught.value.offset) == ("bcc", len(raw) - 1)
        return
    frame = parse(raw)
    message = decode(frame)
    assert message.edition == vector["edition"]
    assert message.partial == (name in WITHOUT_LENGTH)
    expected = vector["expected"] or {}
    header = {
        "command": f"0x{frame.command:02X}",
        "flag": f"0x{frame.flag:02X}",
        "id": frame.unique_id,
        "encryption": frame.encryption,
        "length": len(frame.data),
    }
    _hold(header, {key: expected[key] for key in header if key in expected}, name)
    body = dict(expected.get("body", {}))
    if "time" in body:
        assert message.time == datetime.fromisoformat(body.pop("time"))
    if name in WITHOUT_LENGTH:
        body.pop("items", None)
    _hold(_body(message), body, name)


@pytest.mark.parametrize("name", sorted(WITHOUT_LENGTH))
def test_types_without_the_length_word_are_kept_raw(vectors, name):
    frame = parse(bytes.fromhex(vectors[name]["hex"]))
    message = decode(frame)
    assert message.partial
    assert message.time is not None
    assert message.rest
    assert frame.data.endswith(message.rest)
    assert message.diagnoses[-1].code in ("overrun", "unknown-type")


@pytest.mark.parametrize("name", [f"gb16-{number:02}" for number in ANSWERED])
def test_replies_of_the_vectors(vectors, name):
    vector = vectors[name]
    request = parse(bytes.fromhex(vector["hex"]))
    wanted = bytes.fromhex(vectors[vector["reply"]]["hex"])
    assert reply(request, Flag.SUCCESS, "time", bytes(6)) == wanted


def test_motor_state_outside_its_range_is_named(vectors):
    message = decode(parse(bytes.fromhex(vectors["gb16-18"]["hex"])))
    assert message.out_of_range
    assert not message.partial
    motor = message.to_json()["items"][1]["motors"][0]
    assert motor["state"] is None
    assert motor["quality"] == {"state": "out_of_range"}
