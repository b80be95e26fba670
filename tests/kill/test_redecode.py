"""History decoded anew under `kill -9`: each row once, and the new values everywhere."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
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

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

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
    """From now on a raw speed counts so much."""
    body = {"text": MAPPING, "dbc": {"truck.dbc": DBC.format(factor=factor)}}
    saved = http.put("/v1/models/truck/mapping", json=body, headers={"If-Match": '"1"'})
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
    deadline = time.monotonic() + 60
    while not true(found := http.get(job).json()):
        assert time.monotonic() < deadline, found
        supervisor.tend()
        time.sleep(0.02)
    return dict(found)


def in_the_middle(job: dict[str, Any], least: float) -> bool:
    """It runs and has come so far."""
    return bool(job["state"] == "running" and (job["progress"] or 0) >= least)


def test_a_job_that_is_killed_leaves_each_row_once_with_its_new_value(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    with cloud(tmp_path, enrol) as supervisor, client(supervisor) as http:
        raw = asyncio.run(send_history(supervisor.settings))
        before = stored(supervisor, raw)
        map_anew(http, 2)
        first = begin(http)  # its own process is killed: the job has failed, and is asked again
        early = dice.uniform(0.1, 0.4)
        until(supervisor, http, first, lambda job: in_the_middle(job, early))
        jobs = supervisor.pids()["jobs"]
        for worker in set(Snapshot.take().below(jobs)) - {jobs}:
            os.kill(worker, signal.SIGKILL)
        died = until(supervisor, http, first, lambda job: job["state"] not in ("running", "queued"))
        part = stored(supervisor, raw)[SPEED].to_pylist()
        job = begin(http)
        some = dice.uniform(0.1, 0.6)
        until(supervisor, http, job, lambda job: in_the_middle(job, some))
        os.kill(supervisor.pids()["jobs"], signal.SIGKILL)  # gives out jobs: it is done again
        done = until(supervisor, http, job, lambda job: job["state"] not in ("running", "queued"))
        rows = stored(supervisor, raw)
        twins = [http.get(f"/v1/vehicles/{phone}/twin").json() for phone in TRUCKS]
    found = moments(rows)
    values = dict(zip(found, rows[SPEED].to_pylist(), strict=True))
    print(died["state"], done["result"], done["attempt"], sum(part), sum(values.values()))
    assert (died["state"], done["state"], done["attempt"]) == ("failed", "succeeded", 2)
    assert len(raw) == len(TRUCKS) * DAYS * FRAMES == before.num_rows
    assert sum(raw.values()) < sum(part) < 2 * sum(raw.values()), "killed in the middle"
    assert twice(found) == []
    assert values == {moment: 2 * speed for moment, speed in raw.items()}
    newest = {phone: max(at for name, at in raw if name == phone) for phone in TRUCKS}
    for phone, twin in zip(TRUCKS, twins, strict=True):
        assert twin["signals"][SPEED]["value"] == 2 * raw[phone, newest[phone]]
