"""Where the blobs of jobs lie: `<tenant>/artifacts/…` and `<tenant>/job-logs/…`."""

import re

from carcloud.model.ids import Tenant
from carcloud.services.compute.errors import JobFailed

_PART = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._=+@,~-]{1,100}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,5}}")
_DIGITS = 15  # of an offset in a key, so that keys sort by it


def check_artifact_name(name: str) -> None:
    """Raises `JobFailed` for what cannot be a name."""
    if not is_artifact_name(name):
        rule = "letters, digits and . _ = + @ , ~ - in up to 6 parts with / between"
        raise JobFailed(f"{name[:100]!r} cannot be an artifact's name: {rule}", again=False)


def is_artifact_name(name: str) -> bool:
    """Whether an artifact can be called so."""
    return _NAME.fullmatch(name) is not None and len(name) <= 200


def artifact_key(tenant: Tenant, job: str, attempt: int, name: str) -> str:
    """The blob of an artifact."""
    return f"{tenant}/artifacts/{job}/{attempt}/{name}"


def artifacts_prefix(tenant: Tenant, job: str) -> str:
    """Begins the keys of all artifacts of a job."""
    return f"{tenant}/artifacts/{job}/"


def log_key(tenant: Tenant, job: str, attempt: int, offset: int) -> str:
    """The blob of the part of a log that begins at byte `offset`."""
    return f"{tenant}/job-logs/{job}/{attempt}/{offset:0{_DIGITS}d}"


def log_prefix(tenant: Tenant, job: str, attempt: int | None = None) -> str:
    """Begins the keys of a job's log, or of one attempt's."""
    return f"{tenant}/job-logs/{job}/" + ("" if attempt is None else f"{attempt}/")


def offset_of(key: str) -> int:
    """The byte at which a part of a log begins."""
    return int(key.rpartition("/")[2])
