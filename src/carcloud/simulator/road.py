"""Roads: straight and bent stretches that end in crossings, over gently hilly ground.

A car drives stretch after stretch from an anchor in a city area and turns back towards it when
it has come too far. Height is a smooth function of the place, so a car that returns to a place
returns to its height.
"""

from dataclasses import dataclass

import numpy as np

from carcloud.simulator.chance import Cars, Chance, Floats

METRES_PER_DEGREE = 111_320.0  # of latitude

URBAN, SUBURBAN, HIGHWAY = 0, 1, 2
SPEED_LIMITS = np.array([[40, 50, 60], [60, 70, 80], [100, 110, 120]]) / 3.6  # m/s, by kind
_LENGTHS = np.array([[150, 550], [500, 1600], [2000, 6000]], float)  # m, by kind
_STOP_CHANCE = np.array([0.40, 0.22, 0.0])  # red light at the end of a stretch
_TURN_CHANCE = np.array([0.45, 0.35, 0.15])
_TURN_ANGLE = np.array([np.pi / 2, np.pi / 3, np.pi / 9])
_TURN_SPEED = np.array([5.5, 9.0, 22.0])  # m/s through a turn
_BEND = np.array([2e-4, 8e-4, 1.5e-4])  # 1/m, greatest curvature between crossings
_RADIUS = np.array([6e3, 12e3, 30e3])  # m from the anchor, beyond which a car turns back
_RED_LIGHT_S = (6.0, 55.0)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A city area: its middle in WGS-84 degrees, air temperature and how hilly it is (0..1)."""

    name: str
    latitude: float
    longitude: float
    ambient_c: float
    hills: float
    weight: int


ANCHORS = (
    Anchor("Shanghai", 31.22, 121.42, 18.0, 0.05, 6),
    Anchor("Beijing", 39.93, 116.40, 13.0, 0.15, 6),
    Anchor("Guangzhou", 23.14, 113.32, 24.0, 0.2, 5),
    Anchor("Shenzhen", 22.66, 114.02, 25.0, 0.35, 4),
    Anchor("Hangzhou", 30.30, 120.18, 18.0, 0.3, 4),
    Anchor("Chengdu", 30.66, 104.07, 17.0, 0.15, 4),
    Anchor("Chongqing", 29.58, 106.50, 20.0, 1.0, 3),
    Anchor("Wuhan", 30.56, 114.30, 18.0, 0.1, 3),
    Anchor("Xi'an", 34.26, 108.94, 15.0, 0.2, 3),
    Anchor("Nanjing", 32.02, 118.80, 16.0, 0.2, 3),
    Anchor("Hefei", 31.84, 117.25, 16.0, 0.1, 2),
    Anchor("Harbin", 45.72, 126.66, 2.0, 0.1, 1),
    Anchor("Berlin", 52.50, 13.40, 11.0, 0.1, 1),
    Anchor("Paris", 48.85, 2.35, 12.0, 0.2, 1),
    Anchor("Madrid", 40.43, -3.70, 17.0, 0.35, 1),
    Anchor("Denver", 39.70, -104.97, 12.0, 0.3, 1),
    Anchor("Sao Paulo", -23.55, -46.63, 21.0, 0.6, 1),
    Anchor("Johannesburg", -26.15, 28.06, 17.0, 0.4, 1),
)

# Hills: wave vectors (1/m) and heights (m) of four waves, scaled by the anchor's `hills`.
_WAVES = np.array([[2.1e-3, 0.7e-3], [-0.9e-3, 1.8e-3], [4.3e-3, -2.2e-3], [0.4e-3, 0.5e-3]])
_HEIGHTS = np.array([9.0, 10.0, 3.5, 35.0])


class Road:
    """Where each car is and the stretch it drives; all arrays have shape (cars,)."""

    def __init__(self, cars: int, seed: int) -> None:
        self.chance = Chance(cars, seed, "road")
        picks = np.repeat(np.arange(len(ANCHORS)), [anchor.weight for anchor in ANCHORS])
        chosen = picks[(self.chance.between(0.0, 1.0) * len(picks)).astype(int)]
        self.ambient_c = np.array([anchor.ambient_c for anchor in ANCHORS])[chosen]
        self._latitude0 = np.array([anchor.latitude for anchor in ANCHORS])[chosen]
        self._longitude0 = np.array([anchor.longitude for anchor in ANCHORS])[chosen]
        self._hills = np.array([anchor.hills for anchor in ANCHORS])[chosen]
        self._waves = self.chance.between(0.0, 2.0 * np.pi)  # rad, where the hills lie
        self.east = self.chance.between(-3e3, 3e3)  # m from the anchor
        self.north = self.chance.between(-3e3, 3e3)  # m from the anchor
        grid = np.radians(7.0) * chosen  # every city's streets have their own direction
        self.heading = grid + np.pi / 2 * np.floor(self.chance.between(0.0, 4.0))  # rad, from north
        self.kind = np.zeros(cars, int)
        self.limit = np.full(cars, SPEED_LIMITS[0, 0])  # m/s
        self.left = np.zeros(cars)  # m to the end of the stretch
        self.end_speed = np.zeros(cars)  # m/s allowed at the end; 0 = stop
        self.red_s = np.zeros(cars)  # s the light at the end stays red
        self._turn = np.zeros(cars)  # rad at the end of the stretch
        self._bend = np.zeros(cars)  # 1/m

    def slope(self) -> Floats:
        """Climb per metre driven (tangent), shape (cars,)."""
        phase = self.east[:, None] * _WAVES[:, 0] + self.north[:, None] * _WAVES[:, 1]
        steep = np.cos(phase + self._waves[:, None]) * _HEIGHTS
        along = np.sin(self.heading) * (steep @ _WAVES[:, 0])
        along += np.cos(self.heading) * (steep @ _WAVES[:, 1])
        climb: Floats = along * self._hills
        return climb

    def height(self) -> Floats:
        """Height of the ground against the area's mean, m, shape (cars,)."""
        phase = self.east[:, None] * _WAVES[:, 0] + self.north[:, None] * _WAVES[:, 1]
        total: Floats = np.sin(phase + self._waves[:, None]) @ _HEIGHTS * self._hills
        return total

    def advance(self, metres: Floats) -> None:
        """Drive so far along the present stretch, shape (cars,)."""
        self.heading += self._bend * metres
        self.east += np.sin(self.heading) * metres
        self.north += np.cos(self.heading) * metres
        self.left -= metres

    def next_stretch(self, cars: Cars, kind: Cars) -> None:
        """Take the turn at the end of the stretch and draw the next one, of the given kind."""
        self.heading[cars] = self.heading[cars] + self._turn[cars]
        low, high = _LENGTHS[kind].T
        self.kind[cars] = kind
        length = low + (high - low) * self.chance.uniform(cars)
        self.left[cars] = np.maximum(self.left[cars], -5.0) + length
        self.limit[cars] = SPEED_LIMITS[kind, (3 * self.chance.uniform(cars)).astype(int)]
        self._bend[cars] = _BEND[kind] * (2.0 * self.chance.uniform(cars) - 1.0)
        self._turn[cars] = self._next_turn(cars, kind)
        red = self.chance.uniform(cars) < _STOP_CHANCE[kind]
        shortest, longest = _RED_LIGHT_S
        self.red_s[cars] = shortest + (longest - shortest) * self.chance.uniform(cars)
        sharp = np.abs(self._turn[cars]) > _TURN_ANGLE[SUBURBAN]
        bend = np.where(sharp, _TURN_SPEED[URBAN], _TURN_SPEED[kind])
        through = np.where(self._turn[cars] != 0.0, bend, self.limit[cars])
        self.end_speed[cars] = np.where(red, 0.0, np.minimum(through, self.limit[cars]))

    def _next_turn(self, cars: Cars, kind: Cars) -> Floats:
        side = np.where(self.chance.uniform(cars) < 0.5, -1.0, 1.0)
        turns = self.chance.uniform(cars) < _TURN_CHANCE[kind]
        free = np.where(turns, side * _TURN_ANGLE[kind], 0.0)
        home = np.arctan2(-self.east[cars], -self.north[cars]) - self.heading[cars]
        home = (home + np.pi) % (2.0 * np.pi) - np.pi
        back = np.where(np.abs(home) < np.pi / 4, 0.0, np.sign(home) * np.pi / 2)
        far = np.hypot(self.east[cars], self.north[cars]) > _RADIUS[kind]
        return np.where(far, back, free)

    def coordinates(self, cars: Cars) -> tuple[Floats, Floats]:
        """Latitude and longitude of the named cars, degrees WGS-84, south and west negative."""
        latitude = self._latitude0[cars] + self.north[cars] / METRES_PER_DEGREE
        per_degree = METRES_PER_DEGREE * np.cos(np.radians(self._latitude0[cars]))
        return latitude, self._longitude0[cars] + self.east[cars] / per_degree
