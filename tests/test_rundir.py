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


def test_facts_are_told_while_processes_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path)
    assert run.facts("web") == {}
    run.claim()
    gone = run.folder / f"web.{2**22 + 1}.ready.json"  # above every process id of Linux
    gone.write_text('{"url": "old"}')
    seen, unlink = [], Path.unlink

    def look(file: Path, missing_ok: bool = False) -> None:
        seen.append(run.facts("web"))
        unlink(file, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", look)
        run.write_ready("web", {"url": "new"})
    assert seen == [{"url": "new"}]  # never without any
    assert not gone.exists()
    gone.symlink_to(run.folder / "nothing")  # as one that is gone between the look and the reading
    assert run.facts("web") == {"url": "new"}
    run.release()
