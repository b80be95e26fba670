"""`<data>/run`: what the processes of one installation know of each other.

Files are readable by the owner only; one supervisor at a time holds the folder.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from carcloud.config import Settings, load


class InUse(Exception):
    """Another carcloud runs on this data folder."""


class HalfRestored(Exception):
    """A restore into this data folder has not come to its end."""


@dataclass(frozen=True, slots=True)
class StreamAccess:
    """How to reach the stream engine."""

    url: str
    user: str
    password: str


class RunDir:
    """The run folder of a data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.folder = self.data / "run"
        self.logs = self.data / "logs"
        self.mark = self.data / "restoring"  # there from a restore's first change to its last
        self._lock: IO[str] | None = None
        self._held: IO[str] | None = None

    def claim(self, *, restoring: bool = False) -> None:
        """Take the data folder for this process; raises `InUse`. Twice does no harm.

        Raises `HalfRestored` for all but a restore, where one did not come to its end.
        """
        if self._lock is not None:
            return
        if not restoring:
            self.require_whole()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUse(f"another carcloud runs on {self.data}") from None
        self._lock = lock
        for file in (*self.folder.glob("*.ready.json"), *self.folder.glob("*.restart*")):
            file.unlink()

    def require_whole(self) -> None:
        """Return if no restore was left half done here; else raise `HalfRestored`."""
        if self.mark.exists():
            raise HalfRestored(
                f"a restore into {self.data} has not come to its end: run `carcloud restore` again"
            )

    def release(self) -> None:
        """Give the data folder back; nothing happens to one that another process has."""
        if self._lock is None:
            return
        for name in ("web.json", "stream.json"):
            (self.folder / name).unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def leave(self) -> None:
        """In a fork of the process that holds the data folder: it is that process's alone."""
        if self._lock is not None:
            self._lock.close()  # the lock itself stays with the other
            self._lock = None

    def alone(self, role: str) -> None:
        """Wait until no other process holds this role, and hold it until this one ends."""
        self._held = (self.folder / f"{role}.lock").open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def write_settings(self, settings: Settings) -> None:
        """Leave the settings in force for the role processes."""
        lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in settings.items()]
        self.write("settings.toml", "\n".join(lines) + "\n")

    def settings(self) -> Settings:
        """The settings that the supervisor left."""
        return load(self.folder / "settings.toml")

    def write_stream(self, url: str, user: str, password: str) -> None:
        """Leave the stream's address and credentials for the role processes."""
        self.write("stream.json", json.dumps({"url": url, "user": user, "password": password}))

    def stream(self) -> StreamAccess:
        """Address and credentials of the stream."""
        return StreamAccess(**json.loads((self.folder / "stream.json").read_text()))

    def write_web(self, url: str, token: str) -> None:
        """Leave the console's address and a token for commands of this machine's owner."""
        self.write("web.json", json.dumps({"url": url, "token": token}))

    def kept_token(self) -> str | None:
        """The same, None where there is none yet."""
        return self.local_token() if (self.folder / "web.json").exists() else None

    def local_token(self) -> str:
        """The token that `write_web` left."""
        return str(json.loads((self.folder / "web.json").read_text())["token"])

    def ask(self, role: str) -> None:
        """Ask the supervisor to replace the processes of a role."""
        (self.folder / f"{role}.restarted").unlink(missing_ok=True)
        self.write(f"{role}.restart", "")

    def asked(self, role: str) -> bool:
        """Whether somebody has asked for it."""
        return (self.folder / f"{role}.restart").exists()

    def answer(self, role: str, problem: str) -> None:
        """The processes are replaced, or why they are not."""
        self.write(f"{role}.restarted", problem)
        (self.folder / f"{role}.restart").unlink(missing_ok=True)

    def answered(self, role: str) -> str | None:
        """The answer to `ask`; None while there is none."""
        file = self.folder / f"{role}.restarted"
        return file.read_text() if file.exists() else None

    def write_ready(self, role: str, facts: dict[str, Any]) -> None:
        """A process of a role says that it serves, and where."""
        self.write(f"{role}.{os.getpid()}.ready.json", json.dumps(facts))
        for file in self.folder.glob(f"{role}.*.ready.json"):
            if not _runs(int(file.name.split(".")[1])):
                file.unlink(missing_ok=True)

    def ready(self, role: str, pid: int) -> bool:
        """Whether the process `pid` of a role has said that it serves."""
        return (self.folder / f"{role}.{pid}.ready.json").exists()

    def facts(self, role: str) -> dict[str, Any]:
        """What the newest process of a role said when it became ready; empty before."""
        told: list[tuple[int, str]] = []
        while not told and (files := list(self.folder.glob(f"{role}.*.ready.json"))):
            for file in files:
                with suppress(FileNotFoundError):  # another process tidies up
                    told.append((file.stat().st_mtime_ns, file.read_text()))
        facts: dict[str, Any] = json.loads(max(told)[1]) if told else {}
        return facts

    def last_words(self, role: str) -> str:
        """The end of a role's log: its last message, or its last lines."""
        file = self.logs / f"{role}.log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        for line in reversed(lines[-3:]):
            try:
                return str(json.loads(line)["message"])
            except (ValueError, KeyError, TypeError):
                continue
        return " | ".join(lines[-3:]) or "no log"

    def write(self, name: str, text: str) -> None:
        """Replace a file of the run folder at once, private to the owner."""
        target = self.folder / name
        temporary = self.folder / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        temporary.replace(target)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's by now
        return False
    return True
