"""What ingest needs to know of a wire protocol: one `Protocol` entry each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.model.ids import Tenant


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame, or part of it, could not be read."""

    reason: str
    clause: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """The frames of one block or of several, decoded.

    `rows`: columns vehicle, time, source, digest, partial, out_of_range and VSS paths; (r,).
    Ingest checks every value against its signal; a decoder marks what it alone can know, and may
    name it in a column `flagged`, list of text.
    `row_frame`: int32 (r,), the frame each row came from
    `kinds`: text (n,), what each frame is: login, realtime, reissue, logout …
    `times`: int64 (n,), us since 1970 of each frame's own time, -1 where it has none
    `faults`: frame index -> why it, or a part of it, gave no row though it should have
    """

    rows: pa.Table
    row_frame: npt.NDArray[np.int32]
    kinds: pa.Array
    times: npt.NDArray[np.int64]
    faults: dict[int, Fault]


Decoder = Callable[[Tenant, pa.Array, pa.Array, pa.Array], DecodedFrames]
"""(tenant, vehicles: string (n,), frames: binary (n,), received: int64 us (n,)) -> what they say.

All frames of one call are of vehicles of that tenant.

`EngineError` means that the frames cannot be read for now; anything else raised is a defect.
"""
