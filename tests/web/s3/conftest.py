"""The S3 interface on granian in this process: two tenants, real records and blobs."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED
from carcloud.model.time import now_us
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import Tenancy
from carcloud.web.rates import RequestRates
from carcloud.web.s3.access import Denial
from carcloud.web.s3.application import S3Application
from carcloud.web.serve import serve_plain

DOMAIN = "s3.localhost"
ACTIONS = frozenset(
    f"{things}:{verb}" for things in ("buckets", "objects") for verb in ("read", "write", "delete")
)


@dataclass(frozen=True)
class Who:
    user: str
    tenant: Tenant
    actions: frozenset[str] = ACTIONS
    project: str | None = None

    def may(self, action: str, project: str | None = None) -> bool:
        return action in self.actions and self.project in (None, project)


@dataclass(frozen=True)
class Key:
    id: str
    secret: str
    identity: Who


KEYS = {
    key.id: key
    for key in (
        Key("a" * 16, "secret-of-a", Who("ann", Tenant("alpha"))),
        Key("b" * 16, "secret-of-b", Who("bob", Tenant("beta"))),
        Key(
            "c" * 16,
            "secret-of-c",
            Who("cleo", Tenant("alpha"), frozenset({"buckets:read", "objects:read"})),
        ),
        Key("d" * 16, "secret-of-d", Who("dora", Tenant("alpha"), ACTIONS, "side")),
    )
}


@dataclass
class Store:
    """The running interface as a test sees it."""

    url: str
    port: int
    storage: Storage
    application: S3Application
    data: Path
    denials: list[Denial] = field(default_factory=list)
    keys: dict[str, Key] = field(default_factory=lambda: dict(KEYS))
    limits: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # requests each second, by tenant
    clock_us: int = 0  # added to the clock of the service
    skew: timedelta = timedelta(0)  # added to the clock that checks signatures

    def boto(self, who: str = "a", **config: Any) -> Any:
        key = self.keys[who * 16]
        given = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}, **config}
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            region_name="us-east-1",
            config=Config(**given),
        )

    def files(self) -> list[Path]:
        """Every blob that lies on the disk."""
        return [path for path in (self.data / "blobs").rglob("*") if path.is_file()]

    def send(self, data: bytes, *, cut: bool = False) -> bytes:
        """Raw bytes on a connection of their own; with `cut`, hang up instead of reading."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as link:
            link.sendall(data)
            if cut:
                return b""
            got = b""
            while piece := link.recv(65536):
                got += piece
            return got


@contextmanager
def running(data: Path, sealed: bool = False, records: str = "") -> Iterator[Store]:
    """A store on `data`; with `sealed`, tenant alpha's bytes are sealed."""
    base = SqlRecords(records or f"sqlite:///{data / 'records.sqlite'}")
    Tenancy(base)
    for tenant in ("alpha", "beta"):
        Tenancy(base).tenants.ensure(tenant)
    held: list[Store] = []
    storage = Storage(
        base,
        ObjectBlobs(data / "blobs"),
        secret=bytes(range(32)),
        limit=lambda _tenant, name: held[0].limits.get(name, UNLIMITED),
        now=lambda: now_us() + held[0].clock_us,
    )
    application = S3Application(
        storage,
        lambda name: held[0].keys.get(name),  # noqa: PLW0108 - there is none yet
        domain=DOMAIN,
        tell_denial=lambda denial: held[0].denials.append(denial),  # noqa: PLW0108
        rates=RequestRates(lambda tenant: held[0].rates.get(tenant, UNLIMITED)),
        now=lambda: datetime.now(UTC) + held[0].skew,
    )
    held.append(Store("", 0, storage, application, data))
    if sealed:
        storage.places.change(Tenant("alpha"), url=None, options=None, sealed=True, actor="test")
    with served(application) as port:
        held[0].url, held[0].port = f"http://127.0.0.1:{port}", port
        yield held[0]
    application.close()
    base.close()


@contextmanager
def served(application: Any) -> Iterator[int]:
    """An ASGI application on a free port, in a thread with a loop of its own."""
    ready = threading.Event()
    found: list[Any] = []

    async def main() -> None:
        async with serve_plain(application, "127.0.0.1", 0) as address:
            stop = asyncio.Event()
            found.extend((address.port, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(60)
    port, loop, stop = found
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def sealed_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("sealed"), sealed=True) as store:
        yield store


@pytest.fixture
def bucket(store: Store, request: pytest.FixtureRequest) -> str:
    """An empty bucket of alpha's."""
    name = f"b-{abs(hash(request.node.nodeid)) % 10**12}"
    store.boto().create_bucket(Bucket=name)
    return name


Refused = Callable[..., str]


@pytest.fixture
def refused() -> Refused:
    """`refused(call, **arguments)` is the code with which a boto3 call fails."""

    def code(call: Any, **arguments: Any) -> str:
        with pytest.raises(ClientError) as told:
            call(**arguments)
        return str(told.value.response["Error"]["Code"])

    return code
