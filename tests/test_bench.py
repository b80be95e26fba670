"""The benchmarks' own frame: names, rows, verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import Row, __main__

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("a", 5, "x"), None),
        (Row("a", 5, "x", ">= 5"), True),
        (Row("a", 5, "x", "<= 4"), False),
        (Row("a", 20_000, "x", ">= 20,000", ratio=2, ratio_target=3), False),
        (Row("a", 5, "x", peer="other", ratio=3, ratio_target=3), True),
        (Row("a", 5, "x", ratio_target=3), False),
    ],
)
def test_a_row_says_whether_its_targets_are_met(row, met):
    assert row.met is met
    assert list(row.document()) == ["what", "value", "unit", "target", "peer", "ratio", "met"]


def test_a_wrong_target_is_refused():
    with pytest.raises(ValueError, match="about 5"):
        Row("a", 5, "x", "about 5")


@pytest.mark.parametrize("name", __main__.names())
def test_every_benchmark_tells_its_method(name):
    assert len(__main__.method(name)) > 80


def test_names_are_listed_and_unknown_ones_refused():
    def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    listed = bench()
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in __main__.names())
    assert bench("no-such").returncode == 2


def test_figures_are_kept_with_method_and_machine(tmp_path):
    file = tmp_path / "figures.json"
    rows = [Row("a", 1, "x").document()]
    __main__.keep(file, "one", "old method", rows, "9 ms")
    __main__.keep(file, "two", "by hand", rows, "9 ms")
    __main__.keep(file, "one", "new method", rows, "9 ms")
    kept = json.loads(file.read_text())
    assert list(kept) == ["one", "two"]
    assert kept["one"]["method"] == "new method"
    assert kept["one"]["rows"] == rows
    assert kept["one"]["machine"]["python"]
    assert kept["one"]["machine"]["pace"] == "9 ms"
