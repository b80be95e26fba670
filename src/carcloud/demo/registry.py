"""What the demo's trucks and agents need in the cloud: models, vehicles, tokens, a campaign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carcloud.app.engines import open_records
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.records import Records
from carcloud.services.campaigns.api import Campaigns, Target
from carcloud.services.vehicles.api import VehicleModel, Vehicles
from carcloud.services.vocabulary.api import InvalidMapping, Mappings, Vocabulary

TRUCK, AGENT_CAR = "truck", "agent-car"  # models
_ACTOR = "demo"
_SOME = 10  # signals
_HERE = Path(__file__).parent

CAMPAIGN: Mapping[str, Any] = {
    "id": "braking",
    "version": 1,
    "name": "Braking",
    "description": "Ten seconds around each braking",
    "trigger": {
        "when": "Vehicle.Acceleration.Longitudinal < -1.5",
        "mode": "RISING_EDGE",
        "minimum_interval_ms": 10_000,
    },
    "pre_trigger_ms": 5_000,
    "post_trigger_ms": 5_000,
    "signals": [
        {"path": path, "max_samples": 60, "min_interval_ms": 200}
        for path in (
            "Vehicle.Acceleration.Longitudinal",
            "Vehicle.Speed",
            "Vehicle.Chassis.Brake.PedalPosition",
        )
    ],
}


class CannotReplay(Exception):
    """The log, its DBC files or its mapping cannot be used."""


@dataclass(frozen=True, slots=True)
class CarModel:
    """What the agents' cars are: the mapping as YAML, and the DBC files that it names.

    Without a campaign of its own there is one that collects some signals every ten seconds.
    """

    mapping: str
    dbc: Mapping[str, str]
    campaign: Mapping[str, Any] | None = None


def own_model() -> CarModel:
    """That of the simulated logs."""
    texts = {name: (_HERE / name).read_text("utf-8") for name in ("car.yaml", "car.dbc")}
    return CarModel(texts["car.yaml"], {"car.dbc": texts["car.dbc"]}, CAMPAIGN)


def given_model(dbc: Sequence[Path], mapping: Path | None) -> CarModel:
    """That of a log that was given; raises `CannotReplay`."""
    if not dbc or mapping is None:
        raise CannotReplay("a log alone has no signals")
    try:
        texts = {file.name: file.read_bytes().decode("utf-8", "replace") for file in dbc}
        return CarModel(mapping.read_text("utf-8"), texts)
    except (OSError, ValueError) as error:
        raise CannotReplay(f"{mapping}: {error}") from error


def enrol(
    settings: Settings, trucks: Sequence[str], cars: Sequence[str], model: CarModel
) -> dict[str, str]:
    """Make models, vehicles and a campaign, and give each agent a token; the tokens by car.

    The jobs role brings model and campaign to the agents. Raises `CannotReplay` for a mapping
    that cannot be used.
    """
    records = open_records(settings)
    try:
        vehicles = Vehicles(records, secret=sealing_secret(settings))
        for id, name, protocol in (
            (TRUCK, "Demo truck", "jt808"), (AGENT_CAR, "Demo car with an agent", "mqtt"),
        ):  # fmt: skip
            made = VehicleModel(id, name, "carcloud", protocol)
            vehicles.create_model(DEFAULT_TENANT, made, actor=_ACTOR)
        lines = ["id,model,protocol"]
        lines += [f"{truck},{TRUCK},jt808" for truck in trucks]
        lines += [f"{car},{AGENT_CAR},mqtt" for car in cars]
        report = vehicles.import_csv(DEFAULT_TENANT, "\n".join(lines), actor=_ACTOR)
        if report.errors:
            raise CannotReplay(f"{report.errors[0].field}: {report.errors[0].detail}")
        document = _map(records, model)
        tokens = {car: vehicles.make_token(DEFAULT_TENANT, car, actor=_ACTOR).token for car in cars}
        if cars:
            document = _map(records, model)
            _campaign(records, model.campaign or _some_signals(document))
        return tokens
    finally:
        records.close()


def _map(records: Records, model: CarModel) -> Mapping[str, Any]:
    """Save the mapping; returns the model as agents take it."""
    mappings = Mappings(records, Vocabulary(records).catalogue)
    try:
        mappings.save(
            DEFAULT_TENANT, AGENT_CAR, model.mapping, model.dbc,
            note="", actor=_ACTOR, if_version=None,
        )  # fmt: skip
    except InvalidMapping as error:
        raise CannotReplay(f"the mapping: {error}") from error
    document = mappings.model_document(DEFAULT_TENANT, AGENT_CAR)
    if document is None or not document["signals"]:
        raise CannotReplay("the mapping has no CAN signal")
    return document


def _some_signals(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A campaign for any log."""
    paths = [each["path"] for each in model["signals"]][:_SOME]
    return {
        "id": "every-ten-seconds",
        "version": 1,
        "name": "Every ten seconds",
        "trigger": {"every_ms": 10_000},
        "signals": [{"path": path, "max_samples": 1} for path in paths],
    }


def _campaign(records: Records, document: Mapping[str, Any]) -> None:
    """A campaign for all cars with an agent, approved and started."""
    campaigns = Campaigns(records, catalogue=Vocabulary(records).catalogue)
    made = campaigns.create(
        DEFAULT_TENANT, document, Target(models=(AGENT_CAR,)), note="", actor=_ACTOR
    )
    campaigns.approve(DEFAULT_TENANT, made.id, 1, actor=_ACTOR)
    campaigns.start(DEFAULT_TENANT, made.id, actor=_ACTOR)
