"""Bit layouts with known raw values, and small databases made of lines."""

from carcloud.codecs.dbc import Database, Finding, Signal, parse

PAYLOAD = bytes.fromhex("123456789ABCDEF0")
LAYOUTS = (
    ("0|8@1+", 18),
    ("12|12@1+", 1379),
    ("4|16@1-", 25409),
    ("56|8@1-", -16),
    ("52|8@1+", 13),
    ("0|64@1-", -1090226688147180526),
    ("7|16@0+", 4660),
    ("3|12@0+", 564),
    ("3|12@0-", 564),
    ("13|10@0+", 837),
    ("39|24@0-", -6636322),
    ("54|5@0-", -9),
    ("7|64@0+", 1311768467463790320),
)

SYNTHETIC = (
    "acura_ilx_2016_nidec",
    "bmw_e9x_e8x",
    "ford_fusion_2018_pt",
    "gm_global_a_high_voltage_management",
    "hyundai_2015_ccan",
    "mercedes_benz_e350_2010",
    "mg",
    "nissan_leaf_2018_generated",
    "opel_omega_2001",
    "subaru_global_2017_generated",
    "tesla_model3_vehicle",
    "toyota_tss2_adas",
    "volvo_v60_2015_pt",
    "vw_mlb",
)
"""Logs of random values, with a file of true values each."""


def text_of(signals: list[str], *, length: int = 8, rest: str = "", file_id: int = 291) -> str:
    """A file of one message M; `signals` are what follows `SG_`."""
    lines = [f"BO_ {file_id} M: {length} E", *(f" SG_ {one}" for one in signals), "", rest]
    return "\n".join(lines)


def database_of(signals: list[str], **more: object) -> tuple[Database, tuple[Finding, ...]]:
    """The database of such a file, and its findings."""
    return parse(text_of(signals, **more).encode())  # type: ignore[arg-type]


def signal_line(signal: Signal) -> str:
    """A signal as its line of a file, without a mark."""
    order, sign = int(signal.little_endian), "-" if signal.signed else "+"
    scale = f"({signal.factor!r},{signal.offset!r})"
    return f'{signal.name} : {signal.start}|{signal.length}@{order}{sign} {scale} [0|0] "" E'
