"""The telemetry tables, by their fixed columns: what each tenant's lake holds from the start.

Signals are columns by VSS path; each comes with the first row that has it.
"""

import pyarrow as pa

from carcloud.codecs.gbt32960.vss import COLUMNS as GBT32960_COLUMNS
from carcloud.model.signals import CATALOGUE, schema
from carcloud.ports.lake import KnownTable

SIGNALS, RAW, LETTERS = "signals", "frames", "dead_letters"
CAMPAIGN_EVENTS = "campaign_events"
_TIME = pa.timestamp("us", "UTC")
_DECODED = dict.fromkeys(GBT32960_COLUMNS)
"""What the decoders fill by themselves; the rest of the catalogue is shown when it has values."""

TABLES = (
    KnownTable(
        SIGNALS,
        pa.schema(
            [
                ("vehicle", pa.string()),
                ("time", _TIME),  # of the report
                ("received", _TIME),
                ("source", pa.string()),  # protocol and message
                ("digest", pa.int64()),  # of the report's content: the same means a repeat
                ("partial", pa.bool_()),  # part of the report could not be read
                ("out_of_range", pa.bool_()),  # a value outside the range of its signal
                ("seq", pa.int64()),  # of the stream
                ("correction", pa.bool_()),  # other content than an earlier report of this time
                ("flagged", pa.list_(pa.string())),  # paths with a value out of range
            ]
        ),
        later=schema(_DECODED),
        named=lambda: schema(CATALOGUE),
    ),
    KnownTable(
        RAW,
        pa.schema(
            [
                ("vehicle", pa.string()),
                ("time", _TIME),
                ("received", _TIME),
                ("seq", pa.int64()),
                ("protocol", pa.string()),
                ("kind", pa.string()),  # realtime, reissue, login ...
                ("reports", pa.int32()),  # rows of `signals` that it gave
                ("size", pa.int32()),  # bytes
                ("frame", pa.binary()),
            ]
        ),
    ),
    KnownTable(
        CAMPAIGN_EVENTS,
        pa.schema(
            [
                ("vehicle", pa.string()),
                ("time", _TIME),  # of the trigger
                ("received", _TIME),
                ("campaign", pa.string()),
                ("version", pa.int32()),
                ("event", pa.int64()),  # as the vehicle numbers them
                ("partition", pa.string()),
                ("part", pa.int32()),  # of `parts`, from 0: a large record comes in several
                ("parts", pa.int32()),
                ("samples", pa.int32()),  # they are rows of `signals`
                ("bytes", pa.int32()),  # as they were sent
                ("dimensions", pa.string()),  # JSON object
                ("fired", pa.list_(pa.string())),  # names of edges that fired
                ("frames", pa.list_(pa.string())),  # raw frames, as candump writes them
                ("digest", pa.int64()),  # of which record this is: the same means a repeat
                ("seq", pa.int64()),
            ]
        ),
    ),
    KnownTable(
        LETTERS,
        pa.schema(
            [
                ("vehicle", pa.string()),  # as the frame claims
                ("time", _TIME),  # of receipt
                ("received", _TIME),
                ("seq", pa.int64()),
                ("id", pa.string()),
                ("protocol", pa.string()),
                ("reason", pa.string()),
                ("clause", pa.string()),
                ("offset", pa.int32()),  # byte of the frame
                ("frame", pa.binary()),
            ]
        ),
    ),
)
