"""What the demo's trucks and agents need in the cloud: models, vehicles, tokens, documents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from carcloud.agent.model import parse_model
from carcloud.app.engines import open_records
from carcloud.app.secret import sealing_secret
from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.mqtt.topics import prefix
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.signals import CATALOGUE
from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.vehicles.api import VehicleModel, Vehicles, retain_in

TRUCK, AGENT_CAR = "truck", "agent-car"  # models
_ACTOR = "demo"
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


@dataclass(frozen=True, slots=True)
class CarModel:
    """What the agents' cars are: the mapping as YAML, and the DBC files that it names."""

    mapping: str
    dbc: Mapping[str, str]
    campaign: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """As agents take it (docs/agent.md). Raises `ValueError` for what is no such mapping."""
        told = yaml.safe_load(self.mapping)
        if not isinstance(told, dict) or not isinstance(told.get("signals"), dict):
            raise ValueError("a mapping has the keys dbc and signals")
        return {
            "id": AGENT_CAR,
            "version": 1,
            "j1939": bool(told.get("j1939", False)),
            "dbc": [{"name": name, "text": text} for name, text in self.dbc.items()],
            "signals": [_mapped(path, given) for path, given in told["signals"].items()],
        }


def _mapped(path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    signal = CATALOGUE.get(path)
    message, _, name = str(given.get("can", "")).partition(".")
    if signal is None or not name:
        raise ValueError(f"{path}: not in the catalogue, or without a CAN signal")
    entry: dict[str, Any] = {
        "message": message, "signal": name, "path": path, "datatype": signal.datatype,
        "scale": given.get("scale", 1), "offset": given.get("offset", 0),
    }  # fmt: skip
    if "values" in given:
        entry["labels"] = {str(raw): meaning for raw, meaning in given["values"].items()}
    return entry


def own_model() -> CarModel:
    """That of the simulated logs."""
    texts = {name: (_HERE / name).read_text("utf-8") for name in ("car.yaml", "car.dbc")}
    return CarModel(texts["car.yaml"], {"car.dbc": texts["car.dbc"]}, CAMPAIGN)


def given_model(dbc: Sequence[Path], mapping: Path | None) -> CarModel:
    """That of a log that was given; raises `ValueError` for what cannot be used, `OSError`."""
    if not dbc or mapping is None:
        raise ValueError("a log alone has no signals")
    texts = {file.name: file.read_bytes().decode("utf-8", "replace") for file in dbc}
    model = CarModel(mapping.read_text("utf-8"), texts)
    parse_model(model.document())
    return model


def enrol(
    settings: Settings, trucks: Sequence[str], cars: Sequence[str], model: CarModel
) -> dict[str, str]:
    """Make models and vehicles, and give each agent a token and its documents; the tokens by car.

    Raises `ValueError` for a mapping that cannot be used.
    """
    document = model.document()
    records = open_records(settings)
    try:
        vehicles = Vehicles(records, secret=sealing_secret(settings))
        for id, name, protocol in (
            (TRUCK, "Demo truck", "jt808"), (AGENT_CAR, "Demo car with an agent", "mqtt"),
        ):  # fmt: skip
            vehicles.create_model(
                DEFAULT_TENANT, VehicleModel(id, name, "carcloud", protocol), actor=_ACTOR
            )
        lines = ["id,model,protocol"]
        lines += [f"{truck},{TRUCK},jt808" for truck in trucks]
        lines += [f"{car},{AGENT_CAR},mqtt" for car in cars]
        report = vehicles.import_csv(DEFAULT_TENANT, "\n".join(lines), actor=_ACTOR)
        if report.errors:
            raise ValueError(f"{report.errors[0].field}: {report.errors[0].detail}")
        _hand_out(records, cars, document, model.campaign)
        return {car: vehicles.make_token(DEFAULT_TENANT, car, actor=_ACTOR).token for car in cars}
    finally:
        records.close()


def _hand_out(
    records: Records,
    cars: Sequence[str],
    model: Mapping[str, Any],
    campaign: Mapping[str, Any] | None,
) -> None:
    """Put the documents where the messages of each car wait."""
    documents = [_entry(AGENT_CAR, "model", model)]
    if campaign is not None:
        documents.append(_entry(str(campaign["id"]), "campaign", campaign))
    entries = [{k: v for k, v in each.items() if k != "document"} for each in documents]
    payloads = {"documents": json.dumps({"documents": entries}).encode()}
    payloads |= {f"documents/{each['id']}": json.dumps(each).encode() for each in documents}
    with records.transaction() as db:
        for car in cars:
            for topic, payload in payloads.items():
                retain_in(
                    db, DEFAULT_TENANT, car, f"{prefix(car)}{topic}", payload,
                    actor=_ACTOR, now=now_us(),
                )  # fmt: skip


def _entry(name: str, kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": name, "kind": kind, "version": 1, "hash": document_hash(document),
        "document": document,
    }  # fmt: skip
