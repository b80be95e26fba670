"""The installation's secret, which seals vehicles' keys in the records."""

import os
import secrets
from pathlib import Path

from carcloud.config import Settings

_SIZE = 32


def sealing_secret(settings: Settings) -> bytes:
    """The secret of the data folder; made on first use, readable by the owner only."""
    file = Path(settings.text("data")) / "secret"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_bytes()[:_SIZE]
    with os.fdopen(descriptor, "wb") as out:
        secret = secrets.token_bytes(_SIZE)
        out.write(secret)
    return secret
