"""What drivers do: trips over urban, suburban and fast roads, red lights, rest and charging."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator.car import GRAVITY, CarParameters
from carcloud.simulator.chance import Cars, Chance, Floats
from carcloud.simulator.road import HIGHWAY, SUBURBAN, URBAN, Road

_HARDEST_BRAKING = 4.0  # m/s2, when comfort would not stop the car in time
_ARRIVED_M = 1.5  # m before the stop line where a crawling car stands
_ARRIVED_SPEED = 1.0  # m/s
_CHARGE_BELOW = 0.35  # state of charge at which a driver plugs in after a trip
_GIVE_UP_BELOW = 0.08  # state of charge at which a driver ends the trip to charge
_TRIP_M = (2_500.0, 40_000.0)
_REST_S = (120.0, 1_500.0)
_AFTER_CHARGE_S = (120.0, 900.0)


class Activity(IntEnum):
    """What a car is doing."""

    DRIVING = 0
    WAITING = 1  # at a red light
    PARKED = 2
    CHARGING = 3


class Journey:
    """The drivers of a fleet; all arrays have shape (cars,)."""

    def __init__(self, cars: int, seed: int) -> None:
        self.road = Road(cars, seed)
        self._chance = Chance(cars, seed, "journey")
        start = self._chance.between(0.0, 1.0)
        kinds = [Activity.DRIVING, Activity.PARKED, Activity.CHARGING]
        self.activity = np.select([start < 0.75, start < 0.85], kinds[:2], kinds[2]).astype(np.int8)
        self.speed = np.zeros(cars)  # m/s
        self.charged = np.zeros(cars, bool)  # charging has ended and the car has not moved since
        self._timer = self._chance.between(*_REST_S)  # s until a waiting or parked car goes on
        self._trip = np.ones(cars)  # m, length of the trip
        self._gone = np.zeros(cars)  # m of it driven
        self._begin_trip(np.flatnonzero(self.activity == Activity.DRIVING))

    def step(
        self, car: CarParameters, charge: Floats, full: NDArray[np.bool_], dt: float
    ) -> Floats:
        """Go on for `dt` seconds (at most 1) and return the slope met, shape (cars,).

        `charge` is the state of charge (0..1), `full` says that charging has ended.
        """
        self._timer -= dt
        self._leave(charge, full)
        slope = self.road.slope()
        before = self.speed
        self.speed = np.where(self.activity == Activity.DRIVING, self._wanted(car, slope, dt), 0.0)
        metres = 0.5 * (before + self.speed) * dt
        self.road.advance(metres)
        self._gone += metres
        self._arrive(charge)
        return slope

    def _wanted(self, car: CarParameters, slope: Floats, dt: float) -> Floats:
        """The speed after this step, m/s: the limit, the crossing ahead and the motor allow it."""
        speed, road = self.speed, self.road
        limit = road.limit * car.speed_habit
        eager = car.comfort_acceleration * (1.0 - (speed / limit) ** 4)
        strong = car.motor_power / (car.mass * np.maximum(speed, 6.0)) - GRAVITY * slope - 0.3
        faster = speed + dt * np.maximum(np.minimum(eager, strong), -car.comfort_braking)
        # The speed from which comfortable braking still meets `end_speed` at the stretch's end.
        reach = 0.5 * car.comfort_braking * dt
        room = 2.0 * car.comfort_braking * (road.left - 0.5 * speed * dt)
        safe = np.sqrt(np.maximum(reach**2 + room + road.end_speed**2, 0.0)) - reach
        crawl = np.where(road.left > _ARRIVED_M, 0.5, 0.0)
        lowest = np.maximum(speed - _HARDEST_BRAKING * dt, 0.0)
        allowed: Floats = np.maximum(np.minimum(faster, np.maximum(safe, crawl)), lowest)
        return allowed

    def _leave(self, charge: Floats, full: NDArray[np.bool_]) -> None:
        waited = self._timer <= 0.0
        self._next_stretch(np.flatnonzero(waited & (self.activity == Activity.WAITING)), charge)
        done = np.flatnonzero(full & (self.activity == Activity.CHARGING))
        self._park(done, Activity.PARKED, _AFTER_CHARGE_S)
        self.charged[done] = True
        self._begin_trip(np.flatnonzero(waited & (self.activity == Activity.PARKED)))

    def _arrive(self, charge: Floats) -> None:
        driving = self.activity == Activity.DRIVING
        stops = driving & (self.road.end_speed <= 0.0)
        stands = stops & (self.road.left <= _ARRIVED_M) & (self.speed <= _ARRIVED_SPEED)
        passes = driving & ~stops & (self.road.left <= 0.0)
        over = self._gone >= self._trip
        ends = stands & over
        self._park(np.flatnonzero(ends & (charge >= _CHARGE_BELOW)), Activity.PARKED, _REST_S)
        self._park(np.flatnonzero(ends & (charge < _CHARGE_BELOW)), Activity.CHARGING, _REST_S)
        waits = np.flatnonzero(stands & ~over)
        self.activity[waits] = Activity.WAITING
        self._timer[waits] = self.road.red_s[waits]
        self._next_stretch(np.flatnonzero(passes), charge)

    def _begin_trip(self, cars: Cars) -> None:
        shortest, longest = _TRIP_M
        self._trip[cars] = shortest + (longest - shortest) * self._chance.uniform(cars) ** 2.5
        self._gone[cars] = 0.0
        self.charged[cars] = False
        self._next_stretch(cars, None)

    def _next_stretch(self, cars: Cars, charge: Floats | None) -> None:
        if not len(cars):
            return
        self.activity[cars] = Activity.DRIVING
        self.road.next_stretch(cars, self._kind(cars))
        if charge is not None:
            low = cars[charge[cars] < _GIVE_UP_BELOW]
            self._trip[low] = np.minimum(self._trip[low], self._gone[low])
        last = cars[self._gone[cars] >= self._trip[cars]]
        self.road.end_speed[last] = 0.0

    def _kind(self, cars: Cars) -> Cars:
        """Long trips use faster roads in their middle; kinds change one step at a time."""
        length, share = self._trip[cars], self._gone[cars] / self._trip[cars]
        fast = (length > 15e3) & (share > 0.2) & (share < 0.75)
        middle = (length > 5e3) & (share > 0.1) & (share < 0.85)
        wanted = np.select([fast, middle], [HIGHWAY, SUBURBAN], URBAN)
        now = self.road.kind[cars]
        kind: Cars = np.clip(wanted, now - 1, now + 1)
        return kind

    def _park(self, cars: Cars, activity: Activity, rest_s: tuple[float, float]) -> None:
        shortest, longest = rest_s
        self.activity[cars] = activity
        self._timer[cars] = shortest + (longest - shortest) * self._chance.uniform(cars)
        self.speed[cars] = 0.0
