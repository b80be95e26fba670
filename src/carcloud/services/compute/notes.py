"""What a running job tells the process that looks after it."""

import msgspec

from carcloud.services.compute.types import Artifact


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A piece of the job's log."""

    text: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far it is, 0 to 1, and what it is doing."""

    done: float | None = None
    message: str | None = None


class Point(msgspec.Struct, frozen=True, tag="metric"):
    """A number at a time."""

    name: str
    value: float
    time_us: int


class Made(msgspec.Struct, frozen=True, tag="artifact"):
    """A file that is in the blobs now."""

    artifact: Artifact


Note = Log | Progress | Point | Made

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Note).decode


class Order(msgspec.Struct, frozen=True):
    """What the process that runs a job is told to do."""

    tenant: str
    project: str
    job: str
    attempt: int
    kind: str
    params: bytes  # JSON
    timeout_s: float
    cpus: float
    memory_mb: int


class Answer(msgspec.Struct, frozen=True):
    """How it went: `error` None = well."""

    result: bytes = b"null"  # JSON
    error: str | None = None
    limit: str | None = None
    again: bool = True
    cpu_seconds: float = 0.0  # of processes that the engine does not see
