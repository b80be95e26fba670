"""What a batch says, in whichever form it came. Standard library only: vehicles load it too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Scalar: TypeAlias = bool | int | float | str
Value: TypeAlias = Scalar | list[bool] | list[int] | list[float] | list[str]
Rows: TypeAlias = Iterable[tuple[int, Mapping[str, Value]]]
"""(time in us since 1970 UTC, value of each signal at that time) one after the other."""
Form = Literal["json", "cbor", "protobuf"]

MAX_BYTES: Final = 1 << 20  # of a payload
MAX_SAMPLES: Final = 50_000
MAX_ROWS: Final = 10_000  # moments
END_OF_TIME: Final = 253_402_300_800_000_000  # us; the year 10000


class InvalidBatch(ValueError):
    """A payload that is no batch. `at`: byte of the payload, None where only the item is known."""

    def __init__(self, reason: str, at: int | None = None) -> None:
        super().__init__(reason)
        self.at = at


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a payload, in order of first mention: a moment each.

    `times`: us since 1970 UTC; (n,). `values`: what each signal was at that time; (n,). A value is
    as its form had it: `wrong` tells what is not a `Value` (null, an object, bytes).
    """

    form: Form
    times: list[int]
    values: list[dict[str, Any]]

    @property
    def rows(self) -> list[tuple[int, dict[str, Any]]]:
        """Times and values together."""
        return list(zip(self.times, self.values, strict=True))

    @property
    def samples(self) -> int:
        """How many values it holds."""
        return sum(map(len, self.values))


class Gathering:
    """Rows under way: what is said of one moment comes together, the later value counts."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.values: list[dict[str, Any]] = []
        self._at: dict[int, int] = {}
        self._samples = 0

    def row(self, time: int, values: dict[str, Any]) -> None:
        """A moment and its values; raises `InvalidBatch`."""
        if not 0 < time < END_OF_TIME:
            raise InvalidBatch(f"time {time} us is not between 1970 and 9999")
        self._samples += len(values)
        if self._samples > MAX_SAMPLES:
            raise InvalidBatch(f"over {MAX_SAMPLES} samples")
        known = self._at.setdefault(time, len(self.times))
        if known < len(self.times):
            self.values[known].update(values)
            return
        if known == MAX_ROWS:
            raise InvalidBatch(f"over {MAX_ROWS} moments")
        self.times.append(time)
        self.values.append(values)

    def done(self, form: Form) -> Batch:
        """The batch; raises `InvalidBatch` if it is empty."""
        if not self._samples:
            raise InvalidBatch("no sample in it")
        return Batch(form, self.times, self.values)


def wrong(value: Any) -> str | None:
    """Why something is not a `Value`; None = it is one."""
    if isinstance(value, list):
        kinds = set(map(type, value))
        if kinds <= {int, float} or kinds in ({bool}, {str}):
            return None
        return "an array of one kind of number, boolean or text is wanted"
    if isinstance(value, bool | int | float | str):
        return None
    return "no value" if value is None else "neither number, boolean, text nor array"


def check_size(payload: bytes) -> None:
    """Raises `InvalidBatch` for a payload that is too large or empty."""
    if len(payload) > MAX_BYTES:
        raise InvalidBatch(f"{len(payload)} bytes: {MAX_BYTES} at most", MAX_BYTES)
    if not payload:
        raise InvalidBatch("an empty payload", 0)
