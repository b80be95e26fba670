"""Mappings of models: read with lines, applied, kept as versions, suggested from DBC files."""

import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from carcloud.agent.extract import compiled
from carcloud.agent.model import parse_model
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.obd import ObdSeries
from carcloud.codecs.can.obd_pids import PARTS, PIDS
from carcloud.codecs.dbc.columnar import decode
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.catalogue import UNITS
from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vocabulary.api import (
    InvalidMapping,
    MappingChanged,
    Mappings,
    UnknownMapping,
    Vocabulary,
    apply,
)
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_suggest import NAMES, suggested
from carcloud.services.vocabulary.overlay import overlaid
from carcloud.services.vocabulary.units import _WRITTEN, canonical, conversion

T, OTHER = Tenant("default"), Tenant("other")
DBC = """\
VERSION ""
BU_: ECU
BO_ 291 Wheels: 8 ECU
 SG_ Speed : 0|16@1+ (0.1,0) [0|400] "mph" ECU
 SG_ Torque : 16|16@1- (1,-20) [0|0] "Nm" ECU
 SG_ Key : 32|3@1+ (1,0) [0|7] "" ECU
 SG_ Door : 35|1@1+ (1,0) [0|1] "" ECU
 SG_ Oil : 40|8@1+ (1,-40) [0|0] "Unit_DegreCelsi" ECU
 SG_ Odd : 48|8@1+ (1,0) [0|0] "wibbles" ECU
BO_ 512 Engine: 8 ECU
 SG_ EngineSpeed : 7|16@0+ (0.25,0) [0|8000] "rpm" ECU
VAL_ 291 Key 0 "off" 1 "on" ;
"""
GOOD = """\
dbc: [drive.dbc]
signals:
  Vehicle.Speed:
    can: Wheels.Speed
    valid: [0, 155]        # mph
  Vehicle.Powertrain.CombustionEngine.Torque: {can: Wheels.Torque, scale: 2, offset: -3}
  Vehicle.LowVoltageSystemState:
    can: Wheels.Key
    values: {0: "OFF", 1: "ON"}
  Vehicle.Cabin.Door.Row1.DriverSide.IsOpen: {can: Wheels.Door}
  Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature: {can: Wheels.Oil}
  Vehicle.Powertrain.CombustionEngine.Speed: {obd: 0C}
  Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure:
    field: jt808.tyre_pressures[0]
    unit: bar
    scale: 0.1
"""
FILES = {"drive.dbc": DBC}


def lines(text: str, files: dict[str, str] | None = None) -> list[tuple[int, str]]:
    found = read_mapping(text, FILES if files is None else files, CATALOGUE)
    return [(one.line, one.text) for one in found.checked.findings]


def test_a_mapping_is_read_with_its_units_converted() -> None:
    read = read_mapping(GOOD, FILES, CATALOGUE)
    assert read.checked.findings == ()
    rules = {rule.path: rule for rule in read.mapping.rules}
    speed = rules["Vehicle.Speed"]
    assert (speed.scale, speed.offset, speed.unit) == (1.609344, 0, "mph")
    assert speed.valid == pytest.approx((0, 249.44832))
    torque = rules["Vehicle.Powertrain.CombustionEngine.Torque"]
    assert (torque.scale, torque.offset) == (2, -3)
    assert isinstance(torque.scale, int)
    tyre = rules["Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure"]
    assert (tyre.scale, tyre.source.name) == (10, "jt808.tyre_pressures[0]")
    landing = {one.name: one.paths for one in read.checked.fields}
    assert landing["Wheels.Speed"] == ("Vehicle.Speed",)
    assert landing["Wheels.Odd"] == ()
    assert landing["0C"] == ("Vehicle.Powertrain.CombustionEngine.Speed",)
    assert landing["jt808.door1_open"] == ()


def test_the_page_maps_parameters_of_obd_to_signals_of_the_standard() -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    text = page.split("## Parameters of OBD-II")[1].split("```")[1].removeprefix("yaml\n")
    read = read_mapping(text, {}, CATALOGUE)
    assert read.checked.findings == ()
    assert read.checked.signals == text.count("{obd: ") == 15
    rules = {rule.path: rule for rule in read.mapping.rules}
    assert rules["Vehicle.TraveledDistance"].scale == 1000


def test_a_parameter_with_several_values_is_read_by_their_numbers() -> None:
    node = "Vehicle.LowVoltageBattery.CurrentVoltage"
    mapping = read_mapping(f"signals:\n  {node}: {{obd: 24.2}}\n", {}, CATALOGUE).mapping
    assert [rule.source.name for rule in mapping.rules] == ["24.2"]
    both = [
        ObdSeries(0x7E8, 0x24, one, np.array([7]), np.array([value]), part)
        for part, (one, value) in enumerate(zip(PARTS[0x24], (1.0, 2.5), strict=True))
    ]
    [series] = apply(mapping, obd=both)
    assert series.values.to_pylist() == [2.5]
    assert lines(f"signals:\n  {node}: {{obd: 24.3}}\n", {}) == [
        (2, "'24.3': PID 24 has no value 3")
    ]


def test_json_is_a_mapping_too() -> None:
    document = {"dbc": ["drive.dbc"], "signals": {"Vehicle.Speed": {"can": "Wheels.Speed"}}}
    read = read_mapping(json.dumps(document), FILES, CATALOGUE)
    assert read.checked.findings == ()
    assert read.mapping.rules[0].scale == 1.609344


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (
            "Vehicle.Spede: {can: Wheels.Speed}",
            "the catalogue has no such signal; do you mean Vehicle.Speed?",
        ),
        (
            "vehicle.speed: {can: Wheels.Speed}",
            "the catalogue has no such signal; do you mean Vehicle.Speed?",
        ),
        ("Vehicle.Speed: {can: Wheel.Speed}", "no DBC has a message Wheel; do you mean Wheels?"),
        ("Vehicle.Speed: {can: Wheels.Sped}", "Wheels has no signal Sped; do you mean Speed?"),
        ("Vehicle.Speed: {can: Speed}", "'Speed' is not message.signal"),
        (
            "Vehicle.Speed: {can: Wheels.Torque}",
            "is in km/h: no way there from Nm of Wheels.Torque: say unit",
        ),
        (
            "Vehicle.Speed: {can: Wheels.Speed, unit: Celsius}",
            "is in km/h: no way there from Celsius",
        ),
        ("Vehicle.Speed: {can: Wheels.Odd}", "the source's unit 'wibbles' is not known: say unit"),
        (
            "Vehicle.Speed: {can: Wheels.Speed, unit: furlongs}",
            "the unit 'furlongs' is not known: say unit",
        ),
        ("Vehicle.Speed: {obd: 'FF'}", "'FF' is no PID that can be read"),
        ("Vehicle.Speed: {field: jt808.speed}", "jt808 has no field 'speed'"),
        (
            "Vehicle.Speed: {field: jt808.item.0xE1.u16@254}",
            "jt808 has no field 'item.0xE1.u16@254'",
        ),
        ("Vehicle.Speed: {field: can.x}", "no protocol 'can' has fields: gbt32960, jt808"),
        ("Vehicle.Speed: {unit: km/h}", "needs one source: can, obd or field"),
        ("Vehicle.Speed: {can: Wheels.Speed, obd: 0D}", "needs one source: can, obd or field"),
        ("Vehicle.Speed: Wheels.Speed", "needs a source: can, obd or field"),
        ("Vehicle.Speed: {can: Wheels.Speed, factor: 2}", "no such key as factor"),
        ("Vehicle.Speed: {can: Wheels.Speed, scale: two}", "scale is a number"),
        ("Vehicle.Speed: {can: Wheels.Speed, scale: 0}", "scale is not 0"),
        ("Vehicle.Speed: {can: Wheels.Speed, offset: .inf}", "offset is a number"),
        ("Vehicle.Speed: {can: Wheels.Speed, valid: [9, 1]}", "valid is [least, most]"),
        ("Vehicle.Speed: {can: Wheels.Speed, valid: 9}", "valid is [least, most]"),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key}",
            "is a text: say by values which number is which text",
        ),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key, values: {0: 'AUS'}}",
            "'AUS' is not allowed: UNDEFINED, LOCK, OFF, ACC, ON, START",
        ),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key, values: {off: 'OFF'}}",
            "'off' is no raw value: a whole number",
        ),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key, values: {0: 'OFF', 0x0: 'ON'}}",
            "raw value 0 stands here twice",
        ),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key, values: 3}",
            "values has 1 to 500 pairs: raw value and value",
        ),
        (
            "Vehicle.LowVoltageSystemState: {can: Wheels.Key, values: {0: 'OFF'}, scale: 2}",
            "scale and values exclude each other",
        ),
        (
            "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen: {can: Wheels.Key, values: {0: 7}}",
            "'7' is not true or false",
        ),
        (
            "Vehicle.Powertrain.Transmission.SelectedGear: {can: Wheels.Key, values: {7: 300}}",
            "300 is outside -128 to 127",
        ),
        (
            "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen: {can: Wheels.Door, unit: V}",
            "true or false has no unit",
        ),
        (
            "Vehicle.Powertrain.TractionBattery.DTC.List: {can: Wheels.Key}",
            "the catalogue has no such signal",
        ),
        (
            "Vehicle.Diagnostics.DTCList: {can: Wheels.Key}",
            "is a text: say by values which number is which text",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(entry: str, wanted: str) -> None:
    right = "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen: {can: Wheels.Door}"
    text = f"dbc: [drive.dbc]\nsignals:\n  {right}\n  {entry}\n"
    found = lines(text)
    assert [line for line, _ in found] == [4], found
    assert found[0][1].startswith(wanted)


def test_wrong_files_keys_and_doubles_are_told() -> None:
    assert lines("dbc: [nope.dbc]\n") == [(1, "there is no such DBC file with this mapping")]
    assert lines("dbc:\n- ../x\n") == [
        (2, "a file name has up to 100 letters, digits, . _ -")
    ]  # fmt: skip
    assert lines("dbc: [drive.dbc, drive.dbc]") == [(1, "stands here twice")]
    assert lines("dbc: [a.dbc]", {"a.dbc": "hello"})[0] == (
        1, "has no message that can be read: is it a DBC file?",
    )  # fmt: skip
    assert lines("dbc: [{name: drive.dbc, bus: left}]")[0][1].startswith("a bus is a name")
    assert lines("sorts: 1\n") == [(1, "no such key: there are dbc, j1939, signals")]
    assert lines("[]")[0][1] == "a mapping has the keys dbc, j1939 and signals"
    assert lines("signals: {a: &x {}, b: *x}")[0][1] == "anchors and aliases are not supported"
    assert lines("signals: {{")[0][1].startswith("no YAML: ")
    double = "signals:\n  Vehicle.Speed: {obd: 0D}\n  Vehicle.Speed: {obd: 0D}\n"
    assert lines(double) == [(3, "Vehicle.Speed is on line 2 too")]
    assert lines("") == lines("signals:\n") == []
    assert lines("x" * 300_000)[0][1] == "a mapping has at most 256,000 bytes"


def test_only_the_first_wrong_names_are_compared_with_all_there_are() -> None:
    paths = [path for path, one in CATALOGUE.items() if one.scalar == "float"][:150]
    entries = [f"  {path}: {{can: Wheels.Sped}}\n" for path in paths]
    right = "  Vehicle.Cabin.Door.Row1.DriverSide.IsOpen: {can: Wheels.Door}\n"
    text = f"dbc: [drive.dbc]\nsignals:\n{''.join(entries)}{right}"
    read = read_mapping(text, FILES, CATALOGUE)
    hinted = ["do you mean Speed?" in one.text for one in read.checked.findings]
    assert hinted == [True] * 20 + [False] * 80
    assert len(read.mapping.rules) == 1  # what is right further down still holds


def test_findings_of_the_dbc_are_told_beside() -> None:
    broken = DBC + ' SG_ X : 0|0@1+ (1,0) [0|0] "" ECU\nBO_ nonsense\n'
    read = read_mapping(GOOD, {"drive.dbc": broken}, CATALOGUE)
    assert read.checked.findings == ()
    assert {one.file for one in read.checked.dbc_findings} == {"drive.dbc"}
    assert read.checked.dbc_findings[-1].line == 14


def frames(*payloads: str) -> CanFrames:
    data = [bytes.fromhex(one) for one in payloads]
    return CanFrames.build(
        list(range(len(data))), [291] * len(data), list(b"".join(data)), [len(one) for one in data]
    )


PAYLOADS = (
    "e803 feff 00 2a 00 00", "ffff 00d0 09 00 00 00", "0600 0100 07 ff 00 00", "0100",
)  # fmt: skip


def test_what_is_applied_is_what_the_rule_says() -> None:
    mapping = read_mapping(GOOD, FILES, CATALOGUE).mapping
    found = {one.path: one for one in apply(mapping, decode(frames(*PAYLOADS), mapping.databases))}
    speed = found["Vehicle.Speed"]
    assert speed.values.to_pylist() == pytest.approx([160.9344, 10546.836, 0.9656064, 0.1609344])
    assert speed.flagged.tolist() == [False, True, False, False]
    torque = found["Vehicle.Powertrain.CombustionEngine.Torque"]
    assert torque.values.to_pylist() == [(-2 - 20) * 2 - 3, (-12288 - 20) * 2 - 3, (1 - 20) * 2 - 3]
    state = found["Vehicle.LowVoltageSystemState"].values.to_pylist()
    assert state == ["OFF", "ON", None]
    door = found["Vehicle.Cabin.Door.Row1.DriverSide.IsOpen"].values.to_pylist()
    assert door == [False, True, False]
    oil = found["Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature"].values.to_pylist()
    assert oil == [2, -40, 215]
    answers = ObdSeries(0x7E8, 0x0C, PIDS[0x0C], np.array([7]), np.array([812.25]))
    [series] = apply(mapping, obd=[answers])
    assert (series.path, series.time.tolist(), series.values.to_pylist()) == (
        "Vehicle.Powertrain.CombustionEngine.Speed", [7], [812.25],
    )  # fmt: skip


def test_what_a_type_cannot_hold_is_empty_and_flagged() -> None:
    text = GOOD.replace("scale: 2, offset: -3", "scale: 5000")
    mapping = read_mapping(text, FILES, CATALOGUE).mapping
    found = {one.path: one for one in apply(mapping, decode(frames(*PAYLOADS), mapping.databases))}
    torque = found["Vehicle.Powertrain.CombustionEngine.Torque"]
    assert torque.values.to_pylist() == [None, None, None]
    assert torque.flagged.all()


def test_the_vehicle_makes_the_same_values_of_it(records: SqlRecords) -> None:
    mappings = made(records)
    mappings.save(T, "van", GOOD, FILES, note="", actor="ann", if_version=None)
    document = json.loads(json.dumps(mappings.model_document(T, "van")))
    assert (document["id"], document["version"]) == ("van", 1)
    model = parse_model(document)
    there: dict[str, list[object]] = {}

    def sink(path: str) -> Callable[[int, object], None]:
        return lambda _t, value: there.setdefault(path, []).append(value)

    for payload in PAYLOADS:
        wanted = [(each, sink(each.path)) for each in model.mappings]
        compiled(model.mappings[0].message, wanted, False)(0, bytes.fromhex(payload))
    mapping = mappings.mapping(T, "van")
    assert mapping is not None
    for one in apply(mapping, decode(frames(*PAYLOADS), mapping.databases)):
        here = [value for value in one.values.to_pylist() if value is not None]
        exact = [np.float32(x) if one.values.type == "float" else x for x in there[one.path]]
        assert here == exact, one.path
    assert mappings.model_document(T, "bus") is None
    assert mappings.model_document(T, "van") is mappings.model_document(T, "van")


def test_agents_get_only_what_a_mapping_uses(records: SqlRecords) -> None:
    mappings = made(records)
    unused = "".join(
        f'BO_ {number} M{number}: 8 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "" ECU\n'
        f'CM_ BO_ {number} "{700 * "x"}";\n'
        for number in range(600, 2_040)
    )
    files = {"drive.dbc": DBC + unused, "other.dbc": unused}
    text = GOOD.replace("[drive.dbc]", "[drive.dbc, other.dbc]")
    _, checked = mappings.save(T, "van", text, files, note="", actor="ann", if_version=None)
    assert [one for one in checked.dbc_findings if one.level != "info"] == []
    document = mappings.model_document(T, "van")
    assert [one["name"] for one in document["dbc"]] == ["drive.dbc"]
    assert len(document["dbc"][0]["text"]) < len(DBC)
    assert {each.message.name for each in parse_model(document).mappings} == {"Wheels"}


def test_a_mapping_too_large_for_agents_is_told(records: SqlRecords) -> None:
    mappings = made(records)
    tenancy = Tenancy(records)
    tenancy.tenants.ensure(T)
    tenancy.limits.set_limit(T, "vehicle_message_bytes", 700, actor="ann")
    _, checked = mappings.save(T, "van", GOOD, FILES, note="", actor="ann", if_version=None)
    (told,) = checked.dbc_findings
    size = len(json.dumps(mappings.model_document(T, "van"), ensure_ascii=False))
    assert (told.file, told.level) == ("drive.dbc", "warning")
    assert told.text.startswith(f"agents need {size:,} bytes of this mapping")
    assert "vehicle_message_bytes lets 700 wait" in told.text


def test_conversions_are_exact_and_go_both_ways() -> None:
    assert conversion("mph", "km/h").factor == Fraction("1.609344")  # type: ignore[union-attr]
    assert conversion("psi", "kPa").factor * 1000 == pytest.approx(6894.757293168)  # type: ignore[union-attr]
    way = conversion("Fahrenheit", "Celsius")
    assert way is not None
    assert (212 * way.factor + way.offset, -40 * way.factor + way.offset) == (100, -40)
    assert float(conversion("rad", "degrees").factor * 1) == math.degrees(1)  # type: ignore[union-attr]
    assert conversion("km/h", "kPa") is None
    for one in UNITS:
        for other in UNITS:
            there, back = conversion(one, other), conversion(other, one)
            assert (there is None) == (back is None)
            if there is not None and back is not None:
                assert UNITS[one].quantity == UNITS[other].quantity
                assert there.factor * back.factor == 1
                assert there.offset * back.factor + back.offset == 0
    for name, written in _WRITTEN.items():
        assert canonical(name) == name
        assert {canonical(text) for text in written.split()} == {name}
    assert (canonical(" KPH "), canonical("nope"), canonical("")) == ("km/h", None, None)


def made(records: SqlRecords) -> Mappings:
    return Mappings(records, Vocabulary(records).catalogue)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecords]:
    opened = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    Tenancy(opened)
    yield opened
    opened.close()


def test_versions_are_kept_audited_and_hold_for_one_tenant(records: SqlRecords) -> None:
    mappings = made(records)
    assert mappings.mapping(T, "van") is None
    assert not mappings.any(T)
    first, checked = mappings.save(
        T, "van", GOOD, {**FILES, "other.dbc": "not named"}, note="first", actor="ann", if_version=0
    )
    assert (first.version, first.dbc, checked.signals) == (1, ("drive.dbc",), 7)
    assert mappings.any(T)
    assert not mappings.any(OTHER)
    held = mappings.mapping(T, "van")
    assert held is not None
    assert held is mappings.mapping(T, "van")
    less = "dbc: [drive.dbc]\nsignals: {Vehicle.Speed: {can: Wheels.Speed}}"
    second, _ = mappings.save(T, "van", less, {}, note="less", actor="bob", if_version=1)
    assert second.dbc == ("drive.dbc",)
    again = mappings.mapping(T, "van")
    assert again is not None
    assert (again.version, len(again.rules)) == (2, 1)
    assert mappings.version(T, "van", 1).text == GOOD
    assert mappings.dbc(T, "van", "drive.dbc", 1) == mappings.dbc(T, "van", "drive.dbc") == DBC
    assert [one.version for one in mappings.versions(T, "van", limit=5)] == [2, 1]
    assert mappings.mapping(OTHER, "van") is None
    for call in (
        lambda: mappings.version(OTHER, "van", 1),
        lambda: mappings.dbc(OTHER, "van", "drive.dbc"),
        lambda: mappings.dbc(T, "van", "other.dbc"),
        lambda: mappings.version(T, "van", 3),
    ):
        with pytest.raises(UnknownMapping):
            call()
    with pytest.raises(MappingChanged, match="version 2 now"):
        mappings.save(T, "van", GOOD, FILES, note="", actor="ann", if_version=1)
    [last, one] = Tenancy(records).trail.page(T, AuditFilter(action="model.mapping")).items
    assert (one.after["version"], last.before["version"], last.subject) == (1, 1, "van")


def test_a_wrong_mapping_is_not_saved(records: SqlRecords) -> None:
    mappings = made(records)
    with pytest.raises(InvalidMapping) as error:
        mappings.save(T, "van", GOOD, {}, note="", actor="ann", if_version=None)
    assert error.value.findings[0].line == 1
    assert mappings.version(T, "van").version == 0


def test_another_process_sees_a_new_mapping_and_a_new_catalogue(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records)
    here, there = Mappings(records, vocabulary.catalogue), made(records)
    assert there.mapping(T, "van") is None
    own = "Vehicle.Boost:\n  type: sensor\n  datatype: float\n  description: x\n"
    vocabulary.save(T, own, note="", actor="ann", if_version=None)
    text = "dbc: [drive.dbc]\nsignals: {Vehicle.Boost: {can: Wheels.Odd}}"
    here.save(T, "van", text, FILES, note="", actor="ann", if_version=None)
    records.version()
    found = there.mapping(T, "van")
    assert found is not None
    assert [rule.path for rule in found.rules] == ["Vehicle.Boost"]
    vocabulary.save(T, "", note="", actor="ann", if_version=None)
    records.version()
    found = there.mapping(T, "van")
    assert found is not None
    assert found.rules == ()


def test_a_dbc_becomes_a_mapping_in_one_step(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records)
    mappings = Mappings(records, vocabulary.catalogue)
    held = "Vehicle.Boost:\n  type: sensor\n  datatype: float\n  description: x\n"
    found = suggested(FILES, CATALOGUE, held)
    assert found.matched == {
        "Vehicle.Speed": "Wheels.Speed",
        "Vehicle.Powertrain.CombustionEngine.Speed": "Engine.EngineSpeed",
    }
    assert (found.private, found.left_out) == (5, ())
    vocabulary.save(T, found.overlay, note="", actor="ann", if_version=None)
    assert "Vehicle.Boost" in vocabulary.catalogue(T)
    oil = vocabulary.signal(T, "Vehicle.Private.Wheels.Oil")
    assert (oil.datatype, oil.unit) == ("int16", "Celsius")
    _, checked = mappings.save(T, "van", found.mapping, FILES, note="", actor="a", if_version=None)
    assert checked.signals == 7
    assert all(one.paths for one in checked.fields if one.kind == "can")
    assert suggested(FILES, vocabulary.catalogue(T), found.overlay).overlay == found.overlay
    as_json = suggested(FILES, CATALOGUE, json.dumps({"Vehicle.Trailer": {"delete": True}}))
    assert overlaid(CATALOGUE, as_json.overlay).effect.findings == ()
    with pytest.raises(InvalidMapping):
        suggested({"a.dbc": "nothing"}, CATALOGUE)


def test_names_that_are_suggested_exist() -> None:
    assert [path for path in NAMES if path not in CATALOGUE] == []
    assert [path for path in NAMES if CATALOGUE[path].unit is None] == []


def test_the_example_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = [one.split("```")[0] for one in text.split("```\n")]
    dbc = next(one for one in blocks if one.startswith("BO_"))
    read = read_mapping(text.split("```yaml\n")[1].split("```")[0], {"drive.dbc": dbc}, CATALOGUE)
    assert read.checked.findings == ()
    assert len(read.mapping.rules) == 6
    payload = text.split("The frame `")[1].split("`")[0]
    found = apply(read.mapping, decode(frames(payload), read.mapping.databases))
    assert [one.values.to_pylist() for one in found] == [[pytest.approx(160.9344)], ["ON"], [90]]
