"""Frames between the pool and a worker: a length, a kind, a body."""

import struct

import msgspec

from carcloud.ports.compute import Outcome, Work

HEAD = struct.Struct("<IB")  # bytes of the body, kind
READY, WORK, BEGUN, NOTE, END = range(5)


def frame(kind: int, body: bytes = b"") -> bytes:
    """One frame."""
    return HEAD.pack(len(body), kind) + body


def work_frame(work: Work) -> bytes:
    """The order to do something."""
    return frame(WORK, msgspec.msgpack.encode(work))


def read_work(body: bytes) -> Work:
    """The body of a `WORK` frame."""
    return msgspec.msgpack.decode(body, type=Work)


def end_frame(outcome: Outcome) -> bytes:
    """How it ended."""
    return frame(END, msgspec.msgpack.encode(outcome))


def read_outcome(body: bytes) -> Outcome:
    """The body of an `END` frame."""
    return msgspec.msgpack.decode(body, type=Outcome)
