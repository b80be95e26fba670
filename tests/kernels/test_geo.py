"""Datum conversions against published test values and their own plain reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.kernels import geo

METRE = 1 / 111_000  # degrees, about
SAME = 1e-6 * METRE

PLACES = {
    "Beijing": (116.404, 39.915, 116.410244499, 39.916404282),
    "Shanghai": (121.4737, 31.2304, 121.478223059, 31.228457738),
    "Guangzhou": (113.2644, 23.1291, 113.269729592, 23.126423340),
    "Shenzhen": (114.0579, 22.5431, 114.063013999, 22.540382814),
    "Chengdu": (104.0665, 30.5723, 104.069004906, 30.569845541),
    "Urumqi": (87.6168, 43.8256, 87.619649949, 43.826805393),
    "Lhasa": (91.1409, 29.6456, 91.142429336, 29.642863987),
    "Harbin": (126.6424, 45.7567, 126.648369816, 45.758651102),
    "Sanya": (109.5119, 18.2528, 109.515984295, 18.251094792),
    "Kashgar": (75.9938, 39.4677, 75.996768187, 39.467938200),
    "formula origin": (105.0, 35.0, 105.003286241, 34.999098632),
    "Paris": (2.3522, 48.8566, 2.3522, 48.8566),
    # In the customary rectangle, but not in China:
    "Seoul": (126.978, 37.5665, 126.978, 37.5665),
    "Hanoi": (105.8342, 21.0278, 105.8342, 21.0278),
    "Kathmandu": (85.324, 27.7172, 85.324, 27.7172),
    "Ulaanbaatar": (106.9057, 47.8864, 106.9057, 47.8864),
    "Manila": (120.9842, 14.5995, 120.9842, 14.5995),
    "Tokyo": (139.6917, 35.6895, 139.6917, 35.6895),
}
lists = st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=20).map(
    lambda points: tuple(np.array(axis) for axis in zip(*points, strict=True))
)
inner = st.lists(st.tuples(st.floats(73, 135), st.floats(3.9, 53)), min_size=1, max_size=20).map(
    lambda points: tuple(np.array(axis) for axis in zip(*points, strict=True))
)


def _at(*values: float) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value]) for value in values)


@pytest.mark.parametrize("place", PLACES)
def test_forward_shift_matches_published_values(place: str) -> None:
    lon, lat, gcj_lon, gcj_lat = PLACES[place]
    found = geo.wgs84_to_gcj02(*_at(lon, lat))
    assert np.allclose(found, [[gcj_lon], [gcj_lat]], rtol=0, atol=1e-9)


def test_inverse_matches_published_value() -> None:
    found = geo.gcj02_to_wgs84(*_at(116.404, 39.915))
    assert np.allclose(found, [[116.397755755], [39.913596236]], rtol=0, atol=1e-9)


@given(lists)
def test_compiled_agrees_with_reference(points: tuple[np.ndarray, np.ndarray]) -> None:
    forward, inverse = geo.wgs84_to_gcj02(*points), geo.gcj02_to_wgs84(*points)
    assert np.allclose(forward, geo.wgs84_to_gcj02_reference(*points), rtol=0, atol=1e-11)
    assert np.allclose(inverse, geo.gcj02_to_wgs84_reference(*points), rtol=0, atol=1e-11)


@given(inner)
def test_there_and_back_is_the_same_place(points: tuple[np.ndarray, np.ndarray]) -> None:
    there = geo.wgs84_to_gcj02(*points)
    back = geo.gcj02_to_wgs84(*there)
    same = geo.inside(*points) == geo.inside(*there)  # at the outline itself the datums meet
    assert np.allclose(np.array(back)[:, same], np.array(points)[:, same], rtol=0, atol=SAME)


def test_the_outline_holds_the_corners_of_the_country_and_its_islands() -> None:
    """Mohe, Fuyuan, Kashgar, Tashkurgan, Ruili, Hekou, Dongxing, Sanya, Xiamen, Hunchun,
    Hong Kong, Macau, Taipei."""
    lon = [122.54, 134.31, 75.99, 75.23, 97.85, 103.96, 107.97, 109.51, 118.09, 130.36, 114.17,
           113.54, 121.56]  # fmt: skip
    lat = [52.97, 48.36, 39.47, 37.77, 24.01, 22.53, 21.55, 18.25, 24.48, 42.86, 22.32,
           22.19, 25.04]  # fmt: skip
    assert geo.inside(np.array(lon), np.array(lat)).all()
    moved = np.hypot(*(np.array(geo.wgs84_to_gcj02(np.array(lon), np.array(lat))) - [lon, lat]))
    assert (moved > 15 * METRE).all()


def test_outside_and_missing_positions_stay() -> None:
    lon, lat = np.array([2.35, np.nan, -73.9]), np.array([48.86, np.nan, 40.7])
    for convert in (geo.wgs84_to_gcj02, geo.gcj02_to_wgs84):
        found = convert(lon, lat)
        assert np.array_equal(found[0], lon, equal_nan=True)
        assert np.array_equal(found[1], lat, equal_nan=True)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected one"):
        geo.wgs84_to_gcj02(np.zeros(2), np.zeros(3))
