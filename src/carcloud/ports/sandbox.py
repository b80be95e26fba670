"""The sandbox port: a stranger's Python script runs without harm to anybody else. Calls block.

The script has no network, sees none of the machine's files but a Python environment, reads its
inputs below `/job/in`, and what it leaves below `/job/out` is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class NoSandbox(Exception):
    """Scripts cannot run here; the message says why and what would help."""


class NoPackages(Exception):
    """The requirements of a script cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a script may take, all its processes together; running into one ends it."""

    seconds: float  # of wall time
    memory_mb: int
    cpu_seconds: float
    disk_mb: int  # below /job and /tmp together
    processes: int  # threads count as well
    open_files: int  # of each process


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the files that it finds."""

    source: str
    arguments: Mapping[str, Any]  # JSON
    inputs: Path  # a folder that the script sees as /job/in
    outputs: Path  # an empty folder for what it leaves in /job/out
    limits: Limits
    packages: Path | None = None  # from `Sandbox.packages`


@dataclass(frozen=True, slots=True)
class ScriptEnd:
    """How it ended. `limit`: a field of `Limits`, `network` or `files`, that was in its way."""

    code: int  # of the process; negative for a signal
    error: str | None = None  # None = well
    limit: str | None = None
    cpu_seconds: float = 0.0
    files: Sequence[str] = field(default_factory=tuple)  # now below `outputs`


class Sandbox(Protocol):
    """An engine that shuts scripts in."""

    def check(self) -> None:
        """Raises `NoSandbox` where scripts cannot run."""

    def packages(self, requirements: Sequence[str], log: Callable[[str], None]) -> Path:
        """Wheels for requirements such as `numpy==2.1.0`; raises `NoPackages`."""

    def run(
        self,
        script: Script,
        on_output: Callable[[str], None],
        on_message: Callable[[Mapping[str, Any]], None],
    ) -> ScriptEnd:
        """Run a script to its end; raises `NoSandbox`.

        `on_output` takes what it prints, `on_message` what it tells with `carcloud_job`.
        """
