"""The documentation is complete, current, and its examples do what it says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from carcloud import config
from carcloud.model.streams import STREAMS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generator()


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", GENERATE.PAGES, ids=_name)
def test_generated_parts_and_examples_are_what_the_code_says_now(page):
    assert page.read_text() == GENERATE.written(page.read_text()), f"run ./dev docs ({_name(page)})"


def test_every_setting_is_documented():
    text = (DOCS / "operations.md").read_text()
    missing = [setting.name for setting in config.SETTINGS if f"`{setting.name}`" not in text]
    assert not missing, "add them to docs/operations.md with ./dev docs"


def test_every_setting_that_a_page_names_exists():
    known = {setting.name for setting in config.SETTINGS}
    areas = {name.split(".")[0] for name in known if "." in name}
    named = {
        (_name(page), name)
        for page in PAGES
        for name in re.findall(r"`([a-z]+(?:\.[a-z0-9_]+)+)`", page.read_text())
        if name.split(".")[0] in areas and not name.endswith((".py", ".md", ".json"))
    }
    assert not [each for each in named if each[1] not in known]


def test_every_command_is_documented():
    text = (DOCS / "cli.md").read_text()
    for path, _ in GENERATE.commands():
        assert re.search(rf"^###? {path}$", text, re.MULTILINE), f"{path}: run ./dev docs"


def test_every_stream_is_documented():
    text = (DOCS / "concepts.md").read_text()
    for stream in STREAMS:
        assert f"`{stream.name}`" in text
        assert f"`{stream.subjects}`" in text


def test_every_decision_is_listed_and_states_its_price():
    index = (DOCS / "adr" / "index.md").read_text()
    site = (ROOT / "mkdocs.yml").read_text()
    for record in sorted((DOCS / "adr").glob("[0-9]*.md")):
        assert f"({record.name})" in index, f"list {record.name} in docs/adr/index.md"
        assert f"adr/{record.name}" in site, f"list {record.name} in mkdocs.yml"
        assert "**Price.**" in record.read_text(), f"{record.name} does not state its price"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{_name(page)} links to {target}"
        if anchor:
            assert anchor in _anchors(file), f"{_name(page)} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_readme_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text()
    first = text.split("```sh\n", 1)[1].split("```")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["./dev demo", "./dev test"]


def test_every_dev_command_that_a_page_names_exists():
    usage = subprocess.run(
        ["sh", "dev", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    known = set(re.findall(r"^  \./dev (\w+)", usage.stdout, re.MULTILINE))
    named = {
        (_name(page), command)
        for page in PAGES
        for command in re.findall(r"\./dev ([a-z]+)", page.read_text())
    }
    assert not [each for each in named if each[1] not in known]


def test_the_site_builds_and_asks_no_other_host(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)', page.read_text()
        )
        assert not loaded, f"{page.name} loads {loaded}"
