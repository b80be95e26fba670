"""CAN databases in the DBC format: reading them, and decoding and encoding frames with them.

The parser and the scalar codec are plain Python, so that a vehicle can use them; the decoder of
whole logs is `carcloud.codecs.dbc.columnar`.
"""

from carcloud.codecs.dbc.database import Database, Finding, Message, Signal, told_apart
from carcloud.codecs.dbc.errors import DbcError, EncodingError, StrictError
from carcloud.codecs.dbc.parser import parse

__all__ = [
    "Database",
    "DbcError",
    "EncodingError",
    "Finding",
    "Message",
    "Signal",
    "StrictError",
    "parse",
    "told_apart",
]
