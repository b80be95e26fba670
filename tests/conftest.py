"""What holds for all tests: how busy the machine is says nothing about the code."""

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("carcloud", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carcloud")

pa.array([0])  # loads pandas, for seconds, which must not fall within what a test times

# A request of a test ends as soon as it is answered: httpx would give it up after 5 s.
for part in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, part, 60.0)

# No test asks a server of the world, whose authorities each HTTP client would read for 30 ms.
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

BEGAN = time.monotonic()
TOGETHER = ("tests/browser/", "tests/operation/")  # each shares one cloud, and a browser
LONGEST = (  # begin first, so that no worker has one of them left when the others are done
    "tests/browser/",
    "tests/ports/test_lake.py",
    "tests/test_docs_examples.py",
    "tests/web/test_contract.py",
    "tests/ports/test_stream.py",
)


class Files(LoadScopeScheduling):
    """A file goes to one worker, in the order of the files, so that what its tests share is made
    once. (Groups of xdist 3.8 have no effect with pytest 9.2: they rename tests.)"""

    def _split_scope(self, nodeid: str) -> str:
        shared = (folder for folder in TOGETHER if nodeid.startswith(folder))
        return next(shared, nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        ranks = (at for at, place in enumerate(LONGEST) if item.nodeid.startswith(place))
        return next(ranks, len(LONGEST))

    items.sort(key=rank)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "begin no test later than so many seconds after the start; those left out are told"
    parser.addoption("--box", type=float, metavar="SECONDS", help=text)


def pytest_runtest_setup(item: pytest.Item) -> None:
    box = item.config.getoption("--box")
    if box is not None and time.monotonic() - BEGAN > box:
        pytest.skip(f"the time box of {box:.0f} s is over")
