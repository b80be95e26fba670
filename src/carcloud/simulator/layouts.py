"""Realtime reports as numpy records: read each table top to bottom like the standard's.

A report's layout depends on the edition, the motors told of, the storage fault codes and, in
2025, on the number of alarms with a level; everything else has a fixed place.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from carcloud.codecs.gbt32960.constants import HEADER_SIZE, START, Command, Encryption, Flag
from carcloud.simulator.car import CELLS, PROBES
from carcloud.simulator.messages import EDITION_2016

FRAME_START: list[Any] = [  # S16/S25 6.2
    ("start", "u1", 2),
    ("command", "u1"),
    ("reply", "u1"),
    ("vin", "S17"),
    ("encryption", "u1"),
    ("length", ">u2"),
    ("time", "u1", 6),
]

VEHICLE_16: list[Any] = [  # S16 tables 9 and B.4
    ("type", "u1"),
    ("vehicle_state", "u1"),
    ("charge_state", "u1"),
    ("run_mode", "u1"),
    ("speed", ">u2"),  # 0.1 km/h
    ("odometer", ">u4"),  # 0.1 km
    ("voltage", ">u2"),  # 0.1 V
    ("current", ">u2"),  # 0.1 A, 1000 A below
    ("soc", "u1"),  # 1 %
    ("dcdc", "u1"),
    ("gear", "u1"),
    ("insulation", ">u2"),  # 1 kohm
    ("accelerator", "u1"),  # 1 %
    ("brake", "u1"),  # 1 %
]
VEHICLE_25: list[Any] = VEHICLE_16[:-2]  # S25 table 10: no pedals, current 3000 A below

MOTOR_16: list[Any] = [  # S16 table 11
    ("no", "u1"),
    ("state", "u1"),
    ("controller_temperature", "u1"),  # 1 degC, 40 below
    ("speed", ">u2"),  # 1 r/min, 20000 below
    ("torque", ">u2"),  # 0.1 N.m, 2000 N.m below
    ("temperature", "u1"),  # 1 degC, 40 below
    ("voltage", ">u2"),  # 0.1 V
    ("current", ">u2"),  # 0.1 A, 1000 A below
]
MOTOR_25: list[Any] = [  # S25 table 16
    ("no", "u1"),
    ("state", "u1"),
    ("controller_temperature", "u1"),  # 1 degC, 40 below
    ("speed", ">u2"),  # 1 r/min, 32000 below
    ("torque", ">u4"),  # 0.1 N.m, 20000 N.m below
    ("temperature", "u1"),  # 1 degC, 40 below
]

POSITION_16: list[Any] = [  # S16 table 14
    ("type", "u1"),
    ("status", "u1"),
    ("longitude", ">u4"),  # 1e-6 degrees
    ("latitude", ">u4"),  # 1e-6 degrees
]
POSITION_25: list[Any] = [  # S25 table 21
    ("type", "u1"),
    ("status", "u1"),
    ("datum", "u1"),
    ("longitude", ">u4"),  # 1e-6 degrees
    ("latitude", ">u4"),  # 1e-6 degrees
]

EXTREMES_16: list[Any] = [  # S16 table 16
    ("type", "u1"),
    ("max_subsystem", "u1"),
    ("max_cell", "u1"),
    ("max_volts", ">u2"),  # 0.001 V
    ("min_subsystem", "u1"),
    ("min_cell", "u1"),
    ("min_volts", ">u2"),  # 0.001 V
    ("hot_subsystem", "u1"),
    ("hot_probe", "u1"),
    ("hot", "u1"),  # 1 degC, 40 below
    ("cold_subsystem", "u1"),
    ("cold_probe", "u1"),
    ("cold", "u1"),  # 1 degC, 40 below
]

VOLTAGES_16: list[Any] = [  # S16 tables B.5, B.6: one subsystem, all cells in one body
    ("type", "u1"),
    ("count", "u1"),
    ("no", "u1"),
    ("voltage", ">u2"),  # 0.1 V
    ("current", ">u2"),  # 0.1 A, 1000 A below
    ("cell_total", ">u2"),
    ("first_cell", ">u2"),
    ("cell_count", "u1"),
    ("cells", ">u2", CELLS),  # 0.001 V
]
VOLTAGES_25: list[Any] = [  # S25 tables 11, 12: one pack
    ("type", "u1"),
    ("count", "u1"),
    ("no", "u1"),
    ("voltage", ">u2"),  # 0.1 V
    ("current", ">u2"),  # 0.1 A, 3000 A below
    ("cell_total", ">u2"),
    ("cells", ">u2", CELLS),  # 0.001 V
]

TEMPERATURES: list[Any] = [  # S16 tables B.7, B.8; S25 tables 13, 14: one subsystem
    ("type", "u1"),
    ("count", "u1"),
    ("no", "u1"),
    ("probe_count", ">u2"),
    ("probes", "u1", PROBES),  # 1 degC, 40 below
]


def _alarm(fault_codes: int) -> list[Any]:  # S16 table 17; S25 table 23 adds `general` below
    return [
        ("type", "u1"),
        ("level", "u1"),
        ("flags", ">u4"),
        ("storage_count", "u1"),
        ("storage", ">u4", fault_codes),
        ("motor_count", "u1"),
        ("engine_count", "u1"),
        ("other_count", "u1"),
    ]


def _motors(record: list[Any], count: int) -> list[Any]:
    return [("type", "u1"), ("count", "u1"), ("motor", record, count)]


@lru_cache(maxsize=256)
def layout(edition: int, motors: int, fault_codes: int, general: int) -> np.dtype[np.void]:
    """The record of a report with so many motors, storage fault codes and levelled alarms."""
    old = edition == EDITION_2016
    fields = [*FRAME_START, ("vehicle", VEHICLE_16 if old else VEHICLE_25)]
    if motors:
        fields.append(("motors", _motors(MOTOR_16 if old else MOTOR_25, motors)))
    fields.append(("position", POSITION_16 if old else POSITION_25))
    alarm = _alarm(fault_codes)
    if old:
        fields.append(("extremes", EXTREMES_16))
    else:
        alarm += [("general_count", "u1"), ("general", "u1", (general, 2))]
    fields += [
        ("alarm", alarm),
        ("voltages", VOLTAGES_16 if old else VOLTAGES_25),
        ("temperatures", TEMPERATURES),
        ("check", "u1"),
    ]
    return np.dtype(fields)


@lru_cache(maxsize=256)
def template(edition: int, motors: int, fault_codes: int, general: int) -> np.ndarray[Any, Any]:
    """One report of that layout with everything set that never changes, shape ()."""
    record = np.zeros((), layout(edition, motors, fault_codes, general))
    record["start"] = list(START[edition])
    record["command"], record["reply"] = Command.REALTIME, Flag.COMMAND
    record["encryption"] = Encryption.NONE
    record["length"] = record.dtype.itemsize - HEADER_SIZE - 1
    old = edition == EDITION_2016
    record["vehicle"]["type"], record["vehicle"]["run_mode"] = 0x01, 1
    if motors:
        record["motors"]["type"], record["motors"]["count"] = 0x02, motors
        record["motors"]["motor"]["no"] = np.arange(1, motors + 1)
    record["position"]["type"] = 0x05
    if old:
        record["extremes"]["type"] = 0x06
        for name in ("max_subsystem", "min_subsystem", "hot_subsystem", "cold_subsystem"):
            record["extremes"][name] = 1
    else:
        record["position"]["datum"] = 1  # WGS-84
        record["alarm"]["general_count"] = general
    record["alarm"]["type"] = 0x07 if old else 0x06
    record["alarm"]["storage_count"] = fault_codes
    voltages, probes = record["voltages"], record["temperatures"]
    voltages["type"], voltages["count"], voltages["no"] = (0x08 if old else 0x07), 1, 1
    voltages["cell_total"] = CELLS
    if old:
        voltages["first_cell"], voltages["cell_count"] = 1, CELLS
    probes["type"], probes["count"], probes["no"] = (0x09 if old else 0x08), 1, 1
    probes["probe_count"] = PROBES
    return record
