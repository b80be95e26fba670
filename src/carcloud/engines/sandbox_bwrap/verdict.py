"""Which limit a script has run into, from what it and its supervisor tell."""

import errno
import signal
from collections.abc import Mapping
from typing import Any

_OWN = ("/job", "/tmp", "/sandbox", "/python", "/environment", "/packages", "/usr", "/lib")  # noqa: S108
_NETWORK = {
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL,
    errno.ECONNREFUSED, errno.EAFNOSUPPORT,
}  # fmt: skip
_BY_ERRNO = {
    errno.ENOSPC: "disk_mb",
    errno.EDQUOT: "disk_mb",
    errno.EFBIG: "disk_mb",
    errno.EMFILE: "open_files",
    errno.ENFILE: "open_files",
    errno.EAGAIN: "processes",
    errno.ENOMEM: "memory_mb",
    **dict.fromkeys(_NETWORK, "network"),
}
_BY_SIGNAL = {signal.SIGXCPU: "cpu_seconds", signal.SIGXFSZ: "disk_mb"}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
WORDS = {
    "seconds": "it ran longer than {seconds:g} s",
    "cpu_seconds": "it took more than {cpu_seconds:g} s of processor time",
    "memory_mb": "it needs more than {memory_mb} MB of memory",
    "disk_mb": "it wrote more than {disk_mb} MB",
    "processes": "it started more than {processes} processes and threads",
    "open_files": "it opened more than {open_files} files at the same time",
    "network": "scripts have no network",
    "files": "scripts see only /job, /tmp and the Python environment",
}


def limit_of(code: int, full: bool, failed: Mapping[str, Any] | None) -> str | None:
    """The limit behind the failure of a script that ended by itself; None = its own mistake.

    `full` = its disk has no room, `failed` = the error that it did not catch.
    """
    if code < 0 and -code in _BY_SIGNAL:
        return _BY_SIGNAL[signal.Signals(-code)]
    if failed is not None:
        found = _of_error(failed)
        if found is not None:
            return found
    if full:
        return "disk_mb"
    return "memory_mb" if code == -signal.SIGKILL else None


def _of_error(failed: Mapping[str, Any]) -> str | None:
    kind, text, number = failed.get("type"), str(failed.get("text")), failed.get("errno")
    if kind == "MemoryError":
        return "memory_mb"
    if kind == "gaierror":
        return "network"
    if kind == "RuntimeError" and "start new thread" in text:
        return "processes"
    if isinstance(number, int) and number in _BY_ERRNO:
        return _BY_ERRNO[number]
    return "files" if _is_outside(number, str(failed.get("file"))) else None


def _is_outside(number: object, path: str) -> bool:
    """Whether a file was refused, or is missing, because of the sandbox."""
    if number in _REFUSED and path.startswith("/"):
        return path.startswith("/job/in/") or not path.startswith(("/job/", "/tmp/"))  # noqa: S108
    own = any(path == one or path.startswith(one + "/") for one in _OWN)
    return number == errno.ENOENT and path.startswith("/") and not own
