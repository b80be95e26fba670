"""The run folder: one carcloud on a data folder, and nobody else tidies it away."""

from pathlib import Path

import pytest

from carcloud.rundir import InUse, RunDir


def test_only_who_holds_it_gives_it_back(tmp_path: Path) -> None:
    mine, other = RunDir(tmp_path), RunDir(tmp_path)
    mine.claim()
    mine.write("web.json", "{}")
    other.release()  # as `carcloud migrate --check` beside a running cloud
    with pytest.raises(InUse):
        other.claim()
    other.release()
    assert (mine.folder / "web.json").exists()
    mine.release()
    assert not (mine.folder / "web.json").exists()
    other.claim()
    other.release()
