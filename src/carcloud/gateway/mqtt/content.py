"""What version 5 says of a payload beside it: content type and payload format (3.3.2.3).

The form of a payload is told by its first byte, so these two can only agree with it or contradict.
Who contradicts itself is refused: one of the two is wrong, and nobody knows which.
"""

from typing import Final

from carcloud.codecs.errors import FrameError
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.samples.batch import Form, InvalidBatch
from carcloud.codecs.samples.read import CONTENT_TYPES, form_of

_BATCHES: Final = "signals"
_FORMS: Final[dict[str, frozenset[Form]]] = {
    _BATCHES: frozenset(("json", "cbor", "protobuf")),
    "collected": frozenset(("protobuf",)),
}
"""By topic below the vehicle's prefix; all others are JSON."""
_JSON: Final[frozenset[Form]] = frozenset(("json",))
_LONGEST: Final = 60  # characters of a content type that are told


def contradiction(below: str, payload: bytes, said: Properties) -> FrameError | None:
    """What is wrong with what is said of a payload on the topic `below`; None = nothing."""
    if said.content_type is not None:
        detail = _wrong_type(below, payload, said.content_type)
        if detail:
            return FrameError("payload-format", 0, "3.3.2.3.9", detail)
    if said.payload_is_text:
        try:
            payload.decode()
        except UnicodeDecodeError as error:
            detail = "the payload format indicator says UTF-8, and the payload is not"
            return FrameError("payload-format", error.start, "3.3.2.3.2", detail)
    return None


def only_says(said: Properties) -> bool:
    """Whether nothing but these two is said."""
    return said == Properties(content_type=said.content_type, payload_is_text=said.payload_is_text)


def _wrong_type(below: str, payload: bytes, content_type: str) -> str:
    told = f"content type {content_type[:_LONGEST]!r}"
    form = CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())
    if form not in _FORMS.get(below, _JSON):
        return f"{told} is none of the topic {below}"
    if below != _BATCHES:
        return ""
    try:
        found = form_of(payload)
    except InvalidBatch as error:
        return f"{told}: {error}"
    return f"{told}, and the payload is {found}" if found != form else ""
