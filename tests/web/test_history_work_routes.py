"""Routes that submit work on history: what is submitted, what is refused."""

from typing import Any

import pytest

SPAN = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture(scope="module")
def owner(cloud: Any) -> Any:
    with cloud.client() as client:
        assert client.post("/v1/models", json={"id": "hw-sedan", "name": "S"}).status_code == 201
        assert client.post("/v1/vehicles", json={"id": "HWCAR1"}).status_code == 201
        assert client.post("/v1/buckets", json={"name": "hw-logs"}).status_code == 201
        yield client


def submitted(client: Any, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    job = client.get(answer.headers["Location"]).json()
    client.post(f"/v1/jobs/{job['id']}/cancel")
    return dict(job)


def test_an_import_is_a_job(owner: Any) -> None:
    body = {"bucket": "hw-logs", "logs": ["a.mf4"], "zone": "+08:00"}
    job = submitted(owner, owner.post("/v1/vehicles/HWCAR1/can-logs", json=body))
    assert (job["kind"], job["params"]["vehicle"]) == ("can-import", "HWCAR1")
    assert job["params"]["logs"] == ["a.mf4"] and job["params"]["mapping"] is None


def test_imports_that_cannot_be_are_refused(owner: Any) -> None:
    body = {"bucket": "hw-logs", "logs": ["a.mf4"]}
    assert owner.post("/v1/vehicles/NOBODY1/can-logs", json=body).status_code == 404
    elsewhere = {**body, "bucket": "hw-nothing"}
    assert owner.post("/v1/vehicles/HWCAR1/can-logs", json=elsewhere).status_code == 404
    odd = {**body, "transports": ["pigeon"]}
    assert owner.post("/v1/vehicles/HWCAR1/can-logs", json=odd).status_code == 400
    assert owner.post("/v1/vehicles/HWCAR1/can-logs", json={**body, "logs": []}).status_code == 400


def test_a_redecode_is_a_job(owner: Any) -> None:
    job = submitted(owner, owner.post("/v1/models/hw-sedan/redecode", json=SPAN))
    assert (job["kind"], job["params"]) == ("redecode", {"model": "hw-sedan", **SPAN})
    late = {"from": SPAN["to"], "to": SPAN["from"]}
    refused = owner.post("/v1/models/hw-sedan/redecode", json=late)
    assert refused.status_code == 400 and "after" in refused.text
    assert owner.post("/v1/models/hw-none/redecode", json=SPAN).status_code == 404
