"""Streams of frames, each in order of time, joined to one in order of time, block by block."""

from collections.abc import Iterator, Sequence

from carcloud.codecs.can.frames import CanFrames


def merge(streams: Sequence[Iterator[CanFrames]]) -> Iterator[CanFrames]:
    """Blocks sorted by time; of each stream one block at a time is in memory.

    A single stream is passed on as it is. Raises ValueError where a stream with relative times
    meets one with dates.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [(block, stream) for stream in streams if (block := _next(stream)) is not None]
    clocks = {block.clock for block, _ in heads}
    if "relative" in clocks and len(clocks) > 1:
        raise ValueError("logs with relative times cannot be joined to logs with a date")
    while heads:
        # no stream has frames still to come that are older than the last of its block at hand
        until = min(int(block.time.max()) for block, _ in heads)
        yield CanFrames.concat(
            block.select(block.time <= until).compact() for block, _ in heads
        ).by_time()
        rests = [(block.select(block.time > until), stream) for block, stream in heads]
        heads = [
            (block, stream)
            for rest, stream in rests
            if (block := rest if len(rest) else _next(stream)) is not None
        ]


def _next(stream: Iterator[CanFrames]) -> CanFrames | None:
    """The next block that holds frames."""
    return next((block for block in stream if len(block)), None)
