"""The kinds of jobs, collected from the services that offer them."""

from carcloud.app.engines import LAKE_TABLES
from carcloud.services.compute.api import Kinds
from carcloud.services.compute.query_export import KIND as QUERY_EXPORT
from carcloud.services.compute.script import KIND as SCRIPT


def job_kinds() -> Kinds:
    """A new registry with all of them."""
    return Kinds([QUERY_EXPORT, SCRIPT], built_in=[table.name for table in LAKE_TABLES])
