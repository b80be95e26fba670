"""Fields of GB/T 32960 reports that a model maps to signals: makers' own units above all."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from carcloud.app.ingest import make_decoders
from carcloud.codecs.fields import OneByOne
from carcloud.codecs.gbt32960 import named
from carcloud.codecs.gbt32960.columnar import warm
from carcloud.codecs.gbt32960.constants import HEADER_SIZE
from carcloud.codecs.gbt32960.frame import build
from carcloud.config import Settings
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.signals import CATALOGUE
from carcloud.services.telemetry.decode_gbt32960 import decoder
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import NewVehicle, VehicleModel, Vehicles
from carcloud.services.vocabulary.api import (
    FieldSource,
    Mappings,
    ModelMapping,
    Vocabulary,
    converted,
)
from carcloud.services.vocabulary.mapping_document import read_mapping
from tests.codecs.gbt32960.examples import REALTIME_2016
from tests.services.test_ingest import report

CAR, OTHER = "LTESTVNA4A0000101", "LTESTVNA4A0000102"
COOLANT = "Vehicle.Powertrain.ElectricMotor.EngineCoolant.Temperature"
TYRE = "Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure"
SPEED = "Vehicle.Speed"
HOOD = "Vehicle.Body.Hood.IsOpen"
STATE = "Vehicle.LowVoltageSystemState"
PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.split("## Fields of GB/T 32960")[1].split("```yaml\n")[1].split("```")[0]
TEXT = f"{EXAMPLE}  {STATE}:\n    field: gbt32960.vehicle.vehicle_state\n    values: {{1: START}}\n"


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm()


def mapping(text: str = TEXT) -> ModelMapping:
    read = read_mapping(text, {}, CATALOGUE)
    assert read.checked.findings == ()
    return read.mapping


def own(vin: str, second: int, unit: bytes) -> bytes:
    """A report with a unit 0x83 behind what the standard has."""
    whole = report(vin, second)
    unit = bytes([0x83]) + len(unit).to_bytes(2) + unit
    return build(2016, 2, 0xFE, vin, whole[HEADER_SIZE:-1] + unit)


def decoded(read: Decoder, *frames: tuple[str, bytes]) -> DecodedFrames:
    vehicles = pa.array([vin for vin, _ in frames])
    content = pa.array([frame for _, frame in frames], pa.binary())
    return read(DEFAULT_TENANT, vehicles, content, pa.array([0] * len(frames), pa.int64()))


def test_a_maker_s_units_become_columns_of_mapped_vehicles() -> None:
    known = mapping()
    read = decoder(mappings=lambda _tenant, names: {n: known for n in names if n == CAR})
    found = decoded(
        read,
        (CAR, own(CAR, 0, bytes([90, 0x2C, 0x01, 0b11]))),
        (OTHER, own(OTHER, 0, bytes([90, 0x2C, 0x01, 0b11]))),
        (CAR, report(CAR, 1)[:40]),  # a fault
        (CAR, own(CAR, 2, bytes([41, 0xFF]))),
        (CAR, report(CAR, 3)),
        (CAR, REALTIME_2016),
    )
    assert list(found.faults) == [2]
    assert found.row_frame.tolist() == [0, 1, 3, 4, 5]
    rows = found.rows.to_pylist()
    assert [row[COOLANT] for row in rows] == [50, None, 1, None, None]
    assert [row[TYRE] for row in rows] == [300, None, None, None, None]
    assert [row[HOOD] for row in rows] == [True, None, None, None, None]
    assert [row[STATE] for row in rows] == ["START", "ON", "START", "START", "START"]
    assert found.rows.schema.field(TYRE).type == pa.int32()


def test_numbers_that_are_too_large_are_no_value() -> None:
    text = f"""signals:
  {STATE}: {{field: gbt32960.unit.0x83.f64@0, values: {{1: START}}}}
  {TYRE}: {{field: gbt32960.unit.0x83.u8@8, scale: 1e30}}
  {SPEED}: {{field: gbt32960.unit.0x83.f64@0, unit: km/h}}
"""
    known = mapping(text)
    read = decoder(mappings=lambda _tenant, names: dict.fromkeys(names, known))
    frames = [
        (CAR, own(CAR, second, struct.pack(">dB", number, second)))
        for second, number in enumerate((1.0, 1e300))
    ]
    rows = decoded(read, *frames).rows.to_pylist()
    assert [row[STATE] for row in rows] == ["START", "ON"]
    assert [row[TYRE] for row in rows] == [0, None]
    assert [row[SPEED] for row in rows] == [1, decoded(decoder(), frames[1]).rows[SPEED][0].as_py()]


def test_mappings_of_many_models_give_what_each_row_says_alone() -> None:
    """Models that share rules, that differ in one, that map nothing; values beyond their range."""
    texts = [
        f"""signals:
  {COOLANT}: {{field: gbt32960.unit.0x83.u8@0, unit: degC, offset: -40, valid: [-40, {most}]}}
  {SPEED}: {{field: gbt32960.unit.0x83.{kind}@1, scale: {scale}}}
  {STATE}: {{field: gbt32960.unit.0x83.u8@2, values: {{0: "OFF", 1: "ON", {label}: START}}}}
  {TYRE}: {{field: gbt32960.unit.0x83.i16@1, valid: [0, 300]}}
"""
        for most, kind, scale, label in ((90, "u8", 1, 2), (90, "u8", 0.5, 3), (20, "f32", 1, 2))
    ]
    known = [mapping(text) for text in texts] + [mapping("signals:\n")]
    random = np.random.default_rng(83)
    names = [f"LTESTVNA{number:09}" for number in range(20)]
    of = {name: known[number % 4] for number, name in enumerate(names) if number % 5}
    frames = [
        (name, own(name, second, random.integers(0, size, size, np.uint8).tobytes()))
        for second, size in enumerate((5, 5, 1, 5, 3, 250, 5, 0))
        for name in names
    ]
    found = decoded(decoder(mappings=lambda _tenant, _names: of), *frames).rows
    plain = decoded(decoder(), *frames).rows.to_pylist()
    for (name, frame), row, without in zip(frames, found.to_pylist(), plain, strict=True):
        expected, flagged = {**without}, []
        for rule in of[name].fields("gbt32960") if name in of else ():
            assert isinstance(rule.source, FieldSource)
            one = OneByOne([named.report(frame)])
            read = one.raw if rule.labels else one.value
            values, outside = converted(rule, *read(rule.source.field))
            if values[0].is_valid:
                expected[rule.path] = values[0].as_py()
            flagged += [rule.path] if outside[0] else []
        outside_now = bool(flagged) or without["out_of_range"]
        expected |= {"flagged": flagged or None, "out_of_range": outside_now}
        assert {path: row[path] for path in expected} == expected
        assert all(row[path] is None for path in row.keys() - expected.keys())


def test_nothing_is_asked_where_no_model_names_a_field() -> None:
    def never(_tenant: Tenant, _names: Sequence[str]) -> dict[str, ModelMapping]:
        pytest.fail("asked for mappings")

    plain = decoded(decoder(), (CAR, report(CAR, 1)))
    found = decoded(decoder(mappings=never, maps=lambda _: False), (CAR, report(CAR, 1)))
    assert found.rows.equals(plain.rows)


def test_fields_are_listed_and_wrong_ones_refused() -> None:
    read = read_mapping(TEXT, {}, CATALOGUE)
    listed = {one.name: one for one in read.checked.fields if one.kind == "field"}
    assert listed["gbt32960.unit.0x83.u8@0"].paths == (COOLANT,)
    assert listed["gbt32960.unit.0x83.u8@0"].place == "unit 0x83 of the maker"
    assert listed["gbt32960.vehicle.vehicle_state"].paths == (STATE,)
    assert listed["gbt32960.extremes.max_cell_v"].unit == "V"
    wrong = "signals:\n  Vehicle.Speed:\n    field: gbt32960.vehicle.sped_kmh\n"
    (finding,) = read_mapping(wrong, {}, CATALOGUE).checked.findings
    assert (finding.line, finding.text) == (
        3, "gbt32960 has no field 'vehicle.sped_kmh'; do you mean vehicle.speed_kmh?",
    )  # fmt: skip


def test_the_decoders_of_an_installation_know_what_models_map(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    Tenancy(records)
    vehicles = Vehicles(records, secret=bytes(32))
    mappings = Mappings(records, Vocabulary(records).catalogue)
    vehicles.create_model(DEFAULT_TENANT, VehicleModel("car", "Car"), actor="ann")
    vehicles.create(DEFAULT_TENANT, NewVehicle(CAR, model="car"), actor="ann")
    read = make_decoders(Settings({"data": str(tmp_path)}), records)["gbt32960"]
    frame = own(CAR, 0, bytes([90, 0, 0, 0]))
    obd = "signals:\n  Vehicle.Speed: {obd: 0D}\n"
    mappings.save(DEFAULT_TENANT, "car", obd, {}, note="", actor="ann", if_version=None)
    records.version()
    assert not mappings.any(DEFAULT_TENANT, "gbt32960.")
    assert mappings.any(DEFAULT_TENANT)
    assert COOLANT not in decoded(read, (CAR, frame)).rows.column_names
    mappings.save(DEFAULT_TENANT, "car", TEXT, {}, note="", actor="ann", if_version=None)
    records.version()
    assert mappings.any(DEFAULT_TENANT, "gbt32960.")
    assert not mappings.any(Tenant("other"), "gbt32960.")
    assert decoded(read, (CAR, frame)).rows[COOLANT].to_pylist() == [50]
    records.close()
