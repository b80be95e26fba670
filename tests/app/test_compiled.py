"""What compiles ahead: every kernel of carcloud, so that nobody waits for one later."""

import re
from pathlib import Path

import pytest

import carcloud
from carcloud.app import compiled

SOURCES = Path(carcloud.__file__).parent


def test_every_folder_with_kernels_is_compiled_ahead():
    compiles = re.compile(r"\bnjit\b|\bkernel_words\b")
    files = [path for path in SOURCES.rglob("*.py") if compiles.search(path.read_text())]
    assert files
    files.remove(SOURCES / "codecs" / "kernel_words.py")  # what the kernels of all have in common
    folders = {".".join(("carcloud", *path.relative_to(SOURCES).parts[:-1])) for path in files}
    assert folders == {name.rpartition(".")[0] for name in (*compiled.INGEST, *compiled.OTHERS)}, (
        "name its module in src/carcloud/app/compiled.py"
    )


@pytest.mark.timeout(600)  # the first time it compiles
def test_all_that_is_named_can_be_warmed():
    compiled.warm((*compiled.INGEST, *compiled.OTHERS))
