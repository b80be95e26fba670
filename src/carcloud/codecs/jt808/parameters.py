"""Terminal parameters (0x8103, 0x0104): ids, types and units of all editions (table of 8.8, J19).

A value whose length is not that of its type, and one of an id that is not here, is kept as bytes:
J11 gives some ids another width, and 0xF000 to 0xFFFF belong to vendors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["u8", "u16", "u32", "str", "bytes"]
WIDTHS: Final[Mapping[Kind, int]] = {"u8": 1, "u16": 2, "u32": 4}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One terminal parameter; physical value = raw / `divisor`."""

    name: str
    kind: Kind
    unit: str = ""
    divisor: int = 1


def _row(start: int, kind: Kind, names: Iterable[str], unit: str = "") -> dict[int, Parameter]:
    return {start + at: Parameter(name, kind, unit) for at, name in enumerate(names)}


_LINK: Final = {
    0x0001: Parameter("heartbeat_s", "u32", "s"),
    **_row(0x0002, "u32", ("tcp_timeout_s", "tcp_repeats", "udp_timeout_s", "udp_repeats",
                           "sms_timeout_s", "sms_repeats")),
    **_row(0x0010, "str", ("main_apn", "main_user", "main_password", "main_address",
                           "backup_apn", "backup_user", "backup_password", "backup_address")),
    **_row(0x0018, "u32", ("tcp_port", "udp_port")),
    0x001A: Parameter("ic_card_address", "str"),
    **_row(0x001B, "u32", ("ic_card_tcp_port", "ic_card_udp_port")),
    0x001D: Parameter("ic_card_backup_address", "str"),
}  # fmt: skip
_REPORTING: Final = {
    **_row(0x0020, "u32", ("report_strategy", "report_scheme", "report_no_driver_s")),
    **_row(0x0023, "str", ("slave_apn", "slave_user", "slave_password", "slave_address")),
    **_row(0x0027, "u32", ("report_asleep_s", "report_emergency_s", "report_default_s"), "s"),
    **_row(0x002C, "u32", ("distance_default_m", "distance_no_driver_m", "distance_asleep_m",
                           "distance_emergency_m"), "m"),
    0x0030: Parameter("corner_deg", "u32", "deg"),
    0x0031: Parameter("geofence_radius_m", "u16", "m"),
    0x0032: Parameter("forbidden_period", "bytes"),
}  # fmt: skip
_CALLS: Final = {
    **_row(0x0040, "str", ("platform_phone", "reset_phone", "factory_phone", "sms_phone",
                           "sms_alarm_phone")),
    **_row(0x0045, "u32", ("answering", "longest_call_s", "calls_a_month_s")),
    **_row(0x0048, "str", ("monitoring_phone", "privileged_sms_phone")),
}  # fmt: skip
_ALARMS: Final = {
    **_row(0x0050, "u32", ("alarm_mask", "alarm_sms", "alarm_pictures", "alarm_store",
                           "key_alarms")),
    0x0055: Parameter("max_speed_kmh", "u32", "km/h"),
    **_row(0x0056, "u32", ("overspeed_s", "continuous_driving_s", "daily_driving_s", "rest_s",
                           "longest_stop_s"), "s"),
    0x005B: Parameter("overspeed_margin_kmh", "u16", "km/h", 10),
    0x005C: Parameter("fatigue_margin_s", "u16", "s"),
    0x005D: Parameter("collision", "u16"),
    0x005E: Parameter("rollover_deg", "u16", "deg"),
    **_row(0x0064, "u32", ("timed_photos", "distance_photos")),
    **_row(0x0070, "u32", ("picture_quality", "brightness", "contrast", "saturation", "chroma")),
}  # fmt: skip
_VEHICLE: Final = {
    0x0080: Parameter("odometer_km", "u32", "km", 10),
    **_row(0x0081, "u16", ("province", "city")),
    0x0083: Parameter("plate", "str"),
    0x0084: Parameter("plate_colour", "u8"),
    **_row(0x0090, "u8", ("gnss_mode", "gnss_baud", "gnss_output")),
    0x0093: Parameter("gnss_sampling_s", "u32", "s"),
    0x0094: Parameter("gnss_upload", "u8"),
    0x0095: Parameter("gnss_upload_setting", "u32"),
    0x0100: Parameter("can1_sampling_ms", "u32", "ms"),
    0x0101: Parameter("can1_upload_s", "u16", "s"),
    0x0102: Parameter("can2_sampling_ms", "u32", "ms"),
    0x0103: Parameter("can2_upload_s", "u16", "s"),
    **_row(0x0110, "bytes", (f"can_id_{number}" for number in range(240))),
}

PARAMETERS: Final[Mapping[int, Parameter]] = {
    **_LINK, **_REPORTING, **_CALLS, **_ALARMS, **_VEHICLE,
}  # fmt: skip
