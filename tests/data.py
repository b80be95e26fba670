"""Where the shared test data lies: `CARCLOUD_TEST_DATA`, or `../shared/data` next to the tree."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(relative: str) -> Path:
    """The path of a shared data file; skips the test, with the reason, where it is absent."""
    folder = Path(os.environ.get("CARCLOUD_TEST_DATA", _BESIDE))
    path = folder / relative
    if not path.exists():
        pytest.skip(f"no {relative} in {folder}; set CARCLOUD_TEST_DATA to the test data")
    return path
