"""What holds for all tests: how busy the machine is says nothing about the code."""

import time

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("carcloud", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carcloud")

pa.array([0])  # loads pandas, for seconds, which must not fall within what a test times

BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "begin no test later than so many seconds after the start; those left out are told"
    parser.addoption("--box", type=float, metavar="SECONDS", help=text)


def pytest_runtest_setup(item: pytest.Item) -> None:
    box = item.config.getoption("--box")
    if box is not None and time.monotonic() - BEGAN > box:
        pytest.skip(f"the time box of {box:.0f} s is over")
