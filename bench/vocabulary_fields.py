"""Fields of GB/T 32960 reports that models map, from bytes to rows, on one core.

Realtime reports of about 470 bytes, 2016 and 2025 in turn as in `bench/decode.py`, of 5,000
vehicles, 8,000 in a block, through the decoder that ingest uses: the fixed columns and then eight
fields of a mapping, five of them in a unit of the maker's own, one a cell of a list, one with words
for numbers. Beside it the same reports where no model maps any. In the second row the vehicles are
of 50 models with a mapping each. The third row is the fields alone, of all reports at once and,
as the reference does it, of one report after the other. Processor time of the one
thread, median of several runs after a warm-up.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from bench.decode import frames, rate, vin
from bench.row import Row
from carcloud.codecs.fields import Fields, OneByOne
from carcloud.codecs.gbt32960 import named
from carcloud.codecs.gbt32960.named_columns import Block
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.signals import CATALOGUE
from carcloud.services.telemetry.decode_gbt32960 import decoder
from carcloud.services.telemetry.protocols import Decoder
from carcloud.services.vocabulary.api import FieldSource, ModelMapping
from carcloud.services.vocabulary.mapping_document import read_mapping

_MODELS = 50
_VEHICLES = 5_000
_MAPPING = """signals:
  Vehicle.Powertrain.ElectricMotor.EngineCoolant.Temperature:
    {field: gbt32960.unit.0x80.u8@0, unit: degC, offset: -40, valid: [-40, 210]}
  Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure: {field: gbt32960.unit.0x80.u16le@1, unit: kPa}
  Vehicle.Chassis.Axle.Row1.Wheel.Right.Tire.Pressure: {field: gbt32960.unit.0x80.u16@3, unit: kPa}
  Vehicle.Cabin.HVAC.AmbientAirTemperature: {field: gbt32960.unit.0x80.i24le@5, scale: 0.001}
  Vehicle.Body.Hood.IsOpen: {field: gbt32960.unit.0x80.bit@8.0}
  Vehicle.LowVoltageSystemState:
    {field: gbt32960.vehicle.vehicle_state, values: {1: START, 2: "OFF", 3: UNDEFINED}}
  Vehicle.Powertrain.ElectricMotor.Temperature: {field: "gbt32960.motors[0].motor_temp_c"}
  Vehicle.Powertrain.TractionBattery.NominalVoltage:
    {field: "gbt32960.cell_voltages.packs[0].cell_v[95]", scale: 96}
"""


def figures(small: bool = False) -> Iterator[Row]:
    """The figures; `small` decodes few frames, to see that it works."""
    count, runs = (1_000, 3) if small else (8_000, 15)
    raw = frames(count)
    given = (
        pa.array([vin(number % _VEHICLES) for number in range(count)]),
        pa.array(raw, pa.binary()),
        pa.array(np.zeros(count, np.int64)),
    )
    mapped = [_mapping(number) for number in range(_MODELS)]
    mapped_by = {vin(number): mapped[number % _MODELS] for number in range(_VEHICLES)}

    def measured(decode: Decoder) -> float:
        return rate(lambda: decode(DEFAULT_TENANT, *given), count, runs)

    plain = measured(decoder())
    one = measured(decoder(mappings=lambda _tenant, names: dict.fromkeys(names, mapped[0])))
    many = measured(
        decoder(mappings=lambda _tenant, names: {name: mapped_by[name] for name in names})
    )
    name = "GB/T 32960 reports with 8 mapped fields, bytes to rows"
    yield Row(name, one, "frames/s", peer="no field mapped", ratio=one / plain)
    yield Row(f"{name}, {_MODELS} models", many, "frames/s", peer="no field mapped",
              ratio=many / plain)  # fmt: skip
    yield _alone(given[1], mapped[0], runs)


def _alone(given: pa.Array, mapping: ModelMapping, runs: int) -> Row:
    fields = [one.source.field for one in mapping.fields("gbt32960")
              if isinstance(one.source, FieldSource)]  # fmt: skip
    few = given.slice(0, 500).to_pylist()

    def read(reports: Fields) -> None:
        for one in fields:
            reports.value(one)

    together = rate(lambda: read(Block(given, np.arange(len(given)))), len(given), runs)
    plain = rate(lambda: read(OneByOne([named.report(one) for one in few])), len(few), 3)
    return Row("the 8 fields alone", together, "frames/s",
               peer="one report after the other", ratio=together / plain)  # fmt: skip


def _mapping(number: int) -> ModelMapping:
    return read_mapping(_MAPPING, {}, CATALOGUE, model=f"model-{number}").mapping
