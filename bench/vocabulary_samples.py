"""Batches of samples to rows, as ingest does it, on one core.

Messages as they are kept, one moment of ten signals each (number, whole number, truth value, text),
4,000 messages of 1,000 vehicles in one call of the decoder: from bytes to Arrow columns with types
checked and digests. Processor time of the one thread, median of 5 after a warm-up.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from bench.row import Row
from carcloud.codecs.mqtt.message import pack_message
from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.codecs.samples.batch import Rows
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.telemetry.decode_mqtt import decoder

_NOW = 1_767_225_600_000_000
_FORMS: tuple[tuple[str, Callable[[Rows], bytes]], ...] = (
    ("JSON", json_batch.write),
    ("CBOR", cbor_batch.write),
    ("protobuf", protobuf_batch.write),
)
_BATTERY = "Vehicle.Powertrain.TractionBattery"


def figures(small: bool = False) -> Iterator[Row]:
    """Messages and values a second of each form."""
    count = 500 if small else 4_000
    for name, write in _FORMS:
        vehicles = [f"CAR-{number % 1000:05d}" for number in range(count)]
        frames = [
            pack_message(f"v1/{vehicle}/signals", write([(_NOW + number, _values(number))]))
            for number, vehicle in enumerate(vehicles)
        ]
        rate = count / _seconds(vehicles, frames)
        yield Row(f"MQTT batches of 10 values as {name}, bytes to rows", rate, "messages/s")
        yield Row(f"values of MQTT batches as {name}", 10 * rate, "values/s")


def _values(number: int) -> dict[str, bool | int | float | str]:
    return {
        "Vehicle.Speed": 60 + number % 400 / 10,
        "Vehicle.IsMoving": True,
        "Vehicle.TraveledDistance": 12_345_678 + number,
        "Vehicle.CurrentLocation.Latitude": 31.2 + number / 1e6,
        "Vehicle.CurrentLocation.Longitude": 121.4 + number / 1e6,
        f"{_BATTERY}.StateOfCharge.Displayed": 71.5,
        f"{_BATTERY}.CurrentVoltage": 380.5,
        "Vehicle.Chassis.Accelerator.PedalPosition": number % 100,
        "Vehicle.Cabin.HVAC.AmbientAirTemperature": 20.5,
        "Vehicle.LowVoltageSystemState": "ON",
    }


def _seconds(vehicles: list[str], frames: list[bytes]) -> float:
    given = (
        pa.array(vehicles), pa.array(frames, pa.binary()),
        pa.array(np.full(len(frames), _NOW + 1_000_000)),
    )  # fmt: skip
    decode = decoder()
    found = decode(DEFAULT_TENANT, *given)
    if found.faults or found.rows.num_rows != len(frames):
        raise RuntimeError("not every message became a row")
    taken = []
    for _ in range(5):
        begun = time.process_time()
        decode(DEFAULT_TENANT, *given)
        taken.append(time.process_time() - begun)
    return statistics.median(taken)
