"""Coverage-guided fuzzing of batches of samples: `python tests/fuzz/fuzz_samples.py`.

Whatever is read as a batch is written again in each form that holds it and must say the same, and
many payloads at once say what each says by itself.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs"]):
    from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
    from carcloud.codecs.samples.batch import Batch, InvalidBatch, wrong
    from carcloud.codecs.samples.block import read_block
    from carcloud.codecs.samples.read import read

_READERS = (json_batch.read, cbor_batch.read, protobuf_batch.read)


def one_input(data: bytes) -> None:
    """One run of the fuzzer: the first byte of the input chooses nothing, or a reader."""
    for reader in (read, _READERS[data[0] % 3] if data else read):
        payload = data if reader is read else data[1:]
        try:
            batch = reader(payload)
        except InvalidBatch as error:
            if error.at is not None and not 0 <= error.at <= len(payload):
                raise AssertionError(f"byte {error.at} of {len(payload)}") from error
            continue
        finally:
            if reader is protobuf_batch.read:
                _at_once(payload, data[0])
        good = [
            (time, {name: value for name, value in values.items() if wrong(value) is None})
            for time, values in batch.rows
        ]
        good = [(time, values) for time, values in good if values]
        if good:
            _again(good)


def _at_once(payload: bytes, other: int) -> None:
    """Payloads that are alike but for a byte."""
    many = [payload] * 9
    for part in range(9):
        spoilt = bytearray(payload)
        if spoilt:
            spoilt[part * len(spoilt) // 9] = other
        many.append(bytes(spoilt))
    if [*map(_told, read_block(many))] != [*map(_told, map(_read, many))]:
        raise AssertionError("a block says something else")


def _read(payload: bytes) -> Batch | InvalidBatch:
    try:
        return read(payload)
    except InvalidBatch as error:
        return error


def _told(found: Batch | InvalidBatch) -> str:
    at = None if isinstance(found, Batch) else found.at
    return f"{found!r} {at}"


def _again(rows: list) -> None:
    told = repr(rows)
    if repr(cbor_batch.read(cbor_batch.write(rows)).rows) != told:
        raise AssertionError("CBOR says something else")
    try:
        payload = protobuf_batch.write(rows)
    except ValueError:
        return  # integers over 64 bits
    if json.dumps(protobuf_batch.read(payload).rows) != json.dumps(_doubled(rows)):
        raise AssertionError("protobuf says something else")


def _doubled(rows: list) -> list:
    """Arrays of integers and doubles are doubles in protobuf."""
    return [
        (
            time,
            {
                name: [*map(float, value)]
                if isinstance(value, list) and float in map(type, value)
                else value
                for name, value in values.items()
            },
        )
        for time, values in rows
    ]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
