"""Overlays of a tenant: what they may do to the catalogue, what is refused and where."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vocabulary.api import (
    InvalidOverlay,
    OverlayChanged,
    UnknownOverlay,
    UnknownSignal,
    Vocabulary,
)
from carcloud.services.vocabulary.overlay import overlaid

T, OTHER = Tenant("default"), Tenant("other")
GOOD = """\
# A refrigerated body, and what we hold these cars to
Vehicle:
  type: branch
Vehicle.Body:
  type: branch
Vehicle.Body.Cooler:
  type: branch
  instances: Zone[1,3]
  description: Cooled zones of the body.
Vehicle.Body.Cooler.Temperature:
  type: sensor
  datatype: float
  unit: Celsius
  min: -40
  max: 40
  description: Air temperature of the zone.
Vehicle.Body.Cooler.Mode:
  type: actuator
  datatype: string
  allowed: ['OFF', COOL, DEFROST]
  description: What the zone does.
Vehicle.Body.Cooler.Zone2.Mode:
  type: actuator
  allowed: ['OFF', COOL]
Vehicle.Speed:
  type: sensor
  min: 0
  max: 120
Vehicle.Cabin.DoorCount:
  type: attribute
  deprecation: counted by ourselves
Vehicle.Trailer:
  delete: true
"""
BODY = "Vehicle.Body.Cooler"


def findings(text: str, **more: object) -> list[tuple[int, str]]:
    """(line, text) of all findings."""
    found = overlaid(CATALOGUE, text, **more).effect.findings  # type: ignore[arg-type]
    return [(one.line, one.text) for one in found]


def test_an_overlay_adds_narrows_deprecates_and_deletes() -> None:
    done = overlaid(CATALOGUE, GOOD)
    assert done.effect.findings == ()
    found = done.catalogue
    zones = [f"{BODY}.Zone{n}.{leaf}" for leaf in ("Temperature", "Mode") for n in (1, 2, 3)]
    assert done.effect.added == tuple(zones)
    one = found[f"{BODY}.Zone3.Temperature"]
    assert (one.datatype, one.unit, one.minimum, one.maximum) == ("float", "Celsius", -40, 40)
    assert (one.origin, one.kind, one.description) == (
        "tenant", "sensor", "Air temperature of the zone.",
    )  # fmt: skip
    assert found[f"{BODY}.Zone1.Mode"].allowed == ("OFF", "COOL", "DEFROST")
    assert found[f"{BODY}.Zone2.Mode"].allowed == ("OFF", "COOL")
    assert (found["Vehicle.Speed"].minimum, found["Vehicle.Speed"].maximum) == (0, 120)
    assert found["Vehicle.Speed"].unit == "km/h"
    assert found["Vehicle.Cabin.DoorCount"].deprecated
    assert set(done.effect.changed) == {"Vehicle.Speed", "Vehicle.Cabin.DoorCount"}
    trailer = {path for path in CATALOGUE if path.startswith("Vehicle.Trailer.")}
    assert set(done.effect.removed) == trailer
    assert trailer
    assert not trailer & set(found)
    assert "Vehicle.Trailer" in next(iter(trailer))
    assert CATALOGUE["Vehicle.Speed"].maximum is None  # nobody else's changes


def test_the_same_as_json_nested_as_exporters_write_it() -> None:
    nested = {
        "Vehicle": {
            "type": "branch",
            "children": {
                "Speed": {"type": "sensor", "min": 0, "max": 120},
                "Rig": {
                    "type": "branch",
                    "description": "x",
                    "instances": ["Left", "Right"],
                    "children": {
                        "IsUp": {"type": "sensor", "datatype": "boolean", "description": "x"}
                    },
                },
            },
        }
    }
    done = overlaid(CATALOGUE, json.dumps(nested, indent=1))
    assert done.effect.findings == ()
    assert done.effect.added == ("Vehicle.Rig.Left.IsUp", "Vehicle.Rig.Right.IsUp")
    assert done.catalogue["Vehicle.Speed"].maximum == 120


def test_instances_multiply_and_may_be_left_out() -> None:
    text = """\
Vehicle.Rack: {type: branch, description: x, instances: ["Row[1,2]", [Left, Right]]}
Vehicle.Rack.Load: {type: sensor, datatype: uint16, unit: kg, description: x}
Vehicle.Rack.Count:
  {type: attribute, datatype: uint8, default: 4, description: x, instantiate: false}
"""
    rows = tuple(f"Vehicle.Rack.Row{n}.{side}.Load" for n in (1, 2) for side in ("Left", "Right"))
    assert overlaid(CATALOGUE, text).effect.added == (*rows, "Vehicle.Rack.Count")


NEW = "Vehicle.Extra: {{type: sensor, description: x, {}}}"
WRONG = {
    "unknown unit": (NEW.format("datatype: float, unit: furlong"), 1, "no unit 'furlong'"),
    "wrong datatype": (NEW.format("datatype: float32"), 1, "no datatype 'float32'"),
    "no datatype": (NEW.format("min: 1"), 1, "needs a datatype"),
    "unit at a text": (NEW.format("datatype: string, unit: km"), 1, "does not stand at a string"),
    "range turned": (NEW.format("datatype: float, min: 2, max: 1"), 1, "is above max"),
    "beyond its type": (NEW.format("datatype: uint8, max: 256"), 1, "does not fit into uint8"),
    "no whole number": (NEW.format("datatype: uint8, max: 1.5"), 1, "is a whole number"),
    "range of a text": (NEW.format("datatype: string, min: 1"), 1, "does not stand at a string"),
    "ON unquoted": (NEW.format("datatype: string, allowed: [ON]"), 1, "ON is no text here"),
    "allowed of a flag": (NEW.format("datatype: boolean, allowed: [true]"), 1, "at a boolean"),
    "allowed is no number": (NEW.format("datatype: uint8, allowed: ['1']"), 1, "whole number"),
    "allowed beyond": (NEW.format("datatype: uint8, allowed: [256]"), 1, "does not fit"),
    "allowed and range": (
        NEW.format("datatype: uint8, max: 3, allowed: [1]"), 1, "cannot stand together",
    ),
    "size of no array": (NEW.format("datatype: uint8, arraysize: 3"), 1, "stands at arrays"),
    "a number twice": (NEW.format("datatype: uint8, allowed: [1, 2, 1]"), 1, "there twice"),
    "size is no number": (
        NEW.format("datatype: 'uint8[]', arraysize: true"), 1, "a whole number from 1",
    ),
    "size zero": (NEW.format("datatype: 'uint8[]', arraysize: 0"), 1, "a whole number from 1"),
    "a struct": (NEW.format("datatype: Types.Position"), 1, "no datatype"),
    "no description": ("\nVehicle.Extra: {type: sensor, datatype: float}", 2, "a description"),
    "default of a sensor": (NEW.format("datatype: uint8, default: 1"), 1, "only an attribute"),
    "unknown key": (NEW.format("datatype: float, colour: red"), 1, "'colour' is not known"),
    "branch missing": (
        "Vehicle.No.Where: {type: sensor, datatype: float, description: x}", 1,
        "no branch Vehicle.No",
    ),
    "bad path": ("Car.Speed: {type: sensor}", 1, "begins with Vehicle"),
    "case": (
        "Vehicle.SPEED: {type: sensor, datatype: float, description: x}", 1, "only in case",
    ),
    "widening": ("Vehicle.Cabin.HVAC.PowerOptimizeLevel: {type: actuator, max: 12}", 1, "above"),
    "more allowed": (
        "Vehicle.LowVoltageSystemState:\n  type: sensor\n  allowed: [ACC, SLEEP]", 3,
        "does not allow SLEEP",
    ),
    "type of the standard": ("Vehicle.Speed: {type: sensor, datatype: double}", 1, "stays float"),
    "unit of the standard": ("Vehicle.Speed:\n  type: sensor\n  unit: m/s", 3, "stays km/h"),
    "kind of the standard": ("Vehicle.Speed:\n  type: actuator", 2, "stays sensor"),
    "a leaf as a branch": ("Vehicle.Speed: {type: branch}", 1, "is a signal"),
    "a branch as a leaf": ("Vehicle.Cabin: {type: sensor, datatype: float}", 1, "is a branch"),
    "nothing to delete": ("Vehicle.Nothing: {delete: true}", 1, "no such node"),
    "twice": ("Vehicle.Speed: {type: sensor}\nVehicle.Speed: {type: sensor}", 2, "on line 1 too"),
    "too many instances": (
        "Vehicle.X: {type: branch, description: x, instances: 'A[1,999]'}", 1, "at most 200",
    ),
    "include": ("Vehicle: {type: branch}\n#include other.vspec Vehicle", 2, "#include"),
    "alias": ("a: &a [1]\nb: *a", 1, "aliases"),
    "tag": ("Vehicle: !!python/object:os.system {type: branch}", 1, "tag"),
    "no yaml": ("Vehicle:\n  type: [branch", 3, "no YAML"),
    "a list": ("- Vehicle", 1, "a mapping"),
    "no node": ("Vehicle.Speed: 3", 1, "a node is a mapping"),
    "too deep": ("[" * 50 + "]" * 50, 1, "too deep"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_line(case: str) -> None:
    text, line, told = WRONG[case]
    found = findings(text)
    assert [one for one in found if one[0] == line and told in one[1]], found
    assert overlaid(CATALOGUE, text).effect.added == ()


def test_a_bomb_of_aliases_and_a_large_text_are_refused_at_once() -> None:
    bomb = "a: &a [x,x]\n" + "".join(f"{n}: &b{n} [*a,*a]\n" for n in range(50))
    assert findings(bomb) == [(1, "anchors and aliases are not supported")]
    assert "256,000 bytes" in findings("#" * 256_001)[0][1]
    assert findings("a: [" + "1," * 25_000 + "]")[0][1] == "too long"


def test_what_has_data_keeps_its_type_and_unit() -> None:
    held = {f"{BODY}.Zone1.Temperature": "float"}
    before = overlaid(CATALOGUE, GOOD).catalogue
    assert findings(GOOD, held=held, before=before) == []
    other = GOOD.replace("datatype: float", "datatype: int16")
    [(line, text)] = findings(other, held=held, before=before)
    assert (line, "its datatype cannot become int16" in text) == (10, True)
    [(_, text)] = findings(GOOD.replace("Celsius", "Fahrenheit"), held=held, before=before)
    assert "its unit cannot change" in text


def test_a_path_of_the_base_made_anew_keeps_its_type_and_unit() -> None:
    anew = "Vehicle: {{type: branch, children: {{Speed: {{delete: true}}}}}}\n{0}"
    for keys, told in (
        ("datatype: string", "is float in the catalogue: it cannot become string"),
        ("datatype: float, unit: m/s", "is in km/h in the catalogue: its unit cannot change"),
    ):
        entry = f"Vehicle.Speed: {{type: sensor, {keys}, description: x}}\n"
        done = overlaid(CATALOGUE, anew.format(entry))
        assert [(one.line, one.text) for one in done.effect.findings] == [(2, told)]
        assert done.catalogue["Vehicle.Speed"] == CATALOGUE["Vehicle.Speed"]
    same = "Vehicle.Speed: {type: sensor, datatype: float, unit: km/h, description: x}\n"
    assert findings(anew.format(same)) == []


@pytest.mark.parametrize("most", ["9" * 4_000, "1:1" + ":1" * 60_000, ".nan", ".inf", "1" * 41])
def test_numbers_that_are_none_are_findings_at_once(most: str) -> None:
    text = f"Vehicle.New: {{type: sensor, datatype: double, description: x, max: {most}}}\n"
    [(line, told)] = findings(text)
    assert (line, "max of a double is a number, finite" in told) == (1, True)


@given(st.text(alphabet="Vehicle.SpdX:{}[],&*!#'\"-\n  0123branch", max_size=120))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_it_fail(text: str) -> None:
    overlaid(CATALOGUE, text)


# --- versions -----------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecords]:
    made = SqlRecords(f"sqlite:///{tmp_path / 'records.db'}")
    Tenancy(made)
    yield made
    made.close()


def test_versions_are_kept_audited_and_hold_for_one_tenant(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records)
    assert vocabulary.catalogue(T) is CATALOGUE
    assert vocabulary.overlay(T).version == 0
    saved, effect = vocabulary.save(T, GOOD, note="coolers", actor="ann", if_version=0)
    assert len(effect.added) == 6
    assert saved.version == 1
    mine = vocabulary.catalogue(T)
    assert mine["Vehicle.Speed"].maximum == 120
    assert vocabulary.catalogue(T) is mine
    assert vocabulary.catalogue(OTHER) is CATALOGUE
    assert vocabulary.signal(T, f"{BODY}.Zone1.Mode").kind == "actuator"
    with pytest.raises(UnknownSignal):
        vocabulary.signal(OTHER, f"{BODY}.Zone1.Mode")
    with pytest.raises(OverlayChanged):
        vocabulary.save(T, "", note="", actor="bob", if_version=0)
    vocabulary.save(T, "", note="back", actor="bob", if_version=1)
    assert vocabulary.catalogue(T) is CATALOGUE
    assert vocabulary.overlay(T, 1).text == GOOD
    assert [(one.version, one.actor) for one in vocabulary.versions(T, limit=5)] == [
        (2, "bob"), (1, "ann"),
    ]  # fmt: skip
    assert vocabulary.versions(OTHER, limit=5) == []
    with pytest.raises(UnknownOverlay):
        vocabulary.overlay(OTHER, 1)
    [last, first] = Tenancy(records).trail.page(T, AuditFilter(action="signals.overlay")).items
    assert first.after is not None and last.before is not None and last.after is not None
    assert (first.before, first.after["added"], first.after["removed"] > 0) == (None, 6, True)
    assert (last.before["version"], last.after["version"]) == (1, 2)


def test_a_wrong_overlay_is_refused_with_all_that_is_wrong(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records, held=lambda tenant: {"Vehicle.New": "string"})
    text = """\
Vehicle.New: {type: sensor, datatype: float, description: x}
Vehicle.Speed: {type: sensor, unit: m/s}
"""
    with pytest.raises(InvalidOverlay) as refused:
        vocabulary.save(T, text, note="", actor="ann", if_version=None)
    assert [one.line for one in refused.value.findings] == [1, 2]
    assert vocabulary.overlay(T).version == 0


def test_another_process_sees_a_new_overlay(records: SqlRecords) -> None:
    here, there = Vocabulary(records), Vocabulary(records)
    assert there.catalogue(T) is CATALOGUE
    here.save(T, GOOD, note="", actor="ann", if_version=None)
    assert there.catalogue(T)["Vehicle.Speed"].maximum == 120


def test_of_two_who_save_at_once_one_must_look_again(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records)
    outcomes: list[str] = []

    def save(name: str) -> None:
        try:
            vocabulary.save(T, GOOD, note=name, actor=name, if_version=0)
            outcomes.append("saved")
        except OverlayChanged:
            outcomes.append("changed")

    threads = [threading.Thread(target=save, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["changed", "changed", "saved"]


def test_numbers_have_allowed_values_and_arrays_a_size(records: SqlRecords) -> None:
    vocabulary = Vocabulary(records)
    text = (
        "Vehicle.Step: {type: sensor, datatype: int8, allowed: [-1, 0, 2], description: x}\n"
        "Vehicle.Level: {type: sensor, datatype: float, allowed: [0.5, 2], description: x}\n"
        "Vehicle.Three: {type: sensor, datatype: 'uint8[]', arraysize: 3, description: x}\n"
    )
    vocabulary.save(T, text, note="", actor="ann", if_version=0)
    found = vocabulary.catalogue(T)
    assert found["Vehicle.Step"].allowed == ("-1", "0", "2")
    assert [float(one) for one in found["Vehicle.Level"].allowed] == [0.5, 2]
    assert found["Vehicle.Three"].array_size == 3
