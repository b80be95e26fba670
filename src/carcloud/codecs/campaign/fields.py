"""Reading JSON documents field by field: whatever is wrong is told with the field's name."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")
_MISSING: Any = object()


class DocumentError(ValueError):
    """A document that cannot be used: `field` is like "signals[2].path"."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class Fields:
    """One JSON object; every read names the field, and `finish` refuses what was not read."""

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, Mapping):
            raise DocumentError(where, "expected an object")
        self._value = value
        self._where = where
        self._read: set[str] = set()

    def name(self, key: str) -> str:
        """The full name of a field."""
        return f"{self._where}.{key}" if self._where else key

    def has(self, key: str) -> bool:
        """Whether a field is there and not null."""
        return self._value.get(key) is not None

    def take(self, key: str, default: Any = _MISSING) -> Any:
        """A field as it is; null counts as missing. Raises `DocumentError` without a default."""
        self._read.add(key)
        value = self._value.get(key)
        if value is None:
            if default is _MISSING:
                raise DocumentError(self.name(key), "is missing")
            return default
        return value

    def integer(self, key: str, least: int, most: int, default: Any = _MISSING) -> Any:
        """A whole number within bounds, both inclusive."""
        value = self.take(key, default)
        if value is default:
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise DocumentError(self.name(key), f"expected a whole number, found {value!r:.40}")
        if not least <= value <= most:
            raise DocumentError(self.name(key), f"{value} is outside {least:,} to {most:,}")
        return value

    def number(self, key: str, default: Any = _MISSING) -> Any:
        """A finite number."""
        value = self.take(key, default)
        if value is default:
            return value
        if not isinstance(value, int | float) or isinstance(value, bool) or value - value != 0:
            raise DocumentError(self.name(key), f"expected a number, found {value!r:.40}")
        return value

    def boolean(self, key: str, default: Any = _MISSING) -> Any:
        """True or false."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, bool):
            raise DocumentError(self.name(key), f"expected true or false, found {value!r:.40}")
        return value

    def text(self, key: str, most: int, default: Any = _MISSING) -> Any:
        """A string of 1 to `most` characters."""
        value = self.take(key, default)
        if value is default:
            return value
        if not isinstance(value, str):
            raise DocumentError(self.name(key), f"expected a string, found {value!r:.40}")
        if not 1 <= len(value) <= most:
            raise DocumentError(self.name(key), f"expected 1 to {most} characters")
        return value

    def choice(self, key: str, known: tuple[str, ...], default: Any = _MISSING) -> Any:
        """One of a few strings."""
        value = self.take(key, default)
        if value is not default and value not in known:
            raise DocumentError(self.name(key), f"expected {' or '.join(known)}, not {value!r:.40}")
        return value

    def time_us(self, key: str) -> int | None:
        """An RFC 3339 time with a zone as microseconds since 1970 UTC; None where there is none."""
        value = self.take(key, None)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise DocumentError(self.name(key), f"expected a time with a zone, found {value!r:.40}")
        return round(moment.timestamp() * 1e6)

    def items(
        self, key: str, most: int, read: Callable[["Fields"], T], *, required: bool = False
    ) -> tuple[T, ...]:
        """A list of objects, each read by `read`."""
        value = self.take(key, _MISSING if required else [])
        if not isinstance(value, list):
            raise DocumentError(self.name(key), "expected a list")
        if len(value) > most:
            raise DocumentError(self.name(key), f"at most {most:,} entries, found {len(value):,}")
        found = []
        for at, each in enumerate(value):
            fields = Fields(each, f"{self.name(key)}[{at}]")
            found.append(read(fields))
            fields.finish()
        return tuple(found)

    def finish(self) -> None:
        """Raises `DocumentError` for a field that nothing has read."""
        for key in self._value:
            if key not in self._read:
                raise DocumentError(self.name(str(key)), "is not a field of this document")
