"""The Python client, blocking and asynchronous, against a whole small cloud."""

import asyncio
import datetime
import inspect
import io
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import carcloud.client as cc
from carcloud.app.tokens import local_key
from carcloud.client.methods import AsyncGroup

SPEED = "Vehicle.Speed"
BASE = 1_770_000_000_000_000  # us
LONG = "SELECT count(*) FROM range(1000000000000)"


class Awaited:
    """An asynchronous client whose methods are awaited here, and whose lists are gone through."""

    def __init__(self, group: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._group, self._loop = group, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._group, name)
        if isinstance(found, AsyncGroup):
            return Awaited(found, self._loop)
        return self._called(found) if callable(found) else found

    def _called(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def bound(*args: Any, **kwargs: Any) -> Any:
            made = method(*args, **kwargs)
            assert inspect.isawaitable(made) or isinstance(made, AsyncIterator)
            return self._loop.run_until_complete(_all(made))

        return bound


async def _all(made: AsyncIterator[Any] | Coroutine[Any, Any, Any]) -> Any:
    return iter([one async for one in made]) if isinstance(made, AsyncIterator) else await made


@pytest.fixture(params=["blocking", "asynchronous"])
def carcloud(cloud: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    token = local_key(cloud.tenancy)
    if request.param == "blocking":
        with cc.Client(cloud.url, token) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    client = cc.AsyncClient(cloud.url, token)
    yield Awaited(client, loop)
    loop.run_until_complete(client.close())
    loop.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of its own for each test and client."""
    return "".join(c for c in request.node.name if c.isalnum())[-36:]


def test_a_vehicle_from_registration_to_retirement(carcloud: Any, name: str) -> None:
    made = carcloud.vehicles.create(name, labels={"depot": "north"})
    assert (made.id, made.lifecycle, made.labels) == (name, "registered", {"depot": "north"})
    assert made.created.tzinfo is not None
    with pytest.raises(cc.Conflict) as error:
        carcloud.vehicles.create(name)
    assert error.value.errors[0].field == "id"
    changed = carcloud.vehicles.change(
        name, made.etag, lifecycle="active", labels={"depot": None, "line": "a"}
    )
    assert (changed.lifecycle, changed.labels) == ("active", {"line": "a"})
    with pytest.raises(cc.Changed):
        carcloud.vehicles.change(name, made.etag, lifecycle="suspended")
    assert carcloud.vehicles.get(name).etag == changed.etag
    assert carcloud.vehicles.retire(name, changed.etag).lifecycle == "retired"
    with pytest.raises(cc.NotFound):
        carcloud.vehicles.get("nobody")
    with pytest.raises(cc.Invalid) as wrong:
        carcloud.vehicles.create("no spaces")
    assert (wrong.value.status, wrong.value.problem.errors[0].field) == (400, "id")


def test_lists_go_through_all_pages(carcloud: Any, name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("carcloud.client.exchange.PAGE", 3)
    lines = "".join(f"{name[:30]}-{i},{name}\n" for i in range(8))
    done = carcloud.vehicles.import_csv(f"id,label:test\n{lines}!,x\n")
    assert (done.created, done.updated, done.errors[0].line) == (8, 0, 10)
    found = list(carcloud.vehicles.list(label=f"test:{name}"))
    assert [one.id for one in found] == [f"{name[:30]}-{i}" for i in range(8)]
    assert len(list(carcloud.vehicles.list(label=f"test:{name}", limit=5))) == 5
    assert list(carcloud.vehicles.list(label=f"test:{name}", limit=0)) == []
    assert list(carcloud.vehicles.list(label=f"test:{name}", online=True)) == []


def test_what_a_vehicle_sent(cloud: Any, carcloud: Any, name: str, make_frame: Any) -> None:
    cloud.register(name)
    frames = [
        make_frame(BASE + i * 1_000_000, speed=10.0 + i, lon=121.5, lat=31.2) for i in range(6)
    ]
    cloud.send(name, *frames)
    twin = carcloud.vehicles.twin(name)
    assert (twin.signals[SPEED].value, twin.signals[SPEED].unit) == (15.0, "km/h")
    start = datetime.datetime.fromtimestamp(BASE // 1_000_000, datetime.UTC)
    stretch = {"start": start, "end": start + datetime.timedelta(seconds=5)}
    table = carcloud.vehicles.signals(name, [SPEED], **stretch, points=5)
    assert table.schema.field("time").type == pa.timestamp("ms", "UTC")
    assert table["mean"].to_pylist() == [10.0, 11.0, 12.0, 13.0, 14.0]
    assert set(table["signal"].to_pylist()) == {SPEED}
    assert set(table["unit"].to_pylist()) == {"km/h"}
    trail = carcloud.vehicles.trail(name, **stretch)
    assert trail["lon"].to_pylist() == [121.5] * 5
    assert trail["speed_kmh"][0].as_py() == 10.0
    raw = list(carcloud.vehicles.frames(name, limit=4))
    assert [bytes.fromhex(one.hex) for one in raw] == frames[:1:-1]
    assert carcloud.vehicles.alarms(name, **stretch) == ()
    with pytest.raises(ValueError, match="without a zone"):
        carcloud.vehicles.trail(name, start=start.replace(tzinfo=None))


def test_sql_as_arrow_polars_and_pandas(carcloud: Any) -> None:
    sql = "SELECT range AS n, nullif(range, 1) AS m FROM range(3) ORDER BY n"
    arrow = carcloud.query(sql)
    assert isinstance(arrow, pa.Table)
    assert arrow.to_pydict() == {"n": [0, 1, 2], "m": [0, None, 2]}
    polars = carcloud.query(sql, format="polars")
    assert isinstance(polars, pl.DataFrame)
    assert polars["m"].to_list() == [0, None, 2]
    pandas = carcloud.query(sql, format="pandas")
    assert isinstance(pandas, pd.DataFrame)
    assert pandas["n"].tolist() == [0, 1, 2]
    assert str(pandas["m"].dtype) == "int64[pyarrow]"
    assert carcloud.query_rows(sql).rows == ((0, 0), (1, None), (2, 2))
    parquet = carcloud.query_file(sql)
    assert pq.read_table(io.BytesIO(parquet.content)).num_rows == 3
    assert "signals" in [table.name for table in carcloud.tables()]


def test_rows_that_are_left_out_are_told(carcloud: Any) -> None:
    with pytest.warns(cc.TruncatedWarning, match="only the first 2 rows"):
        assert carcloud.query("SELECT * FROM range(5)", rows=2).num_rows == 2
    with pytest.raises(cc.Invalid) as error:
        carcloud.query("DROP TABLE signals")
    assert error.value.errors[0].field == "sql"
    with pytest.raises(cc.NotFound):
        carcloud.cancel_query("none-such")


def test_a_job_is_waited_for_and_its_file_read(carcloud: Any) -> None:
    assert "query-export" in [kind.name for kind in carcloud.jobs.kinds()]
    params = {"sql": "SELECT 42 AS answer", "file": "answer"}
    job = carcloud.jobs.submit("query-export", params, name="from Python", priority=7)
    seen: list[str] = []
    done = carcloud.jobs.wait(job.id, on_progress=lambda job: seen.append(job.state), timeout_s=100)
    assert (done.state, done.result["rows"], done.priority, seen[-1]) == (
        "succeeded",
        1,
        7,
        "succeeded",
    )
    (file,) = carcloud.jobs.artifacts(job.id)
    content = carcloud.jobs.read(job.id, file.name)
    assert pq.read_table(io.BytesIO(content)).to_pylist() == [{"answer": 42}]
    assert b"".join(carcloud.jobs.download(job.id, file.name)) == content
    news = list(carcloud.jobs.follow(job.id))
    text = "".join(one.text for one in news if isinstance(one, cc.LogText))
    assert text == carcloud.jobs.log(job.id).text
    assert [one for one in news if isinstance(one, cc.JobDetail)][-1].state == "succeeded"
    assert job.id in [one.id for one in carcloud.jobs.list(q="from python", state="succeeded")]
    with pytest.raises(cc.NotFound):
        list(carcloud.jobs.download(job.id, "other.parquet"))


def test_a_job_that_does_not_succeed(carcloud: Any) -> None:
    first, second = carcloud.jobs.submit_batch(
        [
            cc.NewJob("query-export", {"sql": LONG}, key="a"),
            cc.NewJob("query-export", {"sql": "SELECT 1"}, after=("a",)),
        ]
    )
    with pytest.raises(TimeoutError):
        carcloud.jobs.wait(second.id, timeout_s=0.2)
    carcloud.jobs.cancel(first.id)
    with pytest.raises(cc.JobFailed, match="cancelled") as error:
        carcloud.jobs.wait(first.id, timeout_s=100)
    assert error.value.job.id == first.id
    with pytest.raises(cc.Conflict):
        carcloud.jobs.cancel(first.id)


def test_schedules_models_and_dead_letters(cloud: Any, carcloud: Any, name: str) -> None:
    job = cc.NewJob("query-export", {"sql": "SELECT 1"})
    made = carcloud.schedules.create(name[:30].lower(), "30 2 * * *", job, timezone="Asia/Shanghai")
    assert made.next is not None
    off = carcloud.schedules.replace(msgspec.structs.replace(made, enabled=False))
    assert (off.enabled, off.next, off.job) == (False, None, job)
    with pytest.raises(cc.Changed):
        carcloud.schedules.replace(made)
    assert made.name in [one.name for one in carcloud.schedules.list()]
    assert carcloud.schedules.remove(made.name) is None
    model = carcloud.models.create(name[:30], "A model")
    assert carcloud.models.change(model.id, model.etag, maker="Somebody").maker == "Somebody"
    assert model.id in [one.id for one in carcloud.models.list()]
    cloud.send(name, b"not JSON")
    (letter,) = carcloud.dead_letters.list(vehicle=name)
    assert carcloud.dead_letters.get(letter.id).reason == "not JSON"
    assert sum(one.count for one in carcloud.dead_letters.reasons()) >= 1
    assert carcloud.dead_letters.reprocess(letter.id).outcome in ("still-bad", "queued")


def test_objects_go_up_and_down(carcloud: Any, name: str) -> None:
    bucket = f"b{name[-30:]}".lower()
    made = carcloud.buckets.create(bucket)
    assert carcloud.buckets.get(bucket).etag
    rule = cc.LifecycleRule(id="tmp", prefix="tmp/", days=7)
    changed = carcloud.buckets.change(
        bucket, carcloud.buckets.get(bucket).etag, lifecycle=[rule], tags={"team": "a"}
    )
    assert (changed.lifecycle, changed.tags, changed.name) == ((rule,), {"team": "a"}, made.name)
    put = carcloud.buckets.put(bucket, "a b/../ü.txt", b"clear road", media="text/plain")
    assert (put.size, put.content_type) == (10, "text/plain")
    carcloud.buckets.put(bucket, "pieces.bin", _pieces(carcloud), size=3_000_000)
    assert b"".join(carcloud.buckets.download(bucket, "pieces.bin")) == b"x" * 3_000_000
    assert carcloud.buckets.read(bucket, "a b/../ü.txt") == b"clear road"
    assert carcloud.buckets.put_tags(bucket, "pieces.bin", {"stage": "raw"}) is None
    facts = carcloud.buckets.facts(bucket, "pieces.bin")
    assert (facts.tags, facts.etag != "") == ({"stage": "raw"}, True)
    assert carcloud.buckets.page(bucket).folders == ("a b/",)
    assert carcloud.buckets.storage().bytes >= 3_000_010
    with pytest.raises(cc.Conflict):
        carcloud.buckets.remove(bucket)
    for one in carcloud.buckets.objects(bucket):
        carcloud.buckets.delete(bucket, one.key)
    carcloud.buckets.remove(bucket)
    assert bucket not in [one.name for one in carcloud.buckets.list()]
    with pytest.raises(cc.NotFound):
        carcloud.buckets.read(bucket, "pieces.bin")


def _pieces(carcloud: Any) -> Iterator[bytes] | AsyncIterator[bytes]:
    if isinstance(carcloud, cc.Client):
        return (b"x" * 1_000_000 for _ in range(3))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1_000_000

    return pieces()


def test_status_the_catalogue_and_any_route(carcloud: Any) -> None:
    assert carcloud.status().disk.free_bytes > 0
    assert SPEED in [signal.path for signal in carcloud.signals.list(SPEED)]
    assert carcloud.send("GET", "/v1/session").json()["tenant"]
    assert [role["id"] for role in carcloud.items("/v1/roles")]


def test_no_token_and_no_server(cloud: Any) -> None:
    wrong = "cck_0000000000000000_wrong"
    with cc.Client(cloud.url, wrong) as client, pytest.raises(cc.NotSignedIn):
        client.status()
    patient = cc.Retry(times=1, first_s=0.01)
    with cc.Client("http://127.0.0.1:9", retry=patient) as client:
        with pytest.raises(cc.Unreachable, match=r"127\.0\.0\.1:9"):
            client.status()
        with pytest.raises(cc.Unreachable):
            list(client.jobs.follow("abc"))
    with pytest.raises(cc.Unreachable):
        cc.Client("http://127.0.0.1:port")


def test_people_their_roles_and_why_they_may(carcloud: Any, name: str) -> None:
    user, role = f"u-{name}".lower(), f"r-{name}".lower()[:40]
    made = carcloud.people.add(user, "correct horse battery", "viewer", note="Ann")
    assert (made.name, made.note, made.disabled, made.service) == (user, "Ann", False, False)
    with pytest.raises(cc.Conflict):
        carcloud.people.add(user, "correct horse battery", "viewer")
    own = carcloud.roles.create(role, "Look", ["vehicles:read"])
    own = carcloud.roles.replace(role, own.etag, name="Look", actions=["queries:run"])
    with pytest.raises(cc.Changed):
        carcloud.roles.replace(role, '"1"', name="Look", actions=[])
    assert carcloud.roles.get(role) == own
    assert "queries:run" in {action.name for action in carcloud.roles.actions()}
    grant = carcloud.roles.grant(user, role, scope=cc.Scope(labels={"depot": "north"}))
    [reason] = [one for one in carcloud.roles.why(user=user) if one.action == "queries:run"]
    assert reason.grant == grant
    assert grant in carcloud.roles.grants(user=user)
    carcloud.roles.take_back(grant.id)
    carcloud.roles.remove(role)
    assert role not in {one.id for one in carcloud.roles.list()}
    assert carcloud.people.set_disabled(user, True).disabled
    carcloud.people.set_password(user, "another good password")
    carcloud.people.reset_second_factor(user)  # there is none
    carcloud.people.remove(user)
    assert user not in {one.name for one in carcloud.people.list()}


def test_invitations_and_providers(carcloud: Any, name: str) -> None:
    made = carcloud.people.invite("ann@example.com", "viewer", days=1)
    assert made.invitation in carcloud.people.invitations()
    assert made.link.partition("#")[2].startswith("cci_")
    carcloud.people.revoke_invitation(made.invitation.id)
    assert made.invitation not in carcloud.people.invitations()
    provider = f"p-{name}".lower()[:40]
    given = {"name": "Login", "issuer": "https://login.example", "client_id": "c"}
    assert carcloud.login_providers.set(provider, client_secret="s", **given).confidential
    kept = carcloud.login_providers.set(provider, domains=["example.com"], **given)
    assert (kept.confidential, kept.domains) == (True, ("example.com",))
    carcloud.login_providers.remove(provider)
    assert kept not in carcloud.login_providers.list()


def test_a_key_of_a_program_works_until_it_is_revoked(carcloud: Any, cloud: Any, name: str) -> None:
    robot = carcloud.people.add_service(f"s-{name}".lower()[:40], "viewer")
    made = carcloud.keys.create("night", user=robot.name, actions=["vehicles:read"], days=1)
    with cc.Client(cloud.url, made.secret) as program:
        token = program.keys.token(minutes=5)
        assert token.actions == ("vehicles:read",)
        with pytest.raises(cc.Forbidden):
            program.people.list()
    assert made.key.id in {key.id for key in carcloud.keys.list()}
    carcloud.keys.revoke(made.key.id)
    with cc.Client(cloud.url, token.token) as program, pytest.raises(cc.NotSignedIn):
        list(program.vehicles.list())
    carcloud.people.remove(robot.name)


def test_the_tenant_its_projects_and_the_audit_of_it(carcloud: Any, name: str) -> None:
    old = carcloud.tenants.mine()
    assert carcloud.tenants.rename(name).name == name
    carcloud.tenants.rename(old.name)
    project = carcloud.tenants.add_project(f"x{name}".lower()[:40], "Lab")
    assert project in carcloud.tenants.projects()
    carcloud.tenants.remove_project(project.id)
    told = list(carcloud.audit.list(subject=project.id))
    assert [entry.action for entry in told] == ["project.remove", "project.create"]
    assert told[1].after == {"name": "Lab"}
    assert list(carcloud.audit.list(subject=project.id, end=told[1].time)) == []
    lines = b"".join(carcloud.audit.export(subject=project.id)).splitlines()
    assert [msgspec.json.decode(line)["hash"] for line in lines[:1]] in (
        [told[0].hash], [told[1].hash],
    )  # fmt: skip
    assert len(lines) == 2
    assert carcloud.audit.verify().faults == ()


def test_usage_quotas_costs_and_budgets(carcloud: Any, name: str) -> None:
    assert "messages" in {meter.name for meter in carcloud.usage.get(by="day").meters}
    [vehicles] = [quota for quota in carcloud.usage.quotas() if quota.name == "vehicles"]
    assert (vehicles.unit, vehicles.bound) == ("vehicle", "amount")
    with pytest.raises(cc.Invalid):
        carcloud.usage.get(by="year")
    made = carcloud.budgets.create(name, Decimal("10.50"), thresholds=[50, 100], meter="messages")
    assert (made.amount, made.thresholds, made.meter) == (Decimal("10.50"), (50, 100), "messages")
    changed = carcloud.budgets.change(made.id, made.etag, amount=Decimal(7), meter=None)
    assert (changed.amount, changed.meter) == (Decimal(7), None)
    with pytest.raises(cc.Changed):
        carcloud.budgets.change(made.id, made.etag, amount=Decimal(8))
    read = carcloud.budgets.get(made.id)  # what is spent depends on prices, which others set
    for field in ("name", "amount", "thresholds", "project", "meter", "on_forecast", "etag"):
        assert getattr(read, field) == getattr(changed, field)
    carcloud.budgets.remove(made.id)
    assert made.id not in {budget.id for budget in carcloud.budgets.list()}
    with pytest.raises(cc.NotFound):
        carcloud.budgets.get(made.id)


def test_what_administrators_do(carcloud: Any, name: str) -> None:
    tenant = f"t{name}".lower()[:36]
    owner = cc.Owner(f"o-{name}".lower(), "correct horse battery")
    assert carcloud.tenants.create(tenant, "North", owner=owner).state == "active"
    assert carcloud.tenants.change(tenant, state="suspended").state == "suspended"
    assert tenant in {one.id for one in carcloud.tenants.list()}
    own = carcloud.usage.set_quota(tenant, "jobs", 3)
    assert (own.value, own.own) == (3, True)
    told = {quota.name: quota.value for quota in carcloud.usage.quotas(tenant=tenant)}
    assert (told["jobs"], told["buckets"]) == (3, 1000)
    assert not carcloud.usage.set_quota(tenant, "jobs", None).own
    prices = {"messages": cc.Price((cc.Tier(Decimal("0.01")),), Decimal(100))}
    book = carcloud.costs.add_book("Own", "CNY", "2026-05", prices, tenant=tenant)
    assert book.prices == prices
    assert carcloud.costs.end_book(book.id, "2026-06").last_month == "2026-06"
    carcloud.costs.remove_book(book.id)
    assert book.id not in {one.id for one in carcloud.costs.books()}
