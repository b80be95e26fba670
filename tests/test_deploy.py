"""The files of `deploy/`: valid by the schemas of Compose and Kubernetes, settings that exist."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import kubernetes_validate
import pytest
import yaml

from carcloud.config import load
from carcloud.engines.stream_nats.server import binary
from tests.ports.free import free_ports

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "carcloud"
COMPOSE = ROOT / "deploy" / "compose"
HELM = Path(sys.prefix) / "bin" / "helm"  # where ./dev unpacks it


def helm(*words: str) -> str:
    if not HELM.exists():
        pytest.skip("no helm in this environment: PyPI has it for Linux on x86-64 only")
    done = subprocess.run([str(HELM), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(helm("template", "cars", str(CHART))))


def test_helm_finds_no_fault_with_the_chart():
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_compose_file_follows_its_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(COMPOSE / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_compose_names_is_there():
    made = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    for service in made["services"].values():
        for secret in service.get("secrets", []):
            assert secret in made["secrets"]
        for config in service.get("configs", []):
            assert config["source"] in made["configs"]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in made["volumes"]
        assert set(service.get("depends_on", {})) <= set(made["services"])
    for config in made["configs"].values():
        assert (COMPOSE / config["file"]).is_file()
    assert (ROOT / made["x-carcloud"]["build"]["dockerfile"]).is_file()


def test_the_objects_of_the_chart_follow_kubernetes(objects):
    kinds = [each["kind"] for each in objects]
    assert kinds.count("Deployment") == 4
    for each in objects:
        kubernetes_validate.validate(each, "1.31", strict=True)


def test_the_chart_hangs_together(objects, values):
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for each in objects:
        by_kind.setdefault(each["kind"], []).append(each)
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in by_kind["Deployment"]]
    for service in by_kind["Service"]:
        assert service["spec"]["selector"] in labels
    names = {each["metadata"]["name"] for each in by_kind["ConfigMap"]}
    for pod in (each["spec"]["template"]["spec"] for each in by_kind["Deployment"]):
        assert {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v} <= names
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(values, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values, "imgae": "x"}, schema)


def test_every_secret_that_the_settings_name_is_mounted(values):
    made = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    text = (COMPOSE / "cluster.toml").read_text()
    assert sorted(re.findall(r"/run/secrets/(\w+)", text)) == sorted(made["x-carcloud"]["secrets"])
    told = next(line for line in (CHART / "values.yaml").read_text().splitlines() if "keys" in line)
    for name in re.findall(r"/etc/carcloud/secrets/(\w+)", values["config"]):
        assert name in told
    # libpq leaves a password file alone that a group may read, as fsGroup makes it.
    assert "passfile" not in text + values["config"]


def environment(number: int, ports: list[int], route_password: str) -> dict[str, str]:
    """What Compose gives a server of NATS, with ports of this machine."""
    made = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    text = json.dumps(made["services"][f"nats-{number}"]["environment"])
    text = text.replace("${STREAM_PASSWORD:?}", "clients1")
    text = text.replace("${ROUTE_PASSWORD:?}", route_password)
    for other, port in enumerate(ports, 1):
        text = text.replace(f"nats-{other}:6222", f"127.0.0.1:{port}")
    return {**os.environ, **json.loads(text)}


def routes(port: int) -> set[str]:
    """The servers that one has routes to, as its monitoring tells."""
    try:
        told = httpx.get(f"http://127.0.0.1:{port}/routez", timeout=60).json()
    except httpx.HTTPError:
        return set()
    return {each["remote_name"] for each in told["routes"] if "remote_name" in each}


def test_servers_of_compose_find_each_other_and_let_no_stranger_in(tmp_path):
    ports, watched = free_ports(3), free_ports(3)
    passwords, servers, log = ["routes1", "routes1", "wrong"], [], tmp_path / "3.log"
    for number, (port, password) in enumerate(zip(ports, passwords, strict=True), 1):
        text = (COMPOSE / "nats.conf").read_text().replace("/data", str(tmp_path / str(number)))
        text = text.replace("0.0.0.0:4222", "127.0.0.1:-1")
        file = tmp_path / f"{number}.conf"
        file.write_text(text.replace("0.0.0.0:6222", f"127.0.0.1:{port}"))
        command = [str(binary()), "--config", str(file), "--log", str(file.with_suffix(".log"))]
        command += ["--http_port", str(watched[number - 1])]
        servers.append(subprocess.Popen(command, env=environment(number, ports, password)))
    try:
        deadline, refused, told = time.monotonic() + 90, 0, []
        while not (all(told) and told and refused >= 2):
            assert time.monotonic() < deadline, (told, refused)
            time.sleep(0.1)
            refused = log.exists() and log.read_text().count("Authorization Violation")
            told = [routes(port) for port in watched[:2]]  # the third has one until it is refused
        assert told == [{"nats-2"}, {"nats-1"}]
    finally:
        for server in servers:
            server.kill()
            server.wait()


def test_the_settings_of_both_exist(values, tmp_path):
    page = (ROOT / "docs" / "cluster.md").read_text()
    shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for number, text in enumerate(
        (values["config"], (COMPOSE / "cluster.toml").read_text(), *shown)
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        settings = load(file)
        assert settings.whole("stream.replicas") == 3
        assert len(settings.text("stream.url").split(",")) == 3
        assert settings.text("secret_file")
        assert "password" not in tomllib.loads(text)["stream"]
