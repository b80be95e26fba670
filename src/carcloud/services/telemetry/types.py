"""What telemetry hands over its wall. Times are us since 1970 UTC unless a name says otherwise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

SignalValue = bool | int | float | str | list[Any]
DecodeFrame = Callable[[bytes, str | None], Mapping[str, Any]]
"""A frame as a JSON object of named fields; the text is the edition of the vehicle's last login.

One that cannot be read gives `{"error": {…}}` or raises `ValueError`.
"""


class Coverage(Struct, frozen=True):
    """What reported a signal: how many vehicles, of which models (None = without), when last."""

    vehicles: int
    models: dict[str | None, int]
    last_us: int


class Reading(Struct, frozen=True):
    """The latest known value of one signal; `flagged`: it is outside its type or range."""

    value: SignalValue
    time_us: int
    flagged: bool = False


class VehicleTwin(Struct, frozen=True):
    """The latest known state of one vehicle; `time_us` of its newest report, None = none yet."""

    vehicle: str
    time_us: int | None
    received_us: int | None
    signals: dict[str, Reading]


class Session(Struct, frozen=True):
    """A vehicle that is connected; `edition` of its protocol, None = not known.

    `platform`: it reports over the link of this platform, whose address is told; None = its own.
    """

    address: str | None
    since_us: int
    edition: str | None
    platform: str | None = None


class Overview(Struct, frozen=True):
    """What the map and the list show of one vehicle. Degrees (WGS-84), km/h, percent."""

    vehicle: str
    lon: float | None
    lat: float | None
    heading: float | None
    speed_kmh: float | None
    soc_pct: float | None
    alarm_level: int | None
    time_us: int
    received_us: int


class Series(Struct, frozen=True):
    """Buckets of one signal in time order; all lists have the same length.

    `time_ms` is the time of the first sample of a bucket, ms since 1970.
    """

    unit: str | None
    time_ms: list[int]
    min: list[float]
    max: list[float]
    mean: list[float]


class SeriesSet(Struct, frozen=True):
    """Series of several signals over one stretch of time."""

    from_us: int
    to_us: int
    bucket_ms: int
    series: dict[str, Series]


class Trail(Struct, frozen=True):
    """Where a vehicle was, in time order; lists of equal length. Degrees, km/h."""

    time_ms: list[int]
    lon: list[float]
    lat: list[float]
    speed_kmh: list[float | None]


class AlarmInterval(Struct, frozen=True):
    """One alarm from the first report that has it to the first that has it no more."""

    code: str
    level: int | None
    start_us: int
    end_us: int | None


class Frame(Struct, frozen=True):
    """A frame as it came off the wire."""

    time_us: int
    received_us: int
    kind: str
    protocol: str
    seq: int
    data: bytes
    fields: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class DeadLetter(Struct, frozen=True):
    """A frame that could not be read, and why."""

    id: str
    vehicle: str
    received_us: int
    protocol: str
    reason: str
    clause: str | None
    offset: int | None
    data: bytes
    seq: int


class ReasonGroup(Struct, frozen=True):
    """Dead letters whose reasons differ in numbers and names alone.

    `reason` has `#` in their place; `clause` is None where the letters name several.
    """

    reason: str
    clause: str | None
    count: int


class Reprocessed(Struct, frozen=True):
    """What became of a dead letter that was read again: stored, still-bad or (yet) queued."""

    outcome: str
    reason: str | None = None


class Problem(Struct, frozen=True):
    """Something an operator should know."""

    code: str
    since_us: int
    detail: str
    tenant: str | None = None  # whose it is; None = everybody's


class Role(Struct, frozen=True):
    """One process of the cloud."""

    role: str
    instance: str
    pid: int
    uptime_s: float
    memory_bytes: int
    alive: bool
    version: str = ""  # of carcloud


class Disk(Struct, frozen=True):
    """The disk that holds the data folder; `used_bytes` counts the data folder alone."""

    used_bytes: int
    free_bytes: int


class Status(Struct, frozen=True):
    """How the cloud is doing now."""

    time_us: int
    connected: int  # vehicles, those that report over a platform's link too
    platforms: int  # that are connected
    vehicles: int
    frames_per_second: float
    stored_per_second: float
    freshness_ms: float | None
    lag_frames: int
    dead_letters: int
    disk: Disk
    problems: Sequence[Problem]
    roles: Sequence[Role]
