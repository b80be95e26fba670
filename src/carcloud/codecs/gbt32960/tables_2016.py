"""Bodies of realtime and reissued reports, GB/T 32960.3-2016 tables 9 to 19, B.4 to B.8."""

from typing import Final

from carcloud.codecs.gbt32960.layout import (
    BITS,
    HUNDREDTH,
    MICRO,
    MILLI,
    NONE,
    STD,
    TENTH,
    U8,
    U16,
    U32,
    Number,
    Opaque,
    Records,
    Table,
)

# Columns of a row: key, wire type, valid raw, scale, offset, unit, sentinels, meaning.

# On platform links (table 9) the last two bytes are one reserved WORD; same size and position.
VEHICLE: Final = Table(
    "vehicle",
    "S16 tables 9, B.4",
    (
        Number("vehicle_state", U8, (1, 3), 1, 0, "", STD, "1 started, 2 off, 3 other"),
        Number("charge_state", U8, (1, 4), 1, 0, "", STD, "1 parked, 2 driving, 3 no, 4 complete"),
        Number("run_mode", U8, (1, 3), 1, 0, "", STD, "1 electric, 2 hybrid, 3 fuel"),
        Number("speed_kmh", U16, (0, 2200), TENTH, 0, "km/h", STD, "vehicle speed"),
        Number("odometer_km", U32, (0, 9_999_999), TENTH, 0, "km", STD, "accumulated mileage"),
        Number("voltage_v", U16, (0, 10_000), TENTH, 0, "V", STD, "total voltage"),
        Number("current_a", U16, (0, 20_000), TENTH, -1000, "A", STD, "total current"),
        Number("soc_pct", U8, (0, 100), 1, 0, "%", STD, "state of charge"),
        Number("dcdc_state", U8, (1, 2), 1, 0, "", STD, "1 working, 2 off"),
        Number("gear", U8, None, 1, 0, "", NONE, "gear byte, A.1"),
        Number("insulation_kohm", U16, (0, 60_000), 1, 0, "kohm", NONE, "insulation resistance"),
        Number("accelerator_pct", U8, (0, 100), 1, 0, "%", STD, "accelerator travel"),
        Number("brake_pct", U8, (0, 101), 1, 0, "%", STD, "brake travel; 101 on, travel unknown"),
    ),
)

MOTOR: Final = Table(
    "motor",
    "S16 table 11",
    (
        Number("no", U8, (1, 253), 1, 0, "", NONE, "motor sequence number"),
        Number("state", U8, (1, 4), 1, 0, "", STD, "1 consuming, 2 generating, 3 off, 4 ready"),
        Number("controller_temp_c", U8, (0, 250), 1, -40, "degC", STD, "controller temperature"),
        Number("speed_rpm", U16, (0, 65_531), 1, -20_000, "r/min", STD, "speed"),
        Number("torque_nm", U16, (0, 65_531), TENTH, -2000, "N.m", STD, "torque"),
        Number("motor_temp_c", U8, (0, 250), 1, -40, "degC", STD, "motor temperature"),
        Number("controller_voltage_v", U16, (0, 60_000), TENTH, 0, "V", STD, "input voltage"),
        Number("controller_current_a", U16, (0, 20_000), TENTH, -1000, "A", STD, "bus current"),
    ),
)

MOTORS: Final = Table(
    "motors",
    "S16 table 10",
    (
        Number("count", U8, (1, 253), 1, 0, "", NONE, "number of drive motors"),
        Records("motors", MOTOR, "count", "in order of the sequence number"),
    ),
)

FUEL_CELL: Final = Table(
    "fuel_cell",
    "S16 table 12",
    (
        Number("voltage_v", U16, (0, 20_000), TENTH, 0, "V", STD, "fuel-cell voltage"),
        Number("current_a", U16, (0, 20_000), TENTH, 0, "A", STD, "fuel-cell current, no offset"),
        Number(
            "consumption_kg_per_100km",
            U16,
            (0, 60_000),
            HUNDREDTH,
            0,
            "kg/100km",
            STD,
            "fuel consumption",
        ),
        Number("probe_count", U16, (0, 65_531), 1, 0, "", STD, "temperature probes"),
        Number("probe_temps_c", U8, (0, 240), 1, -40, "degC", NONE, "probes", "probe_count"),
        Number("h2_max_temp_c", U16, (0, 2400), TENTH, -40, "degC", STD, "hydrogen system"),
        Number("h2_max_temp_probe", U8, (1, 252), 1, 0, "", STD, "its probe number"),
        # The text gives 0..60000 and 0..50000 mg/kg; the unit of 1 mg/kg decides for the first.
        Number("h2_max_concentration_mgkg", U16, (0, 60_000), 1, 0, "mg/kg", STD, "highest"),
        Number("h2_max_concentration_sensor", U8, (1, 252), 1, 0, "", STD, "its sensor number"),
        Number("h2_max_pressure_mpa", U16, (0, 1000), TENTH, 0, "MPa", NONE, "highest pressure"),
        Number("h2_max_pressure_sensor", U8, (1, 252), 1, 0, "", STD, "its sensor number"),
        Number("hv_dcdc_state", U8, (1, 2), 1, 0, "", STD, "1 working, 2 off"),
    ),
)

ENGINE: Final = Table(
    "engine",
    "S16 table 13",
    (
        Number("state", U8, (1, 2), 1, 0, "", STD, "1 started, 2 off"),
        Number("crank_rpm", U16, (0, 60_000), 1, 0, "r/min", STD, "crankshaft speed"),
        Number(
            "consumption_l_per_100km",
            U16,
            (0, 60_000),
            HUNDREDTH,
            0,
            "L/100km",
            STD,
            "fuel consumption",
        ),
    ),
)

POSITION: Final = Table(
    "position",
    "S16 tables 14, 15",
    (
        Number("status", U8, None, 1, 0, "", BITS, "bit 0 no fix, bit 1 south, bit 2 west"),
        Number("longitude_deg", U32, (0, 180_000_000), MICRO, 0, "deg", NONE, "magnitude, first"),
        Number("latitude_deg", U32, (0, 90_000_000), MICRO, 0, "deg", NONE, "magnitude"),
    ),
)

EXTREMES: Final = Table(
    "extremes",
    "S16 table 16",
    (
        Number("max_cell_subsystem", U8, (1, 250), 1, 0, "", STD, "with the highest voltage"),
        Number("max_cell_no", U8, (1, 250), 1, 0, "", STD, "cell; packs over 250 cells wrap"),
        Number("max_cell_v", U16, (0, 15_000), MILLI, 0, "V", STD, "highest cell voltage"),
        Number("min_cell_subsystem", U8, (1, 250), 1, 0, "", STD, "with the lowest voltage"),
        Number("min_cell_no", U8, (1, 250), 1, 0, "", STD, "cell"),
        Number("min_cell_v", U16, (0, 15_000), MILLI, 0, "V", STD, "lowest cell voltage"),
        Number("max_temp_subsystem", U8, (1, 250), 1, 0, "", STD, "with the highest temperature"),
        Number("max_temp_probe", U8, (1, 250), 1, 0, "", STD, "probe"),
        Number("max_temp_c", U8, (0, 250), 1, -40, "degC", STD, "highest temperature"),
        Number("min_temp_subsystem", U8, (1, 250), 1, 0, "", STD, "with the lowest temperature"),
        Number("min_temp_probe", U8, (1, 250), 1, 0, "", STD, "probe"),
        Number("min_temp_c", U8, (0, 250), 1, -40, "degC", STD, "lowest temperature"),
    ),
)

ALARM: Final = Table(
    "alarm",
    "S16 tables 17, 18",
    (
        Number("max_level", U8, (0, 3), 1, 0, "", STD, "0 none to 3 stop at once"),
        Number("flags", U32, None, 1, 0, "", NONE, "general alarm bits, table 18"),
        Number("storage_fault_count", U8, (0, 252), 1, 0, "", STD, "N1"),
        Number("storage_faults", U32, None, 1, 0, "", BITS, "vendor codes", "storage_fault_count"),
        Number("motor_fault_count", U8, (0, 252), 1, 0, "", STD, "N2"),
        Number("motor_faults", U32, None, 1, 0, "", BITS, "vendor codes", "motor_fault_count"),
        Number("engine_fault_count", U8, (0, 252), 1, 0, "", STD, "N3"),
        Number("engine_faults", U32, None, 1, 0, "", BITS, "vendor codes", "engine_fault_count"),
        Number("other_fault_count", U8, (0, 252), 1, 0, "", STD, "N4"),
        Number("other_faults", U32, None, 1, 0, "", BITS, "vendor codes", "other_fault_count"),
    ),
)

PACK_VOLTAGE: Final = Table(
    "pack_voltage",
    "S16 table B.6",
    (
        Number("no", U8, (1, 250), 1, 0, "", NONE, "subsystem number"),
        Number("voltage_v", U16, (0, 10_000), TENTH, 0, "V", STD, "storage voltage"),
        Number("current_a", U16, (0, 20_000), TENTH, -1000, "A", STD, "storage current"),
        Number("cell_total", U16, (1, 65_531), 1, 0, "", STD, "cells in the subsystem"),
        Number("first_cell", U16, (1, 65_531), 1, 0, "", NONE, "first cell in this body"),
        Number("cell_count", U8, (1, 200), 1, 0, "", NONE, "cells in this body"),
        Number("cell_v", U16, (0, 60_000), MILLI, 0, "V", STD, "cell voltages", "cell_count"),
    ),
)

VOLTAGES: Final = Table(
    "cell_voltages",
    "S16 table B.5",
    (
        Number("count", U8, (1, 250), 1, 0, "", STD, "subsystems in this body"),
        Records("packs", PACK_VOLTAGE, "count", "in order of the subsystem number"),
    ),
)

PACK_TEMPERATURE: Final = Table(
    "pack_temperature",
    "S16 table B.8",
    (
        Number("no", U8, (1, 250), 1, 0, "", NONE, "subsystem number"),
        Number("probe_count", U16, (1, 65_531), 1, 0, "", STD, "probes"),
        Number("temps_c", U8, (0, 250), 1, -40, "degC", STD, "probe temperatures", "probe_count"),
    ),
)

TEMPERATURES: Final = Table(
    "temperatures",
    "S16 table B.7",
    (
        Number("count", U8, (1, 250), 1, 0, "", STD, "number of subsystems"),
        Records("packs", PACK_TEMPERATURE, "count", "in order of the subsystem number"),
    ),
)

CUSTOM: Final = Table(
    "custom",
    "S16 table 19, S25 table 27",
    (
        Number("length", U16, (1, 65_531), 1, 0, "", BITS, "bytes of vendor data"),
        Opaque("data", "length", "vendor data"),
    ),
)

BODIES: Final = {
    0x01: VEHICLE,
    0x02: MOTORS,
    0x03: FUEL_CELL,
    0x04: ENGINE,
    0x05: POSITION,
    0x06: EXTREMES,
    0x07: ALARM,
    0x08: VOLTAGES,
    0x09: TEMPERATURES,
    **dict.fromkeys(range(0x80, 0xFF), CUSTOM),
}
