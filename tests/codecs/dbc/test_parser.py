"""Files as people write them: each oddity costs one finding, and the rest is read."""

import time

import pytest
from tests.codecs.dbc.layouts import database_of, text_of
from tests.data import shared_data

from carcloud.codecs.dbc import StrictError, parse
from carcloud.codecs.dbc.scalar import MessageCodec

REST = """
BO_ 801 Rest: 8 E
 SG_ Kept : 0|8@1+ (1,0) [0|0] "km/h" E,F
"""
A = 'A : 0|8@1+ (1,0) [0|0] "" E'
X = f"BO_ 300 X: 8 E\n SG_ {A}\n"

ODD = {
    "overlap": X + ' SG_ B : 4|8@1+ (1,0) [0|0] "" E\n',
    "does-not-fit": 'BO_ 300 X: 4 E\n SG_ A : 39|8@0+ (1,0) [0|0] "" E\n',
    "extended-flag": f"BO_ 418119424 X: 8 E\n SG_ {A}\n",
    "digit-name": f"BO_ 800 2ND_GEAR: 8 E\n SG_ {A}\n",
    "comment-signal": X + 'CM_ SG_ 300 "text";\n',
    "comment-kind": X + 'CM_ 300 "text";\n',
    "no-semicolon": X + 'VAL_ 300 A 1 "on" 0 "off"\n',
    "open-quote": X + 'CM_ "text\n',
    "bare-point": 'BO_ 300 X: 8 E\n SG_ A : 0|8@1+ (.25,0) [0|0] "" E\n',
    "unused-labels": X + 'VAL_ 300 GONE 1 "on";\n',
    "missing-object": X + 'CM_ SG_ 300 GONE "t";\n',
    "mark-number": 'BO_ 300 X: 8 E\n SG_ A m : 0|8@1+ (1,0) [0|0] "" E\n',
    "limits": 'BO_ 300 X: 8 E\n SG_ A : 0|8@1+ (1,0) [100|0] "" E\n',
    "control-characters": "\x01\r\n" + X.replace("\n", "\r\n"),
    "section-order": 'CM_ BO_ 801 "first";\n' + X,
    "factor-zero": 'BO_ 300 X: 8 E\n SG_ A : 0|8@1+ (0,0) [0|0] "" E\n',
    "id-width": f"BO_ 4294967295 X: 8 E\n SG_ {A}\n",
    "duplicate-id": X + f"BO_ 300 Y: 8 E\n SG_ {A}\n",
    "duplicate-signal": X + f" SG_ {A}\n",
    "unused-type": X + "SIG_VALTYPE_ 300 GONE : 1;\n",
    "signal-length": X + "SIG_VALTYPE_ 300 A : 1;\n",
    "unused-selection": X + "SG_MUL_VAL_ 300 A GONE 1-1;\n",
    "dead-child": 'BO_ 300 X: 8 E\n SG_ A M : 0|8@1+ (1,0) [0|0] "" E\n'
    ' SG_ B m256 : 8|8@1+ (1,0) [0|0] "" E\n',
    "unknown-switch": 'BO_ 300 X: 8 E\n SG_ A M : 0|8@1+ (1,0) [0|0] "" E\n'
    ' SG_ B M : 8|8@1+ (1,0) [0|0] "" E\n SG_ C m1 : 16|8@1+ (1,0) [0|0] "" E\n',
    "scale": 'BO_ 300 X: 8 E\n SG_ A : 0|8@1+ (1e999,0) [0|0] "" E\n',
    "unreadable": X + 'VAL_ 300 A one "on" ;\n',
    "unknown-statement": X + "THIS_IS nothing;\n",
}
LOST = {"id-width", "unreadable", "unknown-statement"}
LATE_REST = ("open-quote", "section-order")
READ_AS_MEANT = {"missing-object", "control-characters", "section-order"}


@pytest.mark.parametrize("code", ODD)
def test_one_oddity_is_one_finding(code: str) -> None:
    text = ODD[code] + REST if code in LATE_REST else REST + ODD[code]
    database, findings = parse(text.encode())
    assert [one.code for one in findings] == [code]
    (finding,) = findings
    wanted = "error" if code in LOST else "info" if code in READ_AS_MEANT else "warning"
    assert finding.level == wanted
    assert 0 < finding.line <= len(text.splitlines())
    assert finding.text
    assert finding.action
    kept = database.by_name["Rest"].signal_by_name["Kept"]
    assert (kept.length, kept.unit, kept.receivers) == (8, "km/h", ("E", "F"))
    if wanted == "info":
        assert parse(text.encode(), strict=True)[0] == database
    else:
        with pytest.raises(StrictError) as refused:
            parse(text.encode(), strict=True)
        assert refused.value.findings == findings


def test_a_mended_item_reads_as_meant() -> None:
    read = {code: parse(text.encode())[0] for code, text in ODD.items()}
    assert read["extended-flag"].messages[0].id == 418119424
    assert read["extended-flag"].messages[0].extended
    assert read["comment-signal"].messages[0].comment == "text"
    assert read["comment-kind"].messages[0].comment == "text"
    assert read["no-semicolon"].messages[0].signals[0].labels == {1: "on", 0: "off"}
    assert read["open-quote"].comment == "text"
    assert read["bare-point"].messages[0].signals[0].factor == 0.25
    assert read["limits"].messages[0].signals[0].minimum is None
    assert not read["mark-number"].messages[0].signals[0].decodable
    assert read["duplicate-id"].messages[0].name == "X"
    overlapping = MessageCodec(read["overlap"].messages[0])
    assert overlapping.decode(b"\x34\x12") == {"A": 0x34, "B": 0x23}
    outside = MessageCodec(read["does-not-fit"].messages[0])
    assert outside.decode(bytes(4)) == {}
    assert outside.decode(b"\0\0\0\0\7") == {"A": 7}


def test_lines_are_told() -> None:
    text = 'VERSION ""\n\nBO_ 300 X: 8 E\n SG_ A : 0|8@1+ (1,0) [0|0] "" E\n SG_ B : what\n'
    database, (finding,) = parse(text.encode())
    assert (finding.line, finding.level) == (5, "error")
    signals = database.messages[0].signals
    assert [(one.name, one.decodable) for one in signals] == [("A", True), ("B", False)]


def test_the_order_of_sections_does_not_matter() -> None:
    sections = [
        X,
        REST,
        'VAL_ 801 Kept 1 "on" 0 "off" ;',
        'CM_ BO_ 300 "late";',
        'BA_ "GenMsgCycleTime" BO_ 300 100;',
        'BA_DEF_ BO_ "GenMsgCycleTime" INT 0 1000;',
        "SG_MUL_VAL_ 801 Kept Other 1-1;",
    ]
    forward, _ = parse("\n".join(sections).encode())
    backward, _ = parse("\n".join(reversed(sections)).encode())
    assert {one.id: one for one in forward.messages} == {one.id: one for one in backward.messages}
    assert forward.by_name["X"].comment == "late"
    assert forward.by_name["X"].cycle_ms == 100


def test_a_list_of_names_is_not_taken_for_statements() -> None:
    head = 'VERSION ""\nNS_ :\n\tCM_\n\tBA_DEF_\n\tVAL_\n\nBS_:\n\nBU_: E F Vector__XXX\n'
    database, findings = parse((head + X).encode())
    assert not findings
    assert database.nodes == ("E", "F")
    assert [one.name for one in database.messages] == ["X"]


def test_texts_span_lines_and_hold_quotes_and_signs() -> None:
    text = X + 'CM_ BO_ 300 "one; // two\nBO_ is a word \\"here\\"";\nCM_ SG_ 300 A "C:\\dir\\";\n'
    database, findings = parse(text.encode())
    assert not findings
    assert database.messages[0].comment == 'one; // two\nBO_ is a word "here"'
    assert database.messages[0].signals[0].comment == "C:\\dir\\"


def test_encodings() -> None:
    text = X.replace('""', '"°C"')
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("cp1252")):
        database, findings = parse(data)
        assert not findings
        assert database.messages[0].signals[0].unit == "°C"


def test_frame_formats() -> None:
    file = shared_data("can/cantools/vframeformat_int.dbc").read_bytes()
    formats = {one.id: (one.frame_format, one.j1939) for one in parse(file)[0].messages}
    assert ("J1939PG", True) in formats.values()
    flexible = parse(shared_data("can/cantools/fd_test.dbc").read_bytes())[0]
    assert {one.name: one.fd for one in flexible.messages}["TestMsg_FDEx"]
    transport, _ = parse(shared_data("can/css/tp_j1939.dbc").read_bytes())
    assert (transport.messages[0].frame_format, transport.messages[0].j1939) == (
        "ExtendedCAN",
        False,
    )


def test_attributes_take_the_default_of_the_file() -> None:
    file = parse(shared_data("can/cantools/attributes.dbc").read_bytes())[0]
    message = file.by_id[57, True]
    assert message.cycle_ms == 1000
    assert message.attributes["GenMsgSendType"] == "Cyclic"
    assert message.attributes["TheFloatAttribute"] == 58.7
    assert message.signals[0].start_value == 0
    assert message.signals[0].attributes["TheSignalStringAttribute"] == "TestString"
    assert (file.attributes["BusType"], file.attributes["TheNetworkAttribute"]) == ("CAN", 51)


def test_names_are_unique_and_may_be_long() -> None:
    repeated, _ = parse(shared_data("can/css/gnss.dbc").read_bytes())
    assert len(repeated.by_name) == len(repeated.messages) == 18
    assert repeated.by_id[0x13, False].name == "gnss_pos_13"
    long, _ = parse(shared_data("can/cantools/long_names.dbc").read_bytes())
    message = long.by_id[4, False]
    assert message.name == "S12345678901234567890123456789012"
    assert message.signals[0].name == "SS12345678901234567890123456789012"


def test_brand_files_have_no_errors() -> None:
    files = sorted(shared_data("can/opendbc").glob("*.dbc"))
    assert len(files) == 27
    for file in files:
        database, findings = parse(file.read_bytes())
        assert database.messages
        assert not [one for one in findings if one.level == "error"], file.name


REFUSED = {
    "bad_message_length": "does-not-fit",
    "issue_63": "overlap",
    "issue_199_extended": "id-width",
}


def test_what_strict_reading_refuses() -> None:
    for name, code in REFUSED.items():
        data = shared_data(f"can/cantools/{name}.dbc").read_bytes()
        assert code in {one.code for one in parse(data)[1]}
        with pytest.raises(StrictError):
            parse(data, strict=True)


MESSAGE = b"BO_ 1 A: 8 X\n"
BLANKS = b" " * 20_000


@pytest.mark.timeout(60)  # what can be taken in two ways, twice or more, would take hours
@pytest.mark.parametrize(
    "hostile",
    [
        MESSAGE + b" SG_ B : 0|8@1+ (1,0)" + BLANKS + b'"x" "y" X\n',
        MESSAGE + b" SG_ B" + BLANKS + b": 0|8@1+ (1,0) [" + BLANKS + b"]",
        b"CM_ " + BLANKS + b'x ! "a";',
        b"CM_ BO_ 1" + BLANKS + b"x;",
        b"CM_ SG_ 1 " + b"a" * 20_000 + b' ! "a";',
        b'CM_ "open\nCM_ SG_ ' + b"a" * 20_000 + b" x",
        b"BO_TX_BU_ 1" + BLANKS + b"!;",
        b"SIG_VALTYPE_ 1 a " + BLANKS * 10 + b"!;",
        b"SG_MUL_VAL_ 1 a b" + BLANKS + b"!;",
        b'BA_ "x" BO_ 1 1' + b"a" * 20_000 + b"! ;",
        b";" * 400_000,
    ],
    ids=lambda data: repr(data[:24] + data[-6:]),
)
def test_a_line_costs_no_more_than_its_length(hostile: bytes) -> None:
    parse(hostile)


def test_abuse_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.process_time()
    for hostile in (
        b'CM_ "' + b'\\"' * 50_000,
        b"VAL_ 1 A " + b'1 "x" ' * 66_000 + b";",
        b"SG_ " * 50_000,
        b"BO_ " + b"9" * 500_000,
        b"((((" * 100_000,
        b'BA_ "' + b"a" * 400_000 + b'" BO_ ' + b"1" * 400_000,
        text_of([f'S{at} m{at} : 0|64@1+ (1,0) [0|0] "" E' for at in range(2_000)]).encode(),
    ):
        parse(hostile)
    assert time.process_time() - started < 60  # nested repetition would take hours
    _, findings = database_of([f'S{at} : 0|8@1+ (1,0) [0|0] "" E' for at in range(4_200)])
    assert "limit" in {one.code for one in findings}
    monkeypatch.setattr("carcloud.codecs.dbc.statements.MAX_BYTES", 10)
    database, (finding,) = parse(X.encode())
    assert (finding.code, database.messages) == ("file-size", ())
