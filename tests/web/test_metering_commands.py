"""The worked example of docs/metering.md, run as it stands."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.web.conftest import PASSWORD, within_a_month

from carcloud.cli import main
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.model.usage import Usage
from carcloud.services.metering.api import Metering
from carcloud.services.tenancy.api import EVERYTHING, INSTALLATION, SYSTEM

TENANT = Tenant("north-fleet")
PAGE = Path(__file__).parents[2] / "docs" / "metering.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def fits(told: str, output: str) -> bool:
    """`…` stands for anything in a line, any space for any amount of it."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in told.split("…")]
    return any(re.fullmatch(r"\s*" + r".*".join(parts) + r"\s*", line) or
               re.fullmatch(r"\s*" + r"\s*.*\s*".join(parts) + r"\s*", line)
               for line in output.splitlines())  # fmt: skip


@pytest.fixture
def metering(cloud: Any) -> Iterator[Metering]:
    """With a tenant of the example's own, whose owner is administrator too."""
    within_a_month()
    made = cloud.app.dependencies["metering"].dependency()
    cloud.tenancy.tenants.ensure(TENANT)
    cloud.tenancy.people.create(TENANT, "nora", PASSWORD, "owner", by=SYSTEM)
    with cloud.tenancy._desk.records.transaction() as db:
        give = cloud.tenancy.grants.grant_in
        give(db, INSTALLATION, "nora", "administrator", EVERYTHING, by=SYSTEM)
    used = {"messages": 1_300, "vehicle_hours": 7_200}
    made.count([Usage(f"x-{m}", TENANT, m, n, now_us()) for m, n in used.items()])
    yield made
    for book in made.books():
        if book.tenant == TENANT:
            made.remove_book(book.id, actor="test")


def test_the_worked_example(
    cloud: Any, metering: Metering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud.client("nora") as client:
        token = client.cookies["carcloud_session"]
    access = ("--url", cloud.url, "--token", token)
    monkeypatch.chdir(tmp_path)
    # A book of the tenant's own, so that those of other tests of this cloud are not in the way.
    book = {**json.loads(blocks("json")[0]), "tenant": TENANT}
    Path("prices.json").write_text(json.dumps(book))
    commands = 0
    for block in blocks("console"):
        for part in re.split(r"^\$ carcloud ", block, flags=re.MULTILINE)[1:]:
            line, *expected = part.splitlines()
            result = CliRunner().invoke(main, [*shlex.split(line), *access])
            assert result.exit_code == 0, f"{line}: {result.output}"
            for told in expected:
                assert fits(told, result.output), f"{line}: {told!r} is not in\n{result.output}"
            commands += 1
    assert commands == 6
    for words in (("usage", "--json"), ("quotas", "list"), ("costs", "prices"), ("usage",)):
        result = CliRunner().invoke(main, [*words, *access])
        assert result.exit_code == 0, result.output
    assert '"used": "2"' in CliRunner().invoke(main, ["usage", "--json", *access]).output
    pdf = CliRunner().invoke(
        main, ["costs", "statement", str(metering.present_period())[:4] + "-"
               + str(metering.present_period())[4:], "--pdf", "now.pdf", *access],
    )  # fmt: skip
    assert pdf.exit_code == 0, pdf.output
    assert Path("now.pdf").read_bytes().startswith(b"%PDF-")
