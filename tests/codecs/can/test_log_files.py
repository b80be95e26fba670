"""Files of bus logs give the frames that are known to be in them."""

import gzip
import os
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import asammdf
import numpy as np
import pytest
from tests.data import shared_data

from carcloud.codecs.can.frames import BRS, ERROR, FD, REMOTE, TRANSMITTED, CanFrames
from carcloud.codecs.can.merging import merge
from carcloud.engines.canlog_files import LogFileError, open_log, parse_zone, read_log

S = 10**9


def counted(frames: CanFrames, flag: int) -> int:
    return int(np.count_nonzero(frames.flags & flag))


def ids(frames: CanFrames) -> Counter[int]:
    return Counter(frames.can_id.tolist())


def mf4(name: str) -> tuple[CanFrames, int]:
    """Frames, and the start of the header in ns."""
    path = shared_data(f"can/css/{name}.MF4")
    with asammdf.MDF(path) as file:
        return read_log(path), int(file.header.abs_time)


@pytest.mark.parametrize(
    ("name", "frames", "first", "last"),
    [
        ("j1939_bam_FCBF0606", 1_815, 1.084, 187.2),
        ("uds_kona_17BD1DB7", 2_010, 65785.3265, 66084.3428),
        ("uds_leaf_gnss_2F6913DB", 5_588, 0.9497, 64.4197),
        ("nmea2000_94C49784", 9_600, 57.96305, 117.92045),
        ("obd2_request_response_7512BE4D", 72_009, 1.68745, 1912.224503),
        ("j1939_gps_11111111", 57_849, 1.02, 128.2),
        ("j1939_gnss_long", 150_411, 1.98655, 403.56285),
        ("obd2_gps_3BA199E2_60FEB5A8", 5_477, 2345.72115, 2390.3132),
    ],
)
def test_frames_and_times_of_mf4(name, frames, first, last):
    log, start = mf4(name)
    assert len(log) == frames
    # three of the expected times are printed with one or two digits
    digits = 0.05 if name.startswith("j1939_gps") else 0.005 if "bam" in name else 1e-6
    assert (log.time[0] - start) / S == pytest.approx(first, abs=digits)
    assert (log.time[-1] - start) / S == pytest.approx(last, abs=digits)
    assert np.all(np.diff(log.time) >= 0)
    assert log.clock == "host_utc"


def test_buses_and_identifiers_of_mf4():
    bam, _ = mf4("j1939_bam_FCBF0606")
    assert len(ids(bam)) == 16
    assert Counter(bam.bus.tolist()) == {1: 1403, 2: 412}
    assert (ids(bam)[0x0CF00400], ids(bam)[0x18FEF147]) == (577, 184)
    kona, _ = mf4("uds_kona_17BD1DB7")
    assert ids(kona) == {0x7EC: 1110, 0x7BB: 900}
    leaf, _ = mf4("uds_leaf_gnss_2F6913DB")
    few = dict.fromkeys(range(1, 9), 44)
    assert ids(leaf) == {9: 4724, 0x10: 291, 0x7BB: 169, 0x79B: 52, **few}
    nmea, _ = mf4("nmea2000_94C49784")
    assert (len(ids(nmea)), ids(nmea)[0x0DF80523], bool(nmea.extended.all())) == (50, 420, True)
    gps, start = mf4("j1939_gps_11111111")
    assert Counter(gps.bus.tolist()) == {1: 45571, 2: 12278}
    assert ids(gps)[9] == 11358
    assert start == int(datetime(2021, 10, 25, 19, 0, 54, tzinfo=UTC).timestamp()) * S
    obd, _ = mf4("obd2_gps_3BA199E2_60FEB5A8")
    few = dict.fromkeys(range(1, 9), 41)
    assert ids(obd) == {9: 4518, 0x7E8: 541, 0x17F00010: 90, **few}


def test_groups_by_bus_and_direction_of_newer_mf4():
    obd, _ = mf4("obd2_request_response_7512BE4D")
    sent = (obd.flags & TRANSMITTED) != 0
    assert ids(obd.select(sent)) == {0x7E0: 7651}
    assert ids(obd.select(~sent & (obd.bus == 1))) == {0x7E8: 7651}
    assert Counter(obd.bus.tolist())[9] == 56707
    long, start = mf4("j1939_gnss_long")
    assert Counter(long.extended.tolist()) == {True: 139136, False: 11275}
    assert len(ids(long.select(long.extended))) == 61
    assert start == int(datetime(2023, 11, 30, 17, 2, 4, tzinfo=UTC).timestamp()) * S


def test_a_session_in_two_files_goes_on_where_the_first_ends():
    paths = [
        shared_data(f"can/css/{name}.MF4")
        for name in ("split2_2F6913DB_63BEFDF9", "split1_2F6913DB_63BEF5CD")
    ]
    parts = [read_log(path) for path in paths]
    assert [len(part) for part in parts] == [3587, 4024]
    kinds = [
        Counter(zip(p.bus.tolist(), (p.flags & TRANSMITTED).tolist(), strict=True)) for p in parts
    ]
    assert kinds[1] == {(1, 0): 764, (1, TRANSMITTED): 247, (2, 0): 3013}
    assert kinds[0] == {(1, 0): 234, (1, TRANSMITTED): 70, (2, 0): 3283}
    whole = CanFrames.concat(merge([open_log(path).blocks() for path in paths]))
    assert len(whole) == 7611
    assert np.all(np.diff(whole.time) >= 0)
    assert whole.time[0] == parts[1].time[0]


PYTHON_CAN = [
    ("issue_1256.asc", 1457, 0.019968, 7.960498),
    ("issue_1299.asc", 4, 13.258199, 13.258907),
    ("logfile.asc", 20, 2.501, 30.806898),
    ("logfile_errorframes.asc", 12, 2.501, 20.248887),
    ("single_frame.asc", 1, 0, 0),
    ("single_frame_us_locale.asc", 1, 0, 0),
    ("test_CanErrorFrames.asc", 4, 2.501, 30.806898),
    ("test_CanFdMessage.asc", 3, 30.005021, 30.005071),
    ("test_CanFdMessage64.asc", 2, 30.506898, 31.506898),
    ("test_CanFdRemoteMessage.asc", 1, 30.300981, 30.300981),
    ("test_CanMessage.asc", 2, 2.501, 17.876708),
    ("test_CanMessage.asc.gz", 2, 2.501, 17.876708),
    ("test_CanRemoteMessage.asc", 3, 2.510001, 2.584921),
    ("issue_1905.blf", 22, 1735654183.491113, 1735654288.492673),
    ("test_CanMessage.blf", 2, 2459565876.494607, 2459565876.494607),
    ("test_CanMessage2.blf", 2, 2459565876.494607, 2459565876.494607),
    ("test_CanErrorFrameExt.blf", 2, 2459565876.494607, 2459565876.494607),
    ("test_CanFdMessage.blf", 2, 2459565876.494607, 2459565876.494607),
    ("test_CanFdMessage64.blf", 2, 2459565876.494607, 2459565876.494607),
    ("test_CanMessage.trc", 2, 1506809175.692, 1506809191.067708),
    ("test_CanMessage_V1_0_BUS1.trc", 11, 17.535, 48.937),
    ("test_CanMessage_V1_1.trc", 11, 1639837704.597401, 1639837735.999601),
    ("test_CanMessage_V1_3.trc", 11, 1639837704.597401, 1639837735.999601),
    ("test_CanMessage_V2_0_BUS1.trc", 11, 1639837704.597401, 1639837735.999601),
    ("test_CanMessage_V2_1.trc", 11, 1639837704.597401, 1639837735.999601),
]


def sample(name: str, zone: str = "UTC") -> CanFrames:
    return read_log(shared_data(f"can/python-can/{name}"), zone)


@pytest.mark.parametrize(("name", "rows", "first", "last"), PYTHON_CAN)
def test_frames_and_times_of_text_and_blf(name, rows, first, last):
    log = sample(name, "relative" if ".asc" in name else "UTC")
    assert len(log) == rows
    assert log.time[0] / S == pytest.approx(first, abs=1.5e-6, rel=0)
    assert log.time[-1] / S == pytest.approx(last, abs=1.5e-6, rel=0)


def test_kinds_of_frames_in_asc():
    log = sample("logfile.asc")
    assert int(log.extended.sum()) == 13
    assert [counted(log, flag) for flag in (FD, REMOTE, ERROR)] == [4, 4, 4]
    assert set(log.bus.tolist()) == {0, 1, 2, 3, 4}
    errors = sample("logfile_errorframes.asc")
    assert [counted(errors, flag) for flag in (ERROR, REMOTE)] == [3, 2]
    assert counted(sample("test_CanErrorFrames.asc"), ERROR) == 4
    fd = sample("test_CanFdMessage.asc")
    assert [counted(fd, flag) for flag in (FD, BRS)] == [3, 2]
    assert sample("test_CanFdMessage64.asc").length.tolist() == [64, 64]
    two = sample("test_CanMessage.asc")
    assert two.can_id.tolist() == [0xC8, 0x6F9]
    assert counted(two, TRANSMITTED) == 1
    assert two.payload_of(0).hex() == "0908070605040302"


def test_kinds_of_frames_in_blf():
    log = sample("issue_1905.blf")
    assert (counted(log, FD), set(log.length.tolist()), set(log.bus.tolist())) == (22, {64}, {6})
    assert sample("test_CanMessage.blf").can_id.tolist() == [0x4444444] * 2
    assert counted(sample("test_CanErrorFrameExt.blf"), ERROR) == 2


def test_four_versions_of_trc_give_equal_frames():
    logs = [sample(f"test_CanMessage_{v}.trc") for v in ("V1_1", "V1_3", "V2_0_BUS1", "V2_1")]
    for log in logs:
        assert (int(log.extended.sum()), counted(log, REMOTE), counted(log, TRANSMITTED)) == (
            7, 1, 10,
        )  # fmt: skip
        for name in ("time", "bus", "can_id", "extended", "flags", "length"):
            assert np.array_equal(getattr(log, name), getattr(logs[0], name)), name
        assert [log.payload_of(i) for i in range(11)] == [logs[0].payload_of(i) for i in range(11)]


@pytest.mark.parametrize("name", ["test_CanMessage.asc", "issue_1905.blf", "test_CanMessage.trc"])
def test_a_log_without_a_zone_is_not_guessed_at(name):
    path = shared_data(f"can/python-can/{name}")
    with pytest.raises(LogFileError, match="--zone") as caught:
        open_log(path)
    assert caught.value.path == path
    utc, east, relative = (read_log(path, zone) for zone in ("UTC", "+08:00", "relative"))
    assert (utc.clock, east.clock, relative.clock) == ("local_assumed", "local_assumed", "relative")
    assert np.array_equal(east.time, utc.time - 8 * 3600 * S)
    assert np.array_equal(np.diff(relative.time), np.diff(utc.time))
    assert relative.time[0] < 10**12


def test_the_zone_does_not_come_from_the_machine(monkeypatch):
    before = sample("logfile.asc", "Asia/Shanghai")
    monkeypatch.setenv("TZ", "America/New_York")
    os.environ["TZ"] = "America/New_York"
    assert np.array_equal(sample("logfile.asc", "Asia/Shanghai").time, before.time)
    start = datetime(2017, 9, 30, 7, 6, 13, 191000, tzinfo=UTC)  # 15:06 in Shanghai
    assert before.time[0] == round(start.timestamp() * 1000) * 10**6 + 2_501_000_000


def test_a_zone_that_does_not_exist_is_refused():
    for bad in ("Mars/Base", "8", "../etc/passwd"):
        with pytest.raises(ValueError, match="no time zone"):
            parse_zone(bad)


def test_candump_files_plain_and_packed(tmp_path):
    plain = shared_data("can/synthetic/vw_mlb.log")
    packed = tmp_path / "drive.log.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    log = read_log(plain)
    assert len(log) == len(read_log(packed)) == 360
    assert log.time[0] == 1_700_000_000_001_300_000
    assert np.all(np.diff(log.time) == 1_300_000)
    assert (int(log.extended.sum()), log.clock) == (1 * 15, "host_utc")


def test_relative_stamps_of_asc_add_up(tmp_path):
    log = tmp_path / "a.asc"
    log.write_text(
        "date Mo Mär 06 10:00:00.000 2023\nbase dec  timestamps relative\n"
        "  0.500000 1  256  Rx  d 2 16 255\n"
        "  0.250000 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%\n"
        "  0.250000 2  256x  Tx  d 1 1\n",
        encoding="cp1252",
    )
    frames = read_log(log, "+01:00")
    start = int(datetime(2023, 3, 6, 9, tzinfo=UTC).timestamp()) * S
    assert (frames.time - start).tolist() == [500_000_000, 1_000_000_000]
    assert frames.can_id.tolist() == [256, 256]
    assert frames.payload_of(0) == bytes([16, 255])


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("bad.asc", "date Sat Sep 30 15:06:13 2017\nbase hex\n 1.0 1 1ZZ Rx d 1 00\n", "line 3"),
        ("bad.asc", "date Sat Foo 30 15:06:13 2017\nbase hex\n 1.0 1 100 Rx d 1 00\n", "line 1"),
        ("bad.trc", ";$FILEVERSION=1.1\n;$STARTTIME=x\n 1) 2 Rx 0100 1 00\n", "line 2"),
        ("bad.trc", ";$FILEVERSION=1.1\n;$STARTTIME=4e4\n 1) 2 Rx 0100 1 ZZ\n", "line 3"),
        ("bad.log", "(1700000000.1) can0 123#00\n\nnonsense\n", "line 3"),
    ],
)
def test_bad_lines_are_named(tmp_path, name, text, place):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(LogFileError) as caught:
        read_log(path, "UTC")
    assert (caught.value.path, caught.value.place) == (path, place)


def cut(tmp_path: Path, name: str, size: int) -> Path:
    path = tmp_path / name
    path.write_bytes(shared_data(f"can/python-can/{name}").read_bytes()[:size])
    return path


def test_what_lies_before_a_cut_is_kept(tmp_path):
    asc = open_log(cut(tmp_path, "issue_1256.asc", 60_010), "UTC")
    frames = CanFrames.concat(asc.blocks())
    assert 600 < len(frames) < 1457
    for size in (250, 300, 500):
        blf = open_log(cut(tmp_path, "issue_1905.blf", size), "UTC")
        assert len(CanFrames.concat(blf.blocks())) <= 22 - (size < 400) * 10
        assert blf.remarks == [CUT], size


CUT = "the file is cut off; what lies before is kept"


def test_a_packed_log_is_read_up_to_its_cut(tmp_path):
    lines = b"".join(b"(1700000000.%06d) can0 123#%08x\n" % (n, n * 7919) for n in range(20_000))
    path = tmp_path / "x.log.gz"
    whole = gzip.compress(lines)
    path.write_bytes(whole[: len(whole) // 2])
    log = open_log(path)
    frames = CanFrames.concat(log.blocks())
    assert 5_000 < len(frames) < 15_000
    assert frames.select(slice(0, 9)).time.tolist() == [
        (1_700_000_000 * 10**6 + n) * 1000 for n in range(9)
    ]
    assert log.remarks[0] == "the gzip file is cut off; what lies before is kept"


@pytest.mark.parametrize("name", ["issue_1905.blf", "test_CanMessage.asc", "test_CanMessage.trc"])
def test_logs_of_every_kind_may_be_packed(tmp_path, name):
    plain = open_log(shared_data(f"can/python-can/{name}"), "UTC")
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(plain.path.read_bytes()))
    packed = open_log(path, "UTC")
    wanted, found = CanFrames.concat(plain.blocks()), CanFrames.concat(packed.blocks())
    assert len(found) > 0
    assert found.time.tolist() == wanted.time.tolist()
    assert found.payload.tolist() == wanted.payload.tolist()
    assert packed.remarks == plain.remarks


@pytest.mark.parametrize("size", [72_819, 72_813, 60_000, 36_410, 20_000, 9_715])
def test_an_mf4_that_lost_its_power_is_read_up_to_its_last_frame(tmp_path, capfd, size):
    data = shared_data("can/css/j1939_bam_FCBF0606.MF4").read_bytes()
    whole = read_log(shared_data("can/css/j1939_bam_FCBF0606.MF4"))
    path = tmp_path / "x.mf4"
    path.write_bytes(data[:size])
    log = open_log(path)
    frames = CanFrames.concat(log.blocks())
    assert 50 < len(frames) < len(whole)
    first = slice(0, len(frames))
    assert frames.time.tolist() == whole.select(first).time.tolist()
    assert frames.matrix(8).tolist() == whole.select(first).matrix(8).tolist()
    assert log.remarks == [CUT]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [5_000, 4_300, 1_000, 100])
def test_an_mf4_without_frames_says_so_and_nothing_else(tmp_path, capfd, size):
    path = tmp_path / "x.mf4"
    path.write_bytes(shared_data("can/css/j1939_bam_FCBF0606.MF4").read_bytes()[:size])
    with pytest.raises(LogFileError, match="cut off"):
        read_log(path)
    assert capfd.readouterr() == ("", "")


def test_no_whole_log_is_said_to_be_cut_off():
    files = [*shared_data("can/css").glob("*.MF4"), shared_data("can/python-can/issue_1905.blf")]
    for path in files:
        log = open_log(path, "UTC")
        assert sum(map(len, log.blocks())) > 0
        assert not any("cut off" in remark for remark in log.remarks), path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.mfc", b"\x93\x11" * 600),
        ("x.asc", b"\0\0\0"),
        ("x.log.gz", b"\x1f\x8b broken"),
        ("x.mf4", b"UnFinMF 4.11    " + bytes(200)),
        ("old.mf4", b"MDF     3.30    " + bytes(200)),
        ("x.blf", b"LOGG" + bytes(20)),
        ("none", b""),
    ],
)
def test_files_that_are_no_logs_are_refused(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(LogFileError, match=name):
        read_log(path, "UTC")


def test_damaged_files_give_frames_or_a_reason(tmp_path):
    seed = random.randrange(10**9)
    rng = random.Random(seed)
    names = ["issue_1905.blf", "logfile.asc", "test_CanMessage_V2_1.trc"]
    paths = [shared_data(f"can/python-can/{name}") for name in names]
    for turn in range(60):
        source = paths[turn % len(paths)]
        damaged = bytearray(source.read_bytes())
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(min(len(damaged), 4000))] = rng.randrange(256)
        path = tmp_path / f"{seed}{source.suffix}"
        path.write_bytes(damaged[: rng.randrange(len(damaged))] if turn % 4 == 0 else damaged)
        try:
            read_log(path, "UTC")
        except LogFileError as error:
            assert str(path) in str(error), f"seed {seed}"


@pytest.mark.parametrize("size", [80, 300, 3000, 20_000, 60_000])
def test_a_cut_mf4_gives_frames_or_a_reason_and_leaves_no_copy(tmp_path, monkeypatch, size):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    path = tmp_path / "cut.mf4"
    path.write_bytes(shared_data("can/css/uds_kona_17BD1DB7.MF4").read_bytes()[:size])
    try:
        assert 0 < len(read_log(path)) < 2010
    except LogFileError as error:
        assert str(path) in str(error)
    assert list((tmp_path / "work").iterdir()) == []


def mdf_of_fd_frames(path: Path, **save: int) -> Path:
    """Two FD frames, 64 and 12 bytes, one of them sent, in one compressed group."""
    data = np.zeros((2, 64), np.uint8)
    data[0] = np.arange(64)
    data[1, :12] = 0xAA
    fields = [
        ("BusChannel", np.array([1, 2], "u1")),
        ("ID", np.array([0x123, 0x18FEF147 | 1 << 31], "<u4")),
        ("DLC", np.array([15, 9], "u1")),
        ("DataLength", np.array([64, 12], "u1")),
        ("DataBytes", data),
        ("Dir", np.array([b"Rx", b"Tx"])),
        ("EDL", np.array([1, 1], "u1")),
        ("BRS", np.array([0, 1], "u1")),
    ]
    record = np.rec.fromarrays(
        [values for _, values in fields],
        dtype=[(f"CAN_DataFrame.{n}", v.dtype, v.shape[1:]) for n, v in fields],
    )
    with asammdf.MDF() as file:
        file.start_time = datetime(2024, 5, 1, 12, tzinfo=UTC)
        signal = asammdf.Signal(record, np.array([0.5, 1.25]), name="CAN_DataFrame")
        file.append(signal, acq_name="CAN")
        file.save(path, overwrite=True, **save)
    return path


def test_fd_frames_of_a_compressed_mf4(tmp_path):
    frames = read_log(mdf_of_fd_frames(tmp_path / "fd.mf4", compression=2))
    start = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * S
    assert (frames.time - start).tolist() == [500_000_000, 1_250_000_000]
    assert frames.can_id.tolist() == [0x123, 0x18FEF147]
    assert frames.extended.tolist() == [False, True]
    assert frames.flags.tolist() == [FD, FD | BRS | TRANSMITTED]
    assert frames.bus.tolist() == [1, 2]
    assert [frames.payload_of(i) for i in (0, 1)] == [bytes(range(64)), b"\xaa" * 12]
