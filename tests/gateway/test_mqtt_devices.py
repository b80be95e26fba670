"""Joining as docs/mqtt.md tells it: the example devices against a gateway, to rows in the lake."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carcloud.app.ingest import make_ingest
from carcloud.codecs.samples.read import read
from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsServer
from carcloud.model.time import SECOND, now_us
from carcloud.ports.lake import Slice, TableRef
from tests.gateway.mqtt_client import CAR, Site, T, site, until
from tests.gateway.test_gbt32960 import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mqtt.md").read_text()


def payload(name: str) -> str:
    """The block of the page that follows a mark."""
    found = re.search(rf"<!-- payload: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def test_the_payloads_of_the_page_say_the_same() -> None:
    rows = read(payload("rows").encode()).rows
    assert read(payload("samples").encode()).rows == rows
    for form in ("cbor", "protobuf"):
        batch = read(bytes.fromhex(payload(form)))
        assert (batch.form, batch.rows) == (form, rows[:1])


def test_the_page_tells_what_bounds_are_by_default() -> None:
    told = dict(re.findall(r"`(gateway\.mqtt\.\w+)` \(([\d,]+)[ )]", PAGE))
    wanted = {"max_packet_kb", "receive_maximum", "window", "topic_aliases", "subscriptions"}
    wanted |= {"keep_alive_s", "max_sessions", "session_hours"}
    defaults = {
        f"gateway.mqtt.{name}": Settings().number(f"gateway.mqtt.{name}") for name in wanted
    }
    assert {name: float(value.replace(",", "")) for name, value in told.items()} == defaults


def test_the_page_warns_of_the_times_of_its_examples() -> None:
    """A newcomer's first row must not vanish: what is sent as printed is too old."""
    line = re.search(r"^printf .*$", PAGE, re.MULTILINE)
    assert line, "a row of the present time"
    said = subprocess.run(["sh", "-c", line[0]], stdout=subprocess.PIPE, check=True).stdout
    ((moment, values),) = read(said).rows
    assert abs(moment - now_us()) < 60 * SECOND
    assert values == {"Vehicle.Speed": 63.5}
    assert PAGE.index("Send the present time") < PAGE.index("<!-- payload: cbor -->")


async def device(found: Site, *command: str) -> str:
    """Run a program as the vehicle; what it prints."""
    env = {**os.environ, "CARCLOUD_VEHICLE_TOKEN": found.token()}
    running = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(running.communicate(), 60)
    assert running.returncode == 0, said.decode()
    return said.decode()


async def rows(found: Site) -> list[dict[str, Any]]:
    """What ingest makes of all that is in the stream by now."""
    ingest = make_ingest(found.role._settings, found.engines)
    last = (await found.stream.info("FRAMES")).last_seq
    working = asyncio.create_task(ingest.run())

    async def done() -> bool:
        return await found.stream.confirmed("FRAMES", "ingest") >= last

    await until(done)
    ingest.stop()
    await working
    table = found.engines.lake.read(TableRef(T, "signals"), Slice(vehicles=(CAR,)))
    return table.sort_by("time").to_pylist() if table.num_rows else []


@pytest.mark.timeout(90)
def test_the_example_devices_are_in_the_lake_once(server: NatsServer, tmp_path: Path) -> None:
    cc = shutil.which("cc")

    async def scene() -> None:
        async with site(server, tmp_path) as found:
            where = ("--port", str(found.port), "--vehicle", CAR, "--interval", "0.01")
            program = str(ROOT / "examples" / "mqtt_device.py")
            said = await device(found, sys.executable, program, *where, "--count", "3")
            assert said.splitlines()[-1] == "durable: 3"
            wanted: list[float] = []
            if cc:
                tool = str(tmp_path / "mqtt_device")
                source = str(ROOT / "examples" / "mqtt_device.c")
                flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
                await device(found, cc, *flags, "-o", tool, source)
                await device(found, tool, "127.0.0.1", str(found.port), CAR, "63.5")
                wanted = [63.5]
            told = await rows(found)
            cells = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"
            assert len(told) == 6 + len(wanted)
            assert [row["Vehicle.Speed"] for row in told[6:]] == wanted
            assert {row["source"] for row in told} == {"mqtt.json"}
            assert not any(row["partial"] or row["flagged"] for row in told if "flagged" in row)
            assert sum(row[cells] is not None for row in told) == 3

    run(scene())
