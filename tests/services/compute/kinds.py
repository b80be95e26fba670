"""Kinds of jobs for tests, and the process function that does them with real engines."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.engines.sandbox_bwrap import BwrapSandbox
from carcloud.ports.compute import Desk
from carcloud.services.compute import query_export, script
from carcloud.services.compute.api import Bounds, Context, JobFailed, Kind, Kinds, Stores, perform
from carcloud.services.compute.query_export import KIND as QUERY_EXPORT
from carcloud.services.compute.script import KIND as SCRIPT
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry.tables import TABLES
from carcloud.services.tenancy.api import TenantLimits


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""
    number: float = 0
    folder: str = ""


def say(context: Context[Text]) -> Any:
    """Everything that a context can do."""
    print("printed", context.params.text)
    print("to stderr", file=sys.stderr)
    context.log("logged 中文")
    for step in range(5):
        context.metric("loss", 1 / (step + 1))
        context.progress(step / 5, f"step {step}")
    context.artifact("out/text.txt", context.params.text.encode(), "text/plain")
    return {"said": context.params.text, "attempt": context.attempt}


def fail(context: Context[Text]) -> Any:
    """Fails until attempt `number`."""
    context.log(f"try {context.attempt}")
    if context.attempt < context.params.number:
        raise ValueError("not yet")
    return context.attempt


def refuse(context: Context[Text]) -> Any:
    raise JobFailed(context.params.text, limit="rows", again=False)


def sleep(context: Context[Text]) -> Any:
    """The first attempt sleeps."""
    context.log("asleep")
    if context.attempt == 1:
        time.sleep(context.params.number)
    return "awake"


def die(context: Context[Text]) -> Any:
    """Its process is killed, until attempt `number`."""
    if context.attempt < context.params.number:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt


def chatter(context: Context[Text]) -> Any:
    """Lines, `number` of them, slowly enough that parts are written meanwhile.

    With a `folder`, every fifth waits there for a file that says that it was read.
    """
    read = Path(context.params.folder) if context.params.folder else None
    for line in range(int(context.params.number)):
        context.log(f"line {line} äöü中文")
        time.sleep(0.01)
        while read is not None and line % 5 == 0 and not (read / str(line)).exists():
            time.sleep(0.005)
    return None


def flood(context: Context[Text]) -> Any:
    for _ in range(int(context.params.number)):
        context.write("x" * 999 + "\n")
    return None


def touch(context: Context[Text]) -> Any:
    """Leave a file for each time that it runs; the order is that of their names."""
    folder = Path(context.params.folder)
    (folder / f"{time.monotonic_ns():020d}-{context.params.text}").touch()
    time.sleep(context.params.number)
    return None


def copy(context: Context[Text]) -> Any:
    job, _, name = context.params.text.partition("/")
    data = context.read_artifact(job, name)
    context.artifact("copy.txt", data + b"!")
    return len(data)


def large(context: Context[Text]) -> Any:
    context.artifact("large.bin", bytes(int(context.params.number)))
    return None


class _Killing:
    """The lake, but that the process is killed as soon as a commit stands."""

    def __init__(self, lake: Any) -> None:
        self._lake = lake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lake, name)

    def append(self, *args: Any, **more: Any) -> bool:
        self._lake.append(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")


def _killed_at_commits(run: Any, attempts: int) -> Any:
    """`run`, killed after its first commit in each of so many attempts."""

    def killed(context: Context[Any]) -> Any:
        if context.attempt <= attempts:
            context.tables._lake = _Killing(context.lake)  # type: ignore[attr-defined]
        return run(context)

    return killed


KINDS = Kinds(
    [
        *(
            Kind(function.__name__, function.__doc__ or "", Text, function)
            for function in (say, fail, refuse, sleep, die, chatter, flood, touch, copy, large)
        ),
        QUERY_EXPORT,
        SCRIPT,
        Kind("script-killed", "", script.Params, _killed_at_commits(script.run, 2)),
        Kind("export-killed", "", query_export.Params, _killed_at_commits(query_export.run, 3)),
    ],
    built_in=[table.name for table in TABLES],
)


class Given(msgspec.Struct, frozen=True):
    folder: str
    order: bytes


def work(desk: Desk, argument: bytes) -> bytes:
    given = msgspec.msgpack.decode(argument, type=Given)
    folder = Path(given.folder)
    records = SqlRecords(f"sqlite:///{folder / 'records.sqlite'}")
    lake = DeltaLake(folder / "tenants", known=TABLES)
    blobs = ObjectBlobs(folder / "blobs")
    storage = Storage(
        records,
        blobs,
        limit=TenantLimits(records).limit,
        elsewhere=lambda tenant: sum(table.bytes for table in lake.tables(tenant)),
    )
    stores = Stores(records, lake, blobs, storage, BwrapSandbox(folder))
    bounds = Bounds(1_000_000, {"disk_mb": 300, "processes": 40}, 2_000_000)
    try:
        return perform(given.order, desk.tell, KINDS, stores, bounds)
    finally:
        records.close()
