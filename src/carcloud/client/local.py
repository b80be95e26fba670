"""Where a carcloud listens, and what lets us in."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from carcloud.client.errors import NoCarcloud, UnreadableAccess
from carcloud.config import Settings, load

DEMO_DATA = Path(".carcloud/demo")  # where `carcloud demo` keeps its data by default


@dataclass(frozen=True, slots=True)
class Access:
    """Where a carcloud listens and what lets us in; the token may be empty."""

    url: str
    token: str = field(repr=False)


def find_access(
    url: str | None = None, token: str | None = None, settings: Settings | None = None
) -> Access:
    """The carcloud that `url` names, or else the one that runs on this machine.

    That is the one on the settings' data folder, or a demo that was started in this folder.
    Raises `NoCarcloud`, or `UnreadableAccess` for the file that a running one leaves.
    """
    if url:
        return Access(url.rstrip("/"), token or "")
    settings = settings or load()
    folders = [Path(settings.text("data"))]
    if settings["data"] == Settings()["data"]:
        folders.append(DEMO_DATA)
    files = [folder / "run" / "web.json" for folder in folders]
    file = next((file for file in files if file.exists()), None)
    if file is None:
        raise NoCarcloud(f"no carcloud runs on the data folder {settings.text('data')}")
    return _running(file, token)


def _running(file: Path, token: str | None) -> Access:
    try:
        running = json.loads(file.read_text())
        return Access(str(running["url"]).rstrip("/"), token or str(running.get("token", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableAccess(f"{file} cannot be read: {error}") from error
