"""`.ci/run`: the end of what it prints says what failed, and whether anything did."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PASSED = "........ [100%]\n9999 passed in 1.00s"
FAILURES = """\
=================================== FAILURES ===================================
_________________________________ test_brakes __________________________________
[gw0] linux -- Python 3.11.7 python

    def test_brakes():
>       stop()
tests/test_car.py:10:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _
>       assert speed == 0
E       assert 3 == 0
----------------------------- Captured stdout call -----------------------------
{captured}
_________________________________ test_lights __________________________________
E       AssertionError: dark
=========================== short test summary info ============================
SKIPPED [1] tests/test_car.py:12: no
FAILED tests/test_car.py::test_brakes - assert 3 == 0
FAILED tests/test_car.py::test_lights - AssertionError: dark
2 failed, 1 passed, 1 skipped in 1.00s"""


DEV = '[ ! -f "$1" ] || cat "$1"\n! grep -qs failed "$1"'  # says what a test wrote, fails so


def ran(folder: Path, dev: str = DEV, **said: str) -> subprocess.CompletedProcess[str]:
    """What `.ci/run` does with this `./dev`, beside files of the texts `said`."""
    (folder / ".ci").mkdir()
    (folder / "bin").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    for name, text in said.items():
        (folder / name).write_text(text + "\n")
    # Nobody needs here what this machine may lack.
    for name, script in {"dev": dev, "bin/apt-get": ""}.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["bash", str(folder / ".ci" / "run")],
        env=os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_where_all_passed_the_count_of_tests_is_among_the_last_lines(tmp_path: Path):
    done = ran(tmp_path, lint="all clean", soak="12 passed in 3.00s", test=PASSED)
    assert done.returncode == 0, done.stdout
    assert "9999 passed" in "\n".join(done.stdout.splitlines()[-5:])
    assert done.stdout.endswith("\nall steps passed\n")


def test_a_failed_step_before_the_last_is_told_at_the_end(tmp_path: Path):
    captured = "\n".join(f"line {at}" for at in range(1000))
    done = ran(tmp_path, soak=FAILURES.format(captured=captured), test=PASSED)
    assert done.returncode == 1
    told = done.stdout.partition("9999 passed")[2].splitlines()
    assert len(told) < 130
    for line in (
        "=== failed: ./dev soak 1500",
        "E       assert 3 == 0",
        "line 999",
        "FAILED tests/test_car.py::test_lights - AssertionError: dark",
        "2 failed, 1 passed, 1 skipped in 1.00s",
    ):
        assert line in told
    assert told[-1] == "failed: ./dev soak 1500"


@pytest.mark.parametrize("name", ["lint", "fuzz", "bench"])
def test_a_step_without_tests_is_told_by_its_last_lines(tmp_path: Path, name: str):
    lines = "\n".join(f"line {at}" for at in range(1000))
    done = ran(tmp_path, test=PASSED, **{name: f"{lines}\nthis failed"})
    assert done.returncode == 1
    told = done.stdout.partition("9999 passed")[2].splitlines()
    assert len(told) < 130
    assert "this failed" in told[-5:]
    assert told[-1].startswith(f"failed: ./dev {name}")


def test_several_failed_steps_share_the_lines(tmp_path: Path):
    lines = "\n".join(f"line {at}" for at in range(1000))
    vitest = f"Failed Tests 1\nFAIL src/car.test.ts\ndev: testing everything else\n{PASSED}"
    bench = f"{lines}\nthe bench failed"
    soak = FAILURES.format(captured=lines)
    done = ran(tmp_path, bench=bench, soak=soak, test=f"{vitest}\ndev: tests failed")
    told = done.stdout.rpartition("9999 passed")[0].rpartition("=== failed: ./dev bench")[2]
    assert "the bench failed" in told
    assert "FAILED tests/test_car.py::test_brakes - assert 3 == 0" in told
    assert "FAIL src/car.test.ts" in told
    assert len(done.stdout.partition("=== failed: ")[2].splitlines()) < 140


def test_a_process_that_a_step_leaves_behind_holds_nothing_up(tmp_path: Path):
    done = ran(tmp_path, '[ "$1" != lint ] || { sleep 100 & echo $! >left; }')
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert done.stdout.endswith("\nall steps passed\n")
