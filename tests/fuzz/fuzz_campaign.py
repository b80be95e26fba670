"""Coverage-guided fuzzing of campaigns: `python tests/fuzz/fuzz_campaign.py`.

The first byte chooses an expression, a document, a document of FleetWise, a record as bytes, or
one of odd parts on its way into the lake. Whatever comes is read or refused with the error of its
kind; what is read can be evaluated, written back, and gives the same again.
"""

import json
import re
import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.campaign"]):
    from carcloud.codecs.campaign.checking import SignalType, check
    from carcloud.codecs.campaign.document import document_hash, parse_campaign, to_document
    from carcloud.codecs.campaign.engine import Engine
    from carcloud.codecs.campaign.expression import ExpressionError
    from carcloud.codecs.campaign.fields import DocumentError
    from carcloud.codecs.campaign.fleetwise import import_campaign
    from carcloud.codecs.campaign.gathering import RISEN_PATH
    from carcloud.codecs.campaign.prepare import prepare
    from carcloud.codecs.campaign.record import (
        RawFrame,
        Record,
        RecordError,
        Series,
        decode,
        encode,
    )

with atheris.instrument_imports(include=["carcloud.services.telemetry"]):
    import pyarrow as pa

    from carcloud.codecs.mqtt.message import pack_message
    from carcloud.model.ids import Tenant
    from carcloud.services.telemetry.decode_mqtt import decoder

NOW = 1_767_225_600_000_000  # us
INTO_ROWS = decoder(campaigns=lambda _tenant: ("c",))
CANDUMP = re.compile(r"\(\d+\.\d{6}\) [\w.-]{1,15} [0-9A-F]{3,8}##?[0-9A-F]*", re.ASCII)
TYPES = {
    "Vehicle.A": SignalType("double"),
    "Vehicle.B": SignalType("boolean"),
    "Vehicle.S": SignalType("string", ("ON", "OFF")),
    "Vehicle.L": SignalType("float[]"),
}
SAMPLES = ({"Vehicle.A": 1.5, "Vehicle.B": True}, {"Vehicle.A": -7.0, "Vehicle.S": "ON"})


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    (_expression, _document, _fleetwise, _record, _collected)[data[0] % 5](data[1:])


def _expression(data: bytes) -> None:
    try:
        checked = check(data.decode("utf-8", "replace"), TYPES.get)
    except ExpressionError as error:
        if not 0 <= error.position <= len(data) + 1:
            raise AssertionError("a position outside the text") from error
        return
    bound = checked.bind({each: at for at, each in enumerate(checked.inputs)})
    kinds = {"Vehicle.A": 2.5, "Vehicle.B": True, "Vehicle.S": "ON"}
    for values in ([kinds[each.path] for each in checked.inputs], [None] * len(checked.inputs)):
        try:
            got = bound.evaluate(values)
        except (ArithmeticError, ValueError):
            continue
        if not isinstance(got, bool | int | float | None):
            raise AssertionError(f"a condition gave {got!r}")


def _document(data: bytes) -> None:
    try:
        campaign = parse_campaign(data.decode("utf-8", "replace"))
    except DocumentError:
        return
    written = to_document(campaign)
    document_hash(written)
    if parse_campaign(written) != campaign:
        raise AssertionError("a campaign that is written is another")
    try:
        prepared = prepare(campaign, TYPES.get)
    except DocumentError:
        return
    engine = Engine(lambda _campaign, record: _same(encode((record,))))
    engine.configure([prepared], campaign.start_us)
    for at, samples in enumerate(SAMPLES * 3):
        engine.feed(campaign.start_us + at * 1_000_000, samples)


def _fleetwise(data: bytes) -> None:
    try:
        import_campaign(json.loads(data))
    except (DocumentError, ValueError, RecursionError):
        return


def _same(message: bytes) -> None:
    if encode(decode(message)) != message:
        raise AssertionError("a record that is read and written is another")


def _record(data: bytes) -> None:
    try:
        records = decode(data)
    except RecordError:
        return
    again = encode(records, compressed=False)
    if len(again) < 1 << 20 and repr(decode(again)) != repr(records):
        raise AssertionError("a record that is read and written is another")


def _collected(data: bytes) -> None:
    """Into rows of the lake: nothing is raised, and a raw frame is one line of candump."""
    parts = atheris.FuzzedDataProvider(data)
    messages = [data, encode((_odd(parts),), compressed=parts.ConsumeBool())]
    frames = pa.array([pack_message("v1/CAR/collected", one) for one in messages], pa.binary())
    received = pa.array([NOW] * len(messages))
    found = INTO_ROWS(Tenant("t"), pa.array(["CAR"] * len(messages)), frames, received)
    for further in found.further.values():
        for lines in further.rows["frames"].to_pylist():
            if not all(map(CANDUMP.fullmatch, lines)):
                raise AssertionError(f"no lines of candump: {lines!r}")


def _odd(parts: "atheris.FuzzedDataProvider") -> Record:
    return Record(
        "c",
        parts.ConsumeIntInRange(0, 2**64 - 1),
        parts.ConsumeIntInRange(0, 2**64 - 1),
        parts.PickValueInList([NOW, 0, 2**63 - 1, parts.ConsumeIntInRange(-(2**63), 2**63 - 1)]),
        tuple(_odd_series(parts) for _ in range(parts.ConsumeIntInRange(0, 3))),
        tuple(_odd_frame(parts) for _ in range(parts.ConsumeIntInRange(0, 2))),
    )


def _odd_series(parts: "atheris.FuzzedDataProvider") -> Series:
    path = parts.PickValueInList([RISEN_PATH, "Vehicle.Speed", "Vehicle.OBD.DTCList", "No.Such"])
    odd = [
        2.5, 10**400, True, None, float("nan"), "\ud800", ["\ud800"], [5], {"a": []},
        parts.ConsumeInt(9), [parts.ConsumeUnicode(9)],
    ]  # fmt: skip
    count = parts.ConsumeIntInRange(0, 4)
    offsets = [parts.ConsumeIntInRange(-(2**63), 2**63 - 1) for _ in range(count)]
    near = parts.ConsumeBool()
    values = [parts.PickValueInList(odd) for _ in range(count)]
    return Series(path, [at % 1000 for at in offsets] if near else offsets, values)


def _odd_frame(parts: "atheris.FuzzedDataProvider") -> RawFrame:
    bus = parts.PickValueInList(["can0", "", "can0\n(1) x", parts.ConsumeUnicodeNoSurrogates(20)])
    number, extended = parts.ConsumeIntInRange(0, 2**32 - 1), parts.ConsumeBool()
    least = parts.PickValueInList([0, parts.ConsumeIntInRange(-(2**63), 2**63 - 1)])
    return RawFrame(least, number, extended, bus, parts.ConsumeBytes(70))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
