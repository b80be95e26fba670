"""From samples by name to the columns of `signals`, all rows of a call at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.model.catalogue import Signal
from carcloud.services.telemetry.protocols import MOST_CELLS, TooWide
from carcloud.services.telemetry.samples_cast import Cast, cast, mixed, word

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Laid:
    """Samples laid out as a table of r rows.

    `columns`: Arrow array (r,) of each path. `digest`: int64 (r,), of what the columns hold.
    `kept`, `given`: int64 (r,), how many samples the columns hold, and how many there were.
    `wrong`: (row, what is wrong with a sample of it) of each left out.
    """

    columns: dict[str, pa.Array]
    digest: Ints
    kept: Ints
    given: Ints
    wrong: list[tuple[int, str]]


class _Index(dict[str, int]):
    """Numbers for names, in order of first mention."""

    def __missing__(self, name: str) -> int:
        self[name] = number = len(self)
        return number


def lay_out(rows: Sequence[Mapping[str, Any]], catalogue: Mapping[str, Signal]) -> Laid:
    """The samples of each row in the columns of their signals; raises `TooWide`."""
    given = np.fromiter(map(len, rows), np.int64, len(rows))
    index, total = _Index(), int(given.sum())
    names = chain.from_iterable(rows)
    codes = np.fromiter(map(index.__getitem__, names), np.int64, total)
    # object arrays are filled one by one, so that values that are lists stay values
    values = np.fromiter(chain.from_iterable(row.values() for row in rows), np.object_, total)
    owner = np.repeat(np.arange(len(rows)), given)
    columns = sum(name in catalogue for name in index)
    if len(rows) * columns > MOST_CELLS:
        raise TooWide(len(rows), columns)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(index) + 1))
    digest = np.zeros(len(rows), np.uint64)
    laid = Laid({}, digest.view(np.int64), np.zeros_like(given), given, [])
    for name, code in index.items():
        these = order[bounds[code] : bounds[code + 1]]
        signal = catalogue.get(name)
        if signal is None:
            reason = f"{name[:100]}: not in the catalogue"
            laid.wrong += [(row, reason) for row in owner[these].tolist()]
            continue
        _place(laid, digest, signal, owner[these], cast(values[these].tolist(), signal))
    return laid


def _place(
    laid: Laid, digest: npt.NDArray[np.uint64], signal: Signal, owner: Ints, made: Cast
) -> None:
    """A column; a row has at most one value of a signal."""
    for place, reason in made.wrong.items():
        laid.wrong.append((int(owner[place]), f"{signal.path}: {reason}"))
    if not len(made.which):
        return
    rows = owner[made.which]
    digest[rows] += mixed(made.words ^ np.uint64(word(signal.path.encode())))
    laid.kept[rows] += 1
    count = len(digest)
    if len(rows) == count:  # rows come in order
        laid.columns[signal.path] = made.column
        return
    where = np.full(count, -1, np.int64)
    where[rows] = np.arange(len(rows))
    laid.columns[signal.path] = made.column.take(pa.array(where, mask=where < 0))
