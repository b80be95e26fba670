"""`carcloud users, roles, keys, audit, tenants` against a running cloud."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.web.conftest import PASSWORD

from carcloud.cli import main
from carcloud.services.tenancy.api import INSTALLATION, SYSTEM

Run = Callable[..., Result]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return str(file)


@pytest.fixture
def run(cloud: Any, client: httpx.Client) -> Run:
    token = client.cookies["carcloud_session"]

    def run(group: str, name: str, *words: str, token: str = token) -> Result:
        access = ("--url", cloud.url, "--token", token)
        return CliRunner().invoke(main, (group, name, *access, *words))

    return run


def _good(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def test_people_roles_and_why(run: Run, secret: str) -> None:
    _good(run("users", "add", "kim", "--role", "viewer", "--password-file", secret))
    _good(run("roles", "create", "watch", "--name", "Watch", "--action", "status:read"))
    _good(run("roles", "grant", "kim", "watch", "--label", "depot=north"))
    shown = _good(run("roles", "grants", "--user", "kim"))
    assert "depot=north" in shown
    assert "everything" in shown
    lines = _good(run("roles", "why", "--user", "kim", "--action", "status:read"))
    assert lines.count("kim") == 2
    [grant] = [
        one["id"]
        for one in map(json.loads, _good(run("roles", "grants", "--json")).splitlines())
        if one["role"] == "watch"
    ]
    _good(run("roles", "revoke", grant))
    _good(run("roles", "remove", "watch"))
    _good(run("users", "disable", "kim"))
    _good(run("users", "enable", "kim"))
    _good(run("users", "password", "kim", "--password-file", secret))
    assert "kim" in _good(run("users", "list"))
    _good(run("users", "remove", "kim", "--yes"))
    refused = run("users", "remove", "kim", "--yes")
    assert refused.exit_code != 0
    assert "no user" in refused.output


def test_keys_of_a_service_account(run: Run, cloud: Any) -> None:
    _good(run("users", "add-service", "hourly", "--role", "viewer"))
    words = ("dash", "--user", "hourly@default", "--action", "vehicles:read", "--days", "1")
    made = json.loads(_good(run("keys", "create", *words, "--json")))
    _good(run("vehicles", "list", token=made["secret"]))
    assert run("keys", "list", token=made["secret"]).exit_code != 0
    assert "hourly@default" in _good(run("keys", "list"))
    _good(run("keys", "revoke", made["key"]["id"]))


def test_the_audit(run: Run) -> None:
    _good(run("tenants", "add-project", "garage", "--name", "Garage"))
    assert "garage" in _good(run("tenants", "projects"))
    assert "garage" in _good(run("audit", "list", "--action", "project.*"))
    assert json.loads(_good(run("audit", "export")).splitlines()[0])["number"] > 1
    assert "none altered" in _good(run("audit", "verify"))


def test_tenants(run: Run, cloud: Any, secret: str) -> None:
    with cloud.client("viewer") as viewer:
        refused = run("tenants", "list", token=viewer.cookies["carcloud_session"])
        assert refused.exit_code != 0
    cloud.tenancy.people.create("default", "chief", PASSWORD, "viewer", by=SYSTEM)
    cloud.tenancy.grants.grant(INSTALLATION, "chief", "administrator", by=SYSTEM)
    with cloud.client("chief") as chief:
        token = chief.cookies["carcloud_session"]
        words = ("east", "--name", "East", "--owner", "eva", "--password-file", secret)
        _good(run("tenants", "create", *words, token=token))
        _good(run("tenants", "suspend", "east", token=token))
        assert "suspended" in _good(run("tenants", "list", token=token))
        _good(run("tenants", "resume", "east", token=token))
