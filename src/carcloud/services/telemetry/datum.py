"""One datum for stored positions: WGS-84."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.kernels.geo import gcj02_to_wgs84

LONGITUDE: Final = "Vehicle.CurrentLocation.Longitude"
LATITUDE: Final = "Vehicle.CurrentLocation.Latitude"
DATUM: Final = "Vehicle.CurrentLocation.CoordinateSystem"


def to_wgs84(table: pa.Table) -> pa.Table:
    """The same rows with positions marked GCJ02 converted to WGS-84, in degrees.

    The column `CoordinateSystem` keeps the datum in which the vehicle reported, so that a
    converted position can be told from one that came as WGS-84. Call it once for each table.
    """
    if not {LONGITUDE, LATITUDE, DATUM} <= set(table.column_names):
        return table
    shifted = _numpy(pc.fill_null(pc.equal(table[DATUM].cast(pa.string()), "GCJ02"), False))
    if not shifted.any():
        return table
    positions = (_numpy(table[LONGITUDE]).copy(), _numpy(table[LATITUDE]).copy())
    converted = gcj02_to_wgs84(positions[0][shifted], positions[1][shifted])
    for path, before, after in zip((LONGITUDE, LATITUDE), positions, converted, strict=True):
        before[shifted] = after
        column = pa.array(before, pa.float64(), from_pandas=True)  # NaN stands for null
        table = table.set_column(table.column_names.index(path), path, column)
    return table


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy())
