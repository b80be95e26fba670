"""Frame blocks that were damaged on their way."""

from hypothesis import given
from hypothesis import strategies as st

from carcloud.model.blocks import InvalidBlock, pack, unpack
from carcloud.model.ids import DEFAULT_TENANT

BLOCK = pack(["LTESTVNA4A0000001", "LTESTVNA4A0000002"], [1, 2], [None, "fault"], [b"##", b"frame"])


@given(
    st.lists(st.tuples(st.integers(0, len(BLOCK) - 1), st.integers(1, 255)), max_size=4),
    st.integers(0, len(BLOCK)),
)
def test_a_damaged_block_is_read_or_refused(flips: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(BLOCK)
    for at, bits in flips:
        damaged[at] ^= bits
    for data in (bytes(damaged), bytes(damaged[:length])):
        try:
            unpack(DEFAULT_TENANT, "gbt32960", data)
        except InvalidBlock:
            continue


def test_a_whole_block_is_read() -> None:
    assert unpack(DEFAULT_TENANT, "gbt32960", BLOCK).frames["frame"].to_pylist() == [
        b"##",
        b"frame",
    ]
