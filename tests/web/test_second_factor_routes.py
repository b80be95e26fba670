"""The second factor over HTTP: enrolling with a picture, signing in, turning off."""

import base64
import time
import urllib.parse
from typing import Any

import httpx
from tests.web.conftest import PASSWORD

from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import now_us
from carcloud.services.tenancy import totp
from carcloud.services.tenancy.api import SYSTEM

HERE = "/v1/session/second-factor"


def _code(secret: str, drift: int = 0) -> str:
    return totp.code_at(base64.b32decode(secret), totp.step_at(now_us()) + drift)


def test_a_second_factor_from_enrolment_to_its_end(
    cloud: Any, client: httpx.Client, anybody: httpx.Client
) -> None:
    cloud.tenancy.people.create(DEFAULT_TENANT, "tess", PASSWORD, "viewer", by=SYSTEM)
    me = {"user": "tess", "password": PASSWORD}
    with cloud.client("tess") as tess:
        wrong = tess.post(HERE, json={"password": "not the password"})
        assert wrong.json()["errors"][0]["field"] == "password"
        told = tess.post(HERE, json={"password": PASSWORD}).json()
        picture = urllib.parse.unquote(told["qr"])
        assert picture.startswith("data:image/svg+xml")
        assert "<svg" in picture
        bad = tess.put(HERE, json={"code": "12345x"})
        assert bad.json()["errors"][0]["field"] == "code"
        turned = tess.put(HERE, json={"code": _code(told["secret"])})
        codes = turned.json()["recovery_codes"]
        assert tess.get(HERE).json() == {"on": True, "recovery_codes": 10}
    asked = anybody.post("/v1/session", json=me)
    assert (asked.status_code, asked.json()["type"]) == (401, "urn:carcloud:problem:second-factor")
    assert "set-cookie" not in asked.headers
    refused = anybody.post("/v1/session", json={**me, "code": "000000"})
    assert refused.json()["type"] == "about:blank"
    begun = anybody.post("/v1/session", json={**me, "code": _code(told["secret"], drift=1)})
    assert begun.status_code == 200
    renewed = anybody.post(f"{HERE}/recovery-codes", json={"code": codes[0]})
    assert len(renewed.json()["recovery_codes"]) == 10
    off = anybody.post(f"{HERE}/off", json={"code": renewed.json()["recovery_codes"][0]})
    assert off.status_code == 204
    assert anybody.post(f"{HERE}/off", json={"code": "000000"}).status_code == 404
    assert client.delete("/v1/users/tess/second-factor").status_code == 204
    assert client.delete("/v1/users/nobody/second-factor").status_code == 404
    assert client.delete("/v1/users/stranger/second-factor").status_code == 404


def test_a_tenant_asks_its_people_for_a_second_factor(
    cloud: Any, client: httpx.Client, anybody: httpx.Client
) -> None:
    north = Tenant("asks-for-two")
    cloud.tenancy.found(north, "North", "nils", PASSWORD, actor="nobody")
    cloud.tenancy.people.create(north, "nell", PASSWORD, "operator", by=SYSTEM)
    with cloud.client("nils") as nils, cloud.client("nell") as nell:
        assert nils.get("/v1/tenant").json()["second_factor"] is False
        early = nils.patch("/v1/tenant", json={"second_factor": True})
        assert early.json()["errors"][0]["field"] == "second_factor"
        _turn_on(nils)
        denied = nell.patch("/v1/tenant", json={"second_factor": True})
        assert denied.status_code == 403
        assert nils.patch("/v1/tenant", json={"second_factor": True}).json()["second_factor"]
        time.sleep(1)  # within which it holds everywhere
        refused = nell.get("/v1/vehicles")
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:carcloud:problem:second-factor-missing"
        for method, path, body in (
            ("POST", "/v1/keys", {"name": "a way around"}),
            ("POST", "/v1/tokens", {"minutes": 5}),
        ):
            assert nell.request(method, path, json=body).status_code == 403, path
        begun = anybody.post("/v1/session", json={"user": "nell", "password": PASSWORD}).json()
        assert begun["unproved"] and begun["actions"] == []
        assert nell.get("/v1/session").json()["unproved"]
        _turn_on(nell)
        time.sleep(1)
        assert nell.get("/v1/vehicles").status_code == 200
        assert nils.patch("/v1/tenant", json={"second_factor": False}).status_code == 200


def _turn_on(person: httpx.Client) -> None:
    told = person.post(HERE, json={"password": PASSWORD}).json()
    assert person.put(HERE, json={"code": _code(told["secret"])}).status_code == 200
