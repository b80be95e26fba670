"""The compiled kernels: what a machine compiles once and each process then loads.

`python -m carcloud.app.compiled` compiles all of them, as many at a time as there are cores.
"""

import importlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

INGEST: Final = (
    "carcloud.codecs.gbt32960.columnar",
    "carcloud.codecs.jt808.columnar",
    "carcloud.kernels.geo",
)
OTHERS: Final = (
    "carcloud.codecs.can.candump_kernel",
    "carcloud.codecs.dbc.columnar",
    "carcloud.codecs.s3.crc_kernel",
)


def warm(modules: Sequence[str]) -> None:
    """Load the kernels of these modules; what this machine has not compiled yet takes seconds."""
    for name in modules:
        importlib.import_module(name).warm()


def main() -> None:
    """Compile what is not compiled yet."""
    # The longest come first: each is compiled in one process.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        list(pool.map(warm, [(name,) for name in (*INGEST, *OTHERS)]))


if __name__ == "__main__":
    main()
