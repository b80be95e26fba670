"""The form in which messages are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.mqtt.message import pack_message, unpack_message

PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")


def test_a_kept_message_byte_by_byte() -> None:
    kept = pack_message("v1/é", b"{}")
    assert kept == b"\x00\x05v1/\xc3\xa9{}"
    assert unpack_message(kept) == ("v1/é", b"{}")


@given(st.text(PRINTABLE, max_size=40), st.binary(max_size=40))
def test_what_is_packed_comes_back(topic: str, payload: bytes) -> None:
    assert unpack_message(pack_message(topic, payload)) == (topic, payload)


@pytest.mark.parametrize("frame", [b"", b"\x00", b"\x00\x02a", b"\x00\x01\xff"])
def test_what_is_no_kept_message_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_message(frame)


def test_a_topic_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        pack_message("x" * 65536, b"")
