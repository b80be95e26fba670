"""Signing in at a provider over HTTP, as a browser does it: cookies, redirects, refusals."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from click.testing import CliRunner
from tests.web.conftest import PASSWORD, PATIENCE_S

from carcloud.cli import main
from carcloud.engines import openid_http
from carcloud.engines.openid_http import MOST_OF_HOST
from carcloud.web.application import PROVIDER_CALLS

BEGIN = "/v1/session/openid"
PROPOSAL = "carcloud_connect"


def test_a_browser_signs_in_connects_and_is_refused(
    client: httpx.Client, cloud: Any, tmp_path: Path
) -> None:
    with oidc_provider_mock.run_server_in_thread() as server:
        issuer = f"http://localhost:{server.server_port}"
        access = ("--url", cloud.url, "--token", client.cookies["carcloud_session"])
        words = ("--name", "Company", "--issuer", issuer, "--client-id", "c")
        file = tmp_path / "secret"
        file.write_text("of the client\n")
        words = (*words, "--create-as", "viewer", "--secret-file", str(file))
        done = CliRunner().invoke(main, ("login-providers", "set", "company", *access, *words))
        assert done.exit_code == 0, done.output
        callback = done.output.split()[-1]
        assert callback == f"{cloud.url}/v1/session/openid/callback"
        told = {"preferred_username": "kate", "email_verified": True}
        httpx.put(f"{issuer}/users/kate", json=told).raise_for_status()
        with httpx.Client(base_url=cloud.url) as kate:
            begun = kate.post(BEGIN, json={"provider": "company", "back": "/vehicles"})
            assert "samesite=lax" in begun.headers["set-cookie"].lower()
            back = httpx.post(begun.json()["url"], data={"sub": "kate"}).headers["location"]
            with httpx.Client() as thief:  # without the cookie of the browser that began
                assert thief.get(back).headers["location"] == "/?refused=no-ticket"
            answer = kate.get(back)
            assert (answer.status_code, answer.headers["location"]) == (303, "/vehicles")
            assert kate.get("/v1/session").json()["user"] == "kate"
            assert kate.get("/v1/vehicles").status_code == 200
            assert kate.get("/v1/login-providers").status_code == 403
            assert kate.get(back).headers["location"] == "/?refused=no-ticket"
            bad = kate.post(BEGIN, json={"provider": "company", "back": "//evil.example"})
            assert bad.json()["errors"][0]["field"] == "back"
            assert kate.post(BEGIN, json={"provider": "nobody"}).status_code == 404
        with cloud.client("viewer") as viewer:
            wrong = {"provider": "company", "password": "a wrong password"}
            refused = viewer.post(f"{BEGIN}/connect", json=wrong)
            assert refused.json()["errors"][0]["field"] == "password"
            right = {"provider": "company", "password": PASSWORD}
            begun = viewer.post(f"{BEGIN}/connect", json=right)
            asked = parse_qs(urlsplit(begun.json()["url"]).query)
            assert asked["redirect_uri"] == [callback]
            back = httpx.post(begun.json()["url"], data={"sub": "viewer"}).headers["location"]
            answer = viewer.get(back)
            assert answer.headers["location"] == "/account"
            [given] = [one for one in answer.headers.get_list("set-cookie") if PROPOSAL in one]
            assert all(word in given.lower() for word in ("samesite=strict", "httponly"))
            with cloud.client("keeper") as other:  # into whose browser it was slipped
                other.cookies.set(PROPOSAL, viewer.cookies[PROPOSAL], path=f"{BEGIN}/connect")
                assert other.get(f"{BEGIN}/connect").json()["proposal"] is None
                assert other.put(f"{BEGIN}/connect").status_code == 404
            told = viewer.get(f"{BEGIN}/connect").json()
            assert (told["connected"], told["password"]) == (False, True)
            assert told["proposal"] == {"id": "company", "name": "Company", "identity": "viewer"}
            assert viewer.put(f"{BEGIN}/connect").status_code == 204
            assert PROPOSAL not in viewer.cookies
            users = {one["name"]: one for one in client.get("/v1/users").json()["items"]}
            assert users["viewer"]["external"] is True
            assert viewer.post(f"{BEGIN}/connect", json=right).status_code == 409
            told = viewer.get(f"{BEGIN}/connect").json()
            assert told["provider"] == {"id": "company", "name": "Company"}
            end = {"password": "a wrong password"}
            refused = viewer.post(f"{BEGIN}/disconnect", json=end)
            assert refused.json()["errors"][0]["field"] == "password"
            end = {"password": PASSWORD}
            assert viewer.post(f"{BEGIN}/disconnect", json=end).status_code == 204
            assert viewer.get(f"{BEGIN}/connect").json()["connected"] is False
            again = viewer.post(f"{BEGIN}/connect", json=right).json()["url"]
            [state] = parse_qs(urlsplit(again).query)["state"]
            refusal = {"error": "access_denied", "state": state}
            assert (
                viewer.get(callback, params=refusal).headers["location"]
                == "/account?refused=provider-refused"
            )
        with cloud.client("stranger") as stranger:
            assert stranger.get("/v1/login-providers").json()["items"] == []
            assert stranger.delete("/v1/login-providers/company").status_code == 404
            body = {"name": "x", "issuer": issuer, "client_id": "c"}
            taken = stranger.put("/v1/login-providers/company", json=body)
            assert taken.status_code == 409
            everybody = {**body, "installation": True}
            assert stranger.put("/v1/login-providers/all", json=everybody).status_code == 403
        assert client.get(BEGIN).json()["items"] == []  # a tenant's own is not shown to all
        by_id = client.get(BEGIN, params={"provider": "company"}).json()["items"]
        assert by_id == [{"id": "company", "name": "Company"}]
    assert client.delete("/v1/login-providers/company").status_code == 204


def test_a_provider_that_hangs_leaves_threads_for_everybody_else(
    client: httpx.Client, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid_http, "_TIMEOUT_S", PATIENCE_S)  # it hangs until this test ends it
    many = min(32, (os.cpu_count() or 1) + 4) + PROVIDER_CALLS  # of both pools
    begin = {"provider": "silent"}
    with ThreadPoolExecutor(many) as pool:
        with socket.create_server(("127.0.0.1", 0), backlog=many) as silent:
            issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
            body = {"name": "x", "issuer": issuer, "client_id": "c"}
            assert client.put("/v1/login-providers/silent", json=body).status_code == 200
            begun = [
                pool.submit(httpx.post, f"{cloud.url}{BEGIN}", json=begin) for _ in range(many)
            ]
            silent.settimeout(PATIENCE_S)
            peers = [silent.accept()[0] for _ in range(MOST_OF_HOST)]  # all of them hang
            assert client.get("/v1/login-providers").status_code == 200
            assert sum(not one.done() for one in begun) >= MOST_OF_HOST
        for peer in peers:
            peer.close()
        refused = [one.result(PATIENCE_S).json() for one in begun]
    assert client.delete("/v1/login-providers/silent").status_code == 204
    assert {one["status"] for one in refused} == {401}, refused
