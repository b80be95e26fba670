"""Coverage-guided fuzzing of campaigns: `python tests/fuzz/fuzz_campaign.py`.

The first byte chooses an expression, a document, a document of FleetWise, or a record. Whatever
comes is read or refused with the error of its kind; what is read can be evaluated, written back,
and gives the same again.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.campaign"]):
    from carcloud.codecs.campaign.checking import SignalType, check
    from carcloud.codecs.campaign.document import document_hash, parse_campaign, to_document
    from carcloud.codecs.campaign.engine import Engine
    from carcloud.codecs.campaign.expression import ExpressionError
    from carcloud.codecs.campaign.fields import DocumentError
    from carcloud.codecs.campaign.fleetwise import import_campaign
    from carcloud.codecs.campaign.prepare import prepare
    from carcloud.codecs.campaign.record import RecordError, decode, encode

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
    (_expression, _document, _fleetwise, _record)[data[0] % 4](data[1:])


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
    try:
        again = encode(records, compressed=False)
    except UnicodeEncodeError:
        return
    if len(again) < 1 << 20 and repr(decode(again)) != repr(records):
        raise AssertionError("a record that is read and written is another")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
