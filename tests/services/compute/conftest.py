"""One NATS server for the module, one scene for each test."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from carcloud.engines.stream_nats import NatsServer
from tests.services.compute.scene import ACCOUNT, ROOM, Scene, play

Play = Callable[[Callable[[Scene], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("nats")
    with NatsServer.start(folder, max_bytes=ROOM, **ACCOUNT) as server:
        yield server.ready()


@pytest.fixture
def on_scene(server: NatsServer, tmp_path: Path) -> Play:
    return lambda scenario: play(server, tmp_path, scenario)
