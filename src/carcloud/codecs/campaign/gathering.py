"""From what is in the rings at the end of an event to its records."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping

from carcloud.codecs.campaign.buffers import FrameRing, Ring
from carcloud.codecs.campaign.conditions import Condition
from carcloud.codecs.campaign.frames import EXTENDED, frame_key
from carcloud.codecs.campaign.record import RawFrame, Record, Series
from carcloud.codecs.campaign.rings import Rings

RISEN_PATH = "Vehicle.MultiRisingEdgeTrigger"


def gather(
    condition: Condition, rings: Rings, dimension: Callable[[str], str | None]
) -> list[Record]:
    """The records of an event, one for each partition that has data; no sample is in two events.

    `dimension` gives a fact of the vehicle by its name.
    """
    campaign = condition.prepared.campaign
    series: dict[str, list[Series]] = {}
    frames: dict[str, list[RawFrame]] = {}
    for item in campaign.signals:
        if item.condition_only:
            continue
        key = (item.path, item.interval_us)
        ring = rings.samples[key]
        low, high = _span(condition, key, ring, item.max_samples)
        if low < high:
            offsets = [time - condition.event_us for time in ring.times[low:high]]
            found = Series(item.path, offsets, ring.values[low:high])
            series.setdefault(item.partition, []).append(found)
    for wanted in campaign.frames:
        name = frame_key(wanted)
        kept = rings.frames[name]
        low, high = _span(condition, name, kept, wanted.max_frames)
        taken = [_raw(kept, at, condition.event_us) for at in range(low, high)]
        frames.setdefault(wanted.partition, []).extend(taken)
    if condition.fired:
        risen = Series(RISEN_PATH, [0], [list(condition.fired)])
        series.setdefault(campaign.partitions[0].id, []).append(risen)
    return _records(condition, series, frames, dimension)


def _span(condition: Condition, key: object, ring: Ring | FrameRing, most: int) -> tuple[int, int]:
    """Places in a ring of what is sent: up to the end, the newest, none twice."""
    campaign, event = condition.prepared.campaign, condition.event_us
    high = bisect_right(ring.times, condition.gather_us)
    unsent = max(condition.sent.get(key, 0) - ring.base, 0)
    low = min(max(high - most, unsent, 0), high)
    if campaign.pre_trigger_us is not None:
        low = max(low, bisect_left(ring.times, event - campaign.pre_trigger_us, 0, high))
    condition.sent[key] = ring.base + high
    condition.counters.collected += high - low
    after = max(bisect_left(ring.times, event, 0, high), unsent)
    condition.counters.dropped += max(low - after, 0)
    return low, high


def _records(
    condition: Condition,
    series: Mapping[str, list[Series]],
    frames: Mapping[str, list[RawFrame]],
    dimension: Callable[[str], str | None],
) -> list[Record]:
    campaign = condition.prepared.campaign
    filled = [each.id for each in campaign.partitions if series.get(each.id) or frames.get(each.id)]
    dimensions = tuple(
        (name, text) for name in campaign.dimensions if (text := dimension(name)) is not None
    )
    return [
        Record(
            campaign=campaign.id,
            version=campaign.version,
            event=condition.event,
            time_us=condition.event_us,
            series=tuple(series.get(partition, ())),
            frames=tuple(frames.get(partition, ())),
            dimensions=dimensions,
            partition=partition,
        )
        for partition in filled or [campaign.partitions[0].id]
    ]


def _raw(ring: FrameRing, at: int, event_us: int) -> RawFrame:
    key = ring.ids[at]
    return RawFrame(
        offset_us=ring.times[at] - event_us,
        can_id=key & ~EXTENDED,
        extended=bool(key & EXTENDED),
        bus=ring.origins[at],
        payload=ring.payloads[at],
    )
