"""One vocabulary: how fast CAN logs, and the protocols beside them, become signals.

Each part tells its method in its own module: `bench/vocabulary_can.py` decodes CAN logs.
"""

from collections.abc import Iterator

from bench import Row, vocabulary_can

PARTS = (vocabulary_can,)


def rows(small: bool = False) -> Iterator[Row]:
    """The figures of all parts, as they come; `small` measures on little input."""
    for part in PARTS:
        yield from part.figures(small)
