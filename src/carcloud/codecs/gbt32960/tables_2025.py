"""Bodies of realtime and reissued reports, GB/T 32960.3-2025 tables 8 to 27."""

from typing import Final

from carcloud.codecs.gbt32960.layout import (
    BITS,
    MICRO,
    MILLI,
    NONE,
    STD,
    TEN_THOUSANDTH,
    TENTH,
    U8,
    U16,
    U32,
    Number,
    Opaque,
    Records,
    Table,
)
from carcloud.codecs.gbt32960.tables_2016 import CUSTOM

# Columns of a row: key, wire type, valid raw, scale, offset, unit, sentinels, meaning.

VEHICLE: Final = Table(
    "vehicle",
    "S25 table 10",
    (
        Number("vehicle_state", U8, (1, 3), 1, 0, "", STD, "1 started, 2 off, 3 other"),
        Number("charge_state", U8, (1, 4), 1, 0, "", STD, "1 parked, 2 driving, 3 no, 4 complete"),
        Number("run_mode", U8, (1, 3), 1, 0, "", STD, "1 electric, 2 hybrid, 3 fuel"),
        Number("speed_kmh", U16, (0, 5000), TENTH, 0, "km/h", STD, "vehicle speed"),
        Number("odometer_km", U32, (0, 9_999_999), TENTH, 0, "km", STD, "accumulated mileage"),
        Number("voltage_v", U16, (0, 60_000), TENTH, 0, "V", STD, "total voltage"),
        Number("current_a", U16, (0, 60_000), TENTH, -3000, "A", STD, "total current"),
        Number("soc_pct", U8, (0, 100), 1, 0, "%", STD, "state of charge"),
        Number("dcdc_state", U8, (1, 2), 1, 0, "", STD, "1 working, 2 off"),
        Number("gear", U8, None, 1, 0, "", NONE, "gear byte, A.1; bit 7 = gear invalid"),
        Number("insulation_kohm", U16, (0, 60_000), 1, 0, "kohm", STD, "smaller of both poles"),
    ),
)

MOTOR: Final = Table(
    "motor",
    "S25 table 16",
    (
        Number("no", U8, (1, 253), 1, 0, "", STD, "motor sequence number"),
        Number("state", U8, (1, 4), 1, 0, "", STD, "1 consuming, 2 generating, 3 off, 4 ready"),
        Number("controller_temp_c", U8, (0, 250), 1, -40, "degC", STD, "controller temperature"),
        Number("speed_rpm", U16, (0, 65_531), 1, -32_000, "r/min", STD, "speed"),
        Number("torque_nm", U32, (0, 400_000), TENTH, -20_000, "N.m", STD, "torque"),
        Number("motor_temp_c", U8, (0, 250), 1, -40, "degC", STD, "motor temperature"),
    ),
)

MOTORS: Final = Table(
    "motors",
    "S25 table 15",
    (
        Number("count", U8, (1, 253), 1, 0, "", STD, "number of drive motors"),
        Records("motors", MOTOR, "count", "in order of the sequence number"),
    ),
)

FUEL_CELL: Final = Table(
    "fuel_cell",
    "S25 table 17",
    (
        # Two bytes of 1 degC, where 2016 has 0.1 degC.
        Number("h2_max_temp_c", U16, (0, 250), 1, -40, "degC", STD, "hydrogen system"),
        Number("h2_max_temp_probe", U8, (1, 253), 1, 0, "", STD, "its probe number"),
        Number(
            "h2_max_concentration_pct",
            U16,
            (0, 60_000),
            TEN_THOUSANDTH,
            0,
            "%",
            STD,
            "highest volume fraction",
        ),
        Number("h2_max_concentration_sensor", U8, (1, 253), 1, 0, "", STD, "its sensor number"),
        Number("h2_max_pressure_mpa", U16, (0, 1000), TENTH, 0, "MPa", STD, "highest pressure"),
        Number("h2_max_pressure_sensor", U8, (1, 253), 1, 0, "", STD, "its sensor number"),
        Number("hv_dcdc_state", U8, (1, 2), 1, 0, "", STD, "1 working, 2 off"),
        Number("h2_remaining_pct", U8, (0, 100), 1, 0, "%", STD, "remaining hydrogen"),
        Number("hv_dcdc_temp_c", U8, (0, 250), 1, -40, "degC", STD, "controller temperature"),
    ),
)

ENGINE: Final = Table(
    "engine",
    "S25 table 20",
    (Number("crank_rpm", U16, (0, 60_000), 1, 0, "r/min", STD, "crankshaft speed"),),
)

POSITION: Final = Table(
    "position",
    "S25 tables 21, 22",
    (
        Number("status", U8, None, 1, 0, "", BITS, "bit 0 no fix, bit 1 south, bit 2 west"),
        Number("coordinate_system", U8, (1, 3), 1, 0, "", NONE, "1 WGS84, 2 GCJ02, 3 other"),
        Number("longitude_deg", U32, (0, 180_000_000), MICRO, 0, "deg", NONE, "magnitude, first"),
        Number("latitude_deg", U32, (0, 90_000_000), MICRO, 0, "deg", NONE, "magnitude"),
    ),
)

GENERAL_ALARM: Final = Table(
    "general_alarm",
    "S25 table 23",
    (
        Number("bit", U8, (0, 27), 1, 0, "", NONE, "bit number in flags"),
        Number("level", U8, (0, 4), 1, 0, "", NONE, "level of that alarm, vendor-defined"),
    ),
)

ALARM: Final = Table(
    "alarm",
    "S25 tables 23, 24",
    (
        Number("max_level", U8, (0, 4), 1, 0, "", STD, "as 2016 to 3; 4 thermal event"),
        Number("flags", U32, None, 1, 0, "", NONE, "general alarm bits, table 24"),
        Number("storage_fault_count", U8, (0, 253), 1, 0, "", STD, "N1"),
        Number("storage_faults", U32, None, 1, 0, "", BITS, "vendor codes", "storage_fault_count"),
        Number("motor_fault_count", U8, (0, 253), 1, 0, "", STD, "N2"),
        Number("motor_faults", U32, None, 1, 0, "", BITS, "vendor codes", "motor_fault_count"),
        Number("engine_fault_count", U8, (0, 253), 1, 0, "", STD, "N3"),
        Number("engine_faults", U32, None, 1, 0, "", BITS, "vendor codes", "engine_fault_count"),
        Number("other_fault_count", U8, (0, 253), 1, 0, "", STD, "N4"),
        Number("other_faults", U32, None, 1, 0, "", BITS, "vendor codes", "other_fault_count"),
        Number("general_alarm_count", U8, (0, 253), 1, 0, "", STD, "N5"),
        Records("general_alarms", GENERAL_ALARM, "general_alarm_count", "alarms with a level"),
    ),
)

PACK_VOLTAGE: Final = Table(
    "pack_voltage",
    "S25 table 12",
    (
        Number("no", U8, (1, 50), 1, 0, "", STD, "pack number"),
        Number("voltage_v", U16, (0, 60_000), TENTH, 0, "V", STD, "pack voltage"),
        Number("current_a", U16, (0, 60_000), TENTH, -3000, "A", STD, "pack current"),
        Number("cell_count", U16, (1, 65_531), 1, 0, "", STD, "minimum parallel units"),
        Number("cell_v", U16, (0, 60_000), MILLI, 0, "V", STD, "unit voltages", "cell_count"),
    ),
)

VOLTAGES: Final = Table(
    "cell_voltages",
    "S25 table 11",
    (
        Number("count", U8, (0, 50), 1, 0, "", STD, "number of battery packs"),
        Records("packs", PACK_VOLTAGE, "count", "in order of the pack number"),
    ),
)

PACK_TEMPERATURE: Final = Table(
    "pack_temperature",
    "S25 table 14",
    (
        Number("no", U8, (1, 50), 1, 0, "", STD, "pack number"),
        Number("probe_count", U16, (1, 65_531), 1, 0, "", STD, "probes"),
        Number("temps_c", U8, (0, 250), 1, -40, "degC", STD, "probe temperatures", "probe_count"),
    ),
)

TEMPERATURES: Final = Table(
    "temperatures",
    "S25 table 13",
    (
        Number("count", U8, (0, 50), 1, 0, "", STD, "number of battery packs"),
        Records("packs", PACK_TEMPERATURE, "count", "in order of the pack number"),
    ),
)

STACK: Final = Table(
    "stack",
    "S25 table 19",
    (
        Number("no", U8, (1, 253), 1, 0, "", STD, "stack number"),
        Number("voltage_v", U16, (0, 20_000), TENTH, 0, "V", STD, "stack voltage"),
        Number("current_a", U16, (0, 20_000), TENTH, 0, "A", STD, "stack current, no offset"),
        Number("h2_inlet_pressure_kpa", U16, (0, 5000), TENTH, -100, "kPa", STD, "hydrogen"),
        Number("air_inlet_pressure_kpa", U16, (0, 5000), TENTH, -100, "kPa", STD, "air"),
        Number("air_inlet_temp_c", U8, (0, 250), 1, -40, "degC", STD, "air"),
        Number("coolant_probe_count", U16, (0, 65_531), 1, 0, "", STD, "probes"),
        Number(
            "coolant_temps_c",
            U8,
            (0, 250),
            1,
            -40,
            "degC",
            STD,
            "at the coolant outlet",
            "coolant_probe_count",
        ),
    ),
)

STACKS: Final = Table(
    "stacks",
    "S25 table 18",
    (
        Number("count", U8, (1, 253), 1, 0, "", STD, "number of stacks"),
        Records("stacks", STACK, "count", "in order of the stack number"),
    ),
)

SUPERCAPACITOR: Final = Table(
    "supercapacitor",
    "S25 table 25",
    (
        Number("system_no", U8, (1, 253), 1, 0, "", STD, "management system number"),
        Number("voltage_v", U16, (0, 10_000), TENTH, 0, "V", STD, "total voltage"),
        Number("current_a", U16, (0, 60_000), TENTH, -3000, "A", STD, "total current"),
        Number("cell_count", U16, (1, 65_531), 1, 0, "", STD, "cells"),
        Number("cell_v", U16, (0, 60_000), MILLI, 0, "V", STD, "cell voltages", "cell_count"),
        Number("probe_count", U16, (1, 65_531), 1, 0, "", STD, "probes"),
        Number("temps_c", U8, (0, 250), 1, -40, "degC", STD, "probe temperatures", "probe_count"),
    ),
)

SUPERCAPACITOR_EXTREMES: Final = Table(
    "supercapacitor_extremes",
    "S25 table 26",
    (
        Number("max_v_system", U8, (1, 253), 1, 0, "", STD, "with the highest voltage"),
        Number("max_v_cell", U16, (1, 65_531), 1, 0, "", NONE, "cell"),
        Number("max_v", U16, (0, 60_000), MILLI, 0, "V", STD, "highest cell voltage"),
        Number("min_v_system", U8, (1, 253), 1, 0, "", STD, "with the lowest voltage"),
        Number("min_v_cell", U16, (1, 65_531), 1, 0, "", NONE, "cell"),
        Number("min_v", U16, (0, 60_000), MILLI, 0, "V", STD, "lowest cell voltage"),
        Number("max_temp_system", U8, (1, 253), 1, 0, "", STD, "with the highest temperature"),
        Number("max_temp_probe", U16, (1, 65_531), 1, 0, "", NONE, "probe"),
        Number("max_temp_c", U8, (0, 250), 1, -40, "degC", STD, "highest temperature"),
        Number("min_temp_system", U8, (1, 253), 1, 0, "", STD, "with the lowest temperature"),
        Number("min_temp_probe", U16, (1, 65_531), 1, 0, "", NONE, "probe"),
        Number("min_temp_c", U8, (0, 250), 1, -40, "degC", STD, "lowest temperature"),
    ),
)

# In a report it follows the mark 0xFF; in an activation it follows the VIN without a mark.
SIGNATURE: Final = Table(
    "signature",
    "S25 table 8",
    (
        Number("algorithm", U8, (1, 3), 1, 0, "", NONE, "1 SM2, 2 RSA, 3 ECC"),
        Number("r_length", U16, None, 1, 0, "", BITS, "bytes of R"),
        Opaque("r", "r_length", "R value"),
        Number("s_length", U16, None, 1, 0, "", BITS, "bytes of S"),
        Opaque("s", "s_length", "S value"),
    ),
)

BODIES: Final = {
    0x01: VEHICLE,
    0x02: MOTORS,
    0x03: FUEL_CELL,
    0x04: ENGINE,
    0x05: POSITION,
    0x06: ALARM,
    0x07: VOLTAGES,
    0x08: TEMPERATURES,
    0x30: STACKS,
    0x31: SUPERCAPACITOR,
    0x32: SUPERCAPACITOR_EXTREMES,
    **dict.fromkeys(range(0x80, 0xFF), CUSTOM),
    0xFF: SIGNATURE,
}
