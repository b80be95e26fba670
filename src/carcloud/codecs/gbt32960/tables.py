"""Which field table a data unit or an item has; the tables of all commands but reports."""

from typing import Final

from carcloud.codecs.gbt32960 import tables_2016, tables_2025
from carcloud.codecs.gbt32960.constants import Command
from carcloud.codecs.gbt32960.layout import (
    BITS,
    NONE,
    STD,
    U8,
    U16,
    Number,
    Opaque,
    Records,
    Table,
    Text,
    Time,
)

BODIES: Final = {2016: tables_2016.BODIES, 2025: tables_2025.BODIES}
"""Item type to table, by edition. There is no length before types below 0x80."""

LOGIN_2016: Final = Table(
    "login",
    "S16 table 6",
    (
        Time("time", "collection time"),
        Number("serial", U16, (1, 65_531), 1, 0, "", NONE, "login serial number"),
        Text("iccid", 20, b"\x00", "ICCID read from the SIM"),
        Number("subsystem_count", U8, (0, 250), 1, 0, "", NONE, "storage subsystems"),
        Number("code_length", U8, (0, 50), 1, 0, "", NONE, "0 = codes are not uploaded"),
        Opaque("codes", "subsystem_count*code_length", "codes, one after another"),
    ),
)

LOGIN_2025: Final = Table(
    "login",
    "S25 table 6",
    (
        Time("time", "collection time"),
        Number("serial", U16, (1, 65_531), 1, 0, "", NONE, "login serial number"),
        Text("iccid", 20, b"\x00", "ICCID read from the SIM"),
        Number("bms_count", U8, (0, 20), 1, 0, "", NONE, "battery management systems"),
        Number("packs_per_bms", U8, (0, 50), 1, 0, "", NONE, "packs under each", "bms_count"),
        Opaque("pack_codes", "sum(packs_per_bms)*24", "GB/T 34014 codes, BMS by BMS"),
    ),
)

LOGOUT: Final = Table(
    "logout",
    "S16 tables 20, 22; S25 tables 28, 30",
    (
        Time("time", "logout time"),
        Number("serial", U16, (1, 65_531), 1, 0, "", NONE, "of the login being ended"),
    ),
)

PLATFORM_LOGIN: Final = Table(
    "platform_login",
    "S16 table 21, S25 table 29",
    (
        Time("time", "platform login time"),
        Number("serial", U16, (1, 65_531), 1, 0, "", NONE, "login serial of the lower platform"),
        Text("user", 12, b"\x00", "user name"),
        Text("password", 20, b"\x00", "password"),
        Number("encryption_rule", U8, (1, 5), 1, 0, "", STD, "codes of table 5; 2016 to 3"),
    ),
)

QUERY: Final = Table(
    "query",
    "S16 table B.9, S25 table B.5",
    (
        Time("time", "query time"),
        Number("count", U8, (0, 252), 1, 0, "", STD, "parameters asked for"),
        Number("ids", U8, None, 1, 0, "", BITS, "parameter ids", "count"),
    ),
)

CONTROL: Final = Table(
    "control",
    "S16 tables B.14, B.15; S25 tables B.10, B.11",
    (
        Time("time", "control time"),
        Number("command", U8, None, 1, 0, "", BITS, "terminal control command"),
        Opaque("argument", "rest", "empty where the command has none"),
    ),
)

ACTIVATION_SIGNED: Final = Table(
    "activation",
    "S25 table B.3",
    (
        Time("time", "collection time"),
        Text("chip_id", 16, b" ", "security chip id"),
        Number("key_length", U16, (0, 65_531), 1, 0, "", BITS, "bytes of the key"),
        Opaque("public_key", "key_length", "encoding not given by the standard"),
        Text("vin", 17, b"\x00", "VIN"),
    ),
)

ACTIVATION: Final = Table(
    "activation",
    "S25 table B.3",
    (
        *ACTIVATION_SIGNED.rows,
        Records("signature", tables_2025.SIGNATURE, "1", "over all bytes before it; no mark"),
    ),
)

ACTIVATION_RESULT: Final = Table(
    "activation_result",
    "S25 table B.4",
    (
        Number("status", U8, (1, 2), 1, 0, "", NONE, "1 activated, 2 failed"),
        Number("info", U8, (0, 2), 1, 0, "", NONE, "0 activated, 1 chip already, 2 VIN duplicate"),
    ),
)

KEY_EXCHANGE: Final = Table(
    "key_exchange",
    "S25 table 31",
    (
        Number("algorithm", U8, (2, 5), 1, 0, "", NONE, "2 RSA, 3 AES, 4 SM2, 5 SM4"),
        Number("key_length", U16, (0, 65_531), 1, 0, "", BITS, "bytes of the key"),
        Opaque("key", "key_length", "data-unit key"),
        Time("valid_from", "start of use"),
        Time("valid_until", "end of use"),
    ),
)

TIME_ONLY: Final = Table("time", "6.3.2", (Time("time", "message time"),))
EMPTY: Final = Table("empty", "B.3.5", ())

_EITHER: Final[dict[int, Table]] = {
    Command.LOGOUT: LOGOUT,
    Command.PLATFORM_LOGIN: PLATFORM_LOGIN,
    Command.PLATFORM_LOGOUT: LOGOUT,
    Command.HEARTBEAT: EMPTY,
    Command.TIME_SYNC: EMPTY,
    Command.QUERY: QUERY,
    Command.CONTROL: CONTROL,
}

REQUESTS: Final[dict[int, dict[int, Table]]] = {
    2016: {**_EITHER, Command.LOGIN: LOGIN_2016},
    2025: {
        **_EITHER,
        Command.LOGIN: LOGIN_2025,
        Command.ACTIVATION: ACTIVATION,
        Command.ACTIVATION_RESULT: ACTIVATION_RESULT,
        Command.KEY_EXCHANGE: KEY_EXCHANGE,
    },
}
"""Command to table of its data unit; reports and parameter lists are read item by item."""

# Parameters carry no length: the size follows from the id (S16 table B.10, S25 table B.6).
_PARAMETERS: Final[dict[int, Number | Text | Opaque]] = {
    0x01: Number("storage_period_ms", U16, (0, 60_000), 1, 0, "ms", STD, "local storage period"),
    0x04: Number("domain_length", U8, None, 1, 0, "", BITS, "bytes of 0x05"),
    0x05: Opaque("domain", "domain_length", "platform domain name", text=True),
    0x06: Number("port", U16, (0, 65_531), 1, 0, "", STD, "platform port"),
    0x07: Text("hardware_version", 5, b"\x00", "read-only"),
    0x08: Text("firmware_version", 5, b"\x00", "read-only"),
    0x09: Number("heartbeat_period_s", U8, (1, 240), 1, 0, "s", STD, "heartbeat period"),
    0x0A: Number("terminal_timeout_s", U16, (1, 600), 1, 0, "s", STD, "terminal reply timeout"),
    0x0B: Number("platform_timeout_s", U16, (1, 600), 1, 0, "s", STD, "platform reply timeout"),
    0x0C: Number("login_wait_min", U8, (1, 240), 1, 0, "min", STD, "after three failed logins"),
    0x0D: Number("public_domain_length", U8, None, 1, 0, "", BITS, "bytes of 0x0E"),
    0x0E: Opaque("public_domain", "public_domain_length", "public platform's domain", text=True),
    0x0F: Number("public_port", U16, (0, 65_531), 1, 0, "", STD, "public platform's port"),
    0x10: Number("sampling", U8, (1, 2), 1, 0, "", STD, "sampling supervision: 1 yes, 2 no"),
}

PARAMETERS: Final[dict[int, dict[int, Number | Text | Opaque]]] = {
    2016: {
        **_PARAMETERS,
        0x02: Number("report_period_s", U16, (1, 600), 1, 0, "s", STD, "normal report period"),
        0x03: Number("alarm_period_ms", U16, (0, 60_000), 1, 0, "ms", STD, "during alarms"),
    },
    2025: {
        **_PARAMETERS,
        0x02: Number("report_period_s", U8, (1, 30), 1, 0, "s", STD, "normal report period"),
        0x03: Number("alarm_period_s", U8, (0, 1), 1, 0, "s", STD, "during alarms"),
    },
}

READ_ONLY_PARAMETERS: Final = frozenset({0x07, 0x08})

ALARM_CODES: Final = (
    *("temp_diff", "temp_high", "storage_overvoltage", "storage_undervoltage", "soc_low"),
    *("cell_overvoltage", "cell_undervoltage", "soc_high", "soc_jump", "storage_mismatch"),
    *("cell_consistency", "insulation", "dcdc_temp", "brake_system", "dcdc_state"),
    *("motor_controller_temp", "hv_interlock", "motor_temp", "overcharge"),
    # 2025 only, from bit 19
    *("motor_overspeed", "motor_overcurrent", "supercap_temp", "supercap_overvoltage"),
    *("thermal_event", "hydrogen_leak", "hydrogen_pressure", "hydrogen_temp", "stack_temp"),
)
"""General alarm bit to its name (S16 table 18, S25 table 24)."""

ALARM_BITS: Final = {2016: 19, 2025: 28}
"""How many of `ALARM_CODES` the edition defines; the other bits are reserved."""
