"""The examples of docs/client.md do what the page says, against a whole small cloud."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import carcloud.client as cc
from carcloud.app.tokens import local_key
from carcloud.client.methods import Group, call, many

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "".join(
    (DOCS / name).read_text() for name in ("client.md", "commands.md", "signals.md", "campaigns.md")
)
CAR = "LTEST00000000D001"
START = int(datetime(2026, 5, 1, 8, tzinfo=UTC).timestamp()) * 1_000_000  # us


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


@pytest.fixture
def run(cloud: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs an example where `Client()` finds the cloud as it finds one that runs here."""
    (tmp_path / "run").mkdir()
    token = local_key(cloud.tenancy)
    told = f'{{"url": "{cloud.url}", "token": "{token}"}}'
    (tmp_path / "run" / "web.json").write_text(told)
    monkeypatch.setenv("CARCLOUD_DATA", str(tmp_path))

    def run(name: str) -> dict[str, Any]:
        text = example(name).replace('"http://127.0.0.1:8460"', repr(cloud.url))
        scope: dict[str, Any] = {}
        exec(compile(text.replace('"cck_..."', repr(token)), name, "exec"), scope)  # noqa: S102
        return scope

    return run


@pytest.fixture(scope="module")
def car(cloud: Any, make_frame: Any) -> str:
    cloud.register(CAR)
    cloud.send(CAR, *(make_frame(START + i * 10_000_000, speed=150.0 + i) for i in range(6)))
    return CAR


def test_begin(run: Any, car: str) -> None:
    run("begin")


def test_notebook(run: Any, car: str) -> None:
    scope = run("notebook")
    assert scope["car"] == car
    assert scope["minute"]["mean"].to_list() == [150.0, 151.0, 152.0, 153.0, 154.0, 155.0]


def test_jobs(run: Any, car: str, capsys: pytest.CaptureFixture[str]) -> None:
    scope = run("jobs")
    assert scope["done"].state == "succeeded"
    assert car in pq.read_table(io.BytesIO(scope["data"]))["vehicle"].to_pylist()
    assert "reports.parquet" in capsys.readouterr().out


def test_async(run: Any, car: str) -> None:
    assert car in run("async")["charge"]


def test_changes(run: Any, cloud: Any) -> None:
    assert run("changes")["car"].lifecycle == "active"


def test_administration(run: Any, cloud: Any) -> None:
    scope = run("administration")
    assert cloud.tenancy.keys.identify(scope["key"].secret).user == "nightly@default"
    assert scope["budget"].thresholds == (80, 100)
    with cc.Client(cloud.url, local_key(cloud.tenancy)) as client:  # others use this cloud too
        client.budgets.remove(scope["budget"].id)
        client.people.remove(scope["robot"].name)


def test_every_method_and_exception_is_told() -> None:
    with cc.Client("http://127.0.0.1:9") as client:
        groups = {f"client.{name}": group for name, group in vars(client).items()
                  if isinstance(group, Group) and not name.startswith("_")}  # fmt: skip
        for place, group in {"client": client, **groups}.items():
            row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{place}` |"))
            written = {name for kind in type(group).__mro__ for name, found in vars(kind).items()
                       if isinstance(found, call | many)} - {"send", "items", "stream"}  # fmt: skip
            written |= {"wait"} if place == "client.jobs" else set()
            written |= {"query"} if place == "client" else set()
            assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == written
    told = set(re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE))
    assert {kind.__name__ for kind in cc.Refused.__subclasses__()} <= told


def test_commands(run: Any, cloud: Any) -> None:
    scope = run("commands")
    assert scope["given"].state == "created"
    assert scope["state"].delta == {"reporting": {"interval_s": 30}}


def test_campaigns(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("campaigns")
    assert capsys.readouterr().out.splitlines()[1:] == ["running", "0"]
