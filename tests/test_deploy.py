"""The files of `deploy/`: valid by the schemas of Compose and Kubernetes, settings that exist.

The chart keeps to a few forms of Helm's templates, filled in here. That is no `helm lint`.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from carcloud.config import load

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "carcloud"
COMPOSE = ROOT / "deploy" / "compose"
FORM = re.compile(r"\{\{ \.(Release\.Name|Values\.[A-Za-z.]+)( \| quote)? \}\}")


def filled(text: str, values: dict[str, Any]) -> str:
    """A template with its values; fails for a form that is not known here."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "Release.Name":
            return "cars"
        at: Any = values
        for name in found[1].split(".")[1:]:
            at = at[name]
        return json.dumps(at) if found[2] else str(at)

    done = FORM.sub(value, text)
    assert "{{" not in done, "a form of template that this test does not know"
    return done


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.fixture(scope="module")
def objects(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        each
        for file in sorted((CHART / "templates").glob("*.yaml"))
        for each in yaml.safe_load_all(filled(file.read_text(), values))
    ]


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
