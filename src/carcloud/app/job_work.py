"""The process in which jobs run: opens the engines once, then does one order after the other."""

from functools import lru_cache
from pathlib import Path

import msgspec

from carcloud.app.engines import open_blobs, open_lake, open_own_blobs, open_records
from carcloud.app.job_kinds import job_kinds
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.engines.sandbox_bwrap import BwrapSandbox, Packages
from carcloud.ports.compute import Desk
from carcloud.rundir import RunDir
from carcloud.services.compute.api import Bounds, Kinds, Stores, perform
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry.work import Work
from carcloud.services.tenancy.api import TenantLimits

FUNCTION = f"{__name__}:work"
PREPARE = f"{__name__}:prepare"


class _Given(msgspec.Struct, frozen=True):
    data: str  # the data folder, whose `run` has the settings in force
    order: bytes


def argument(data: str, order: bytes) -> bytes:
    """What `work` takes."""
    return msgspec.msgpack.encode(_Given(data, order))


def work(desk: Desk, argument: bytes) -> bytes:
    """Do one order of the compute service."""
    given = msgspec.msgpack.decode(argument, type=_Given)
    settings = _settings(given.data)
    return perform(
        given.order,
        desk.tell,
        _kinds(given.data),
        _stores(given.data),
        Bounds(
            settings.whole("compute.artifact_mb") * 1_000_000,
            {
                "disk_mb": settings.whole("compute.script_disk_mb"),
                "processes": settings.whole("compute.script_processes"),
            },
            settings.whole("compute.table_mb") * 1_000_000,
        ),
    )


def prepare(data: str) -> None:
    """Open everything, so that the first order finds it open."""
    _kinds(data)
    _stores(data)


@lru_cache(1)
def _settings(data: str) -> Settings:
    return RunDir(Path(data)).settings()


@lru_cache(1)
def _stores(data: str) -> Stores:
    settings = _settings(data)
    folder = Path(settings.text("data")).absolute()
    packages = None
    if settings.flag("compute.requirements"):
        packages = Packages(folder / "script-packages", settings.text("compute.index"))
    records, blobs, lake = open_records(settings), open_blobs(settings), open_lake(settings)
    storage = Storage(
        records,
        blobs,
        secret=sealing_secret(settings),
        open_blobs=open_own_blobs,
        limit=TenantLimits(records).limit,
        elsewhere=lambda tenant: sum(table.bytes for table in lake.tables(tenant)),
    )
    return Stores(
        records,
        lake,
        blobs,
        storage,
        BwrapSandbox(folder, packages),
    )


@lru_cache(1)
def _kinds(data: str) -> Kinds:
    return job_kinds(lambda: _work(data))


def _work(data: str) -> Work:
    """Made when a job wants it: it loads the decoders, and asks the registry how things are now."""
    from carcloud.app.job_telemetry import telemetry_work

    return telemetry_work(_settings(data), _stores(data))
