"""Log lines: structured, with the request they belong to, and without secrets."""

import json
import socket
import struct
import time

import httpx
import pytest

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build
from carcloud.gateway.gbt32960.rules import time6
from tests.operation.conftest import Running


def lines(cloud: Running, role: str) -> list[dict]:
    """Those that are whole: the last one may be being written."""
    text = (cloud.supervisor.run.logs / f"{role}.log").read_text()
    return [json.loads(line) for line in text.rpartition("\n")[0].split("\n") if line]


@pytest.mark.soak
def test_lines_name_their_process_and_requests_have_an_id(cloud: Running):
    answer = cloud.client.get("/v1/vehicles?q=secretpath", headers={"X-Request-Id": "proxy-17"})
    assert answer.headers["X-Request-Id"] == "proxy-17"
    for bad in ("a b", "x" * 65, 'q"}'):
        given = cloud.client.get("/healthz", headers={"X-Request-Id": bad}).headers
        assert len(given["X-Request-Id"]) == 16
    assert cloud.client.get("/v1/nothing").headers["X-Request-Id"]
    mine = [line for line in lines(cloud, "web") if line.get("request_id") == "proxy-17"]
    assert mine
    assert mine[0]["role"] == "web"
    assert mine[0]["instance"].startswith(f"web-{cloud.supervisor.pids()['web']}-")
    assert mine[0]["message"].startswith("GET /v1/vehicles 200 ")
    assert "secretpath" not in json.dumps(mine)


def test_secrets_are_in_no_log(cloud: Running):
    """Even at level debug, with right and wrong passwords, tokens, a platform's login."""
    wrong, platform, token = "Wr0ng-horse-battery", "plat-secret-99", "not-a-token-31337"
    url, (user, password) = str(cloud.client.base_url), cloud.admin
    with httpx.Client(base_url=url) as person:
        body = {"user": user, "password": wrong}
        assert person.post("/v1/session", json=body).status_code == 401
        answer = person.post("/v1/session", json={"user": user, "password": password})
        assert answer.status_code == 200
        cookie = answer.cookies["carcloud_session"]
        assert person.post("/v1/session", content=b'{"user": "x", "password": "' + wrong.encode())
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(url + "/v1/session", headers=bearer).status_code == 401
        query = {"sql": "SELECT 'sealed-words'"}
        assert person.post("/v1/query", json=query).status_code == 200
    _platform_login(cloud.port, platform)
    stream = cloud.supervisor.run.stream()
    secrets = [wrong, platform, password, cookie, token, "sealed-words", stream.password]
    secrets += [cloud.supervisor.run.local_token()]
    secrets += [(cloud.supervisor.run.data / "secret").read_bytes().hex()]
    time.sleep(1)
    data = cloud.supervisor.run.data
    logs = [*data.glob("logs/*"), *data.glob("stream/*.log*")]
    assert len(logs) >= 5
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log.name


def _platform_login(port: int, password: str) -> None:
    body = time6(int(time.time() * 1e6)) + struct.pack(
        ">H12s20sB", 1, b"someone", password.encode(), 1
    )
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(build(2016, Command.PLATFORM_LOGIN, Flag.COMMAND, "LOWERPLATFORM0001", body))
        time.sleep(0.5)
