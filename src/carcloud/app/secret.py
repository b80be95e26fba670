"""The installation's secret, which seals vehicles' keys in the records."""

import contextlib
import os
import secrets
from pathlib import Path

from carcloud.config import InvalidSetting, Settings

_SIZE = 32


def sealing_secret(settings: Settings) -> bytes:
    """The secret of the installation; in the data folder it is made on first use, readable by the
    owner only.

    Raises `InvalidSetting` when the file is there but was cut short, or `secret_file` is not there.
    """
    named = settings.text("secret_file")
    file = Path(named) if named else Path(settings.text("data")) / "secret"
    if not file.exists():
        if named:
            raise InvalidSetting(
                f"secret_file {file} is not there: make it once, of {_SIZE} random bytes, and give "
                "every machine the same"
            )
        _make(file)
    secret = file.read_bytes()[:_SIZE]
    if len(secret) < _SIZE:
        raise InvalidSetting(
            f"{file} holds {len(secret)} bytes and not {_SIZE}: the keys of vehicles were sealed "
            "with the whole of it. Bring it back from a copy; without one, remove it and give the "
            "vehicles new keys"
        )
    return secret


def _make(file: Path) -> None:
    """The file appears whole, or not at all; of several processes one is first."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_bytes(_SIZE))
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
    finally:
        draft.unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
