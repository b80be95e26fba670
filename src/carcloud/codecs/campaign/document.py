"""Campaign documents: what a vehicle collects, when, and how it is sent.

Times are microseconds since 1970 UTC and durations microseconds inside; the JSON form has RFC 3339
times and milliseconds. docs/campaigns.md describes every field.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from carcloud.codecs.campaign.expression import MAX_PATH, MAX_TEXT
from carcloud.codecs.campaign.fields import DocumentError, Fields

ALWAYS, RISING_EDGE = "ALWAYS", "RISING_EDGE"
ON_REQUEST = "on_request"
DEFAULT_PARTITION = "default"
LEAST_PERIOD_MS = 100
MOST_MS = 4_294_967_295
MOST_SAMPLES = 4_294_967_295
MOST_SIGNALS = 1000
MOST_FRAMES = 100
MOST_PARTITIONS = 20
MOST_DIMENSIONS = 20
MOST_BYTES = 1 << 20  # of a document as JSON
MOST_TIME_US = 253_402_214_400_000_000  # 9999-12-31
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.-")


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a campaign collects: at a period, or when an expression is true.

    `minimum_us` is the least time between two triggers. `fire_on_first_true` lets RISING_EDGE
    count an expression that is true at its first evaluation.
    """

    period_us: int | None = None
    expression: str | None = None
    mode: str = ALWAYS
    fire_on_first_true: bool = False
    minimum_us: int = 0


@dataclass(frozen=True, slots=True)
class SignalItem:
    """A signal to collect: the newest `max_samples`, at least `interval_us` apart.

    One that is `condition_only` is not sent. `window_us` is the length of its fixed windows.
    """

    path: str
    max_samples: int = 1
    interval_us: int = 0
    condition_only: bool = False
    window_us: int | None = None
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class FrameItem:
    """Raw CAN frames to collect, by `can_id` or by J1939 `pgn`, on one `bus` or on all."""

    can_id: int | None
    extended: bool
    pgn: int | None
    bus: str | None = None
    max_frames: int = 1
    interval_us: int = 0
    partition: str = DEFAULT_PARTITION


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a campaign's data with its own store and its own condition of sending.

    Without `upload_when` it is sent at once, or with `upload` ON_REQUEST when the cloud asks for
    it; `max_bytes` drops the oldest; older than `keep_us` goes.
    """

    id: str = DEFAULT_PARTITION
    upload_when: str | None = None
    max_bytes: int | None = None
    keep_us: int | None = None
    upload: str = "always"  # or ON_REQUEST


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as a vehicle runs it."""

    id: str
    version: int
    trigger: Trigger
    signals: tuple[SignalItem, ...] = ()
    frames: tuple[FrameItem, ...] = ()
    pre_trigger_us: int | None = None
    post_trigger_us: int = 0
    priority: int = 0
    start_us: int = 0
    expiry_us: int = MOST_TIME_US
    compression: str = "zlib"  # or none
    spooling: str = "disk"  # or none
    partitions: tuple[Partition, ...] = (Partition(),)
    dimensions: tuple[str, ...] = ()
    compatibility: bool = False
    name: str = ""
    description: str = ""


def parse_campaign(document: bytes | str | object) -> Campaign:
    """Read a campaign of JSON text, or of what JSON text gave; raises `DocumentError`."""
    if isinstance(document, bytes | str):
        document = parse_json(document)
    fields = Fields(document)
    campaign = _campaign(fields)
    fields.finish()
    _agree(campaign)
    return campaign


def parse_json(text: bytes | str, most: int = MOST_BYTES) -> Any:
    """JSON of at most `most` bytes, in UTF-8; raises `DocumentError`."""
    if len(text) > most:
        raise DocumentError("", f"a document has at most {most:,} bytes")
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        raise DocumentError("", f"not JSON: {error}") from error


def document_hash(document: object) -> str:
    """SHA-256 in hex of a document's canonical JSON: sorted keys, no blanks, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _campaign(fields: Fields) -> Campaign:
    trigger = Fields(fields.take("trigger"), "trigger")
    period = _us(fields.integer("pre_trigger_ms", 0, MOST_MS, None))
    campaign = Campaign(
        id=_id(fields, "id"),
        version=fields.integer("version", 1, 2**31 - 1, 1),
        name=fields.text("name", 200, ""),
        description=fields.text("description", 2000, ""),
        trigger=_trigger(trigger),
        pre_trigger_us=period,
        post_trigger_us=fields.integer("post_trigger_ms", 0, MOST_MS, 0) * 1000,
        signals=fields.items("signals", MOST_SIGNALS, _signal),
        frames=fields.items("frames", MOST_FRAMES, _frame),
        priority=fields.integer("priority", 0, 2**31 - 1, 0),
        start_us=_or(fields.time_us("start"), 0),
        expiry_us=_or(fields.time_us("expiry"), MOST_TIME_US),
        compression=fields.choice("compression", ("zlib", "none"), "zlib"),
        spooling=fields.choice("spooling", ("disk", "none"), "disk"),
        partitions=fields.items("partitions", MOST_PARTITIONS, _partition) or (Partition(),),
        dimensions=_dimensions(fields),
        compatibility=fields.boolean("compatibility", False),
    )
    trigger.finish()
    return campaign


def _us(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * 1000


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _id(fields: Fields, key: str) -> str:
    value = fields.text(key, 100)
    if not _NAME.issuperset(value) or value in (".", ".."):
        raise DocumentError(fields.name(key), "letters, digits and _ : . - only")
    return str(value)


def _path(fields: Fields, key: str) -> str:
    return str(fields.text(key, MAX_PATH))


def _trigger(fields: Fields) -> Trigger:
    if fields.has("every_ms") == fields.has("when"):
        raise DocumentError("trigger", "has either every_ms or when")
    if fields.has("every_ms"):
        period = fields.integer("every_ms", LEAST_PERIOD_MS, 86_400_000)
        return Trigger(period_us=period * 1000)
    return Trigger(
        expression=fields.text("when", MAX_TEXT),
        mode=fields.choice("mode", (ALWAYS, RISING_EDGE), ALWAYS),
        fire_on_first_true=fields.boolean("fire_on_first_true", False),
        minimum_us=fields.integer("minimum_interval_ms", 0, MOST_MS, 0) * 1000,
    )


def _signal(fields: Fields) -> SignalItem:
    return SignalItem(
        path=_path(fields, "path"),
        max_samples=fields.integer("max_samples", 1, MOST_SAMPLES, 1),
        interval_us=fields.integer("min_interval_ms", 0, MOST_MS, 0) * 1000,
        condition_only=fields.boolean("condition_only", False),
        window_us=_us(fields.integer("window_ms", 1, MOST_MS, None)),
        partition=fields.text("partition", 100, DEFAULT_PARTITION),
    )


def _frame(fields: Fields) -> FrameItem:
    if fields.has("id") == fields.has("pgn"):
        raise DocumentError(fields.name("id"), "frames are chosen by either id or pgn")
    extended = fields.boolean("extended", False)
    return FrameItem(
        can_id=fields.integer("id", 0, 0x1FFF_FFFF if extended else 0x7FF, None),
        extended=extended or fields.has("pgn"),
        pgn=fields.integer("pgn", 0, 0x3FFFF, None),
        bus=fields.text("bus", 32, None),
        max_frames=fields.integer("max_frames", 1, MOST_SAMPLES, 1),
        interval_us=fields.integer("min_interval_ms", 0, MOST_MS, 0) * 1000,
        partition=fields.text("partition", 100, DEFAULT_PARTITION),
    )


def _partition(fields: Fields) -> Partition:
    keep = fields.integer("keep_s", 1, 876_600 * 7 * 86_400, None)
    return Partition(
        id=_id(fields, "id"),
        upload=fields.choice("upload", ("always", ON_REQUEST), "always"),
        upload_when=fields.text("upload_when", MAX_TEXT, None),
        max_bytes=fields.integer("max_bytes", 1024, 1 << 60, None),
        keep_us=None if keep is None else keep * 1_000_000,
    )


def _dimensions(fields: Fields) -> tuple[str, ...]:
    value = fields.take("dimensions", [])
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        raise DocumentError("dimensions", f"expected a list of at most {MOST_DIMENSIONS} names")
    for at, each in enumerate(value):
        if not isinstance(each, str) or not 1 <= len(each) <= MAX_PATH:
            raise DocumentError(f"dimensions[{at}]", f"expected 1 to {MAX_PATH} characters")
    return tuple(value)


def _agree(campaign: Campaign) -> None:
    """Raises `DocumentError` where one field contradicts another."""
    known = {each.id for each in campaign.partitions}
    if len(known) < len(campaign.partitions):
        raise DocumentError("partitions", "an id stands twice")
    for kind in ("signals", "frames"):
        for at, item in enumerate(getattr(campaign, kind)):
            if item.partition not in known:
                where = f"{kind}[{at}].partition"
                raise DocumentError(where, f"there is no partition {item.partition!r:.110}")
    for at, part in enumerate(campaign.partitions):
        if part.upload == ON_REQUEST and (part.upload_when or campaign.spooling == "none"):
            reason = "without upload_when" if part.upload_when else "with spooling disk"
            raise DocumentError(f"partitions[{at}].upload", f"{ON_REQUEST} goes {reason} only")
    _windows_agree(campaign)
    if campaign.expiry_us <= campaign.start_us:
        raise DocumentError("expiry", "is not after start")
    if campaign.trigger.period_us is not None and not (campaign.signals or campaign.frames):
        raise DocumentError("signals", "a campaign at a period collects at least one thing")


def _windows_agree(campaign: Campaign) -> None:
    seen: dict[str, int] = {}
    for at, item in enumerate(campaign.signals):
        if item.window_us is not None and seen.setdefault(item.path, item.window_us) != (
            item.window_us
        ):
            reason = f"{item.path} has one length of window in a campaign"
            raise DocumentError(f"signals[{at}].window_ms", reason)


def to_document(campaign: Campaign) -> dict[str, Any]:
    """The JSON form of a campaign; what is at its default is left out."""
    trigger = campaign.trigger
    whole: dict[str, Any] = {
        "id": campaign.id,
        "version": campaign.version,
        "name": campaign.name or None,
        "description": campaign.description or None,
        "trigger": _trigger_document(trigger),
        "pre_trigger_ms": _ms(campaign.pre_trigger_us),
        "post_trigger_ms": _ms(campaign.post_trigger_us) or None,
        "signals": [_signal_document(each) for each in campaign.signals],
        "frames": [_frame_document(each) for each in campaign.frames],
        "priority": campaign.priority or None,
        "start": _time(campaign.start_us, 0),
        "expiry": _time(campaign.expiry_us, MOST_TIME_US),
        "compression": None if campaign.compression == "zlib" else campaign.compression,
        "spooling": None if campaign.spooling == "disk" else campaign.spooling,
        "partitions": [_partition_document(each) for each in campaign.partitions],
        "dimensions": list(campaign.dimensions),
        "compatibility": campaign.compatibility or None,
    }
    if campaign.partitions == (Partition(),):
        whole["partitions"] = None
    return {key: value for key, value in whole.items() if value not in (None, [])}


def _ms(us: int | None) -> int | None:
    return None if us is None else us // 1000


def _time(us: int, default: int) -> str | None:
    if us == default:
        return None
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")


def _trigger_document(trigger: Trigger) -> dict[str, Any]:
    if trigger.period_us is not None:
        return {"every_ms": trigger.period_us // 1000}
    return _given(
        when=trigger.expression,
        mode=trigger.mode,
        fire_on_first_true=trigger.fire_on_first_true or None,
        minimum_interval_ms=trigger.minimum_us // 1000 or None,
    )


def _signal_document(item: SignalItem) -> dict[str, Any]:
    return _given(
        path=item.path,
        max_samples=None if item.max_samples == 1 else item.max_samples,
        min_interval_ms=item.interval_us // 1000 or None,
        condition_only=item.condition_only or None,
        window_ms=_ms(item.window_us),
        partition=None if item.partition == DEFAULT_PARTITION else item.partition,
    )


def _frame_document(item: FrameItem) -> dict[str, Any]:
    return _given(
        id=item.can_id,
        extended=True if item.extended and item.pgn is None else None,
        pgn=item.pgn,
        bus=item.bus,
        max_frames=None if item.max_frames == 1 else item.max_frames,
        min_interval_ms=item.interval_us // 1000 or None,
        partition=None if item.partition == DEFAULT_PARTITION else item.partition,
    )


def _partition_document(item: Partition) -> dict[str, Any]:
    keep = None if item.keep_us is None else item.keep_us // 1_000_000
    return _given(
        id=item.id,
        upload=None if item.upload == "always" else item.upload,
        upload_when=item.upload_when,
        max_bytes=item.max_bytes,
        keep_s=keep,
    )


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
