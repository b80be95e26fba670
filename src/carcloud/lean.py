"""What a process does without: libraries none of its work uses, and looks for garbage in vain."""

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Absent(MetaPathFinder):
    """Says of some modules that they are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is kept out of this process", name=name)
        return None


def without_pandas() -> None:
    """Where pandas is installed, pyarrow loads it with the first array: 1.4 s of CPU and 60 MB."""
    sys.meta_path.insert(0, _Absent(frozenset({"pandas"})))


def without_pydantic() -> None:
    """Where pydantic is installed, Litestar loads it for types that carcloud does not have."""
    sys.meta_path.insert(0, _Absent(frozenset({"pydantic"})))


def without_datasets() -> None:
    """With `pyarrow.dataset` DuckDB leaves conditions on Arrow data to it, for which NaN is not
    above all numbers, as it is in DuckDB's own SQL."""
    sys.meta_path.insert(0, _Absent(frozenset({"pyarrow.dataset"})))


def role() -> None:
    """Before a role, or one that will fork into roles, loads anything."""
    without_pandas()
    without_pydantic()
    without_gc_at_start()


def without_gc_at_start() -> None:
    """What is loaded at a start stays: looking for garbage in it takes a tenth of the time."""
    gc.disable()


def started() -> None:
    """From now on the collector looks for garbage, but not in what is there already.

    A look at all objects of a web process stopped it for 0.2 s; so many are there at its start
    alone. New ones are looked at in larger steps than by default (700).
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()
