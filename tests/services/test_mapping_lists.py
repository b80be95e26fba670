"""List signals of a mapping: cells of one frame, of several messages, of multiplexed groups."""

import json
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from carcloud.agent.extract import FrameTable
from carcloud.agent.model import parse_model
from carcloud.codecs.campaign.document import parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.prepare import prepare
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.jt808.frame import build
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.signals import CATALOGUE, Signal, arrow_type
from carcloud.model.time import now_us
from carcloud.services.telemetry import decode_can, decode_jt808
from carcloud.services.telemetry.can_mapped import MappedCan
from carcloud.services.telemetry.can_rows import lay_rows
from carcloud.services.telemetry.decode_can import pack_rows
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.vocabulary import mapping_document
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_rules import expanded
from carcloud.services.vocabulary.mapping_types import Mapping
from carcloud.services.vocabulary.model_document import model_document

BATTERY = "Vehicle.Powertrain.TractionBattery"
CELLS = f"{BATTERY}.CellVoltage.CellVoltages"
PROBES = f"{BATTERY}.Temperature.CellTemperature"
CODES = f"{BATTERY}.ErrorCodes"
DBC = """\
VERSION ""
BU_: BMS
BO_ 768 Probes: 8 BMS
 SG_ Probe_01 : 0|8@1+ (1,-40) [0|0] "degC" BMS
 SG_ Probe_02 : 8|8@1+ (1,-40) [0|0] "degC" BMS
 SG_ Probe_03 : 16|8@1+ (1,-40) [0|0] "degC" BMS
 SG_ State_1 : 24|4@1+ (1,0) [0|0] "" BMS
 SG_ State_2 : 28|4@1+ (1,0) [0|0] "" BMS
BO_ 769 Groups: 5 BMS
 SG_ Group M : 0|8@1+ (1,0) [0|0] "" BMS
 SG_ Cell_1 m0 : 8|16@1+ (1,0) [0|0] "mV" BMS
 SG_ Cell_2 m0 : 24|16@1+ (1,0) [0|0] "mV" BMS
 SG_ Cell_3 m1 : 8|16@1+ (1,0) [0|0] "mV" BMS
 SG_ Cell_4 m1 : 24|16@1+ (1,0) [0|0] "mV" BMS
BO_ 770 Last: 2 BMS
 SG_ Cell_5 : 0|16@1+ (0.1,0) [0|0] "mV" BMS
 SG_ Amps : 0|16@1+ (1,0) [0|0] "A" BMS
"""
YAML = f"""\
dbc: [bms.dbc]
signals:
  {CELLS}:
    can: ["Groups.Cell_{{1..4}}", Last.Cell_5]
    valid: [1000, 5000]
  {PROBES}:
    can: Probes.Probe_{{01..03}}
  {CODES}:
    can: Probes.State_{{1..2}}
    values: {{0: none, 1: P0A80}}
"""


def mapping() -> Mapping:
    read = read_mapping(YAML, {"bms.dbc": DBC}, CATALOGUE, model="bus", version=1)
    assert read.checked.findings == ()
    return read.mapping


def frames(*given: tuple[int, int, bytes]) -> CanFrames:
    """Frames of (us, id, payload)."""
    return CanFrames.build(
        [us * 1000 for us, _, _ in given],
        [can_id for _, can_id, _ in given],
        np.frombuffer(b"".join(payload for _, _, payload in given), np.uint8),
        [len(payload) for _, _, payload in given],
    )


def group(number: int, first: int, second: int) -> bytes:
    return bytes((number,)) + first.to_bytes(2, "little") + second.to_bytes(2, "little")


def last(millivolts: float) -> bytes:
    return round(millivolts * 10).to_bytes(2, "little")


ROUNDS = (
    (10, 769, group(0, 3301, 3302)), (20, 769, group(1, 3303, 3304)), (30, 770, last(3305)),
    (40, 769, group(0, 3311, 3312)), (50, 770, last(3315)),  # the second group is lost
    (60, 769, group(0, 3321, 3322)), (70, 770, last(3325)), (80, 769, group(1, 6000, 3324)),
    (90, 769, group(0, 3331, 3332)),  # the log ends
)  # fmt: skip
WANTED = [
    (30, [3.301, 3.302, 3.303, 3.304, 3.305], False),
    (50, [3.311, 3.312, None, None, 3.315], False),
    (80, [3.321, 3.322, 6.0, 3.324, 3.325], True),
    (90, [3.331, 3.332, None, None, None], False),
]


def rounded(values: Any) -> list[float | None]:
    return [None if one is None else round(one, 3) for one in values]


def told(rows: pa.Table) -> list[tuple[int, Any, bool]]:
    times = rows["time"].cast(pa.int64()).to_pylist()
    return [
        (time, None if one is None else rounded(one), flag)
        for time, one, flag in zip(
            times, rows[CELLS].to_pylist(), rows["out_of_range"].to_pylist(), strict=True
        )
    ]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 100])
def test_groups_make_one_list_a_round_however_the_log_is_cut(step: int) -> None:
    reading, log = MappedCan(mapping()), frames(*ROUNDS)
    series = [
        one
        for at in range(0, len(log), step)
        for one in reading.feed(log.select(slice(at, at + step)))
    ]
    rows = lay_rows([*series, *reading.finish()])
    assert rows.schema.field(CELLS).type == arrow_type("float[]")
    assert told(rows) == WANTED
    assert rows["flagged"].to_pylist() == [None, None, [CELLS], None]
    assert reading.finish() == []


def test_elements_of_one_frame_are_a_list_a_frame() -> None:
    log = frames((1, 768, bytes((40, 41, 42, 0x10, 0, 0, 0, 0))), (2, 768, bytes((65, 0))))
    rows = lay_rows([*(reading := MappedCan(mapping())).feed(log), *reading.finish()])
    assert rows[PROBES].to_pylist() == [[0, 1, 2], [25, -40, None]]  # a frame that is cut short
    assert rows[CODES].to_pylist() == [["none", "P0A80"], None]


def test_what_is_kept_is_the_same_after_it_was_packed_and_checked() -> None:
    reading = MappedCan(mapping())
    rows = lay_rows([*reading.feed(frames(*ROUNDS)), *reading.finish()])
    found = decode_can.decoder()(
        DEFAULT_TENANT, pa.array(["V"]), pa.array([pack_rows(rows)]), pa.array([0], pa.int64())
    )
    assert found.faults == {}
    kept = RangesByTenant().of(DEFAULT_TENANT).flag(found.rows)
    assert kept[CELLS].to_pylist() == rows[CELLS].to_pylist()
    assert len(set(rows["digest"].to_pylist())) == len(WANTED)
    swapped = lay_rows(
        MappedCan(mapping()).feed(frames((1, 768, bytes((41, 40, 42, 0x10, 0, 0, 0, 0)))))
    )
    straight = lay_rows(
        MappedCan(mapping()).feed(frames((1, 768, bytes((40, 41, 42, 0x10, 0, 0, 0, 0)))))
    )
    assert swapped["digest"].to_pylist() != straight["digest"].to_pylist()


def many(lists: int, elements: int) -> tuple[str, str]:
    """A mapping of lists of the same signals, each in a message of its own, and its DBC."""
    messages = [
        f'BO_ {number} M{number}: 1 BMS\n SG_ x : 0|8@1+ (1,0) [0|0] "" BMS\n'
        for number in range(elements)
    ]
    entries = [
        f"  Vehicle.List{one}: {{can: ['M{{0..{elements - 1}}}.x']}}\n" for one in range(lists)
    ]
    text = "dbc: [many.dbc]\nsignals:\n" + "".join(entries)
    return text, 'VERSION ""\nBU_: BMS\n' + "".join(messages)


def listed(count: int) -> dict[str, Signal]:
    return {f"Vehicle.List{one}": Signal(f"Vehicle.List{one}", "float[]") for one in range(count)}


def test_elements_in_messages_of_their_own_are_not_compared_with_each_other() -> None:
    text, dbc = many(2, 1000)
    read = read_mapping(text, {"many.dbc": dbc}, listed(2))
    assert read.checked.findings == ()
    log = frames(*((number, number, bytes((number % 251,))) for number in range(1000)))
    MappedCan(read.mapping).feed(log)  # what is compiled is compiled
    began = time.process_time()
    found = MappedCan(read.mapping).feed(log)
    assert time.process_time() - began < 1.0  # s; 1,000,000 comparisons take thrice that
    assert [one.time.tolist() for one in found] == [[999_000]] * 2
    wanted = [[number % 251 for number in range(1000)]]
    assert [one.values.to_pylist() for one in found] == [wanted] * 2


def test_all_lists_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_document, "MOST_LISTED", 20)
    text, dbc = many(4, 8)
    read = read_mapping(text, {"many.dbc": dbc}, listed(4))
    assert [(one.line, one.node, one.text) for one in read.checked.findings] == [
        (5, "Vehicle.List2", "the lists have at most 20 elements together, 24 with this"),
        (6, "Vehicle.List3", "the lists have at most 20 elements together, 24 with this"),
    ]
    assert [one.path for one in read.mapping.rules] == ["Vehicle.List0", "Vehicle.List1"]


def test_an_upload_of_a_truck_makes_lists_also_where_it_ends_within_a_round() -> None:
    groups = [group(0, 3301, 3302), group(1, 3303, 3304), last(3305), group(0, 3311, 3312)]
    ids = [769, 769, 770, 769]
    body = len(ids).to_bytes(2) + bytes.fromhex("1509260350")
    body += b"".join(
        can_id.to_bytes(4) + payload.ljust(8, b"\0")
        for can_id, payload in zip(ids, groups, strict=True)
    )
    raw = build(2019, 0x0705, "13900000101", 1, body)
    decode = decode_jt808.decoder(mappings=lambda _tenant, names: dict.fromkeys(names, mapping()))
    found = decode(DEFAULT_TENANT, pa.array(["13900000101"]), pa.array([raw]), pa.array([now_us()]))
    assert found.faults == {}
    (row,) = found.rows.to_pylist()  # all frames of an upload have one time: the last list stays
    assert rounded(row[CELLS]) == [3.311, 3.312, None, None, None]
    more = build(2019, 0x0705, "13900000101", 1, (len(ids) + 1).to_bytes(2) + body[2:])
    found = decode(
        DEFAULT_TENANT, pa.array(["13900000101"]), pa.array([more]), pa.array([now_us()])
    )
    assert found.faults[0].reason == "overrun"  # a frame less than it says
    (other,) = found.rows.to_pylist()
    assert (other[CELLS], other["partial"]) == (row[CELLS], True)


def test_each_raw_field_lands_at_its_place() -> None:
    read = read_mapping(YAML, {"bms.dbc": DBC}, CATALOGUE)
    landing = {one.name: one.paths for one in read.checked.fields if one.kind == "can"}
    assert landing["Groups.Cell_1"] == (f"{CELLS}[0]",)
    assert landing["Last.Cell_5"] == (f"{CELLS}[4]",)
    assert landing["Probes.Probe_03"] == (f"{PROBES}[2]",)
    assert landing["Groups.Group"] == landing["Last.Amps"] == ()
    assert read.checked.signals == 3


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (f"{CELLS}: {{can: 'Groups.Cell_{{1..5}}'}}",
         "Groups has no signal Cell_5; do you mean Cell_4?"),
        (f"{CELLS}: {{can: [Groups.Cell_1, Groups.Cell_1]}}",
         "Groups.Cell_1 is an element twice"),
        (f"{CELLS}: {{can: [Groups.Cell_1, Last.Amps]}}",
         "the elements have several units (Groups.Cell_1 in mV, Last.Amps in A): say unit"),
        (f"{CELLS}: {{can: []}}", "a list has 1 to 1,000 elements"),
        (f"{CELLS}: {{obd: 0C}}",
         "is a list (float[]): it needs can, with a pattern or a list"),
        (f"{CELLS}: {{can: Last.Amps}}", "is in V: no way there from A"),
        ("Vehicle.Diagnostics.DTCList: {obd: stored-codes, scale: 2}",
         "codes of OBD-II have no scale"),
        ("Vehicle.Speed: {obd: stored-codes}", "'stored-codes' is no PID that can be read"),
        ("Vehicle.Speed: {can: [Groups.Cell_1]}", "can is one text"),
        (f"{CODES}: {{can: Probes.State_1}}",
         "is a text: say by values which number is which text"),
    ],
)  # fmt: skip
def test_what_is_wrong_of_a_list_is_told_with_its_line(entry: str, wanted: str) -> None:
    read = read_mapping(f"dbc: [bms.dbc]\nsignals:\n  {entry}\n", {"bms.dbc": DBC}, CATALOGUE)
    (finding,) = read.checked.findings
    assert finding.line == 3
    assert finding.text.startswith(wanted)


def test_trouble_codes_are_a_list_also_an_empty_one() -> None:
    node = "Vehicle.Diagnostics.DTCList"
    read = read_mapping(f"signals:\n  {node}: {{obd: stored-codes}}\n", {}, CATALOGUE)
    assert read.checked.findings == ()
    landing = {one.name: one.paths for one in read.checked.fields if one.kind == "obd"}
    assert (landing["stored-codes"], landing["pending-codes"]) == ((node,), ())
    log = frames(
        (1, 0x7E8, bytes.fromhex("0643020301c10000")),
        (2, 0x7E8, bytes.fromhex("0247000000000000")),  # pending: not mapped
        (3, 0x7E8, bytes.fromhex("0243000000000000")),
    )
    rows = lay_rows(MappedCan(read.mapping).feed(log))
    assert rows["time"].cast(pa.int64()).to_pylist() == [1, 3]
    assert rows[node].to_pylist() == [["P0301", "U0100"], []]
    assert len(set(rows["digest"].to_pylist())) == 2


def test_the_same_trouble_codes_may_be_mapped_to_several_lists() -> None:
    nodes = ("Vehicle.Diagnostics.DTCList", CODES)
    entries = "".join(f"  {node}: {{obd: stored-codes}}\n" for node in nodes)
    read = read_mapping(f"signals:\n{entries}", {}, CATALOGUE)
    assert read.checked.findings == ()
    found = MappedCan(read.mapping).feed(frames((1, 0x7E8, bytes.fromhex("0643020301c10000"))))
    assert [(one.path, one.values.to_pylist()) for one in found] == [
        (node, [["P0301", "U0100"]]) for node in nodes
    ]


def test_patterns() -> None:
    assert expanded("A.x") == ["A.x"]
    assert expanded("A.Cell_{1..3}") == ["A.Cell_1", "A.Cell_2", "A.Cell_3"]
    assert expanded("A_{08..10}.x")[0:3:2] == ["A_08.x", "A_10.x"]
    assert expanded("A.c{2..1}") == ["A.c2", "A.c1"]
    assert len(expanded("A.c{0..9999}")) == 1001


def test_the_vehicle_takes_whole_lists_and_the_same_values() -> None:
    document = json.loads(json.dumps(model_document(mapping())))
    model = parse_model(document)
    kinds = {path: model.types[path].datatype for path in (CELLS, PROBES, CODES)}
    assert kinds == {CELLS: "float[]", PROBES: "float[]", CODES: "string[]"}
    engine = Engine(lambda *_: None)
    signals = [{"path": path} for path in (CELLS, PROBES)]
    campaign = {"id": "c", "trigger": {"every_ms": 1000}, "signals": signals}
    engine.configure([prepare(parse_campaign(campaign), model.catalogue)], 0)
    table = FrameTable("can0", model, engine)
    there = []
    for us, can_id, payload in ROUNDS:
        engine.run([(us, can_id, payload)], table)
        there.append((us, engine.latest(CELLS)))
    whole = [(us, one) for us, one, _ in WANTED if None not in one]
    told: list[tuple[int, Any]] = []
    for us, one in there:
        if one is not None and (not told or told[-1][1] != rounded(one)):
            told.append((us, rounded(one)))
    assert told == whole
    assert engine.latest(PROBES) is None
    again = json.loads(json.dumps(document))
    again["signals"].append(again["signals"][0])
    with pytest.raises(ValueError, match="mapped twice"):
        parse_model(again)
