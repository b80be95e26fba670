"""`ports.sandbox.Sandbox` on bubblewrap."""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carcloud.engines.sandbox_bwrap import command, verdict
from carcloud.engines.sandbox_bwrap.packages import Packages
from carcloud.engines.sandbox_bwrap.supervisor import Supervisor, Watched
from carcloud.ports.sandbox import Limits, NoPackages, NoSandbox, Script, ScriptEnd

log = logging.getLogger(__name__)

_INSTALL = "install the Debian package bubblewrap"
_FIRST_USER = 1_900_000_000  # of users that own nothing; one for each process of ours
_USERS = 100_000_000
_PROBE = Limits(30, 256, 30, 16, 16, 64)


class BwrapSandbox:
    """Sandboxes on this machine. `data` is the folder that no script may ever see.

    `packages` None = scripts have the packages of this environment only.
    """

    def __init__(
        self, data: Path, packages: Packages | None = None, *, bwrap: str = "bwrap"
    ) -> None:
        self._data = data.resolve()
        self._packages = packages
        self._bwrap = bwrap
        self._as_root: bool | None = None  # None = not tried yet

    def check(self) -> None:
        """Raises `NoSandbox` where scripts cannot run."""
        self._mode()

    def packages(self, requirements: Sequence[str], log: Callable[[str], None]) -> Path:
        """Wheels for requirements; raises `NoPackages`."""
        if self._packages is None:
            detail = "scripts may use only the packages that are here (compute.requirements)"
            raise NoPackages(detail)
        return self._packages.get(requirements, log)

    def run(
        self,
        script: Script,
        on_output: Callable[[str], None],
        on_message: Callable[[Mapping[str, Any]], None],
    ) -> ScriptEnd:
        """Run a script to its end; raises `NoSandbox`."""
        return self._run(self._mode(), script, on_output, on_message)

    def _mode(self) -> bool:
        """Whether sandboxes are made as root, after the first one has been seen to work."""
        if self._as_root is None:
            self._as_root = self._probed()
        return self._as_root

    def _probed(self) -> bool:
        if shutil.which(self._bwrap) is None:
            raise NoSandbox(f"scripts cannot run here: there is no bubblewrap; {_INSTALL}")
        for path in command.shown():
            if self._data == path or self._data.is_relative_to(path):
                detail = f"the data folder lies in {path}, which scripts can read; move it"
                raise NoSandbox(f"scripts cannot run here: {detail}")
        said = ""
        for as_root in ([True] if os.geteuid() == 0 else []) + [False]:
            said = self._try(as_root)
            if not said:
                return as_root
        raise NoSandbox(
            f"scripts cannot run here: bubblewrap does not work: {said}; "
            "it needs user namespaces, which this machine or container may forbid"
        )

    def _try(self, as_root: bool) -> str:
        """Run a script that does nothing; returns what went wrong."""
        with tempfile.TemporaryDirectory(prefix="carcloud-probe-") as folder:
            for name in ("in", "out"):
                (Path(folder) / name).mkdir()
            probe = Script("print('works')", {}, Path(folder, "in"), Path(folder, "out"), _PROBE)
            said: list[str] = []
            end = self._run(as_root, probe, said.append, lambda _message: None)
        text = "".join(said).strip()
        if end.error is None and text == "works":
            return ""
        log.info("a sandbox, as root %s, does not work: %s", as_root, text or end.error)
        return text.splitlines()[-1] if text else str(end.error)

    def _run(
        self,
        as_root: bool,
        script: Script,
        on_output: Callable[[str], None],
        on_message: Callable[[Mapping[str, Any]], None],
    ) -> ScriptEnd:
        limits = script.limits
        with tempfile.TemporaryDirectory(prefix="carcloud-script-") as name:
            folder = Path(name)
            source, arguments = folder / "script.py", folder / "arguments.json"
            source.write_text(script.source)
            arguments.write_text(json.dumps(dict(script.arguments)))
            rooms = command.Rooms(
                self._bwrap, as_root, source, arguments, script.inputs, script.packages,
                limits.disk_mb,
            )  # fmt: skip
            _let_all_read([source, arguments, script.inputs, *script.inputs.rglob("*")])
            given = {
                "user": _FIRST_USER + os.getpid() % _USERS if as_root else None,
                "memory_mb": limits.memory_mb,
                "cpu_seconds": limits.cpu_seconds,
                "disk_mb": limits.disk_mb,
                "processes": limits.processes,
                "open_files": limits.open_files,
            }
            inside = [command.interpreter(), "-I", "/sandbox/inside.py"]

            def line(filters: Sequence[int]) -> list[str]:
                return [*command.command(rooms, filters), *inside]

            try:
                seen = Supervisor(line, given, limits, script.outputs, on_output, on_message).run()
            except (OSError, subprocess.SubprocessError) as error:
                raise NoSandbox(f"bubblewrap does not start: {error}") from error
        return _end(seen, limits)


def _let_all_read(paths: Iterable[Path]) -> None:
    """The script may run as a user of its own."""
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _end(seen: Watched, limits: Limits) -> ScriptEnd:
    values = {name: getattr(limits, name) for name in Limits.__dataclass_fields__}

    def ended(code: int, limit: str | None, error: str | None) -> ScriptEnd:
        if limit is not None:
            words = verdict.WORDS[limit].format(**values)
            error = f"{words} ({error})" if error else words
        return ScriptEnd(code, error, limit, seen.cpu_seconds, seen.files)

    if seen.limit is not None:
        return ended(-9, seen.limit, None)
    if seen.report is None:
        words = seen.errors.strip().splitlines()
        return ended(
            seen.code or 1, None, f"the sandbox ended: {words[-1] if words else 'unknown'}"
        )
    code = int(seen.report.get("code", 1))
    if code == 0 and seen.bad_output is not None:
        return ended(1, None, seen.bad_output)
    if code == 0:
        return ended(0, None, None)
    limit = verdict.limit_of(code, bool(seen.report.get("full")), seen.failed)
    return ended(code, limit, _failure(code, seen))


def _failure(code: int, seen: Watched) -> str:
    if seen.failed is not None:
        return f"{seen.failed.get('type')}: {seen.failed.get('text')}"[:1000]
    return f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"
