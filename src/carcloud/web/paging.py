"""Cursors: where a list goes on, opaque to the client."""

import base64
import binascii
from typing import Generic, TypeVar

import msgspec

from carcloud.services.telemetry.api import InvalidArgument

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` null = the last one, `total` null = not counted."""

    items: list[T]
    next_cursor: str | None = None
    total: int | None = None


def encode_cursor(position: object) -> str:
    """A position in a list as text for the client."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str, kind: type[T]) -> T:
    """The position that `encode_cursor` wrote; raises `InvalidArgument`."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        return msgspec.json.decode(data, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidArgument("cursor", "is not a cursor of this list") from error
