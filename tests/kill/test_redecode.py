"""History decoded anew under `kill -9`: each row once, and the new values everywhere."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud.app.engines import open_engines
from carcloud.codecs.jt808.frame import build
from carcloud.codecs.jt808.times import BEIJING
from carcloud.config import Settings
from carcloud.engines.process_tree import Snapshot
from carcloud.model import blocks
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import DAY, iso, now_us
from carcloud.ports.records import Records
from carcloud.services.vehicles.api import NewVehicle, VehicleModel, Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.supervisor import Supervisor
from tests.kill.scene import client, cloud, moments, stored, twice
from tests.kill.victims import kill

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

DBC = """\
BO_ 291 Wheels: 8 ECU
 SG_ Speed : 8|8@1+ ({factor},0) [0|1000] "km/h" ECU
"""
MAPPING = "dbc: [truck.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.Speed}\n"
SPEED = "Vehicle.Speed"
TRUCKS = [f"1390000{number:04d}" for number in range(60)]  # more than one step takes
DAYS, FRAMES = 15, 3  # frames of a truck and day


def enrol(_settings: Settings, records: Records, vehicles: Vehicles) -> None:
    """Trucks of a model that maps a CAN signal."""
    vehicles.create_model(
        DEFAULT_TENANT, VehicleModel("truck", "Truck", protocol="jt808"), actor="test"
    )
    Mappings(records, Vocabulary(records).catalogue).save(
        DEFAULT_TENANT, "truck", MAPPING, {"truck.dbc": DBC.format(factor=1)}, note="",
        actor="test", if_version=None,
    )  # fmt: skip
    for phone in TRUCKS:
        vehicles.create(DEFAULT_TENANT, NewVehicle(phone, model="truck"), actor="test")


def upload(received: datetime, number: int) -> tuple[bytes, int, int]:
    """Body of a CAN upload some minutes before its reception: it, its time (us), its raw speed."""
    at = received - timedelta(minutes=10) + timedelta(milliseconds=number * 17)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    told = at.astimezone(BEIJING).strftime("%H%M%S") + f"{at.microsecond // 1000:04d}"
    frame = (0x123).to_bytes(4) + bytes((0, number % 100 + 1)) + bytes(6)
    return (
        b"\0\1" + bytes.fromhex(told) + frame,
        round(at.timestamp() * 1e6),
        number % 100 + 1,
    )


async def send_history(settings: Settings) -> dict[tuple[str, int], float]:
    """Uploads of many days, as if the gateway had taken them then; the raw speeds by moment."""
    engines = await open_engines(settings)
    told: dict[tuple[str, int], float] = {}
    for day in range(DAYS):
        received = now_us() - (DAYS - day) * DAY
        names, frames = [], []
        for phone in TRUCKS:
            for number in range(FRAMES):
                when = datetime.fromtimestamp(received / 1e6, BEIJING)
                body, at, speed = upload(when, number)
                names.append(phone)
                frames.append(build(2019, 0x0705, phone, number, body))
                told[phone, at] = float(speed)
        count = len(names)
        data = blocks.pack(names, [received] * count, [None] * count, frames)
        await engines.stream.publish("frames.default.jt808", data, f"history-{day}")
    await engines.close()
    return told


def map_anew(http: httpx.Client, factor: int) -> None:
    """From now on a raw speed counts so much, one more than before."""
    body = {"text": MAPPING, "dbc": {"truck.dbc": DBC.format(factor=factor)}}
    since = {"If-Match": f'"{factor - 1}"'}
    saved = http.put("/v1/models/truck/mapping", json=body, headers=since)
    assert saved.status_code == 200, saved.text


def begin(http: httpx.Client) -> str:
    """Ask for the history to be decoded anew; the path of the job."""
    span = {"from": iso(now_us() - (DAYS + 2) * DAY), "to": iso(now_us())}
    asked = http.post("/v1/models/truck/redecode", json=span)
    assert asked.status_code == 202, asked.text
    return str(asked.headers["location"])


def until(
    supervisor: Supervisor, http: httpx.Client, job: str, true: Callable[[Any], bool]
) -> dict[str, Any]:
    """The job, once that is true of it."""
    deadline = time.monotonic() + 90
    while not true(found := http.get(job).json()):
        assert time.monotonic() < deadline, found
        supervisor.tend()
        time.sleep(0.02)
    return dict(found)


def ended(job: dict[str, Any]) -> bool:
    """Nothing more becomes of it."""
    return job["state"] not in ("running", "queued")


def disturbed(
    supervisor: Supervisor, http: httpx.Client, least: float, kill: Callable[[], object]
) -> dict[str, Any]:
    """A job at its end; what `kill` ends was killed when it had come so far, but for a job that
    was done before anybody saw it there."""
    job = begin(http)

    def seen(found: dict[str, Any]) -> bool:
        return ended(found) or (found["state"] == "running" and (found["progress"] or 0) >= least)

    if not ended(until(supervisor, http, job, seen)):
        kill()
    return until(supervisor, http, job, ended)


def kill_workers(supervisor: Supervisor) -> None:
    """The processes that the jobs process gives work to."""
    jobs = supervisor.pids()["jobs"]
    for worker in set(Snapshot.take().below(jobs)) - {jobs}:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def latest(http: httpx.Client, wanted: dict[str, float]) -> dict[str, float]:
    """The speeds of twins, once they are as wanted: what is told them is on its way for a while."""
    deadline = time.monotonic() + 30
    while True:
        twins = {phone: http.get(f"/v1/vehicles/{phone}/twin").json() for phone in wanted}
        found = {phone: twin["signals"][SPEED]["value"] for phone, twin in twins.items()}
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def test_a_job_that_is_killed_leaves_each_row_once_with_its_new_value(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    with cloud(tmp_path, enrol) as supervisor, client(supervisor) as http:
        raw = asyncio.run(send_history(supervisor.settings))
        before = stored(supervisor, raw)
        for factor in range(2, 8):  # until its own process was killed: the job has failed
            map_anew(http, factor)
            early = dice.uniform(0.2, 0.4)  # of the first days there is nothing
            died = disturbed(supervisor, http, early, lambda: kill_workers(supervisor))
            if died["state"] != "succeeded":
                break
        part, new = stored(supervisor, raw)[SPEED].to_pylist(), factor
        for last in range(new, new + 6):  # until it was cut short, and done again
            if last > new:
                map_anew(http, last)
            some = dice.uniform(0.1, 0.6)
            done = disturbed(supervisor, http, some, lambda: kill(supervisor, "jobs"))
            assert done["state"] == "succeeded", done
            if done["attempt"] > 1:
                break
        rows = stored(supervisor, raw)
        newest = {phone: max(at for name, at in raw if name == phone) for phone in TRUCKS}
        wanted = {phone: last * raw[phone, newest[phone]] for phone in TRUCKS}
        twins = latest(http, wanted)
    found, total = moments(rows), sum(raw.values())
    values = dict(zip(found, rows[SPEED].to_pylist(), strict=True))
    print(new, last, done["result"], done["attempt"], total, sum(part), sum(values.values()))
    assert (died["state"], done["state"], done["attempt"]) == ("failed", "succeeded", 2)
    assert len(raw) == len(TRUCKS) * DAYS * FRAMES == before.num_rows
    assert (new - 1) * total < sum(part) < new * total, "killed in the middle"
    assert twice(found) == []
    assert values == {moment: last * speed for moment, speed in raw.items()}
    assert twins == wanted
