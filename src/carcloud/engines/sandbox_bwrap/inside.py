"""The first process inside a sandbox: starts the script, waits, hands its files out.

It runs with the standard library alone and is given one argument, a JSON object. It is no guard:
the script has the same rights. Who reads what comes out must not trust it.
"""

import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

OUT = Path("/job/out")
_MB = 1 << 20
_SLACK_MB = 64  # for the interpreter's own doings
_SPARE = 8  # processes more than are allowed, so that the supervisor sees that there are too many
_FULL = 64 * 1024  # bytes that are left on a disk that is full


def main(given: dict[str, Any]) -> None:
    """Run the script that `given` describes."""
    _drop_rights(given)
    OUT.mkdir()
    messages = given["messages"]
    child = subprocess.Popen(
        [sys.executable, "-u", "/sandbox/start.py", str(messages)],
        stdin=subprocess.DEVNULL,
        pass_fds=(messages,),
        cwd="/job",
        preexec_fn=lambda: _limit(given),  # noqa: PLW1509 - there is one thread
    )
    os.close(messages)
    code = child.wait()
    full = _is_full("/job")
    _end_all_others()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    _write(given["report"], {"code": code, "full": full, "cpu_seconds": seconds})
    with os.fdopen(given["out"], "wb") as out:
        _pack(out)


def _drop_rights(given: dict[str, Any]) -> None:
    """In a sandbox that root has made: become a user that owns nothing anywhere."""
    if given["user"] is not None:
        os.setgroups([])
        os.setgid(given["user"])
        os.setuid(given["user"])


def _limit(given: dict[str, Any]) -> None:
    memory = given["memory_mb"]
    limits = {
        resource.RLIMIT_DATA: (memory + _SLACK_MB) * _MB,
        resource.RLIMIT_AS: (4 * memory + 8192) * _MB,  # libraries reserve much and use little
        resource.RLIMIT_CPU: int(given["cpu_seconds"]) + 1,
        resource.RLIMIT_FSIZE: given["disk_mb"] * _MB,
        resource.RLIMIT_NPROC: given["processes"] + _SPARE,
        resource.RLIMIT_NOFILE: given["open_files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for name, most in limits.items():
        _, hard = resource.getrlimit(name)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(name, (least, least))


def _is_full(path: str) -> bool:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize < _FULL or found.f_favail == 0


def _end_all_others() -> None:
    """What the script has left running could change its files while they are read."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def _write(descriptor: int, document: dict[str, Any]) -> None:
    with os.fdopen(descriptor, "wb") as out:
        out.write(json.dumps(document).encode())


def _pack(out: BinaryIO) -> None:
    """Regular files below /job/out as a tar stream, without their owners and modes."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for folder, _, names in os.walk(OUT):
            for name in sorted(names):
                path = Path(folder, name)
                if stat.S_ISREG(path.lstat().st_mode):
                    entry = tarfile.TarInfo(str(path.relative_to(OUT)))
                    entry.size = path.lstat().st_size
                    with path.open("rb") as source:
                        tar.addfile(entry, source)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
