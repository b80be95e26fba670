"""`<data>/run`: what the processes of one installation know of each other.

Files are readable by the owner only; one supervisor at a time holds the folder.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from carcloud.config import Settings, load


class InUse(Exception):
    """Another carcloud runs on this data folder."""


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
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Take the data folder for this process; raises `InUse`. Twice does no harm."""
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUse(f"another carcloud runs on {self.data}") from None
        self._lock = lock
        for file in self.folder.glob("*.ready.json"):
            file.unlink()

    def release(self) -> None:
        """Give the data folder back."""
        for name in ("web.json", "stream.json"):
            (self.folder / name).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

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

    def local_token(self) -> str:
        """The token that `write_web` left."""
        return str(json.loads((self.folder / "web.json").read_text())["token"])

    def write_ready(self, role: str, facts: dict[str, Any]) -> None:
        """A role says that it serves, and where."""
        self.write(f"{role}.ready.json", json.dumps({"pid": os.getpid(), **facts}))

    def ready(self, role: str, pid: int) -> bool:
        """Whether the role process `pid` has said that it serves."""
        return self.facts(role).get("pid") == pid

    def facts(self, role: str) -> dict[str, Any]:
        """What a role said when it became ready; empty before."""
        try:
            facts: dict[str, Any] = json.loads((self.folder / f"{role}.ready.json").read_text())
        except FileNotFoundError:
            return {}
        return facts

    def forget_ready(self, role: str) -> None:
        """The role is about to be started anew."""
        (self.folder / f"{role}.ready.json").unlink(missing_ok=True)

    def ready_files(self) -> Iterator[tuple[str, Path]]:
        """(role, file) of the roles that are ready."""
        for file in sorted(self.folder.glob("*.ready.json")):
            yield file.name.removesuffix(".ready.json"), file

    def last_words(self, role: str) -> str:
        """The end of a role's log."""
        file = self.logs / f"{role}.log"
        if not file.exists():
            return "no log"
        return " | ".join(file.read_text(errors="replace").splitlines()[-3:])

    def write(self, name: str, text: str) -> None:
        """Replace a file of the run folder at once, private to the owner."""
        target = self.folder / name
        temporary = self.folder / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        temporary.replace(target)
