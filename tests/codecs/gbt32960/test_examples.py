"""The worked examples, field by field, decoded and encoded again."""

from datetime import UTC, datetime

import pytest
from tests.codecs.gbt32960 import examples as ex

from carcloud.codecs.gbt32960 import control
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import (
    encode_activation,
    encode_activation_result,
    encode_control,
    encode_key_exchange,
    encode_login,
    encode_logout,
    encode_parameters,
    encode_platform_login,
    encode_query,
    encode_report,
    encode_set,
    sign_report,
)
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.codecs.gbt32960.layout import ABNORMAL, INVALID, Fields

TIME = datetime(2026, 3, 14, 7, 9, 26, tzinfo=UTC)
NEXT = datetime(2026, 3, 14, 7, 9, 27, tzinfo=UTC)
ICCID = "89860000000000000101"

REALTIME_2016: list[tuple[int, Fields]] = [
    (
        0x01,
        {
            "vehicle_state": 1,
            "charge_state": 3,
            "run_mode": 1,
            "speed_kmh": 63.5,
            "odometer_km": 123456.7,
            "voltage_v": 365.2,
            "current_a": 12.5,
            "soc_pct": 76,
            "dcdc_state": 1,
            "gear": 0x2E,
            "insulation_kohm": 5000,
            "accelerator_pct": 25,
            "brake_pct": 0,
        },
    ),
    (
        0x02,
        {
            "count": 1,
            "motors": [
                {
                    "no": 1,
                    "state": 1,
                    "controller_temp_c": 45,
                    "speed_rpm": 4200,
                    "torque_nm": 125,
                    "motor_temp_c": 38,
                    "controller_voltage_v": 365,
                    "controller_current_a": 12,
                }
            ],
        },
    ),
    (0x05, {"status": 0, "longitude_deg": 121.473701, "latitude_deg": 31.230416}),
    (
        0x06,
        {
            "max_cell_subsystem": 1,
            "max_cell_no": 3,
            "max_cell_v": 4.105,
            "min_cell_subsystem": 1,
            "min_cell_no": 1,
            "min_cell_v": 4.098,
            "max_temp_subsystem": 1,
            "max_temp_probe": 2,
            "max_temp_c": 25,
            "min_temp_subsystem": 1,
            "min_temp_probe": 1,
            "min_temp_c": 23,
        },
    ),
    (
        0x07,
        {
            "max_level": 1,
            "flags": 0x10,
            "storage_fault_count": 1,
            "storage_faults": [0x00010203],
            "motor_fault_count": 0,
            "motor_faults": [],
            "engine_fault_count": 0,
            "engine_faults": [],
            "other_fault_count": 0,
            "other_faults": [],
        },
    ),
    (
        0x08,
        {
            "count": 1,
            "packs": [
                {
                    "no": 1,
                    "voltage_v": 365.2,
                    "current_a": 12.5,
                    "cell_total": 4,
                    "first_cell": 1,
                    "cell_count": 4,
                    "cell_v": [4.098, 4.101, 4.105, INVALID],
                }
            ],
        },
    ),
    (0x09, {"count": 1, "packs": [{"no": 1, "probe_count": 2, "temps_c": [23, 25]}]}),
    (0x80, {"length": 3, "data": b"\x01\x02\x03"}),
]

FUEL_CELL_2016: list[tuple[int, Fields]] = [
    (
        0x03,
        {
            "voltage_v": 300.1,
            "current_a": 125,
            "consumption_kg_per_100km": 1.2,
            "probe_count": 2,
            "probe_temps_c": [68, 69],
            "h2_max_temp_c": 65,
            "h2_max_temp_probe": 3,
            "h2_max_concentration_mgkg": 1200,
            "h2_max_concentration_sensor": 2,
            "h2_max_pressure_mpa": 35,
            "h2_max_pressure_sensor": 1,
            "hv_dcdc_state": 1,
        },
    ),
    (0x04, {"state": 1, "crank_rpm": 1800, "consumption_l_per_100km": 5.6}),
]

REALTIME_2025: list[tuple[int, Fields]] = [
    (
        0x01,
        {
            "vehicle_state": 1,
            "charge_state": 3,
            "run_mode": 2,
            "speed_kmh": 63.5,
            "odometer_km": 123456.7,
            "voltage_v": 601.2,
            "current_a": 12.5,
            "soc_pct": 76,
            "dcdc_state": 1,
            "gear": 0x2E,
            "insulation_kohm": 5000,
        },
    ),
    (
        0x02,
        {
            "count": 1,
            "motors": [
                {
                    "no": 1,
                    "state": 1,
                    "controller_temp_c": 45,
                    "speed_rpm": 4200,
                    "torque_nm": 125,
                    "motor_temp_c": 38,
                }
            ],
        },
    ),
    (
        0x03,
        {
            "h2_max_temp_c": 65,
            "h2_max_temp_probe": 3,
            "h2_max_concentration_pct": 0.12,
            "h2_max_concentration_sensor": 2,
            "h2_max_pressure_mpa": 35,
            "h2_max_pressure_sensor": 1,
            "hv_dcdc_state": 1,
            "h2_remaining_pct": 64,
            "hv_dcdc_temp_c": 50,
        },
    ),
    (0x04, {"crank_rpm": 1800}),
    (
        0x05,
        {
            "status": 0,
            "coordinate_system": 1,
            "longitude_deg": 121.473701,
            "latitude_deg": 31.230416,
        },
    ),
    (
        0x06,
        {
            "max_level": 2,
            "flags": 1 << 4 | 1 << 24,
            "storage_fault_count": 0,
            "storage_faults": [],
            "motor_fault_count": 0,
            "motor_faults": [],
            "engine_fault_count": 0,
            "engine_faults": [],
            "other_fault_count": 0,
            "other_faults": [],
            "general_alarm_count": 2,
            "general_alarms": [{"bit": 4, "level": 1}, {"bit": 24, "level": 2}],
        },
    ),
    (
        0x07,
        {
            "count": 1,
            "packs": [
                {
                    "no": 1,
                    "voltage_v": 601.2,
                    "current_a": 12.5,
                    "cell_count": 3,
                    "cell_v": [3.341, 3.338, ABNORMAL],
                }
            ],
        },
    ),
    (0x08, {"count": 1, "packs": [{"no": 1, "probe_count": 2, "temps_c": [23, 25]}]}),
    (
        0x30,
        {
            "count": 1,
            "stacks": [
                {
                    "no": 1,
                    "voltage_v": 300.1,
                    "current_a": 125,
                    "h2_inlet_pressure_kpa": 150,
                    "air_inlet_pressure_kpa": 80,
                    "air_inlet_temp_c": 55,
                    "coolant_probe_count": 2,
                    "coolant_temps_c": [68, 69],
                }
            ],
        },
    ),
    (
        0x31,
        {
            "system_no": 1,
            "voltage_v": 48,
            "current_a": -25,
            "cell_count": 2,
            "cell_v": [2.4, 2.395],
            "probe_count": 1,
            "temps_c": [30],
        },
    ),
    (
        0x32,
        {
            "max_v_system": 1,
            "max_v_cell": 1,
            "max_v": 2.4,
            "min_v_system": 1,
            "min_v_cell": 2,
            "min_v": 2.395,
            "max_temp_system": 1,
            "max_temp_probe": 1,
            "max_temp_c": 30,
            "min_temp_system": 1,
            "min_temp_probe": 1,
            "min_temp_c": 30,
        },
    ),
]
R, S = bytes(range(0x20)), bytes(range(0x20, 0x40))


def _command(edition: int, command: int, data: bytes, vehicle: str = ex.VEHICLE) -> bytes:
    return build(edition, command, Flag.COMMAND, vehicle, data)


@pytest.mark.parametrize(
    ("raw", "items"),
    [
        (ex.REALTIME_2016, REALTIME_2016),
        (ex.FUEL_CELL_2016, FUEL_CELL_2016),
        (
            ex.REALTIME_2025,
            [
                *REALTIME_2025,
                (0xFF, {"algorithm": 1, "r_length": 32, "r": R, "s_length": 32, "s": S}),
            ],
        ),
    ],
)
def test_reports_decode(raw, items):
    message = decode(parse(raw))
    assert message.time == TIME
    assert [(item.type, item.fields) for item in message.items] == items
    assert (message.partial, message.diagnoses, message.rest) == (False, (), b"")


def test_reports_encode():
    assert _command(2016, 0x02, encode_report(2016, TIME, REALTIME_2016)) == ex.REALTIME_2016
    assert _command(2016, 0x03, encode_report(2016, TIME, FUEL_CELL_2016)) == ex.FUEL_CELL_2016
    report = sign_report(encode_report(2025, TIME, REALTIME_2025), lambda _data: (1, R, S))
    assert _command(2025, 0x02, report) == ex.REALTIME_2025


def test_counts_follow_from_lists():
    counted = [
        (kind, {key: value for key, value in fields.items() if not key.endswith("count")})
        for kind, fields in REALTIME_2016
    ]
    assert encode_report(2016, TIME, counted) == encode_report(2016, TIME, REALTIME_2016)


@pytest.mark.parametrize(("covers_mark", "size"), [(False, 151), (True, 152)])
def test_both_readings_of_what_the_signature_covers(covers_mark, size):
    message = decode(parse(ex.REALTIME_2025), signature_covers_mark=covers_mark)
    assert (message.signed, message.mark) == (size, 151)


@pytest.mark.parametrize(
    ("raw", "time", "fields"),
    [
        (
            ex.LOGIN_2016,
            TIME,
            {
                "serial": 1,
                "iccid": ICCID,
                "subsystem_count": 1,
                "code_length": 8,
                "codes": b"PACK0001",
            },
        ),
        (ex.LOGIN_REPLY_A, TIME, {}),
        (
            ex.LOGIN_REPLY_B,
            NEXT,
            {
                "serial": 1,
                "iccid": ICCID,
                "subsystem_count": 1,
                "code_length": 8,
                "codes": b"PACK0001",
            },
        ),
        (ex.VIN_DUPLICATE, TIME, {}),
        (ex.REALTIME_REPLY, TIME, {}),
        (ex.HEARTBEAT, None, {}),
        (ex.HEARTBEAT_REPLY, None, {}),
        (ex.TIME_SYNC, None, {}),
        (ex.TIME_SYNC_REPLY, NEXT, {}),
        (ex.LOGOUT, NEXT, {"serial": 1}),
        (
            ex.PLATFORM_LOGIN,
            TIME,
            {"serial": 1, "user": "user01", "password": "secret", "encryption_rule": 1},
        ),
        (ex.QUERY, TIME, {"count": 4, "ids": [1, 4, 5, 10]}),
        (ex.CONTROL_RESET, TIME, {"command": 3, "argument": b""}),
        (
            ex.CONTROL_ALARM,
            TIME,
            {
                "command": 6,
                "argument": b"\x02\xc7\xeb\xbc\xec\xb2\xe9",
                "level": 2,
                "text": "请检查",
            },
        ),
        (
            ex.LOGIN_2025,
            TIME,
            {
                "serial": 1,
                "iccid": ICCID,
                "bms_count": 1,
                "packs_per_bms": [2],
                "pack_codes": b"001PE0000000000000000001001PE0000000000000000002",
            },
        ),
        (ex.BAD_SIGNATURE_REPLY, TIME, {}),
        (ex.ACTIVATION_RESULT, None, {"status": 2, "info": 2}),
        (
            ex.KEY_EXCHANGE,
            None,
            {
                "algorithm": 5,
                "key_length": 16,
                "key": bytes(range(16)),
                "valid_from": TIME,
                "valid_until": datetime(2026, 4, 14, 7, 9, 26, tzinfo=UTC),
            },
        ),
        (
            ex.ACTIVATION,
            TIME,
            {
                "chip_id": "CHIP00000001",
                "key_length": 8,
                "public_key": bytes(range(8)),
                "vin": ex.VEHICLE,
                "signature": [
                    {
                        "algorithm": 1,
                        "r_length": 4,
                        "r": b"\x01\x02\x03\x04",
                        "s_length": 4,
                        "s": b"\x05\x06\x07\x08",
                    }
                ],
            },
        ),
    ],
)
def test_other_commands_decode(raw, time, fields):
    message = decode(parse(raw))
    assert (message.time, message.fields) == (time, fields)
    assert (message.partial, message.diagnoses) == (False, ())


@pytest.mark.parametrize(
    ("raw", "parameters"),
    [
        (
            ex.QUERY_ANSWER,
            [
                (0x01, "storage_period_ms", 1000),
                (0x04, "domain_length", 11),
                (0x05, "domain", "example.com"),
                (0x0A, "terminal_timeout_s", 60),
            ],
        ),
        (ex.SET_2016, [(0x02, "report_period_s", 10), (0x09, "heartbeat_period_s", 60)]),
        (ex.SET_2025, [(0x02, "report_period_s", 10), (0x09, "heartbeat_period_s", 60)]),
    ],
)
def test_parameters_decode_and_encode(raw, parameters):
    frame = parse(raw)
    message = decode(frame)
    found = [(item.type, item.name, item.fields["value"]) for item in message.items]
    assert found == parameters
    assert message.diagnoses == ()
    assert message.time is not None
    given = [(ident, value) for ident, _, value in parameters]
    assert encode_parameters(frame.edition, message.time, given) == frame.data


def test_other_commands_encode():
    signature = (1, b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
    packs = ["001PE0000000000000000001", "001PE0000000000000000002"]
    until = datetime(2026, 4, 14, 7, 9, 26, tzinfo=UTC)
    alarm = control.write_alarm(2, "请检查")
    built = {
        ex.LOGIN_2016: (2016, Command.LOGIN, encode_login(2016, TIME, 1, ICCID, ["PACK0001"])),
        ex.LOGOUT: (2016, Command.LOGOUT, encode_logout(NEXT, 1)),
        ex.QUERY: (2016, Command.QUERY, encode_query(TIME, [1, 4, 5, 10])),
        ex.SET_2016: (2016, Command.SET, encode_set(2016, TIME, [(2, 10), (9, 60)])),
        ex.SET_2025: (2025, Command.SET, encode_set(2025, TIME, [(2, 10), (9, 60)])),
        ex.CONTROL_RESET: (2016, Command.CONTROL, encode_control(TIME, control.RESET)),
        ex.CONTROL_ALARM: (2016, Command.CONTROL, encode_control(TIME, control.ALARM, alarm)),
        ex.LOGIN_2025: (2025, Command.LOGIN, encode_login(2025, TIME, 1, ICCID, packs)),
        ex.ACTIVATION_RESULT: (2025, Command.ACTIVATION_RESULT, encode_activation_result(2, 2)),
        ex.KEY_EXCHANGE: (
            2025,
            Command.KEY_EXCHANGE,
            encode_key_exchange(5, bytes(range(16)), TIME, until),
        ),
        ex.ACTIVATION: (
            2025,
            Command.ACTIVATION,
            encode_activation(
                TIME, "CHIP00000001", bytes(range(8)), ex.VEHICLE, lambda _data: signature
            ),
        ),
    }
    for raw, (edition, command, data) in built.items():
        assert _command(edition, command, data) == raw
    login = encode_platform_login(TIME, 1, "user01", "secret")
    assert _command(2016, Command.PLATFORM_LOGIN, login, "LOWERPLATFORM0001") == ex.PLATFORM_LOGIN


def test_an_activation_signs_all_before_its_signature():
    message = decode(parse(ex.ACTIVATION))
    assert message.signed == 49
    assert parse(ex.ACTIVATION).data[:49].endswith(ex.VEHICLE.encode())
