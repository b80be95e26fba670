"""What differs from car to car and does not change while driving."""

from dataclasses import dataclass

import numpy as np

from carcloud.simulator.chance import Chance, Floats

CELLS = 96  # in series, one pack
PROBES = 24  # temperature probes in the pack

GRAVITY = 9.81  # m/s2
AIR_DENSITY = 1.20  # kg/m3, 20 degC at sea level


@dataclass(frozen=True, slots=True)
class CarParameters:
    """Every array has shape (cars,), except the cell and probe tables."""

    mass: Floats  # kg, with driver and load
    drag_area: Floats  # m2, drag coefficient times frontal area
    rolling: Floats  # rolling resistance coefficient, 1
    wheel_radius: Floats  # m
    gear_ratio: Floats  # motor turns per wheel turn
    motor_power: Floats  # W at the wheels, greatest
    motors: Floats  # 1 or 2
    auxiliary: Floats  # W, what runs while the car is on
    comfort_acceleration: Floats  # m/s2
    comfort_braking: Floats  # m/s2, positive
    speed_habit: Floats  # share of the speed limit that the driver keeps
    age: Floats  # 0 new .. 1 end of life
    capacity_ah: Floats  # Ah of the aged pack
    resistance: Floats  # ohm of the aged pack at 25 degC
    charge_power: Floats  # W of the charger it uses
    cell_soc: Floats  # (cars, CELLS) deviation of each cell's state of charge, 1
    cell_resistance: Floats  # (cars, CELLS) each cell's share of the mean resistance, about 1
    probe_heat: Floats  # (cars, PROBES) each probe's share of the pack's self-heating, about 1
    probe_offset: Floats  # (cars, PROBES) degC

    def __len__(self) -> int:
        return len(self.mass)


def draw(cars: int, seed: int) -> CarParameters:
    """Passenger cars of 45 to 85 kWh, from new to worn."""
    chance = Chance(cars, seed, "car")
    age = chance.between(0.0, 1.0) ** 1.5
    mass = chance.between(1450.0, 2250.0)
    fast = chance.between(0.0, 1.0) < 0.5
    return CarParameters(
        mass=mass,
        drag_area=chance.between(0.55, 0.75),
        rolling=chance.between(0.0085, 0.0115),
        wheel_radius=chance.between(0.31, 0.36),
        gear_ratio=chance.between(8.5, 11.0),
        motor_power=mass * chance.between(55.0, 85.0),
        motors=np.where(chance.between(0.0, 1.0) < 0.25, 2.0, 1.0),
        auxiliary=chance.between(400.0, 1400.0),
        comfort_acceleration=chance.between(1.2, 2.4),
        comfort_braking=chance.between(1.4, 2.4),
        speed_habit=chance.between(0.88, 1.06),
        age=age,
        capacity_ah=chance.between(130.0, 230.0) * (1.0 - 0.2 * age),
        resistance=chance.between(0.055, 0.085) * (1.0 + 0.8 * age),
        charge_power=np.where(fast, chance.between(40e3, 90e3), chance.between(6.6e3, 11e3)),
        cell_soc=_spread(chance.normal(CELLS)) * (0.002 + 0.004 * age)[:, None],
        cell_resistance=1.0 + _spread(chance.normal(CELLS)) * (0.02 + 0.04 * age)[:, None],
        probe_heat=1.0 + 0.08 * _spread(chance.normal(PROBES)),
        probe_offset=0.5 * _spread(chance.normal(PROBES)),
    )


def _spread(table: Floats) -> Floats:
    """The table without its row means, cut at three standard deviations."""
    table = np.clip(table, -3.0, 3.0)
    centred: Floats = table - table.mean(axis=1, keepdims=True)
    return centred
