"""What is told for good of a deletion: counts and hashes, no content."""

from collections.abc import Mapping
from typing import Any

from carcloud.model.time import iso
from carcloud.services.tenant_life.types import Deletion

NOT_REACHED = (
    "backups and copies of the data folder that were made before",
    "old versions in buckets of the lake or of blobs that keep versions",
    "copies of files of the lake on machines that were off, until carcloud runs there again",
    "such copies on machines of a Ray cluster that run only jobs",
    "logs of processes, and archives of the database server",
)
"""Where data may be that carcloud does not hold."""


def certificate(found: Deletion, after: Mapping[str, Any], ended: int) -> dict[str, Any]:
    """The certificate of a deletion that has ended, as JSON takes it."""
    return {
        "tenant": found.tenant,
        "deletion": found.id,
        "asked_by": found.asked_by,
        "asked": iso(found.asked),
        "approved_by": found.approved_by,
        "due": iso(found.due),
        "began": None if found.began is None else iso(found.began),
        "ended": iso(ended),
        "rounds": found.round + 1,
        "before": found.before,
        "after": dict(after),
        "not_reached": list(NOT_REACHED),
    }
