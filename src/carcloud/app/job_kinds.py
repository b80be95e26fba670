"""The kinds of jobs, collected from the services that offer them."""

from collections.abc import Callable

from carcloud.app.engines import LAKE_TABLES
from carcloud.services.compute.api import Kinds
from carcloud.services.compute.query_export import KIND as QUERY_EXPORT
from carcloud.services.compute.script import KIND as SCRIPT
from carcloud.services.telemetry import can_import, redecode
from carcloud.services.telemetry.work import Work


def job_kinds(work: Callable[[], Work] | None = None) -> Kinds:
    """A new registry with all of them; `work` where jobs are done."""
    done = work or _elsewhere
    kinds = [QUERY_EXPORT, SCRIPT, can_import.kind(done), redecode.kind(done)]
    return Kinds(kinds, built_in=[table.name for table in LAKE_TABLES])


def _elsewhere() -> Work:
    raise RuntimeError("jobs are done in a process of their own")
