"""The traction battery: one pack of 96 cells in series with 24 temperature probes.

An equivalent circuit (open-circuit voltage, resistance, one slow resistor-capacitor pair) for the
mean cell carries the state; the voltages of single cells and probe temperatures are derived from
it with each cell's own deviations when somebody looks.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator.car import CELLS, CarParameters
from carcloud.simulator.chance import Cars, Floats

CELL_FULL_V = 4.18  # V, charging voltage of a cell
_CHARGES = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_VOLTS = np.array([3.0, 3.33, 3.46, 3.56, 3.62, 3.66, 3.71, 3.79, 3.88, 3.98, 4.08, CELL_FULL_V])
_SLOPES = np.gradient(_VOLTS, _CHARGES)
_SLOW_SHARE = 0.4  # resistance of the slow pair against the pack's ohmic resistance
_SLOW_S = 30.0  # s, its time constant
_COLD_FACTOR = 0.022  # 1/K, growth of resistance below 25 degC
_HEAT_CAPACITY = 3.2e5  # J/K
_COOLING = 35.0  # W/K to the air
_PUMPED_COOLING = 350.0  # W/K more above 36 degC
_PUMP_ON_C = 36.0
_CUT_OFF = 1 / 25  # of the capacity per hour: charging ends below this current


def open_circuit(charge: Floats) -> Floats:
    """Cell voltage at rest, V, at a state of charge of 0..1 (a nickel-rich cathode)."""
    volts: Floats = np.interp(charge, _CHARGES, _VOLTS)
    return volts


class Battery:
    """The packs of a fleet; all arrays have shape (cars,) unless said otherwise."""

    def __init__(self, charge: Floats, ambient_c: Floats, between: Callable[..., Floats]) -> None:
        """`charge` 0..1; `between(low, high)` draws one number for every car."""
        self.charge = charge.copy()
        self.current = np.zeros_like(charge)  # A, positive = discharge
        self.core_c = ambient_c + between(0.0, 4.0)
        self.full = np.zeros(len(charge), bool)  # charging has ended
        self.insulation_kohm = between(2_000.0, 12_000.0)
        self._slow_v = np.zeros_like(charge)  # V over the slow pair
        self.drawn_j = np.zeros_like(charge)  # J given at the terminals since the start, net
        self.heat_j = np.zeros_like(charge)  # J lost inside since the start
        self.chemical_j = np.zeros_like(charge)  # J taken from the cells since the start, net

    def resistance(self, car: CarParameters) -> Floats:
        """Ohmic resistance at the present temperature, ohm."""
        colder = np.clip(_COLD_FACTOR * (25.0 - self.core_c), -0.3, 1.5)
        now: Floats = car.resistance * (1.0 + colder)
        return now

    def step(
        self,
        car: CarParameters,
        power: Floats,
        plugged: NDArray[np.bool_],
        ambient_c: Floats,
        dt: float,
    ) -> None:
        """Give `power` W (negative: take it back), or charge where `plugged`, for `dt` s."""
        ohm = self.resistance(car)
        rest = open_circuit(self.charge) * CELLS
        inner = rest - self._slow_v
        # Power at the terminals = (inner - ohm * I) * I, the smaller root.
        room = np.maximum(inner**2 - 4.0 * ohm * power, (0.6 * inner) ** 2)
        used = (inner - np.sqrt(room)) / (2.0 * ohm)
        offered = -np.minimum(car.charge_power / inner, (CELLS * CELL_FULL_V - inner) / ohm)
        self.current = np.where(plugged, np.minimum(offered, 0.0), used)
        self.full = plugged & (-self.current < _CUT_OFF * car.capacity_ah)
        heat = self.current**2 * ohm + self.current * self._slow_v
        self.drawn_j += (inner - ohm * self.current) * self.current * dt
        self.heat_j += heat * dt
        self.chemical_j += rest * self.current * dt
        self.charge -= self.current * dt / (3600.0 * car.capacity_ah)
        towards = self.current * ohm * _SLOW_SHARE
        self._slow_v += (towards - self._slow_v) * (1.0 - np.exp(-dt / _SLOW_S))
        self._warm(np.maximum(heat, 0.0), ambient_c, dt)

    def _warm(self, heat: Floats, ambient_c: Floats, dt: float) -> None:
        cooling = _COOLING + np.where(self.core_c > _PUMP_ON_C, _PUMPED_COOLING, 0.0)
        self.core_c += (heat - cooling * (self.core_c - ambient_c)) * dt / _HEAT_CAPACITY

    def cells(self, car: CarParameters, at: Cars) -> Floats:
        """Voltage of every cell of the named cars, V, shape (len(at), CELLS)."""
        charge = self.charge[at]
        slope = np.interp(charge, _CHARGES, _SLOPES)
        sag = (self.current * self.resistance(car))[at] / CELLS
        base = open_circuit(charge) - self._slow_v[at] / CELLS
        volts: Floats = car.cell_soc[at]
        volts = volts * slope[:, None]
        volts += base[:, None]
        volts -= car.cell_resistance[at] * sag[:, None]
        return volts

    def weak_cell(self, car: CarParameters, at: Cars, strength: Floats) -> Floats:
        """Voltage of a cell that has lost capacity and gained resistance, V, shape (len(at),).

        At strength 1 the cell stands 15 % lower in charge and has three times the resistance.
        """
        charge = np.maximum(self.charge[at] - 0.15 * strength, 0.0)
        sag = (self.current * self.resistance(car))[at] / CELLS * (1.0 + 2.0 * strength)
        volts: Floats = open_circuit(charge) - self._slow_v[at] / CELLS - sag
        return volts

    def probes(self, car: CarParameters, ambient_c: Floats, at: Cars) -> Floats:
        """Temperature at every probe of the named cars, degC, shape (len(at), PROBES)."""
        above = (self.core_c - ambient_c)[at]
        glow = 2e-5 * (self.current[at] ** 2)  # K, cells warm before the coolant does
        degrees: Floats = car.probe_heat[at] * (above + glow)[:, None]
        degrees = degrees + ambient_c[at][:, None] + car.probe_offset[at]
        return degrees
