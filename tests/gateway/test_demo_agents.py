"""The demo's agents against a real gateway: what it acknowledges is what is stored, once."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from carcloud.app.first_start import prepare_records
from carcloud.codecs.dbc import parse
from carcloud.codecs.dbc.scalar import MessageCodec
from carcloud.codecs.samples.read import read
from carcloud.config import Settings
from carcloud.demo.agents import AgentOptions, Agents
from carcloud.demo.can_log import simulated
from carcloud.demo.registry import CannotReplay, CarModel, enrol, given_model, own_model
from carcloud.model.catalogue import CATALOGUE
from carcloud.services.campaigns.api import Distribution
from carcloud.services.vocabulary.api import Mappings
from tests.data import shared_data
from tests.gateway.mqtt_client import T, site
from tests.gateway.test_gbt32960 import run

SPEED, RPM = "Vehicle.Speed", "Vehicle.Powertrain.CombustionEngine.Speed"
EVERY_SECOND: dict[str, Any] = {
    "id": "each", "trigger": {"every_ms": 1000}, "signals": [{"path": SPEED, "max_samples": 1}],
}  # fmt: skip
MAPPING = f"""dbc: [j1939_demo.dbc]
signals:
  {SPEED}: {{can: CCVS1.WheelBasedVehicleSpeed}}
  {RPM}: {{can: EEC1.EngineSpeed}}
"""


def drive(server, folder: Path, options: AgentOptions, model: CarModel, rows: int):
    """Let agents report until there are so many rows: what is stored, what was acknowledged,
    and the counters of their process."""
    model = CarModel(model.mapping, model.dbc, EVERY_SECOND)

    async def scene():
        async with site(server, folder / "cloud") as found:
            agents = Agents(options, folder / "agents")
            settings = Settings({"data": str(folder / "cloud")})
            try:
                tokens = await asyncio.to_thread(enrol, settings, (), agents.cars, model)
                mappings = Mappings(found.engines.records, lambda _tenant: CATALOGUE)
                Distribution(found.engines.records, model_document=mappings.model_document).round(
                    T
                )  # as the jobs role does
                await asyncio.to_thread(agents.prepare)
                agents.start("127.0.0.1", found.port, tokens)
                messages: list[tuple[str, bytes]] = []
                async with asyncio.timeout(60):
                    while len(reports(messages)) < rows or agents.told["collected"] < 1:
                        messages += await found.stored(1)
                acked = await asyncio.to_thread(agents.finish)
            finally:
                agents.close()
            async with asyncio.timeout(60):
                while len(reports(messages)) < len(acked):
                    messages += await found.stored(1)
            told = {(agents.cars[car], time_us) for car, time_us in acked.tolist()}
            found_out.extend((reports(messages), told, agents.told))

    found_out = []
    run(scene())
    return found_out


def reports(messages):
    """Values by vehicle and time."""
    found = {}
    for topic, payload in messages:
        if topic.endswith("/signals"):
            batch = read(payload)
            vehicle = topic.split("/")[1]
            found |= {(vehicle, t): v for t, v in zip(batch.times, batch.values, strict=True)}
    return found


def test_agents_report_and_collect_what_simulated_logs_say(server, tmp_path):
    options = AgentOptions(cars=3, report_s=0.25, losses_per_hour=600)
    stored, acked, told = drive(server, tmp_path, options, own_model(), 9)
    assert set(stored) == acked
    assert {vehicle for vehicle, _ in stored} == {f"demo-car-000{n}" for n in (1, 2, 3)}
    values = list(stored.values())[-1]
    assert {SPEED, "Vehicle.CurrentLocation.Latitude", "Vehicle.LowVoltageSystemState"} <= set(
        values
    )
    assert told["sent"] == len(acked)
    assert told["dropped"] == 0


def test_agents_replay_a_recorded_log_with_its_dbc(server, tmp_path):
    (tmp_path / "car.yaml").write_text(MAPPING)
    model = given_model([shared_data("can/css/j1939_demo.dbc")], tmp_path / "car.yaml")
    log = shared_data("can/css/j1939_gps_11111111.MF4")
    options = AgentOptions(cars=2, report_s=0.25, log=log)
    stored, acked, told = drive(server, tmp_path, options, model, 6)
    assert set(stored) == acked
    assert all(set(values) <= {SPEED, RPM} for values in stored.values())
    rpms = [values[RPM] for values in stored.values() if RPM in values]
    assert all(500 <= rpm < 2500 for rpm in rpms), rpms
    assert told["frames"] > 100


def test_simulated_logs_say_so_and_are_the_same_again(tmp_path):
    (tmp_path / "again").mkdir()
    one, two = simulated(tmp_path, 2, 7, seconds=20)
    first, _ = simulated(tmp_path / "again", 2, 7, seconds=20)
    text = one.read_text()
    assert text.startswith("# simulated")
    assert text == first.read_text() != two.read_text()
    database, findings = parse(own_model().dbc["car.dbc"].encode())
    assert not findings
    frames = re.findall(r"can0 (\w+)#(\w+)", text)
    assert len(frames) == 20 * 25
    messages = {message.id: message for message in database.messages}
    assert {int(name, 16) for name, _ in frames} == set(messages)
    for name, payload in frames:
        message = messages[int(name, 16)]
        values = MessageCodec(message).decode(bytes.fromhex(payload))
        for signal in message.signals:
            value = values.get(signal.name)
            assert value is None or signal.minimum <= value <= signal.maximum, signal.name


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        ("dbc: [car.dbc]\nsignals: {Vehicle.Speed: {can: Motion.Nothing}}", "line 2.*Nothing"),
        ("dbc: [car.dbc]\nsignals: {}", "no CAN signal"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(tmp_path, mapping, why):
    settings = Settings({"data": str(tmp_path)})
    prepare_records(settings)
    with pytest.raises(CannotReplay, match=why):
        enrol(settings, (), ("car",), CarModel(mapping, own_model().dbc))


def test_a_log_without_dbc_or_mapping_is_refused():
    with pytest.raises(CannotReplay):
        given_model([], None)
