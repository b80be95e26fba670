"""How the gateway writes down in a frame block why it refused a frame."""

import json

from carcloud.codecs.errors import FrameError


def fault_text(error: FrameError) -> str:
    """The `fault` column of a frame block; ingest reads it back."""
    return json.dumps(
        {
            "reason": f"{error.code}: {error.detail}",
            "clause": error.clause,
            "offset": error.offset,
        }
    )
