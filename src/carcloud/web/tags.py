"""Entity tags (RFC 9110 8.8.3, 13.1.1): only who saw the last revision may change it."""

import re

from carcloud.web.problems import Refused

_TAG = re.compile(r'(?:W/)?"(\d{1,18})"')


def etag(revision: int) -> dict[str, str]:
    """The header that names a revision."""
    return {"ETag": f'"{revision}"'}


def wanted_revision(if_match: str | None, *, needed: bool) -> int | None:
    """The revision that `If-Match` names; None = any. Raises `Refused` 428 or 412."""
    if if_match is None:
        if needed:
            detail = "send the ETag of what you saw in If-Match, or *"
            raise Refused(428, detail, field="If-Match")
        return None
    if if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise Refused(412, "If-Match names no revision of this", field="If-Match")
    return int(tag[1])
