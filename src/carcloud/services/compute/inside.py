"""What happens in the process where a job runs: its kind's function is called with a context."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from carcloud.model.ids import Tenant
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.ports.sandbox import Sandbox
from carcloud.services.compute.active import find_artifact
from carcloud.services.compute.buckets import ProjectObjects
from carcloud.services.compute.context import Context
from carcloud.services.compute.errors import InvalidJob, JobFailed
from carcloud.services.compute.kinds import Kinds
from carcloud.services.compute.notes import Answer, Order, encode
from carcloud.services.compute.tables import MOST_BYTES, TenantTables
from carcloud.services.compute.types import Artifact
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import limit_in


@dataclass(frozen=True, slots=True)
class Stores:
    """The engines that a job's process has open."""

    records: Records
    lake: Lake
    blobs: Blobs
    storage: Storage
    sandbox: Sandbox | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one job may make at most."""

    artifact_bytes: int = 512_000_000
    script: Mapping[str, int] = field(default_factory=lambda: {"disk_mb": 4096, "processes": 256})
    table_bytes: int = MOST_BYTES


def perform(
    order: bytes,
    tell: Callable[[bytes], None],
    kinds: Kinds,
    stores: Stores,
    bounds: Bounds,
) -> bytes:
    """Do an `Order`; returns an `Answer`. What is printed goes to the job's log.

    Errors that the job's author can mend are in the answer; others leave as they are.
    """
    given = msgspec.msgpack.decode(order, type=Order)
    context: Context[Any] | None = None
    try:
        context = _context(given, kinds, tell, stores, bounds)
        output = _Output(context.write)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            result = kinds[given.kind].run(context)
            answer = Answer(msgspec.json.encode(result))
    except JobFailed as error:
        answer = Answer(error=str(error), limit=error.limit, again=error.again)
    except EngineError as error:
        answer = Answer(error=f"{type(error).__name__}: {error}")
    if context is not None:
        answer = msgspec.structs.replace(answer, cpu_seconds=context.cpu_seconds)
    return msgspec.msgpack.encode(answer)


def _context(
    given: Order,
    kinds: Kinds,
    tell: Callable[[bytes], None],
    stores: Stores,
    bounds: Bounds,
) -> Context[Any]:
    tenant = Tenant(given.tenant)
    try:
        params = kinds.checked(given.kind, msgspec.json.decode(given.params))
    except InvalidJob as error:  # the kind has changed since it was submitted
        raise JobFailed(f"{error.field}: {error.detail}", again=False) from error

    def artifact(job: str, name: str) -> Artifact:
        found = find_artifact(stores.records, tenant, job, name)
        if found is None:
            raise JobFailed(f"job {job} has no artifact {name!r}", again=False)
        return found

    def most_tables() -> int:
        with stores.records.reading() as db:
            return limit_in(db, tenant, "tables")

    tables = TenantTables(
        stores.lake,
        tenant,
        given.job,
        room=lambda size: stores.storage.check_room(tenant, size),
        most=most_tables,
        most_bytes=bounds.table_bytes,
    )
    return Context(
        tenant=tenant,
        project=given.project,
        job=given.job,
        attempt=given.attempt,
        params=params,
        timeout_s=given.timeout_s,
        cpus=given.cpus,
        memory_mb=given.memory_mb,
        tell=lambda note: tell(encode(note)),
        lake=stores.lake,
        blobs=stores.blobs,
        most_artifact_bytes=bounds.artifact_bytes,
        find_artifact=artifact,
        objects=ProjectObjects(stores.storage, tenant, given.project),
        sandbox=stores.sandbox,
        tables=tables,
        script_limits=bounds.script,
        most_table_bytes=bounds.table_bytes,
    )


class _Output(io.TextIOBase):
    """Standard output and error of a job."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def writable(self) -> bool:
        """It takes text."""
        return True

    def write(self, text: str) -> int:
        """To the log."""
        if text:
            self._write(text)
        return len(text)
