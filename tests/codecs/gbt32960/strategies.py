"""Random valid frames of GB/T 32960.3, for every test that wants the whole format."""

import string
from datetime import UTC, datetime

from hypothesis import strategies as st

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.encode import encode_report, encode_signature
from carcloud.codecs.gbt32960.frame import build
from carcloud.codecs.gbt32960.layout import (
    ABNORMAL,
    BITS,
    INVALID,
    Fields,
    Number,
    Opaque,
    Raw,
    Records,
    Row,
    Table,
    Text,
    Time,
    Value,
)
from carcloud.codecs.gbt32960.reading import physical
from carcloud.codecs.gbt32960.tables import BODIES

EDITIONS = (2016, 2025)
LONGEST_LIST = 12
MOST_RECORDS = 4
VIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ" + string.digits

editions = st.sampled_from(EDITIONS)
vins = st.text(VIN_LETTERS, min_size=17, max_size=17)
payloads = st.binary(max_size=40)


def times() -> st.SearchStrategy[datetime]:
    """Instants that six bytes of Beijing time can carry."""
    return st.datetimes(
        datetime(2000, 1, 1),  # noqa: DTZ001  (hypothesis adds the zone)
        datetime(2099, 12, 31, 15, 59, 59),  # noqa: DTZ001
        timezones=st.just(UTC),
    ).map(lambda moment: moment.replace(microsecond=0))


def numbers(row: Number, *, strange: bool = False) -> st.SearchStrategy[Value]:
    """Values of a field; sentinels where it may have them; with `strange`, codes out of range."""
    return st.binary(min_size=4, max_size=4).map(lambda seed: pick(row, seed, strange=strange))


def pick(row: Number, seed: bytes, *, strange: bool) -> Value:
    """A value of the field from four random bytes; zeros give the lowest valid one.

    One draw for a whole table is what makes these strategies fast.
    """
    kind, number = seed[0] & 15, int.from_bytes(seed, "big") >> 4
    low, high = valid_codes(row)
    outside = _outside(row)
    if kind == 15 and row.sentinels != BITS:
        return ABNORMAL if seed[0] & 16 else INVALID
    if kind == 14 and strange and outside:
        return Raw(outside[number % len(outside)])
    if kind == 13:
        return physical(row, high)
    return physical(row, low + int.from_bytes(seed[1:] + seed[:1], "big") % (high - low + 1))


def valid_codes(row: Number) -> tuple[int, int]:
    """Lowest and highest raw code that is a value and no sentinel."""
    highest = (1 << 8 * row.wire) - 1
    usable = highest if row.sentinels == BITS else highest - 2
    low, high = row.valid or (0, highest)
    return low, min(high, usable)


def _outside(row: Number) -> list[int]:
    """Some codes that are neither values nor sentinels."""
    if row.valid is None:
        return []
    low, high = row.valid
    last = (1 << 8 * row.wire) - (1 if row.sentinels == BITS else 3)
    return [code for code in (0, low - 1, high + 1, last) if 0 <= code < low or high < code <= last]


@st.composite
def fields(draw: st.DrawFn, table: Table, *, strange: bool = False) -> Fields:
    """Fields of one table, whose counts fit their lists."""
    found: Fields = {}
    counts = {getattr(row, "count", "") for row in table.rows}
    seeds = _seeds(draw(_blob(len(table.rows))))
    for row, seed in zip(table.rows, seeds, strict=True):
        if row.key in counts:
            found[row.key] = _pick_count(row, seed)
        elif isinstance(row, Number) and not row.count:
            found[row.key] = pick(row, seed, strange=strange)
        else:
            found[row.key] = draw(_long(row, found, strange=strange))
    return found


def _blob(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=4 * count, max_size=4 * count)


def _seeds(blob: bytes) -> list[bytes]:
    return [blob[at : at + 4] for at in range(0, len(blob), 4)]


def _pick_count(row: Row, seed: bytes) -> Value:
    assert isinstance(row, Number)
    low, _ = valid_codes(row)
    if seed[0] & 15 == 15 and row.sentinels != BITS:
        return INVALID
    return low + seed[1] % (LONGEST_LIST - low + 1)


def _long(row: Row, found: Fields, *, strange: bool) -> st.SearchStrategy[Value]:
    match row:
        case Number():
            return _blob(length(row.count, found)).map(
                lambda blob: [pick(row, seed, strange=strange) for seed in _seeds(blob)]
            )
        case Text():
            return st.text(string.ascii_uppercase + string.digits, max_size=row.size)
        case Opaque():
            size = length(row.count, found)
            return st.binary(min_size=size, max_size=size)
        case Time():
            return times()
        case Records():
            size = min(length(row.count, found), MOST_RECORDS)
            if isinstance(found.get(row.count), int):
                found[row.count] = size
            inner = fields(row.table, strange=strange)
            return st.lists(inner, min_size=size, max_size=size)


def length(count: str, found: Fields) -> int:
    """How many a count field says; nothing behind a sentinel."""
    value = int(count) if count.isdecimal() else found[count]
    return value if isinstance(value, int) else 0


def _joined_packs(item: tuple[int, Fields]) -> tuple[int, Fields]:
    """2016: make packs whole, so that their cells are published."""
    kind, body = item
    packs = body.get("packs", [])
    assert isinstance(packs, list)
    for number, pack in enumerate(packs, 1):
        if "first_cell" in pack:
            pack |= {"no": number, "first_cell": 1, "cell_total": pack["cell_count"]}
    return kind, body


def items(edition: int, *, strange: bool = False) -> st.SearchStrategy[tuple[int, Fields]]:
    """Items of a report, all types of the edition but the signature."""
    kinds = [kind for kind in BODIES[edition] if kind < 0x80] + [0x80, 0x8D, 0xFE]
    drawn = st.sampled_from(kinds).flatmap(
        lambda kind: st.tuples(st.just(kind), fields(BODIES[edition][kind], strange=strange))
    )
    return st.one_of(drawn, drawn.map(_joined_packs))


@st.composite
def reports(draw: st.DrawFn, edition: int, *, strange: bool = False) -> bytes:
    """Data units of realtime and reissued reports; some of 2025 end with a signature."""
    chosen = draw(st.lists(items(edition, strange=strange), max_size=6))
    data = encode_report(edition, draw(times()), chosen)
    if edition == 2025 and draw(st.booleans()):
        algorithm, r, s = draw(st.integers(1, 3)), draw(payloads), draw(payloads)
        data += b"\xff" + encode_signature(algorithm, r, s)
    return data


@st.composite
def realtime_frames(draw: st.DrawFn, *, strange: bool = False) -> bytes:
    """Whole frames with a realtime or reissued report of either edition.

    With `strange`, some fields lie outside the range that the standard calls valid.
    """
    edition = draw(editions)
    command = draw(st.sampled_from([Command.REALTIME, Command.REISSUE]))
    data = draw(reports(edition, strange=strange))
    return build(edition, command, Flag.COMMAND, draw(vins), data)


@st.composite
def any_frames(draw: st.DrawFn) -> bytes:
    """Whole frames of any command, flag and content that the header can carry."""
    return build(
        draw(editions),
        draw(st.integers(0, 255)),
        draw(st.sampled_from([*Flag, 0x08, 0xFF])),
        draw(st.text(string.printable[:95], max_size=17)),
        draw(st.binary(max_size=120)),
        encryption=draw(st.integers(0, 255)),
    )
