"""Kept frames as the console and `GET /v1/vehicles/{id}/frames` show them."""

import pytest

from carcloud.app.web import kept_jt808
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.frame import build

PARAMETERS = {"0x0001": 60, "0x0010": "cmnet", "0x0012": "geheim", "0x0016": "", "0x0025": "geheim"}


@pytest.mark.parametrize("message", [0x0104, 0x8103])
@pytest.mark.parametrize("edition", [2011, 2013, 2019])
def test_passwords_among_the_parameters_of_a_terminal_are_hidden(
    message: int, edition: int
) -> None:
    items = [{"parameter": int(name, 0), "value": value} for name, value in PARAMETERS.items()]
    fields = {"reply_serial": 1, "items": items, "packet_count": len(items)}
    raw = build(edition, message, "13900000101", 1, encode(message, edition, fields))
    found = kept_jt808(raw, str(edition))
    assert {one["parameter"]: one["value"] for one in found["fields"]["items"]} == PARAMETERS | {
        "0x0012": "(hidden)",
        "0x0025": "(hidden)",
    }
    assert (found["edition"], found["diagnoses"]) == (edition, [])
    assert "geheim" not in str(found)
