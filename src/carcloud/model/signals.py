"""The signals of the catalogue as Arrow columns."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from carcloud.model.catalogue import CATALOGUE, MOTORS, Signal

__all__ = ["CATALOGUE", "MOTORS", "Signal", "arrow_type", "schema"]

_ARROW: dict[str, Any] = {
    "boolean": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.int16(),  # Delta tables have no unsigned types: one size up
    "uint16": pa.int32(),
    "uint32": pa.int64(),
    "uint64": pa.int64(),  # there is none above: values beyond 2^63 - 1 cannot be kept
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
}


def arrow_type(datatype: str) -> pa.DataType:
    """The column type that stores a VSS data type; raises `KeyError` for an unknown one."""
    if datatype.endswith("[]"):
        return pa.list_(_ARROW[datatype[:-2]])
    return _ARROW[datatype]


def schema(paths: Iterable[str]) -> pa.Schema:
    """The Arrow schema of columns named by VSS paths; raises `KeyError` for an unknown path."""
    return pa.schema([pa.field(path, arrow_type(CATALOGUE[path].datatype)) for path in paths])
