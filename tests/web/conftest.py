"""A whole small cloud in this process: real engines, real ingest, the web role on granian.

Frames of the protocol `test` are JSON objects of signal values, with `t` = time in us.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from argon2 import PasswordHasher
from litestar import Litestar
from tests.services.compute.kinds import Given

from carcloud.app.command_checks import CHECKS
from carcloud.app.engines import LAKE_TABLES, open_own_blobs
from carcloud.app.schema.tables import TABLES
from carcloud.config import Settings
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.openid_http import OpenIdHttp
from carcloud.engines.records_sql import SqlRecords
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.model.blocks import pack
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.streams import frames_subject, sessions_subject, status_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import QueryLimits
from carcloud.services.campaigns.api import Campaigns, DryRun, Follow
from carcloud.services.commands.api import Commands
from carcloud.services.compliance.api import Compliance, PlatformAccounts
from carcloud.services.compute.api import Jobs, Kinds, Runner, RunnerOptions
from carcloud.services.compute.query_export import KIND as QUERY_EXPORT
from carcloud.services.metering.api import Metering
from carcloud.services.metering.periods import (
    HOUR_US,
    first_hour,
    following,
    hour_of,
    period_of,
)
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry import can_import, redecode, status
from carcloud.services.telemetry.api import Ingest, QueryOptions, Telemetry
from carcloud.services.telemetry.protocols import DecodedFrames, Fault
from carcloud.services.telemetry.status import Report
from carcloud.services.telemetry.work import Work
from carcloud.services.tenancy.api import (
    EVERYTHING,
    INSTALLATION,
    SYSTEM,
    Exists,
    Passwords,
    Tenancy,
)
from carcloud.services.tenant_life.api import (
    Census,
    Contents,
    Deleter,
    Maker,
    Reach,
    Steps,
    TenantLife,
)
from carcloud.services.vehicles.api import NewVehicle, Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.web.application import Services, create_app
from carcloud.web.given import CampaignParts
from carcloud.web.serve import serve

T = TypeVar("T")
PASSWORD = "correct horse battery"
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))  # weak, for tests
ROOM = 1 << 30  # bytes
PATIENCE_S = 60.0  # for what ends as soon as it has happened
ANY_TIME_S = 600  # of a query: longer than a test
SPEED = "Vehicle.Speed"
CELLS = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"
KINDS: dict[str, pa.DataType] = {
    SPEED: pa.float32(),
    "Vehicle.CurrentLocation.Longitude": pa.float64(),
    "Vehicle.CurrentLocation.Latitude": pa.float64(),
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed": pa.float32(),
    "Vehicle.Regulatory.AlarmLevel": pa.int16(),
    "Vehicle.Regulatory.AlarmCodes": pa.list_(pa.string()),
    CELLS: pa.list_(pa.float32()),
}


def no_work() -> Work:
    """The jobs of this cloud cannot do these kinds: tests look at what was submitted."""
    raise RuntimeError("no work on history here")


HISTORY = (can_import.kind(no_work), redecode.kind(no_work))


def _decoded(data: bytes, edition: str | None) -> dict[str, Any]:
    """A frame of protocol `test`, and the edition that its vehicle has told."""
    told = {} if edition is None else {"edition": edition}
    return {**json.loads(data), **told}


def columns_of(lake: DeltaLake, tenant: Tenant) -> dict[str, str]:
    """The columns of a tenant's signals."""
    return dict(next((one.columns for one in lake.tables(tenant) if one.name == "signals"), ()))


@dataclass
class Decoder:
    """Reads test frames; a frame with `bad` is refused until `lenient` is set."""

    lenient: bool = False

    def __call__(
        self, tenant: Tenant, vehicles: pa.Array, frames: pa.Array, received: pa.Array
    ) -> DecodedFrames:
        rows: list[dict[str, Any]] = []
        of_frame: list[int] = []
        faults: dict[int, Fault] = {}
        times = np.full(len(frames), -1, np.int64)
        pairs = zip(vehicles.to_pylist(), frames.to_pylist(), strict=True)
        for i, (vehicle, frame) in enumerate(pairs):
            try:
                told = json.loads(frame)
            except ValueError:
                faults[i] = Fault("not JSON", "test clause 1", 0)
                continue
            if told.pop("bad", False) and not self.lenient:
                faults[i] = Fault("says it is bad", "test clause 2", 3)
                continue
            times[i] = told.pop("t")
            digest = hash(frame) >> 1
            rows.append({"vehicle": vehicle, "time": int(times[i]), "digest": digest, **told})
            of_frame.append(i)
        return DecodedFrames(
            rows=_table(rows),
            row_frame=np.array(of_frame, np.int32),
            kinds=pa.array(["realtime"] * len(frames), pa.string()),
            times=times,
            faults=faults,
        )


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    fixed = {"source": "test.realtime", "partial": False, "out_of_range": False}
    schema = pa.schema(
        [
            ("vehicle", pa.string()),
            ("time", pa.timestamp("us", "UTC")),
            ("source", pa.string()),
            ("digest", pa.int64()),
            ("partial", pa.bool_()),
            ("out_of_range", pa.bool_()),
            *KINDS.items(),
        ]
    )
    return pa.Table.from_pylist([{**fixed, **row} for row in rows], schema)


class TellingIngest(Ingest):
    """Remembers up to which sequence the listeners have been told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dealt_with = 0
        self.told: dict[Tenant, int] = {}  # up to the last rows of each

    async def _tell(self, live: Mapping[Tenant, list[bytes]]) -> None:
        await super()._tell(live)
        for tenant, messages in live.items():
            rows = pa.ipc.open_stream(messages[-1]).read_all()
            self.told[tenant] = max(rows["seq"].to_pylist())
        self.dealt_with = self._reached


@dataclass
class Cloud:
    """The running cloud as a test sees it."""

    url: str
    tenancy: Tenancy
    vehicles: Vehicles
    telemetry: Telemetry
    stream: NatsStream
    decoder: Decoder
    ingest: TellingIngest
    loop: asyncio.AbstractEventLoop
    app: Litestar
    storage: Storage
    commands: Commands
    maker: Maker
    deleter: Deleter
    site: dict[str, float]  # what a test changes: days, second_person, ahead_us
    data: Path
    _published: int = field(default=0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the cloud's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    @contextmanager
    def client(self, user: str = "tester") -> Iterator[httpx.Client]:
        """Somebody who is signed in."""
        with httpx.Client(base_url=self.url, timeout=PATIENCE_S) as client:
            answer = client.post("/v1/session", json={"user": user, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            yield client

    def settle(self, tenant: str, user: str) -> None:
        """A new tenant, and somebody who administers it."""
        self.tenancy.tenants.ensure(tenant)
        self.tenancy.people.create(Tenant(tenant), user, PASSWORD, "owner", by=SYSTEM)

    @contextmanager
    def administering(self, user: str = "tester") -> Iterator[None]:
        """The user administers the installation, for so long: other tests share this cloud."""
        grants = self.tenancy.grants
        with suppress(Exists):
            grants.grant(INSTALLATION, user, "administrator", EVERYTHING, by=SYSTEM)
        try:
            yield
        finally:
            for one in grants.all(INSTALLATION, user):
                grants.revoke(INSTALLATION, one.id, by=SYSTEM)

    def register(self, *names: str, tenant: Tenant = DEFAULT_TENANT, **more: Any) -> None:
        for name in names:
            self.vehicles.create(tenant, NewVehicle(id=name, **more), actor="test")

    def send(self, vehicle: str, *frames: bytes, tenant: Tenant = DEFAULT_TENANT) -> int:
        """Publish frames and wait until ingest has them, and the twin if somebody looks at it;
        returns their stream sequence."""
        return self._publish(vehicle, frames, [None] * len(frames), tenant)

    def refuse(self, vehicle: str, frame: bytes, *reasons: str) -> int:
        """As `send`, of a frame that the gateway would not take, for each reason."""
        faults = [json.dumps({"reason": one, "clause": "B.1", "offset": 2}) for one in reasons]
        return self._publish(vehicle, [frame] * len(faults), faults, DEFAULT_TENANT)

    def _publish(
        self, vehicle: str, frames: Sequence[bytes], faults: Sequence[str | None], tenant: Tenant
    ) -> int:
        self._published += 1
        count = len(frames)
        block = pack([vehicle] * count, [now_us()] * count, list(faults), list(frames))
        name = f"test-{self._published}"
        seq = self.run(self._kept(frames_subject(tenant, "test"), block, name))
        until(lambda: self.ingest.dealt_with >= seq)
        until(lambda: self._twin_is_at(tenant))
        return seq

    async def _kept(self, subject: str, block: bytes, name: str) -> int:
        """As a gateway: again where a busy disk was too slow for an answer in time."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(Unavailable):
                    return await self.stream.publish(subject, block, name)

    def _twin_is_at(self, tenant: Tenant) -> bool:
        followed = self.telemetry._twins._kept.get(tenant)
        return followed is None or followed.seq >= self.ingest.told.get(tenant, 0)

    def tell_sessions(self, message: dict[str, Any], tenant: Tenant = DEFAULT_TENANT) -> None:
        """Tell, and wait until it has been heard where the tenant is followed."""
        followed, name = self.telemetry._presence._tenants.get(tenant), message["instance"]

        def heard() -> float:
            known = None if followed is None else followed.gateways.get(name)
            return 0.0 if known is None else known.heard

        before, data = heard(), json.dumps(message).encode()
        self.run(self.stream.broadcast(sessions_subject(tenant), data))
        if followed is not None:
            until(lambda: heard() > before)

    def tell_status(self, report: dict[str, Any]) -> None:
        """Tell, and wait until it has been heard."""
        who, data = (report["role"], report["instance"]), json.dumps(report).encode()
        self.run(self.stream.broadcast(status_subject(*who), data))
        told, heard = msgspec.json.decode(data, type=Report), self.telemetry._board._processes
        until(lambda: who in heard and heard[who].report == told)


def until(holds: Callable[[], object]) -> None:
    """Wait for something that another thread, or process, is about to do."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def within_a_month() -> None:
    """Wait for the next one if this one (UTC) is about to end: what is told of a month must not
    fall into two."""
    ends_us = first_hour(following(period_of(hour_of(now_us())))) * HOUR_US
    if (left_us := ends_us - now_us()) < 60_000_000:
        time.sleep(left_us / 1e6 + 0.1)


def frame(t: int, **signals: Any) -> bytes:
    """A test frame; keywords `speed`, `lon`, `lat`, `soc`, `alarm`, `codes`, `cells`, `bad`."""
    short = dict(zip(("speed", "lon", "lat", "soc", "alarm", "codes", "cells"), KINDS, strict=True))
    return json.dumps({"t": t, **{short.get(k, k): v for k, v in signals.items()}}).encode()


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., bytes]:
    return frame


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A console as Vite would build it."""
    root = tmp_path_factory.mktemp("pages")
    (root / "index.html").write_text("<!doctype html><title>console</title>")
    (root / "assets").mkdir()
    (root / "assets" / "index-abc123.js").write_text("export {}")
    (root.parent / "secret.txt").write_text("not for you")
    return root


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, pages: Path) -> Iterator[Cloud]:
    data = tmp_path_factory.mktemp("cloud")
    ready = threading.Event()
    held: list[Cloud] = []
    failed: list[BaseException] = []

    async def main(server: NatsServer) -> None:
        async with _running(server, data, pages) as (cloud, stop):
            held.append(cloud)
            stops.append(stop)
            ready.set()
            await stop.wait()

    stops: list[asyncio.Event] = []

    def work(server: NatsServer) -> None:
        try:
            asyncio.run(main(server))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
            ready.set()

    with NatsServer.start(data / "nats", user="u", password="p" * 24, max_bytes=ROOM) as server:
        server.ready()
        thread = threading.Thread(target=work, args=(server,))
        thread.start()
        assert ready.wait(2 * PATIENCE_S)
        if failed:
            raise failed[0]
        yield held[0]
        held[0].loop.call_soon_threadsafe(stops[0].set)
        thread.join(PATIENCE_S)
        assert not failed and not thread.is_alive(), failed


class _running:
    """The parts of the cloud on one loop."""

    def __init__(self, server: NatsServer, data: Path, pages: Path) -> None:
        self.server, self.data, self.pages = server, data, pages

    async def __aenter__(self) -> tuple[Cloud, asyncio.Event]:
        url = f"nats://127.0.0.1:{self.server.port}"
        account = {"user": "u", "password": "p" * 24, "max_bytes": ROOM, "timeout_s": PATIENCE_S}
        self.stream = await NatsStream.connect(url, **account)  # type: ignore[arg-type]
        self.records = SqlRecords(f"sqlite:///{self.data / 'records.sqlite'}")
        lake = DeltaLake(self.data / "tenants", known=LAKE_TABLES)
        blobs = ObjectBlobs(str(self.data / "blobs"))
        decoder = Decoder()
        self.ingest = TellingIngest(
            self.stream,
            lake,
            {"test": decoder},
            commit_s=0.1,
            commit_rows=1000,
            future_s=1e9,
            dedup_entries=10_000,
        )
        self.ingesting = asyncio.create_task(self.ingest.run())
        provider_web = OpenIdHttp(private=True, whole_s=PATIENCE_S)
        tenancy = Tenancy(
            self.records, secret=bytes(32), passwords=QUICK, provider_web=provider_web
        )
        vehicles = Vehicles(self.records)
        tenancy.tenants.ensure("default")
        tenancy.tenants.ensure("other")
        for user, tenant, role in (
            ("tester", "default", "owner"),
            ("viewer", "default", "viewer"),
            ("stranger", "other", "owner"),
            ("keeper", "default", "viewer"),
        ):
            tenancy.people.create(Tenant(tenant), user, PASSWORD, role, by=SYSTEM)
        # the last administrator cannot be removed, those of single tests can
        tenancy.grants.grant(INSTALLATION, "keeper", "administrator", EVERYTHING, by=SYSTEM)
        vocabulary = Vocabulary(self.records, held=lambda tenant: columns_of(lake, tenant))
        telemetry = Telemetry(
            lake,
            self.stream,
            blobs,
            self.records,
            data=self.data,
            signals=vocabulary.catalogue,
            decoders={"test": _decoded},
            options=QueryOptions(QueryLimits(seconds=ANY_TIME_S)),
        )
        compliance = Compliance(self.records, lake, secret=bytes(32), frames_days=30)
        platforms = PlatformAccounts(self.records)
        jobs = Jobs(self.records, blobs, self.stream, Kinds([QUERY_EXPORT, *HISTORY]))
        self.runner = asyncio.create_task(self._jobs_role(blobs).run())
        storage = Storage(self.records, blobs, secret=bytes(32), open_blobs=open_own_blobs)
        site = {"days": 0.0, "second_person": False, "ahead_us": 0}
        life = TenantLife(
            self.records, storage,
            days=lambda: site["days"], second_person=lambda: bool(site["second_person"]),
        )  # fmt: skip
        campaigns = CampaignParts(
            Campaigns(self.records, self.stream, catalogue=vocabulary.catalogue),
            DryRun(lake, Metering(self.records).price),
            Follow(self.records, lake),
        )
        services = Services(
            tenancy, vehicles, vocabulary, Mappings(self.records, vocabulary.catalogue),
            telemetry, Commands(self.records, self.stream, secret=bytes(32), checks=CHECKS),
            campaigns, compliance, platforms, jobs, storage, Metering(self.records), life,
        )  # fmt: skip
        settings = Settings({"web.max_body_mb": 1})
        self.app = app = create_app(services, settings, pages=self.pages)
        self.web = serve(app, "127.0.0.1", 0)
        address = await self.web.__aenter__()
        loop = asyncio.get_running_loop()
        contents = Contents(self.records, lake, blobs, storage, Reach(TABLES))
        maker = Maker(
            self.records, storage, contents,
            version="0", days=lambda: 1.0, room=lambda: None, now=now_us,
        )  # fmt: skip
        steps = Steps(
            self.records, lake, blobs, self.stream, storage, jobs, Reach(TABLES),
            {"FRAMES": "ingest"},
        )  # fmt: skip
        deleter = Deleter(
            self.records, Census(self.records, lake, self.stream, Reach(TABLES)), steps,
            settle_s=0.3, now=lambda: now_us() + int(site["ahead_us"]),
        )  # fmt: skip
        cloud = Cloud(
            address.url, tenancy, vehicles, telemetry, self.stream, decoder, self.ingest, loop,
            app, storage, services.commands, maker, deleter, site, self.data,
        )  # fmt: skip
        return cloud, asyncio.Event()

    def _jobs_role(self, blobs: ObjectBlobs) -> Runner:
        self.compute = LocalCompute(cpus=2, memory_mb=4000, places=2, warm=0)
        folder = str(self.data)
        options = RunnerOptions(
            "here/1",
            "tests.services.compute.kinds:work",
            lambda order: msgspec.msgpack.encode(Given(folder, order)),
        )
        return Runner(
            self.records, blobs, self.stream, self.compute, options, limit=lambda _tenant: 10
        )

    async def __aexit__(self, *_: object) -> None:
        self.runner.cancel()
        await asyncio.gather(self.runner, return_exceptions=True)
        await self.compute.close()
        await self.web.__aexit__(None, None, None)
        self.ingest.stop()
        await asyncio.wait_for(self.ingesting, PATIENCE_S)
        await self.stream.close()
        self.records.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that told of themselves once are alive until the test has looked."""
    monkeypatch.setattr(status, "SILENT_S", PATIENCE_S)


@pytest.fixture
def client(cloud: Cloud) -> Iterator[httpx.Client]:
    with cloud.client() as client:
        yield client


@pytest.fixture
def anybody(cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cloud.url, timeout=PATIENCE_S) as client:
        yield client
