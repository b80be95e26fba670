"""Attributes of a DBC file: own values, defaults, texts of enumerations, frame formats."""

from collections.abc import Mapping
from dataclasses import dataclass

from carcloud.codecs.dbc.database import Attribute
from carcloud.codecs.dbc.drafts import Draft, Key, Target

# What VFrameFormat counts where the file gives numbers only (Vector's list).
_FORMATS = (
    "StandardCAN", "ExtendedCAN", "reserved", "J1939PG", *("reserved",) * 10,
    "StandardCAN_FD", "ExtendedCAN_FD",
)  # fmt: skip
_CLASSIC = 8  # bytes


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """The name of a message's frame format, and what follows from it."""

    name: str
    fd: bool
    j1939: bool


class Attributes:
    """Values by object. Enumerations give their text; a file-wide default stands in."""

    def __init__(self, draft: Draft) -> None:
        self._choices = draft.choices
        self._defaults = draft.defaults
        self._values: dict[Target, dict[str, Attribute]] = {}

    def set(self, target: Target, name: str, value: Attribute) -> None:
        """A value that the file gives."""
        self._values.setdefault(target, {})[name] = self._text(name, value)

    def of(self, target: Target) -> Mapping[str, Attribute]:
        """What the file says about this object itself."""
        return self._values.get(target, {})

    def get(self, target: Target, name: str) -> Attribute | None:
        """The value of this object, or the default."""
        value = self.of(target).get(name, self._defaults.get(name))
        return None if value is None else self._text(name, value)

    def _text(self, name: str, value: Attribute) -> Attribute:
        choices = self._choices.get(name, ())
        if isinstance(value, int) and 0 <= value < len(choices):
            return choices[value]
        return value

    def frame_format(self, key: Key, length: int) -> FrameFormat:
        """What frames carry a message of `length` bytes."""
        value = self.get(("BO_", key, ""), "VFrameFormat")
        if isinstance(value, int) and 0 <= value < len(_FORMATS):
            value = _FORMATS[value]
        name = value if isinstance(value, str) else ""
        protocol = self.get(("", "", ""), "ProtocolType")
        j1939 = key[1] and (name == "J1939PG" or protocol == "J1939")
        fd = name.endswith("CAN_FD") or (length > _CLASSIC and not j1939)
        return FrameFormat(name or ("ExtendedCAN" if key[1] else "StandardCAN"), fd, j1939)
