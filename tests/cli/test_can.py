"""`carcloud can`: the page's example, real logs, and what is refused."""

import json
import re
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.data import shared_data

PAGE = (Path(__file__).parents[2] / "docs" / "can.md").read_text()


def shown(title: str) -> str:
    """A block of the page by its title."""
    found = re.findall(rf'```\w+ title="{re.escape(title)}"\n(.*?)```', PAGE, re.DOTALL)
    assert len(found) == 1, title
    return found[0]


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    for name in ("car.dbc", "drive.log"):
        (tmp_path / name).write_text(shown(name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("title", ["can info", "can decode"])
def test_the_example_of_the_page(carcloud, desk, title):
    command, _, output = shown(title).removeprefix("$ carcloud ").partition("\n")
    answer = carcloud(*command.split())
    assert (answer.exit_code, answer.stdout) == (0, output)
    if title == "can decode":
        assert (desk / "drive.csv").read_text() == shown("drive.csv")
        assert not list(desk.glob(".*.part"))


def test_parquet_wide_and_long(carcloud, desk):
    for name, more in (("long.parquet", ()), ("wide.parquet", ("--wide",))):
        answer = carcloud("can", "decode", "drive.log", "--dbc", "car.dbc", "--out", name, *more)
        assert answer.exit_code == 0
    long = pq.read_table(desk / "long.parquet")
    assert long.num_rows == 6
    assert long["value"].null_count == 1
    assert str(long.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    wide = pq.read_table(desk / "wide.parquet")
    assert wide.column_names[3:] == ["CCVS1.WheelSpeed", "Motion.Gear", "Motion.Speed"]
    assert wide["Motion.Speed"].to_pylist() == [0, None, 4, None]
    assert wide["CCVS1.WheelSpeed"].to_pylist() == [None, 80, None, None]


def test_a_real_log_with_reassembly(carcloud, tmp_path):
    out = tmp_path / "out.parquet"
    answer = carcloud(
        "can", "decode", str(shared_data("can/css/uds_kona_17BD1DB7.MF4")),
        "--dbc", str(shared_data("can/css/tp_uds.dbc")), "--out", str(out),
    )  # fmt: skip
    assert answer.exit_code == 0
    assert "isotp: 270 messages of several frames\nisotp: 30 dropped (incomplete)" in answer.stdout
    assert "tp_uds.dbc, line 45: warning: " in answer.stderr
    table = pq.read_table(out)
    charge = table.filter(pc.equal(table["signal"], "M_SID_0x220101_StateOfChargeBMS"))
    assert charge["value"].to_pylist() == [50.0] * 120
    assert pc.all(pc.less_equal(table["time"][:-1], table["time"][1:])).as_py()


def test_obd_answers_need_no_database(carcloud, tmp_path):
    out = tmp_path / "obd.parquet"
    log = shared_data("can/css/obd2_gps_3BA199E2_60FEB5A8.MF4")
    answer = carcloud("can", "decode", str(log), "--obd", "--bus", "1", "--out", str(out))
    assert answer.exit_code == 0
    table = pq.read_table(out)
    speed = table.filter(pc.equal(table["signal"], "EngineSpeed"))["value"]
    assert (len(speed), pc.min(speed).as_py(), pc.max(speed).as_py()) == (90, 929.5, 1785)


def test_info_as_json_and_relative_times(carcloud, tmp_path):
    log = shared_data("can/python-can/test_CanMessage.asc")
    told = json.loads(carcloud("can", "info", str(log), "--zone", "relative", "--json").stdout)
    assert (told["clock"], told["first"], told["frames"]) == ("relative", "2.501000 s", 2)
    assert told["identifiers"] == [
        {"bus": 0, "id": "0x6F9", "frames": 1},
        {"bus": 1, "id": "0x0C8", "frames": 1},
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["drive.log", "--out", "x.csv"], "give --dbc FILE, or --obd"),
        (["drive.log", "--obd", "--out", "x.xlsx"], "name it .parquet or .csv"),
        (["drive.log", "--obd", "--out", "none/x.csv"], "is no folder"),
        (["trip.asc", "--obd", "--out", "x.csv"], "--zone"),
        (["trip.asc", "--obd", "--out", "x.csv", "--zone", "Mars"], "no time zone"),
        (["car.dbc", "--obd", "--out", "x.csv"], "candump, ASC, BLF, TRC and MF4"),
        (["bad.log", "--obd", "--out", "x.csv"], "bad.log, line 2: "),
        (["drive.log", "--dbc", "odd.dbc", "--strict", "--out", "x.csv"], "odd.dbc: line 2"),
        (["drive.log", "--obd", "--transport", "none", "--transport", "isotp", "--out", "x.csv"],
         "stands alone"),
        (["drive.log", "trip.asc", "--zone", "relative", "--obd", "--out", "x.csv"], "one by one"),
    ],
)  # fmt: skip
def test_what_is_refused(carcloud, desk, arguments, reason):
    (desk / "trip.asc").write_text(
        "date Sat Sep 30 15:06:13 2017\nbase hex\n 1.0 1 100 Rx d 1 00\n"
    )
    (desk / "bad.log").write_text("(1700000000.1) can0 123#00\nnonsense\n\n")
    (desk / "odd.dbc").write_text('\nBO_ 418119424 X: 8 E\n SG_ A : 0|8@1+ (1,0) [0|0] "" E\n')
    answer = carcloud("can", "decode", *arguments)
    assert answer.exit_code == 1
    assert reason in answer.stderr
    assert not list(desk.glob("*x.csv*"))


def test_messages_of_one_name_in_two_files_are_told_apart(carcloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (ident, unit) in enumerate(((0x64, "km/h"), (0x65, "degC"))):
        (tmp_path / f"{number}.dbc").write_text(
            f'VERSION ""\nBU_: E\nBO_ {ident} A: 8 E\n SG_ S : 0|8@1+ (1,0) [0|0] "{unit}" E\n'
        )
    (tmp_path / "x.log").write_text(
        "(1700000000.1) can0 064#01\n(1700000000.2) can0 065#03\n(1700000000.3) can0 064#05\n"
    )
    both = ("can", "decode", "x.log", "--dbc", "0.dbc", "--dbc", "1.dbc")
    answer = carcloud(*both, "--out", "wide.parquet", "--wide")
    assert answer.exit_code == 0
    wide = pq.read_table("wide.parquet")
    assert wide["A_64.S"].to_pylist() == [1, None, 5]
    assert wide["A_65.S"].to_pylist() == [None, 3, None]
    carcloud(*both, "--out", "long.parquet")
    long = pq.read_table("long.parquet")
    assert long["message"].to_pylist() == ["A_64", "A_65", "A_64"]
    carcloud("can", "decode", "x.log", "--dbc", "0.dbc", "--dbc", "0.dbc", "--out", "same.parquet")
    assert set(pq.read_table("same.parquet")["message"].to_pylist()) == {"A"}


def test_identifiers_that_obd_decodes_are_not_called_unknown(carcloud, tmp_path):
    log = shared_data("can/css/obd2_gps_3BA199E2_60FEB5A8.MF4")
    out = str(tmp_path / "obd.csv")
    answer = carcloud("can", "decode", str(log), "--obd", "--bus", "1", "--out", out)
    told = answer.stdout + answer.stderr
    assert "0x17F00010" in told  # neither a question nor an answer
    assert "0x18DB33F1" not in told and "0x18DAF1" not in told


def test_a_binary_file_as_a_database_leaves_the_terminal_alone(carcloud, tmp_path):
    path = tmp_path / "odd.dbc"
    path.write_bytes(bytes(range(256)) * 40 + b"\n\x1b[2J;\n" * 5)
    (tmp_path / "x.log").write_text("(1700000000.1) can0 064#01\n")
    answer = carcloud(
        "can", "decode", str(tmp_path / "x.log"), "--dbc", str(path),
        "--out", str(tmp_path / "x.csv"),
    )  # fmt: skip
    told = answer.stdout + answer.stderr
    assert "\x1b" not in told
    assert all(len(line) < 400 for line in told.splitlines())
