"""The worked example of docs/forwarding.md, command for command."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ports.free import free_port

pytestmark = pytest.mark.soak

PAGE = Path(__file__).parents[2] / "docs" / "forwarding.md"


def blocks() -> list[str]:
    """The shell blocks of the example, with ports that nobody has."""
    text = "\0".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for port in sorted(set(re.findall(r"\b(?:84[78]|3297)[01]\b", text))):
        text = text.replace(port, str(free_port()))
    return text.split("\0")


def environment(folder: Path) -> dict[str, str]:
    """A PATH on which `carcloud` is the one under test."""
    tools = folder / "tools"
    tools.mkdir()
    script = tools / "carcloud"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m carcloud "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.timeout(300)
def test_the_example_does_what_the_page_says(tmp_path):
    upper, lower, drive, ask = blocks()
    env = environment(tmp_path)

    def run(commands: str) -> str:
        shell = ["bash", "-euc", commands]
        done = subprocess.run(
            shell, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    started = []
    try:
        for command in (upper, lower):
            process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"], cwd=tmp_path, env=env,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            started.append(process)
            assert any("Ctrl-C" in line for line in process.stdout)
        said = run(drive)
        assert "LOWERPLATFORM0001 may log in" in said
        assert "upper forwards to 127.0.0.1:" in said
        made = re.search(r"^ *acknowledged +(\d+)$", said, re.MULTILINE)[1]
        deadline = time.monotonic() + 120
        while True:
            answer = run(ask)
            counts = re.findall(r"^ *(\d+) +(\d+) *$", answer, re.MULTILINE)
            if counts == [(made, "5")] * 2:
                break
            assert time.monotonic() < deadline, answer
            time.sleep(1)
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
        for process in started:
            process.wait(100)
    assert int(made) > 5
    assert answer.count("source=platform") == 5
