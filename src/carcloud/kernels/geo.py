"""Datums of positions in China: WGS-84 and GCJ-02. Degrees in, degrees out, float64.

Each compiled kernel has a plain numpy reference beside it. The formulas are public; the official
transformation is confidential, so expect metres of difference to a provider's own conversion.

Where the shift applies is decided by a coarse outline (`inside`) and not by the customary
rectangle, which would move Seoul, Hanoi and Kathmandu. Within some 40 km outside coast and border
places are shifted too: give only positions that are known to be in the other datum.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carcloud.kernels.china_outline import RINGS

Degrees = NDArray[np.float64]

SEMI_MAJOR: Final = 6378245.0  # m, Krasovsky 1940
ECCENTRICITY_2: Final = 0.00669342162296594323  # first eccentricity squared
ROUNDS: Final = 6  # of the fixed-point inverse; five leave less than 1e-10 degrees


def _edges() -> Degrees:
    """Edges of the outline's rings, [edges, 4]: longitude and latitude of both ends."""
    rings = [np.array(ring) for ring in RINGS]
    return np.concatenate([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in rings])


EDGES: Final = _edges()
_CORNERS: Final = np.concatenate([EDGES[:, :2].min(axis=0), EDGES[:, :2].max(axis=0)])


def inside(longitude: Degrees, latitude: Degrees) -> NDArray[np.bool_]:
    """Where GCJ-02 differs from WGS-84: an odd number of the outline's edges lies east of it."""
    lon, lat = np.asarray(longitude)[..., None], np.asarray(latitude)[..., None]
    x1, y1, x2, y2 = EDGES.T
    with np.errstate(divide="ignore", invalid="ignore"):  # of edges that run along a parallel
        crossing = x1 + (lat - y1) * (x2 - x1) / (y2 - y1)
    east = ((y1 > lat) != (y2 > lat)) & (lon < crossing)
    return np.asarray(east.sum(axis=-1) % 2 == 1)


def _shift(longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """GCJ-02 minus WGS-84 in degrees at WGS-84 positions; scalars or arrays."""
    x, y = longitude - 105.0, latitude - 35.0
    root = np.sqrt(np.abs(x))
    common = 40.0 * (np.sin(6 * np.pi * x) + np.sin(2 * np.pi * x)) / 3.0
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + common
    north += (40 * np.sin(np.pi * y) + 80 * np.sin(np.pi * y / 3)) / 3
    north += (320 * np.sin(np.pi * y / 12) + 640 * np.sin(np.pi * y / 30)) / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + common
    east += (40 * np.sin(np.pi * x) + 80 * np.sin(np.pi * x / 3)) / 3
    east += (300 * np.sin(np.pi * x / 12) + 600 * np.sin(np.pi * x / 30)) / 3
    phi = latitude * np.pi / 180
    m = 1 - ECCENTRICITY_2 * np.sin(phi) ** 2
    d_latitude = north * 180 / (SEMI_MAJOR * (1 - ECCENTRICITY_2) / (m * np.sqrt(m)) * np.pi)
    d_longitude = east * 180 / (SEMI_MAJOR / np.sqrt(m) * np.cos(phi) * np.pi)
    return d_longitude, d_latitude


_compiled_shift = njit(cache=True, nogil=True, error_model="numpy")(_shift)


def wgs84_to_gcj02_reference(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """The numpy reference of `wgs84_to_gcj02`."""
    shifted = inside(longitude, latitude)
    lon, lat = np.array(longitude), np.array(latitude)
    east, north = _shift(lon[shifted], lat[shifted])
    lon[shifted] += east
    lat[shifted] += north
    return lon, lat


def gcj02_to_wgs84_reference(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """The numpy reference of `gcj02_to_wgs84`."""
    shifted = inside(longitude, latitude)
    lon, lat = np.array(longitude), np.array(latitude)
    for _ in range(ROUNDS):
        east, north = _shift(lon[shifted], lat[shifted])
        lon[shifted], lat[shifted] = longitude[shifted] - east, latitude[shifted] - north
    return lon, lat


def wgs84_to_gcj02(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 positions of WGS-84 positions, arrays of one shape [n]; NaN stays NaN."""
    return _convert(longitude, latitude, 0)


def gcj02_to_wgs84(longitude: Degrees, latitude: Degrees) -> tuple[Degrees, Degrees]:
    """WGS-84 positions of GCJ-02 positions, arrays of one shape [n]; NaN stays NaN.

    Fixed point of the forward shift, residual below 1e-7 m. Whether a point is shifted is decided
    once, from the GCJ-02 position.
    """
    return _convert(longitude, latitude, ROUNDS)


def _convert(longitude: Degrees, latitude: Degrees, rounds: int) -> tuple[Degrees, Degrees]:
    lon = np.ascontiguousarray(longitude, np.float64)
    lat = np.ascontiguousarray(latitude, np.float64)
    if lon.shape != lat.shape or lon.ndim != 1:
        raise ValueError(f"longitude {lon.shape} and latitude {lat.shape}, expected one [n]")
    out = np.empty((2, len(lon)))
    _shift_all(lon, lat, rounds, EDGES, _CORNERS, out)
    return out[0], out[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _inside(lon: float, lat: float, edges: Degrees, corners: Degrees) -> bool:
    """`inside` of one point; `corners` are least and greatest longitude and latitude."""
    if not (corners[0] <= lon <= corners[2] and corners[1] <= lat <= corners[3]):
        return False
    odd = False
    for x1, y1, x2, y2 in edges:
        if (y1 > lat) != (y2 > lat) and lon < x1 + (lat - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd


@njit(cache=True, nogil=True, error_model="numpy")
def _shift_all(
    longitude: Degrees,
    latitude: Degrees,
    rounds: int,
    edges: Degrees,
    corners: Degrees,
    out: Degrees,
) -> None:
    """Forward with 0 rounds, inverse by so many rounds, into out[2, n]."""
    for i in range(longitude.size):
        lon, lat = longitude[i], latitude[i]
        out[0, i], out[1, i] = lon, lat
        if not _inside(lon, lat, edges, corners):
            continue
        east, north = _compiled_shift(lon, lat)
        if rounds == 0:
            out[0, i], out[1, i] = lon + east, lat + north
            continue
        for _ in range(rounds - 1):
            east, north = _compiled_shift(lon - east, lat - north)
        out[0, i], out[1, i] = lon - east, lat - north


def warm() -> None:
    """Compile the kernels, or load them from the cache."""
    point = np.zeros(1)
    wgs84_to_gcj02(point, point)
