"""Fields of JT/T 808 reports that a model's mapping gives a signal."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.app.ingest import _mappings
from carcloud.codecs.jt808 import named
from carcloud.codecs.jt808.encode import encode_position
from carcloud.codecs.jt808.frame import build
from carcloud.codecs.jt808.packets import parse_message
from carcloud.codecs.jt808.reports import reports
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.signals import CATALOGUE
from carcloud.model.time import to_us
from carcloud.services.telemetry.decode_jt808 import decoder
from carcloud.services.telemetry.protocols import DecodedFrames
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import NewVehicle, VehicleModel, Vehicles
from carcloud.services.vocabulary.api import Mappings, ModelMapping, Vocabulary
from carcloud.services.vocabulary.mapping_document import read_mapping
from tests.codecs.jt808.bodies import BASIC, TIME

TRUCK, OTHER = "13900000101", "13900000102"
TYRE = "Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure"
DOOR = "Vehicle.Cabin.Door.Row2.PassengerSide.IsOpen"
VENDOR = "Vehicle.Powertrain.TractionBattery.Temperature.Average"
STATE = "Vehicle.LowVoltageSystemState"
TEXT = f"""\
signals:
  {TYRE}: {{field: "jt808.tyre_pressures[0]", unit: kPa, scale: 10, valid: [100, 1200]}}
  {DOOR}: {{field: jt808.door2_open}}
  {VENDOR}: {{field: jt808.item.0xE1.i16@1, unit: Celsius, scale: 0.1, offset: -5}}
  {STATE}: {{field: jt808.acc_on, values: {{0: LOCK, 1: ACC}}}}
  Vehicle.Speed: {{field: jt808.recorder_kmh}}
"""
PRESSURES = bytes([80, 255, 90] + [255] * 27)


def mapping() -> ModelMapping:
    read = read_mapping(TEXT, {}, CATALOGUE)
    assert read.checked.findings == ()
    return read.mapping


def message(seconds: int, items: bytes = b"", status: int = 3) -> bytes:
    fields = BASIC | {"time": TIME + timedelta(seconds=seconds), "status": status, "items": []}
    return build(2019, 0x0200, TRUCK, seconds & 0xFFFF, encode_position(fields)[:28] + items)


def decoded(vehicles: list[str], *messages: bytes) -> DecodedFrames:
    known = mapping()
    read = decoder(mappings=lambda _tenant, names: {n: known for n in names if n == TRUCK})
    received = pa.array([to_us(TIME)] * len(messages), pa.int64())
    return read(DEFAULT_TENANT, pa.array(vehicles), pa.array(messages, pa.binary()), received)


def item(number: int, data: bytes) -> bytes:
    return bytes([number, len(data)]) + data


def test_mapped_fields_become_columns_of_mapped_vehicles() -> None:
    full = item(0x05, PRESSURES) + item(0xE1, b"\x07\xff\x38\x00") + item(0x03, b"\x02\x58")
    low = item(0x05, bytes([9]) + PRESSURES[1:])
    messages = [message(0, full, 3 | 1 << 14), message(1, full), message(2, low, 0), message(3)]
    found = decoded([TRUCK, OTHER, TRUCK, TRUCK], *messages)
    rows = found.rows.to_pylist()
    assert [row[TYRE] for row in rows] == [800, None, 90, None]
    assert [row[DOOR] for row in rows] == [True, None, False, False]
    assert [row[VENDOR] for row in rows] == [pytest.approx(-25), None, None, None]
    assert [row[STATE] for row in rows] == ["ACC", "ON", "LOCK", "ACC"]
    speed = rows[1]["Vehicle.Speed"]
    assert [row["Vehicle.Speed"] for row in rows] == [60, speed, speed, speed]
    assert [row["flagged"] for row in rows] == [None, None, [TYRE], None]
    assert [row["out_of_range"] for row in rows] == [False, False, True, False]
    assert found.rows.schema.field(TYRE).type == pa.int32()


def test_a_report_that_is_refused_leaves_the_others_their_fields() -> None:
    items = [item(0x05, bytes([tyre]) + PRESSURES[1:]) for tyre in (20, 30)]
    found = decoded([TRUCK] * 2, message(86_400, items[0]), message(0, items[1]))
    assert list(found.faults) == [0]
    assert found.rows[TYRE].to_pylist() == [300]


def test_named_fields_are_what_the_reference_reads() -> None:
    data = (
        item(0x01, b"\0\0\x30\x39") + item(0x02, b"\x01\x90") + item(0x06, b"\x80\x05")
        + item(0x2A, b"\0\x02") + item(0x2B, b"\0\x07\0\x09") + item(0x30, b"\x1f")
    )  # fmt: skip
    [report], _ = reports(parse_message(message(5, data, 3 | 1 << 13)))
    parts = named.parts(report.content)
    read = {name: named.find(name) for name in (
        "odometer_km", "fuel_l", "cabin_temp_c", "io[1]", "io[0]", "analog[0]", "analog[1]",
        "door1_open", "acc_on", "speed_kmh", "tyre_pressures[0]", "item.0x01.u16le@2",
        "item.0x2B.bit@16", "item.0x01.u32@1",
    )}  # fmt: skip
    assert {name: one.raw(parts) for name, one in read.items() if one is not None} == {
        "odometer_km": 12345, "fuel_l": 400, "cabin_temp_c": -5, "io[1]": 1, "io[0]": 0,
        "analog[0]": 9, "analog[1]": 7, "door1_open": 1, "acc_on": 1,
        "speed_kmh": round(report.fields["speed_kmh"] * 10), "tyre_pressures[0]": None,
        "item.0x01.u16le@2": 0x3930, "item.0x2B.bit@16": 1, "item.0x01.u32@1": None,
    }  # fmt: skip
    assert len(named.table()) == len({one.name for one in named.table().values()})
    cut = named.parts(report.content[:-1])
    assert 0x30 not in cut


def test_the_registry_and_the_mappings_tell_what_a_vehicle_maps(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    Tenancy(records)
    vehicles, vocabulary = Vehicles(records, secret=bytes(32)), Vocabulary(records)
    mappings = Mappings(records, vocabulary.catalogue)
    of = _mappings(vehicles, records, vocabulary)
    assert of(DEFAULT_TENANT, [TRUCK]) == {}
    vehicles.create_model(DEFAULT_TENANT, VehicleModel("lorry", "Lorry"), actor="ann")
    vehicles.create(DEFAULT_TENANT, NewVehicle(TRUCK, model="lorry"), actor="ann")
    mappings.save(DEFAULT_TENANT, "lorry", TEXT, {}, note="", actor="ann", if_version=None)
    records.version()
    found = of(DEFAULT_TENANT, [TRUCK, OTHER])
    assert list(found) == [TRUCK]
    assert len(found[TRUCK].fields("jt808")) == 5
    assert of(Tenant("other"), [TRUCK]) == {}
    records.close()
