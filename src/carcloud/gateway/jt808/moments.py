"""Times among the arguments of commands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from carcloud.codecs.jt808.errors import EncodeError


def moment(given: Mapping[str, Any], name: str) -> datetime | None:
    """A time with its zone; None where it is not given. Raises `EncodeError`."""
    text = given.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise EncodeError(name, f"{text!r} is no time with its zone, such as 2026-05-01T08:00:00Z")
    if not 2000 <= found.year <= 2099:
        raise EncodeError(name, f"year {found.year} is outside 2000 to 2099")
    return found
