"""What the API tells, as frozen types. Times are aware datetimes in UTC."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Lifecycle = Literal["registered", "active", "suspended", "retired"]
Order = Literal["id", "last_seen", "soc", "speed", "alarm"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed-out"]
ENDED = frozenset({"succeeded", "failed", "cancelled", "timed-out"})


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `total` None = not counted."""

    items: tuple[T, ...]
    next_cursor: str | None = None
    total: int | None = None


class Items(msgspec.Struct, Generic[T], frozen=True):
    """A list that comes whole."""

    items: tuple[T, ...]


class Tagged(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is edited; `etag` names the revision that was seen."""

    etag: str = ""


class VehicleSummary(msgspec.Struct, frozen=True):
    """What the list shows of one vehicle; WGS-84 degrees."""

    id: str
    model: str | None
    labels: dict[str, str]
    lifecycle: str
    protocol: str | None
    online: bool
    last_seen: datetime | None
    speed_kmh: float | None
    soc_pct: float | None
    alarm_level: int | None
    lon: float | None
    lat: float | None


class Credentials(msgspec.Struct, frozen=True):
    """What proves that a vehicle is itself; `public_key` in base64."""

    iccid: str | None
    public_key: str | None
    algorithm: str | None
    tls_fingerprint: str | None
    has_cipher_key: bool
    token_made: str | None


class VehicleToken(msgspec.Struct, frozen=True):
    """A vehicle's token, told this once."""

    vehicle: str
    token: str
    made: str


class Session(msgspec.Struct, frozen=True):
    """How a vehicle is connected: by itself, or over the link of a platform."""

    address: str | None
    since: datetime
    edition: str | None
    frames: int | None
    platform: str | None


class Vehicle(Tagged, frozen=True):
    """A vehicle of the registry."""

    id: str
    vin: str | None
    model: str | None
    labels: dict[str, str]
    lifecycle: str
    created: datetime
    updated: datetime
    protocol: str | None
    credentials: Credentials
    online: bool
    session: Session | None


class LineProblem(msgspec.Struct, frozen=True):
    """What is wrong with one line of a CSV text; line 1 is the header."""

    line: int
    field: str
    detail: str


class ImportResult(msgspec.Struct, frozen=True):
    """What an import did; lines with errors were left out."""

    created: int
    updated: int
    errors: tuple[LineProblem, ...]


class Model(Tagged, frozen=True):
    """A type of vehicle: what it speaks, its coordinates, which current is positive."""

    id: str
    name: str
    maker: str = ""
    protocol: str = "gbt32960"
    datum: str = "WGS84"
    current_sign: str = "discharge"


class Reading(msgspec.Struct, frozen=True):
    """The latest known value of a signal; `flagged`: it is outside its type or range."""

    value: Any
    time: datetime
    unit: str | None
    flagged: bool = False


class Twin(msgspec.Struct, frozen=True):
    """The latest known state of a vehicle; `time` of its newest report."""

    vehicle: str
    time: datetime | None
    signals: dict[str, Reading]


class Frame(msgspec.Struct, frozen=True):
    """A frame as it came off the wire, in hexadecimal, decoded where it can be."""

    time: datetime
    received: datetime
    kind: str
    protocol: str
    seq: int
    hex: str
    fields: dict[str, Any] | None
    error: dict[str, Any] | None


class Alarm(msgspec.Struct, frozen=True):
    """One alarm; `end` None = it is still on at the end of the time asked for."""

    code: str
    level: int | None
    start: datetime
    end: datetime | None


class Column(msgspec.Struct, frozen=True):
    """A column and its Arrow type."""

    name: str
    type: str


class Table(msgspec.Struct, frozen=True):
    """One of the tenant's tables; sizes are None for who is held to some vehicles.

    `built_in`: every tenant has it, and it cannot be dropped.
    """

    name: str
    rows: int | None
    bytes: int | None
    files: int | None
    built_in: bool
    columns: tuple[Column, ...]


class Rows(msgspec.Struct, frozen=True):
    """Rows of a query as JSON carries them; `truncated` when there were more."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    seconds: float


class File(msgspec.Struct, frozen=True):
    """Rows of a query as a file; `truncated` when there were more."""

    content: bytes
    truncated: bool


class DeadLetter(msgspec.Struct, frozen=True):
    """A frame that could not be read: why, where in the frame, and which clause it broke."""

    id: str
    vehicle: str
    received: datetime
    protocol: str
    reason: str
    clause: str | None
    offset: int | None
    hex: str
    size: int


class Reason(msgspec.Struct, frozen=True):
    """Dead letters whose reasons differ in numbers and names alone."""

    reason: str
    clause: str | None
    count: int


class DeadLetterPage(msgspec.Struct, frozen=True):
    """One page of letters, and the kinds of reasons of all that wait."""

    items: tuple[DeadLetter, ...]
    next_cursor: str | None
    total: int | None
    reasons: tuple[Reason, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a letter: `stored`, `still-bad` (with the reason), or `queued` = not yet."""

    outcome: str
    reason: str | None = None


class BulkOutcome(msgspec.Struct, frozen=True):
    """How many letters there were, and how many were put back into the stream."""

    tried: int
    queued: int


class JobKind(msgspec.Struct, frozen=True):
    """A kind of jobs and the JSON Schema of its parameters."""

    name: str
    help: str
    params: dict[str, Any]


class NewJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job to be done; what is left at its default is left to the server.

    `after` names jobs that must succeed first: ids, or in a batch also their `key`.
    """

    kind: str
    params: dict[str, Any] = {}
    name: str = ""
    key: str | None = None
    after: tuple[str, ...] = ()
    queue: str = "default"
    priority: int = 5  # 0 to 9; 9 goes first
    retries: int = 0
    backoff_s: float = 10.0
    timeout_s: float = 3600.0  # of each attempt
    cpus: float = 1.0
    memory_mb: int = 512
    project: str = "main"


class Job(msgspec.Struct, frozen=True):
    """A job; `attempt` 0 = it has not begun yet, `limit` names the limit that ended it."""

    id: str
    project: str
    kind: str
    name: str
    queue: str
    priority: int
    state: str
    attempt: int
    retries: int
    progress: float | None
    message: str
    error: str | None
    limit: str | None
    cancelling: bool
    schedule: str | None
    user: str
    created: datetime
    ready: datetime
    started: datetime | None
    ended: datetime | None
    seconds: float | None


class Attempt(msgspec.Struct, frozen=True):
    """One try; `outcome` None = it runs, `interrupted` = the jobs process went away."""

    number: int
    started: datetime
    ended: datetime | None
    outcome: str | None
    error: str | None
    limit: str | None
    cpu_seconds: float
    where: str


class JobAhead(msgspec.Struct, frozen=True):
    """A job that must succeed before another begins."""

    id: str
    name: str
    kind: str
    state: str


class JobDetail(Job, frozen=True):
    """A job with everything that is known of it; metrics are (time, value) pairs."""

    params: dict[str, Any]
    timeout_s: float
    cpus: float
    memory_mb: int
    backoff_s: float
    result: Any
    metrics: dict[str, tuple[tuple[datetime, float], ...]]
    attempts: tuple[Attempt, ...]
    after: tuple[JobAhead, ...]


class LogPart(msgspec.Struct, frozen=True):
    """A stretch of a log, from byte `start` to `end` of `size`."""

    attempt: int
    start: int
    end: int
    size: int
    text: str


class LogText(msgspec.Struct, frozen=True):
    """Text that a job wrote, from byte `offset` of the log of `attempt` on."""

    attempt: int
    offset: int
    text: str


class Artifact(msgspec.Struct, frozen=True):
    """A file that a job made."""

    name: str
    attempt: int
    bytes: int
    sha256: str
    media: str
    created: datetime


class Schedule(Tagged, frozen=True):
    """A job that is submitted again and again; `next` None = it is disabled."""

    name: str
    cron: str
    timezone: str
    job: NewJob
    enabled: bool
    overlap: bool
    next: datetime | None
    upcoming: tuple[datetime, ...]
    last: datetime | None
    last_job: str | None
    user: str
    created: datetime


class LifecycleRule(msgspec.Struct, frozen=True):
    """A rule of a bucket; days of 0 = never. `date` is a day, as 2030-01-31."""

    id: str = ""
    enabled: bool = True
    prefix: str = ""
    tags: dict[str, str] = {}
    larger_than: int | None = None  # bytes
    smaller_than: int | None = None  # bytes
    days: int = 0
    date: str = ""
    old_versions_days: int = 0
    uploads_days: int = 0
    expired_marker: bool = False


class Bucket(Tagged, frozen=True):
    """A bucket; `bytes` counts old versions and unfinished uploads too."""

    name: str
    project: str
    created: datetime
    created_by: str
    versioning: str
    tags: dict[str, str]
    lifecycle: tuple[LifecycleRule, ...]
    objects: int
    bytes: int
    revision: int


class StoredBytes(msgspec.Struct, frozen=True):
    """What the tenant keeps in buckets, and how; `limit` None = no limit."""

    bytes: int
    limit: int | None
    buckets: int
    sealed: bool
    own_place: bool
    endpoint: str


class Place(msgspec.Struct, frozen=True):
    """Where the objects of a tenant lie; `url` empty = with those of the installation."""

    tenant: str
    url: str
    sealed: bool


class SealingKey(msgspec.Struct, frozen=True):
    """A key of the tenant's own that seals new objects."""

    id: str


class Object(msgspec.Struct, frozen=True):
    """An object, or one version of it."""

    key: str
    size: int
    etag: str
    modified: datetime
    version: str
    latest: bool = True
    marker: bool = False


class ObjectPage(msgspec.Struct, frozen=True):
    """A page of objects; `folders` are keys up to the delimiter."""

    items: tuple[Object, ...]
    folders: tuple[str, ...]
    next_cursor: str | None


class ObjectDetail(msgspec.Struct, frozen=True):
    """An object with all that is known of it."""

    key: str
    size: int
    etag: str
    modified: datetime
    version: str
    content_type: str
    metadata: dict[str, str]
    headers: dict[str, str]
    tags: dict[str, str]
    checksum: str | None
    parts: int
    sealed: bool


class Channel(msgspec.Struct, frozen=True):
    """A channel of a recording; `messages` None = not told."""

    topic: str
    encoding: str
    schema: str
    messages: int | None


class Preview(msgspec.Struct, frozen=True):
    """What is in a `parquet` or `mcap` object; the fields of the other kind are empty."""

    kind: str
    note: str = ""
    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    first: tuple[tuple[str | None, ...], ...] = ()
    written_by: str = ""
    messages: int | None = None
    channels: tuple[Channel, ...] = ()
    chunks: int | None = None
    attachments: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    compressions: tuple[str, ...] = ()


class Disk(msgspec.Struct, frozen=True):
    """The disk that holds the data folder; `used_bytes` counts the data folder alone."""

    used_bytes: int
    free_bytes: int


class Trouble(msgspec.Struct, frozen=True):
    """Something an operator should know."""

    code: str
    since: datetime
    detail: str


class Role(msgspec.Struct, frozen=True):
    """One process of the cloud."""

    role: str
    instance: str
    pid: int
    uptime_s: float
    memory_bytes: int
    alive: bool
    version: str


class Status(msgspec.Struct, frozen=True):
    """How the cloud is doing now."""

    time: datetime
    connected: int
    platforms: int
    vehicles: int
    frames_per_second: float
    stored_per_second: float
    freshness_ms: float | None
    lag_frames: int
    dead_letters: int
    disk: Disk
    problems: tuple[Trouble, ...]
    roles: tuple[Role, ...]
