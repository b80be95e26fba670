"""Wheels for scripts, installed once for each set of requirements and then kept.

Only wheels: to install one runs no code of its author. It does run pip, outside of the sandbox, on
names that a tenant chose, against the index that the operator chose.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from carcloud.ports.sandbox import NoPackages

_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,60}[A-Za-z0-9])?"  # a name
    r"(?:\[[A-Za-z0-9._,-]{1,100}\])?"  # extras
    r"==[A-Za-z0-9.!+_-]{1,60}"  # one version, so that the same set is the same for ever
)
_SECONDS = 600.0
MOST = 100


class Packages:
    """Environments below `folder`; `index` empty = as pip is configured."""

    def __init__(self, folder: Path, index: str = "") -> None:
        self._folder = folder
        self._index = index

    def get(self, requirements: Sequence[str], log: Callable[[str], None]) -> Path:
        """The folder with the wheels of `requirements`; raises `NoPackages`."""
        wanted = sorted(set(requirements))
        if len(wanted) > MOST:
            raise NoPackages(f"at most {MOST} requirements")
        for one in wanted:
            if not _REQUIREMENT.fullmatch(one):
                raise NoPackages(f"{one[:100]!r} is not NAME==VERSION, as in numpy==2.1.0")
        target = self._folder / _digest(wanted)
        if not target.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            log(f"installing {', '.join(wanted)}")
            self._install(wanted, target)
        return target

    def _install(self, wanted: Sequence[str], target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self._folder) as draft:
            line = [
                sys.executable, "-m", "pip", "install", "--only-binary", ":all:", "--no-compile",
                "--no-input", "--disable-pip-version-check", "--quiet", "--target", f"{draft}/p",
            ]  # fmt: skip
            env = dict(os.environ)
            if self._index:  # not among the arguments, which all users of the machine can read
                env["PIP_INDEX_URL"] = self._index
            try:
                done = subprocess.run(
                    [*line, "--", *wanted],
                    env=env, capture_output=True, text=True, timeout=_SECONDS, check=False,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise NoPackages(f"pip did not end well: {error}") from error
            if done.returncode != 0:
                raise NoPackages(f"pip: {_last_error(done.stderr)}")
            try:
                Path(draft, "p").rename(target)
            except OSError:  # another job had the same wish and was quicker
                if not target.is_dir():
                    raise
                shutil.rmtree(Path(draft, "p"))


def _digest(wanted: Sequence[str]) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return hashlib.sha256("\n".join([version, *wanted]).encode()).hexdigest()[:32]


def _last_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines()
    return lines[-1][:500] if lines else "no reason given"
