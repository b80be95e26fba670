"""Logs of the shared data as frames, read without carcloud's own readers."""

import functools

import numpy as np
from asammdf import MDF
from tests.data import shared_data

from carcloud.codecs.can.frames import CanFrames

NS = 1_000_000_000


def candump(name: str) -> CanFrames:
    """A synthetic log."""
    times, ids, extended, data = [], [], [], []
    for line in shared_data(f"can/synthetic/{name}.log").read_text().splitlines():
        stamp, _, frame = line.split()
        can_id, _, payload = frame.partition("#")
        seconds, _, part = stamp.strip("()").partition(".")
        times.append(int(seconds) * NS + int(part.ljust(9, "0")))
        ids.append(int(can_id, 16))
        extended.append(len(can_id) > 3)
        data.append(bytes.fromhex(payload))
    lengths = [len(one) for one in data]
    payload = np.frombuffer(b"".join(data), np.uint8)
    return CanFrames.build(times, ids, payload, lengths, extended=extended)


@functools.cache
def mf4(name: str) -> CanFrames:
    """All data frames of an MF4 log; times since its start."""
    parts = []
    with MDF(shared_data(f"can/css/{name}.MF4")) as log:
        for number, group in enumerate(log.groups):
            if not group.channel_group.cycles_nr:
                continue
            for index, channel in enumerate(group.channels):
                if channel.name == "CAN_DataFrame":
                    parts.append(_frames(log.get(group=number, index=index)))
    return CanFrames.concat(parts).by_time()


def _frames(signal: object) -> CanFrames:
    samples, stamps = signal.samples, signal.timestamps  # type: ignore[attr-defined]

    def column(name: str) -> np.ndarray:
        return samples[f"CAN_DataFrame.{name}"]

    data, length = column("DataBytes"), column("DataLength").astype(np.int64)
    inside = np.arange(data.shape[1]) < length[:, None]
    return CanFrames.build(
        np.round(stamps * 1e9), column("ID").astype(np.uint32) & 0x1FFFFFFF, data[inside], length,
        bus=column("BusChannel"), extended=column("IDE").astype(bool), clock="relative",
    )  # fmt: skip
