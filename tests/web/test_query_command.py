"""Ctrl-C on `carcloud query` ends the query on the server."""

import signal
import subprocess
import sys
import time
from typing import Any

from carcloud.app.tokens import local_key

ENDLESS = "SELECT sum(hash(range)) FROM range(100000000000000)"


def _running(cloud: Any, count: int) -> None:
    deadline = time.monotonic() + 60
    while cloud.telemetry.queries.running != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_ends_the_query_on_the_server(cloud: Any) -> None:
    before = cloud.telemetry.queries.cancelled
    command = [sys.executable, "-m", "carcloud", "query", ENDLESS, "--url", cloud.url]
    command += ["--token", local_key(cloud.tenancy)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _running(cloud, 1)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        _running(cloud, 0)
        assert time.monotonic() - asked < 15  # not the 30 s of query.seconds
        assert process.wait(20) == 1
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert cloud.telemetry.queries.cancelled == before + 1
