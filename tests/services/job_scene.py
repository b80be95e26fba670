"""A job's context for tests of kinds: real engines, in a thread beside the stream's loop."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import Lake
from carcloud.ports.stream import Stream
from carcloud.services.compute.api import Context, JobFailed

T = TypeVar("T")


@dataclass
class Streaming:
    """`work.Streaming` on the loop of a test."""

    stream: Stream
    loop: asyncio.AbstractEventLoop

    def do(self, work: Callable[[Stream], Awaitable[T]]) -> T:
        async def awaited() -> T:
            return await work(self.stream)

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(60)


def streaming(stream: Stream) -> Callable[[], Any]:
    """As `Work.streaming`."""
    loop = asyncio.get_running_loop()

    @contextmanager
    def opened() -> Iterator[Streaming]:
        yield Streaming(stream, loop)

    return opened


@dataclass
class Folder:
    """Objects of a job, as files of a folder."""

    path: Path

    def fetch(self, _bucket: str, key: str, path: Path, most: int) -> int:
        data = (self.path / key).read_bytes()
        if len(data) > most:
            raise JobFailed(f"{key} is too large", again=False)
        return path.write_bytes(data)

    def put(self, *_: Any) -> None:
        raise AssertionError("no job of telemetry writes objects")


def context(params: msgspec.Struct, lake: Lake, folder: Path, tell: list[Any]) -> Context[Any]:
    """The first attempt at a job of its own."""
    return Context(
        tenant=DEFAULT_TENANT, project="main", job=uuid.uuid4().hex, attempt=1, params=params,
        timeout_s=60, cpus=1, memory_mb=512, tell=tell.append, lake=lake,
        blobs=ObjectBlobs(str(folder / "blobs")), most_artifact_bytes=1 << 20,
        find_artifact=lambda *_: (_ for _ in ()).throw(JobFailed("none")),
        objects=Folder(folder), tables=None,  # type: ignore[arg-type]
    )  # fmt: skip
