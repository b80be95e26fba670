"""What ingest needs to know of a wire protocol: one `Protocol` entry each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.model.ids import Tenant

MOST_CELLS: Final = 20_000_000  # rows times columns that ingest has in memory at once


class TooWide(ValueError):
    """Rows of so many different signals that their table would not fit into memory."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(
            f"{rows:,} moments of {columns:,} signals are more than {MOST_CELLS:,} values"
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame, or part of it, could not be read."""

    reason: str
    clause: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class FurtherRows:
    """Rows of another table than `signals`.

    `rows`: columns vehicle, time, digest and those of the table but received and seq; (r,).
    Of rows with the same vehicle, time and digest only the first is kept.
    `row_frame`: int32 (r,), the frame each row came from
    """

    rows: pa.Table
    row_frame: npt.NDArray[np.int32]


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
    `further`: rows of other tables, by name
    """

    rows: pa.Table
    row_frame: npt.NDArray[np.int32]
    kinds: pa.Array
    times: npt.NDArray[np.int64]
    faults: dict[int, Fault]
    further: Mapping[str, FurtherRows] = field(default_factory=dict)


Decoder = Callable[[Tenant, pa.Array, pa.Array, pa.Array], DecodedFrames]
"""(tenant, vehicles: string (n,), frames: binary (n,), received: int64 us (n,)) -> what they say.

All frames of one call are of vehicles of that tenant. `TooWide` means fewer frames a call.

`EngineError` means that the frames cannot be read for now; anything else raised is a defect.
"""
