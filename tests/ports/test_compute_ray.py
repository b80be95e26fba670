"""The suite of the compute port on Ray: two nodes in two network namespaces joined by a cable.

Ray listens on all interfaces of the namespace, which has none but its end of the cable.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD, OTHER, PORT = "10.231.7.1", "10.231.7.2", 6379
_RAY = [sys.executable, "-m", "ray.scripts.scripts"]
_ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}  # fmt: skip


def ip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


@contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """Two namespaces that reach each other and nothing else; skips where they cannot be made."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    head, other = f"ccray{os.getpid()}a", f"ccray{os.getpid()}b"
    try:
        try:
            ip("netns", "add", head)
            ip("netns", "add", other)
            ends = (f"v{os.getpid()}a", f"v{os.getpid()}b")
            ip("link", "add", ends[0], "netns", head, "type", "veth",
               "peer", "name", ends[1], "netns", other)  # fmt: skip
            for space, end, address in ((head, ends[0], HEAD), (other, ends[1], OTHER)):
                ip("-n", space, "addr", "add", f"{address}/30", "dev", end)
                ip("-n", space, "link", "set", end, "up")
                ip("-n", space, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield head, other
    finally:
        for space in (head, other):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


@contextmanager
def node(space: str, folder: Path, *arguments: str) -> Iterator[None]:
    """A Ray node with one processor in a namespace."""
    line = ["ip", "netns", "exec", space, *_RAY, "start", "--block", "--num-cpus=1", "--num-gpus=0",
            f"--memory={1000 << 20}", f"--object-store-memory={80 << 20}",
            "--disable-usage-stats", *arguments]  # fmt: skip
    log = (folder / f"{space}.log").open("wb")
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    process = subprocess.Popen(
        line, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **_ENVIRONMENT, **paths},
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        from carcloud.engines.process_tree import kill_tree

        kill_tree(process.pid)
        process.wait()
        log.close()


@contextmanager
def cluster() -> Iterator[tuple[list[str], str]]:
    """A cluster of two nodes: how a command line inside its network begins, and its address."""
    pytest.importorskip("ray", reason="the optional package ray is not installed")
    short = Path("/tmp") / f"ccray{os.getpid()}"  # Ray's sockets need a short path
    address = f"{HEAD}:{PORT}"
    try:
        with tempfile.TemporaryDirectory() as name, namespaces() as (head, other):
            folder = Path(name)
            first = node(
                head, folder, "--head", f"--node-ip-address={HEAD}", f"--port={PORT}",
                "--include-dashboard=false", f"--temp-dir={short}",
            )  # fmt: skip
            second = node(other, folder, f"--address={address}", f"--node-ip-address={OTHER}")
            with first, second:
                yield ["ip", "netns", "exec", head], address
    finally:
        shutil.rmtree(short, ignore_errors=True)


@pytest.mark.soak
@pytest.mark.timeout(420)
def test_the_suite_passes_on_two_nodes() -> None:
    with cluster() as (inside, address):
        done = subprocess.run(
            [*inside, sys.executable, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider",
             "-k", "ray or two_nodes", "tests/ports/test_compute.py"],
            capture_output=True, text=True, cwd=ROOT, check=False, timeout=400,
            env={**os.environ, **_ENVIRONMENT, "CARCLOUD_TEST_RAY": address,
                 "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-6000:]
    assert told.count("\nPASSED ") >= 15, told[-3000:]
    assert "SKIPPED" not in told
