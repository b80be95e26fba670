"""Ctrl-C on `carcloud query` ends the query on the server."""

import signal
import subprocess
import sys
from typing import Any

from tests.web.conftest import PATIENCE_S, until

from carcloud.app.tokens import local_key

ENDLESS = "SELECT sum(hash(range)) FROM range(100000000000000)"


def test_ctrl_c_ends_the_query_on_the_server(cloud: Any) -> None:
    before = cloud.telemetry.queries.cancelled
    command = [sys.executable, "-m", "carcloud", "query", ENDLESS, "--url", cloud.url]
    command += ["--token", local_key(cloud.tenancy)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: cloud.telemetry.queries.running == 1)
        process.send_signal(signal.SIGINT)
        until(lambda: cloud.telemetry.queries.running == 0)  # it would run for `ANY_TIME_S`
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert cloud.telemetry.queries.cancelled == before + 1
