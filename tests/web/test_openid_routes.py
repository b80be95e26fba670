"""Signing in at a provider over HTTP, as a browser does it: cookies, redirects, refusals."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
from click.testing import CliRunner

from carcloud.cli import main

BEGIN = "/v1/session/openid"


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
            begun = viewer.post(f"{BEGIN}/connect", json={"provider": "company"})
            asked = parse_qs(urlsplit(begun.json()["url"]).query)
            assert asked["redirect_uri"] == [callback]
            back = httpx.post(begun.json()["url"], data={"sub": "viewer"}).headers["location"]
            assert viewer.get(back).headers["location"] == "/account"
            users = {one["name"]: one for one in client.get("/v1/users").json()["items"]}
            assert users["viewer"]["external"] is True
            assert viewer.delete(f"{BEGIN}/connect").status_code == 204
        with cloud.client("stranger") as stranger:
            assert stranger.get("/v1/login-providers").json()["items"] == []
            assert stranger.delete("/v1/login-providers/company").status_code == 404
            body = {"name": "x", "issuer": issuer, "client_id": "c"}
            taken = stranger.put("/v1/login-providers/company", json=body)
            assert taken.status_code == 409
            everybody = {**body, "installation": True}
            assert stranger.put("/v1/login-providers/all", json=everybody).status_code == 403
        assert client.get(BEGIN).json()["items"] == []  # a tenant's own is not shown to all
    assert client.delete("/v1/login-providers/company").status_code == 204
