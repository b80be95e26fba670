"""What may stand in the fields of links and accounts."""

import re
from collections.abc import Mapping

from carcloud.services.compliance.errors import InvalidLink

NAME = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
ACCOUNT_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,16}"
EDITIONS = (2016, 2025)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?|::1?")
_TEXTS = {"platform_id": 17, "user": 12, "password": 20}  # §6.3.5 table 21, 6.2 table 2


def check(fields: Mapping[str, object]) -> None:
    """Look at the fields that are given; raises `InvalidLink` for the first that is wrong."""
    for field, value in fields.items():
        _check_one(field, value)


def _check_one(field: str, value: object) -> None:
    if field == "name" and not re.fullmatch(NAME, str(value)):
        raise InvalidLink("name", "lower-case letters, digits and hyphens, 1 to 40")
    if field == "host" and not _HOST.fullmatch(str(value)):
        raise InvalidLink("host", "a host name or an address")
    if field == "port" and not (isinstance(value, int) and 1 <= value <= 65535):
        raise InvalidLink("port", "1 to 65535")
    if field == "edition" and value not in EDITIONS:
        raise InvalidLink("edition", "2016 or 2025")
    if field in _TEXTS:
        check_text(field, str(value), _TEXTS[field])


def check_text(field: str, text: str, most: int) -> None:
    """Printable ASCII of 1 to `most` characters; raises `InvalidLink`."""
    if not (1 <= len(text) <= most and text.isascii() and text.isprintable()):
        raise InvalidLink(field, f"1 to {most} printable ASCII characters")


def check_account_id(platform_id: str) -> None:
    """The unique id under which a lower platform logs in; raises `InvalidLink`."""
    if not re.fullmatch(ACCOUNT_ID, platform_id):
        raise InvalidLink("platform_id", "letters, digits, '_', '.' and '-', 1 to 17")
