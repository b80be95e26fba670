"""The rings of all campaigns together: what they ask for at the same interval is kept once."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from carcloud.codecs.campaign.buffers import FRAME_BYTES, FrameRing, Ring, sample_bytes
from carcloud.codecs.campaign.checking import SignalType
from carcloud.codecs.campaign.frames import FrameKey, frame_key, pgn_of
from carcloud.codecs.campaign.prepare import Prepared

MOST_CAMPAIGNS = 256
FrameSink = Callable[[int, int, str, bytes], None]
"""Takes time in microseconds, key, bus, payload."""


def fitting(campaigns: Sequence[Prepared], memory: int) -> tuple[list[Prepared], dict[str, str]]:
    """The campaigns whose rings fit into `memory` bytes, most urgent first, and those that are
    refused, by id, with the reason."""
    refused = {}
    taken: list[Prepared] = []
    for each in sorted(campaigns, key=lambda each: (each.campaign.priority, each.campaign.id)):
        if len(taken) == MOST_CAMPAIGNS:
            refused[each.campaign.id] = f"more than {MOST_CAMPAIGNS} campaigns"
        elif _memory([*taken, each]) > memory:
            refused[each.campaign.id] = (
                f"needs {_memory([each]):,} bytes of sample memory, "
                f"{memory - _memory(taken):,} are free"
            )
        else:
            taken.append(each)
    return taken, refused


class Rings:
    """Samples by path and interval, and raw frames."""

    def __init__(self) -> None:
        self.samples: dict[tuple[str, int], Ring] = {}
        self.frames: dict[FrameKey, FrameRing] = {}

    def rebuild(self, campaigns: Iterable[Prepared], types: Mapping[str, SignalType]) -> None:
        """Have what these campaigns ask for; rings that stay keep what is in them."""
        samples, frames = {}, {}
        for each in campaigns:
            for item in each.campaign.signals:
                if item.condition_only:
                    continue
                key = (item.path, item.interval_us)
                if key not in samples:
                    datatype = types[item.path].datatype
                    old = self.samples.get(key)
                    kept = old if old is not None and old.datatype == datatype else None
                    samples[key] = kept or Ring(datatype, item.interval_us)
                    samples[key].capacity = 1
                samples[key].capacity = max(samples[key].capacity, item.max_samples)
            for wanted in each.campaign.frames:
                name = frame_key(wanted)
                if name not in frames:
                    frames[name] = self.frames.get(name) or FrameRing(wanted.interval_us)
                    frames[name].capacity = 1
                frames[name].capacity = max(frames[name].capacity, wanted.max_frames)
        self.samples, self.frames = samples, frames

    def of(self, path: str) -> list[Ring]:
        """The rings of a signal."""
        return [ring for (name, _), ring in self.samples.items() if name == path]

    def frame_sinks(self, bus: str, can_id: int, extended: bool) -> list[FrameSink]:
        """Functions that take raw frames of an id."""
        return [
            ring.add
            for (on, number, wide, pgn, _), ring in self.frames.items()
            if on in (None, bus)
            and wide == extended
            and (number == can_id if pgn is None else pgn_of(can_id) == pgn)
        ]

    def trim(self) -> None:
        """Cut off what is above the capacities."""
        for ring in self.samples.values():
            ring.trim()
        for frames in self.frames.values():
            frames.trim()

    def clear(self) -> None:
        """Forget every sample and frame."""
        for ring in self.samples.values():
            ring.clear()
        for frames in self.frames.values():
            frames.clear()

    @property
    def bytes(self) -> int:
        """What samples and frames take now, by estimate."""
        samples = sum(
            len(ring.times) * sample_bytes(ring.datatype) for ring in self.samples.values()
        )
        return samples + sum(len(each.times) * FRAME_BYTES for each in self.frames.values())


def _memory(campaigns: Iterable[Prepared]) -> int:
    """Bytes that the rings of campaigns take when they are full; equal rings are shared."""
    rings: dict[object, int] = {}
    for each in campaigns:
        for item in each.campaign.signals:
            if not item.condition_only:
                size = item.max_samples * sample_bytes(each.types[item.path].datatype)
                key: object = (item.path, item.interval_us)
                rings[key] = max(rings.get(key, 0), size)
        for frame in each.campaign.frames:
            key = frame_key(frame)
            rings[key] = max(rings.get(key, 0), frame.max_frames * FRAME_BYTES)
    return sum(rings.values())
