"""Kinds of reasons: what varies is left out, by Python and by the lake's SQL alike."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.services.telemetry.dead_letters import VARIABLE, kind_of

ALIKE = [
    ("bcc: is 0x3f, not 0xA0", "bcc: is #, not #"),
    ("too-old: 2025-06-15T15:06:40Z is 12.5 days old", "too-old: # is # days old"),
    ("wrong-vin: LTESTVNA4A0000101 on a link of LTESTVNA4A0000102", "wrong-vin: # on a link of #"),
    (
        "signature: SM2 does not fit digest 00ff00ff00ff00ff00",
        "signature: SM2 does not fit digest #",
    ),
    ("decoder failed: ValueError('no', 3)", "decoder failed: ValueError('no', #)"),
    ("not JSON", "not JSON"),
    ("0Z0", "#Z0"),
    ("", ""),
]


@pytest.mark.parametrize(("reason", "kind"), ALIKE)
def test_numbers_and_names_are_left_out(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


WORDS = st.lists(
    st.one_of(
        st.sampled_from([text for pair in ALIKE for text in pair]),
        st.text("0123456789abcdefxABCDEFTZ-.:, #é车", max_size=25),
    ),
    max_size=4,
).map("".join)


@given(reason=WORDS)
def test_sql_and_python_agree(reason: str) -> None:
    sql = f"SELECT regexp_replace(?, '{VARIABLE}', '#', 'g')"
    assert duckdb.execute(sql, [reason]).fetchone() == (kind_of(reason),)
    assert kind_of(kind_of(reason)) == kind_of(reason)
