"""Bodies of the multimedia messages, 0x0800 to 0x0805 and 0x8800 to 0x8805."""

from typing import Final

from carcloud.codecs.jt808.layout import (
    U8,
    U16,
    U32,
    Number,
    Opaque,
    Position,
    Records,
    Table,
    Time,
    When,
)

_MEDIA: Final = Number("media_id", U32, "above 0")
_KIND: Final = Number("kind", U8, "0 picture, 1 audio, 2 video")
_FORMAT: Final = Number("format", U8, "0 JPEG, 1 TIF, 2 MP3, 3 WAV, 4 WMV")
_EVENT: Final = Number(
    "event",
    U8,
    "0 platform, 1 timer, 2 robbery, 3 collision or rollover, 4 door opened, 5 door closed, "
    "6 doors closed and faster than 20 km/h, 7 distance",
)
_CHANNEL: Final = Number("channel", U8, "camera or microphone")
_HEAD: Final = (_MEDIA, _KIND, _FORMAT, _EVENT, _CHANNEL)
_REPLY_SERIAL: Final = Number("reply_serial", U16, "serial number of the message answered")
_POSITION: Final = Position("position", "28", "where it was recorded")

_EIGHT_LEFT: Final = (When("", ~7),)

MEDIA_EVENT: Final = Table("media_event", "0x0800", _HEAD)
MEDIA: Final = Table(
    "media", "0x0801", (*_HEAD, _POSITION, Opaque("data", "rest", "all packets joined"))
)
MEDIA_2011: Final = Table(
    "media",
    "0x0801 of 2011",
    (
        _MEDIA,
        _KIND,
        _FORMAT,
        _EVENT,
        _CHANNEL,
        Number("total", U32, "packets; some leave both numbers away", when=_EIGHT_LEFT),
        Number("number", U32, "of this packet, from 1", when=(When("total"),)),
        Opaque("data", "rest", "of this packet"),
    ),
)
_MORE: Final = (When(""),)
_REPEATS: Final = (
    Number("count", U8, "packets to repeat", when=_MORE),
    Number("packet_numbers", U16, "at most 125", count="count", when=_MORE),
)
MEDIA_REPLY: Final = Table("media_reply", "0x8800", (_MEDIA, *_REPEATS))
MEDIA_REPLY_2011: Final = Table("media_reply", "0x8800 of 2011", (_REPLY_SERIAL, _MEDIA, *_REPEATS))

SHOOT: Final = Table(
    "shoot",
    "0x8801",
    (
        Number("channel", U8, "above 0"),
        Number("command", U16, "0 stop, 0xFFFF video, else number of pictures"),
        Number("interval_s", U16, "of pictures, or length of the video", unit="s"),
        Number("save", U8, "1 store, 0 upload at once"),
        Number("resolution", U8, "1 320x240, 2 640x480, 3 800x600, 4 1024x768, 5 176x144, …"),
        Number("quality", U8, "1 best to 10"),
        Number("brightness", U8, "0 to 255"),
        Number("contrast", U8, "0 to 127"),
        Number("saturation", U8, "0 to 127"),
        Number("chroma", U8, "0 to 255"),
    ),
)
_SHOT: Final = (When("result", equal=0),)
SHOOT_RESULT: Final = Table(
    "shoot_result",
    "0x0805",
    (
        _REPLY_SERIAL,
        Number("result", U8, "0 success, 1 failure, 2 channel not supported"),
        Number("count", U16, "pictures", when=_SHOT),
        Number("media_ids", U32, "of the pictures", count="count", when=_SHOT),
    ),
)
_SPAN: Final = (
    Time("start", "all zero = no limit"),
    Time("end", "all zero = no limit"),
)
_WHICH: Final = (_KIND, Number("channel", U8, "0 = all"), _EVENT, *_SPAN)
_DELETE: Final = Number("delete", U8, "0 keep, 1 delete")
SEARCH: Final = Table("search_media", "0x8802", _WHICH)
UPLOAD: Final = Table("upload_media", "0x8803", (*_WHICH, _DELETE))
UPLOAD_ONE: Final = Table("upload_one", "0x8805", (_MEDIA, _DELETE))
_FOUND: Final = Table("found", "0x0802", (_MEDIA, _KIND, _CHANNEL, _EVENT, _POSITION))
FOUND: Final = Table(
    "media_found",
    "0x0802",
    (
        _REPLY_SERIAL,
        Number("total", U16, "that match"),
        Records("items", _FOUND, "rest", "until the end"),
    ),
)
_FOUND_2011: Final = Table("found", "0x0802 of 2011", (_KIND, _CHANNEL, _EVENT, _POSITION))
FOUND_2011: Final = Table(
    "media_found",
    "0x0802 of 2011",
    (
        _REPLY_SERIAL,
        Number("total", U16, "that match"),
        Records("items", _FOUND_2011, "rest", "until the end"),
    ),
)
FOUND_2011_COUNTED: Final = Table(
    "media_found",
    "0x0802 of 2011",
    (
        _REPLY_SERIAL,
        Number("total", U16, "that match"),
        Number("packet_count", U8, "in this packet; some leave it away"),
        Records("items", _FOUND_2011, "packet_count", "as many"),
    ),
)
RECORD: Final = Table(
    "record_sound",
    "0x8804",
    (
        Number("command", U8, "0 stop, 1 start"),
        Number("seconds", U16, "0 = no end", unit="s"),
        Number("save", U8, "0 upload at once, 1 store"),
        Number("rate", U8, "0 8k, 1 11k, 2 23k, 3 32k"),
    ),
)
