"""What holds for the tree as a whole: layers, sizes, lock files, paths, skips."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES = 800  # of a module; generated tables exempt
FUNCTION_LINES = 80

# Written out from a fact table by a script, and read by nobody line by line.
GENERATED: frozenset[str] = frozenset({"src/carcloud/app/schema/versions/r0001_baseline.py"})


def _files() -> list[Path]:
    """Every text file of the project that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8000]]


def _tree(text: str) -> ast.Module:
    """CPython 3.11 may fail here while another thread parses (gh-106905): once more, then."""
    try:
        return ast.parse(text)
    except SystemError:
        return ast.parse(text)


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_import_contracts_hold():
    command = (
        "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=_name)
def test_python_locks_pin_hashes_and_name_no_host(lock):
    text = lock.read_text()
    assert not re.search(r"://|file:|--(extra-)?index|--find-links", text)
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        assert re.match(r"[A-Za-z0-9._\[\]-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_every_requirement_is_locked():
    for file in (ROOT / "requirements").glob("*.in"):
        locked = file.with_suffix(".txt").read_text()
        for line in file.read_text().splitlines():
            name = re.match(r"[A-Za-z0-9._-]+", line)
            if name and not line.startswith("-"):
                assert re.search(rf"^{name[0]}(\[|==)", locked, re.MULTILINE | re.IGNORECASE), (
                    f"{name[0]} is not in {file.stem}.txt: run ./dev lock"
                )


def test_dev_and_runtime_locks_agree():
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    assert pins("runtime.txt").items() <= pins("dev.txt").items()


def test_the_front_end_lock_names_no_host():
    lock = ROOT / "frontend" / "package-lock.json"
    if not lock.exists():
        pytest.skip("there is no front end yet")
    packages = json.loads(lock.read_text())["packages"]
    assert not [name for name, entry in packages.items() if "://" in entry.get("resolved", "")]
    assert all(
        "integrity" in entry for name, entry in packages.items() if name and "link" not in entry
    )


def test_no_file_holds_a_path_of_one_machine():
    # Written in parts, so that this file does not find itself.
    places = "|".join(
        (
            "/" + "work/",
            "/" + "root/",
            "/" + "home/[a-z]",
            "/" + "Users/[A-Za-z]",
            "/" + "opt/wheels",
        )
    )
    for file in _files():
        found = re.search(rf"(?<![\w.]){places}", file.read_text(errors="replace"))
        assert found is None, f"{_name(file)} has {found[0] if found else ''}"


@pytest.mark.parametrize("file", SOURCES, ids=_name)
def test_modules_and_functions_are_not_too_long(file):
    text = file.read_text()
    assert _name(file) in GENERATED or text.count("\n") <= LINES
    for node in ast.walk(_tree(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("file", SOURCES, ids=_name)
def test_the_version_comes_from_the_package_itself(file):
    # A checkout that ./dev has set up has no installed metadata to ask.
    asks = re.search(r"version\(\"carcloud\"\)", file.read_text())
    assert asks is None, "use carcloud.__version__"


def test_no_folder_is_a_dumping_ground():
    banned = {"utils", "util", "common", "helpers", "helper", "core", "manager", "misc"}
    assert not [
        _name(file) for file in SOURCES if banned & {file.stem, *file.relative_to(ROOT).parts}
    ]


@pytest.mark.parametrize("file", TESTS, ids=_name)
def test_every_skip_and_expected_failure_has_a_reason(file):
    for call in _marks(_tree(file.read_text())):
        assert _has_reason(call), f"{_name(file)}:{call.lineno} skips without a reason"


def _marks(tree: ast.AST) -> Iterator[ast.expr]:
    """`pytest.skip`, `pytest.mark.skip`, `.skipif` and `.xfail`, called or bare."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Attribute) and id(node) not in called:
            name = ast.unparse(node)
        if re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail)", name):
            assert isinstance(node, ast.expr)
            yield node


def _has_reason(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    named = {word.arg for word in node.keywords}
    conditional = ast.unparse(node.func).endswith("skipif")
    return "reason" in named or (bool(node.args) and not conditional)


def test_dev_is_portable_shell_and_can_be_called():
    dev = ROOT / "dev"
    assert dev.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", dev], check=True)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
