"""Invitations over HTTP: the link, a new user, a guest, and what strangers get."""

import time
from typing import Any

import httpx
from click.testing import CliRunner
from tests.web.conftest import PASSWORD

from carcloud.cli import main

OFFER = "/v1/session/invitation"


def _invite(client: httpx.Client, **more: Any) -> str:
    """The secret of a new link."""
    body = {"note": "ivy@example.com", "role": "viewer", **more}
    made = client.post("/v1/invitations", json=body)
    assert made.status_code == 201, made.text
    link = made.json()["link"]
    assert link.startswith(str(client.base_url).rstrip("/") + "/invitation#cci_")
    return str(link.rpartition("#")[2])


def test_a_link_makes_a_user_who_is_signed_in(client: httpx.Client, cloud: Any) -> None:
    secret = _invite(client, scope={"labels": {"depot": "north"}})
    with httpx.Client(base_url=cloud.url) as ivy:
        told = ivy.post(OFFER, json={"secret": secret}).json()
        assert (told["tenant"], told["note"]) == ("default", "ivy@example.com")
        assert told["role"] == "viewer"
        body = {"secret": secret, "name": "ivy", "password": PASSWORD}
        short = ivy.post(f"{OFFER}/accept", json={**body, "password": "short"})
        assert short.json()["errors"][0]["field"] == "password"
        taken = ivy.post(f"{OFFER}/accept", json={**body, "name": "viewer"})
        assert taken.status_code == 409
        assert ivy.post(f"{OFFER}/accept", json=body).json()["user"] == "ivy"
        assert ivy.get("/v1/session").json()["parts"][0]["scope"] == "labels:depot=north"
        assert ivy.post(OFFER, json={"secret": secret}).status_code == 404
        assert ivy.get("/v1/invitations").status_code == 403


def test_somebody_of_another_tenant_joins_as_a_guest(client: httpx.Client, cloud: Any) -> None:
    secret = _invite(client)
    with cloud.client("stranger") as stranger:
        assert stranger.get("/v1/invitations").json()["items"] == []
        joined = stranger.post(f"{OFFER}/join", json={"secret": secret})
        assert joined.json()["tenant"] == "default"
        assert stranger.put("/v1/session/tenant", json={"tenant": "default"}).status_code == 200
        assert stranger.get("/v1/vehicles").status_code == 200
        assert stranger.get("/v1/users").status_code == 403
        users = {one["name"]: one["guest"] for one in client.get("/v1/users").json()["items"]}
        assert users["stranger"] is True
        assert (
            client.put("/v1/users/stranger/password", json={"password": PASSWORD}).status_code
            == 404
        )
        assert client.delete("/v1/users/stranger").status_code == 204
        time.sleep(1)  # within which it is refused everywhere
        assert stranger.get("/v1/session").status_code == 401


def test_an_invitation_names_the_providers_of_its_tenant(client: httpx.Client, cloud: Any) -> None:
    body = {"name": "Company", "issuer": "https://login.example.com", "client_id": "c"}
    set_one = client.put("/v1/login-providers/of-the-offer", json=body)
    assert set_one.status_code == 200, set_one.text
    with cloud.client("stranger") as stranger:
        theirs = stranger.put("/v1/login-providers/of-another", json=body)
        assert theirs.status_code == 200, theirs.text
        told = stranger.post(OFFER, json={"secret": _invite(client)}).json()
        assert told["providers"] == [{"id": "of-the-offer", "name": "Company"}]
        assert stranger.delete("/v1/login-providers/of-another").status_code == 204
    assert client.delete("/v1/login-providers/of-the-offer").status_code == 204


def test_commands_invite_and_take_back(client: httpx.Client, cloud: Any) -> None:
    def run(*words: str) -> str:
        access = ("--url", cloud.url, "--token", client.cookies["carcloud_session"])
        done = CliRunner().invoke(main, ("invitations", words[0], *access, *words[1:]))
        assert done.exit_code == 0, done.output
        return done.output

    link = run("create", "ben@example.com", "--role", "operator").strip()
    assert "ben@example.com" in run("list")
    [mine] = [one for one in client.get("/v1/invitations").json()["items"] if one["note"][0] == "b"]
    with cloud.client("stranger") as stranger:
        assert stranger.delete(f"/v1/invitations/{mine['id']}").status_code == 404
    run("revoke", mine["id"])
    assert client.post(OFFER, json={"secret": link.rpartition("#")[2]}).status_code == 404
