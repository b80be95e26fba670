"""How the sources of the vectors call what our tables call otherwise.

`NAMES`: last part of a source's property path -> our key, and how our value becomes theirs.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from carcloud.codecs.jt808.times import BEIJING

Turn = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def times(factor: int) -> Turn:
    return lambda value: round(value * factor)


def local(value: Any) -> str:
    assert isinstance(value, datetime)
    return f"{value.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def utc(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}"


def date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]}"


def can_time(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}:{value[4:6]}.{value[7:]}"


MICRO = times(1_000_000)

POSITION: dict[str, tuple[str, Turn]] = {
    "AlarmFlag": ("alarm", same),
    "AlarmSign": ("alarm", same),
    "StatusFlag": ("status", same),
    "StatusSign": ("status", same),
    "Lat": ("latitude_deg", MICRO),
    "Latitude": ("latitude_deg", MICRO),
    "Lng": ("longitude_deg", MICRO),
    "Longitude": ("longitude_deg", MICRO),
    "Altitude": ("altitude_m", same),
    "Speed": ("speed_kmh", times(10)),
    "Direction": ("direction_deg", same),
    "GPSTime": ("time", local),
    "DateTime": ("time", local),
    "Mileage": ("odometer_km", times(10)),
    "Oil": ("fuel_l", times(10)),
}

SESSION: dict[str, tuple[str, Turn]] = {
    "ReplyMsgNum": ("reply_serial", same),
    "ReplySNo": ("reply_serial", same),
    "AckMsgNum": ("reply_serial", same),
    "SerialNumber": ("reply_serial", same),
    "RespondSerialNumber": ("reply_serial", same),
    "MsgNum": ("reply_serial", same),
    "ReplyMsgId": ("reply_id", same),
    "AckMsgId": ("reply_id", same),
    "RespondID": ("reply_id", same),
    "ID": ("reply_id", same),
    "Result": ("result", same),
    "AuthCode": ("auth_code", same),
    "Code": ("auth_code", same),
    "CodeLength": ("code_length", same),
    "IMEI": ("imei", same),
    "TerminalIMEI": ("imei", same),
    "SoftwareVersion": ("software_version", same),
    "AreaID": ("province", same),
    "ProvinceID": ("province", same),
    "CityOrCountyId": ("city", same),
    "CityID": ("city", same),
    "MakerId": ("maker", same),
    "ManufacturerID": ("maker", same),
    "TerminalModel": ("model", same),
    "TerminalId": ("terminal_id", same),
    "TerminalID": ("terminal_id", same),
    "PlateColor": ("plate_colour", same),
    "PlateNo": ("plate", same),
    "LicensePlateNumber": ("plate", same),
    "PlateNo.TrimStart()": ("plate", same),
    "OriginalMsgNum": ("first_serial", same),
    "OriginalSerialNumber": ("first_serial", same),
    "AgainPackageCount": ("count", same),
    "AgainPackageList": ("packet_numbers", same),
    "Time": ("server_time", utc),
    "AnswerParamsCount": ("count", same),
    "RespondParamCount": ("count", same),
    "ParamTotal": ("count", same),
    "ParameterCount": ("count", same),
    "CommandWord": ("command", same),
    "TerminalType": ("terminal_type", same),
    "Terminal_SIM_ICCID": ("iccid", same),
    "Terminal_Hardware_Version_Num": ("hardware", same),
    "Terminal_Firmware_Version_Num": ("firmware", same),
    "GNSSModule": ("gnss", same),
    "CommunicationModule": ("modem", same),
    "VersionNum": ("version", same),
    "Interval": ("interval_s", same),
    "TimeInterval": ("interval_s", same),
    "LocationTrackingValidity": ("validity_s", same),
    "TrackValidity": ("validity_s", same),
    "AlarmMsgNum": ("alarm_serial", same),
    "ManualConfirmAlarmType": ("kinds", same),
    "IC_Card_PlugDateTime": ("time", local),
    "DriverUserName": ("name", same),
    "QualificationCode": ("certificate", same),
    "LicenseIssuing": ("issuer", same),
    "CertificateExpiresDate": ("valid_until", date),
    "DriverIdentityCard": ("id_card", same),
    "ElectronicWaybillLength": ("length", same),
    "PassthroughType": ("kind", same),
    "PassthroughContent": ("data", lambda value: value.decode()),
    "E": ("e", same),
    "CommandId": ("command", same),
    "UploadResult": ("result", same),
    "Count": ("count", same),
    "CanItemCount": ("count", same),
    "CanId": ("id", lambda value: value & 0x1FFFFFFF),
    "FirstCanReceiveTime": ("time", can_time),
    "Num": ("count", same),
    "LocationType": ("kind", same),
}

TEXTS: dict[str, tuple[str, Turn]] = {
    "TextFlag": ("flags", same),
    "TextType": ("kind", same),
    "TextInfo": ("text", same),
    "Text": ("text", same),
    "Flag": ("flags", same),
    "SettingCount": ("count", same),
    "EventId": ("id", same),
    "EventContent": ("text", same),
    "EventContentLength": ("length", same),
    "Issue": ("question", same),
    "QuestionContent": ("question", same),
    "Id": ("id", same),
    "Content": ("text", same),
    "AnswerId": ("answer_id", same),
    "AnswerID": ("answer_id", same),
    "InformationType": ("kind", same),
    "InformationLength": ("length", same),
    "InformationName": ("text", same),
    "InformationContent": ("text", same),
    "PhoneNumber": ("phone", same),
    "Contact": ("name", same),
    "ContactCount": ("count", same),
}

AREAS: dict[str, tuple[str, Turn]] = {
    "ControlFlag": ("flags", same),
    "ControlTypeCount": ("count", same),
    "ControlTypeId": ("id", same),
    "ControlTypeParameter": ("value", same),
    "AreaId": ("id", same),
    "RouteId": ("id", same),
    "AreaProperty": ("attr", same),
    "RouteProperty": ("attr", same),
    "CenterPointLat": ("latitude_deg", MICRO),
    "CenterPointLng": ("longitude_deg", MICRO),
    "Radius": ("radius_m", same),
    "UpLeftPointLat": ("top_deg", MICRO),
    "UpLeftPointLng": ("left_deg", MICRO),
    "LowRightPointLat": ("bottom_deg", MICRO),
    "LowRightPointLng": ("right_deg", MICRO),
    "StartTime": ("start", local),
    "EndTime": ("end", local),
    "HighestSpeed": ("max_speed_kmh", same),
    "OverspeedDuration": ("overspeed_s", same),
    "NightMaximumSpeed": ("night_max_speed_kmh", same),
    "NightMaximumSpeed.Value": ("night_max_speed_kmh", same),
    "AreaName": ("name", same),
    "RouteName": ("name", same),
    "QueryType": ("kind", same),
    "InflectionPointId": ("point_id", same),
    "InflectionPointLat": ("latitude_deg", MICRO),
    "InflectionPointLng": ("longitude_deg", MICRO),
    "SectionId": ("section_id", same),
    "SectionWidth": ("width_m", same),
    "SectionHighestSpeed": ("max_speed_kmh", same),
    "SectionOverspeedDuration": ("overspeed_s", same),
    "SectionLongDrivingThreshold": ("too_long_s", same),
    "SectionDrivingUnderThreshold": ("too_short_s", same),
}

MEDIA: dict[str, tuple[str, Turn]] = {
    "MultimediaId": ("media_id", same),
    "MultimediaID": ("media_id", same),
    "MultimediaType": ("kind", same),
    "MultimediaCodingFormat": ("format", same),
    "MultimediaFormatEncode": ("format", same),
    "EventItemCoding": ("event", same),
    "EventItemEncode": ("event", same),
    "ChannelId": ("channel", same),
    "ChannelID": ("channel", same),
    "MultimediaIdCount": ("count", same),
    "MultimediaIDNumber": ("count", same),
    "MultimediaIDList": ("media_ids", same),
    "MultimediaItemCount": ("total", same),
    "ShootingCommand": ("command", same),
    "ShootCommand": ("command", same),
    "VideoTime": ("interval_s", same),
    "PhotoIntervalOrVideoTime": ("interval_s", same),
    "SaveFlag": ("save", same),
    "Resolution": ("resolution", same),
    "VideoQuality": ("quality", same),
    "Lighting": ("brightness", same),
    "Intensity": ("brightness", same),
    "Contrast": ("contrast", same),
    "Saturability": ("saturation", same),
    "Saturation": ("saturation", same),
    "Chroma": ("chroma", same),
    "RecordTime": ("seconds", same),
    "AudioSampleRate": ("rate", same),
    "MultimediaPackage": ("data", list),
}

NAMES = {**POSITION, **SESSION, **TEXTS, **AREAS, **MEDIA}

OF_MESSAGE: dict[str, dict[str, tuple[str, Turn]]] = {
    "0x0303": {"Flag": ("flag", same), "InformationType": ("kind", same)},
    "0x0301": {"EventId": ("event_id", same)},
    "0x0801": {"MultimediaPackage": ("data", list)},
    "0x8106": {"AreaCount": ("count", same)},
    "0x8303": {"InformationType": ("id", same)},
}
"""Where a name means something else in one message."""
for _id in ("0x8600", "0x8602", "0x8603", "0x8607"):
    OF_MESSAGE[_id] = {"AreaCount": ("count", same)}
OF_MESSAGE["0x0608"] = {"Count": ("count", same)}
for _id in ("0x8604", "0x0608"):
    OF_MESSAGE.setdefault(_id, {}).update(
        {"Lat": ("latitude_deg", MICRO), "Lng": ("longitude_deg", MICRO)}
    )

DIFFERENT: dict[str, set[str]] = {
    # degrees below zero in two's complement, which no edition has: read as they stand
    **{f"sc-{number}": {"latitude_deg", "longitude_deg"} for number in range(134, 140)},
    # action 0 deletes all, and what follows is passed over
    "sc-215": {"count", "id", "length", "text"},
    "sc-217": {"id", "length", "text"},
    # the source gives 0 or "" for fields that are not there
    "sc-151": {"night_max_speed_kmh", "count"},
    "go-005": {"imei", "software_version"},
    "go-041": {"flags"},
    "go-042": {"flags", "answer_id"},
    # the source numbers all turning points, also those without a speed limit
    "sc-228": {"max_speed_kmh", "overspeed_s"},
    # contents of vendors and of GB/T 19056, kept as bytes
    "sc-128": {"count"},
    "sc-163": {"speed_kmh"},
    "sc-171": {"id"},
    "sc-235": {"count"},
    "sc-253": {"id"},
    # the altitude is two's complement here
    "go-045": {"altitude_m"},
}
"""Keys of ours that a source means otherwise, by vector."""
