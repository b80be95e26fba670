"""Forces on the car, and what motor, inverter and brakes make of them."""

from dataclasses import dataclass

import numpy as np

from carcloud.simulator.car import AIR_DENSITY, GRAVITY, CarParameters
from carcloud.simulator.chance import Floats

_REGEN_SHARE = 0.35  # of the motor's power, the most that braking recovers
_REGEN_FADE_SPEED = (1.5, 5.0)  # m/s, between these regeneration fades in
_REGEN_FADE_CHARGE = (0.82, 0.97)  # state of charge, between these it fades out
_MOTOR_HEAT = 30e3  # J/K
_MOTOR_COOLING = 45.0  # W/K
_CONTROLLER_HEAT = 8e3  # J/K
_CONTROLLER_COOLING = 40.0  # W/K


@dataclass(frozen=True, slots=True)
class Load:
    """Mean powers of one step, W, shape (cars,): wheel = inertia + climb + drag + rolling."""

    wheel: Floats  # at the wheels, negative while the car is slowed
    climb: Floats
    drag: Floats
    rolling: Floats
    friction: Floats  # turned to heat by the friction brakes, positive
    motor: Floats  # mechanical, at the wheels; wheel + friction
    electric: Floats  # drawn by the inverter, negative while braking recovers
    speed: Floats  # m/s, mean


def load(
    car: CarParameters, speeds: tuple[Floats, Floats], slope: Floats, charge: Floats, dt: float
) -> Load:
    """The powers that take the cars from one speed to the other (m/s) in `dt` seconds."""
    before, after = speeds
    speed = 0.5 * (before + after)
    drag = 0.5 * AIR_DENSITY * car.drag_area * speed**3
    rolling = car.rolling * car.mass * GRAVITY * speed
    climb = car.mass * GRAVITY * slope * speed
    wheel = car.mass * (after - before) / dt * speed + climb + drag + rolling
    recovered = np.minimum(np.maximum(-wheel, 0.0), _recoverable(car, speed, charge))
    friction = np.maximum(-wheel, 0.0) - recovered
    motor = wheel + friction
    efficiency = 0.93 - 0.12 * np.exp(-np.abs(motor) / 8e3)
    electric = np.where(motor >= 0.0, motor / efficiency, motor * efficiency)
    return Load(wheel, climb, drag, rolling, friction, motor, electric, speed)


def _recoverable(car: CarParameters, speed: Floats, charge: Floats) -> Floats:
    fast = np.interp(speed, _REGEN_FADE_SPEED, (0.0, 1.0))
    room = np.interp(charge, _REGEN_FADE_CHARGE, (1.0, 0.0))
    limit: Floats = _REGEN_SHARE * car.motor_power * fast * room
    return limit


class Powertrain:
    """Motor state of a fleet; all arrays have shape (cars,)."""

    def __init__(self, ambient_c: Floats) -> None:
        self.motor_c = ambient_c.copy()  # degC
        self.controller_c = ambient_c.copy()  # degC
        self.torque = np.zeros_like(ambient_c)  # N.m of all motors together
        self.rpm = np.zeros_like(ambient_c)
        self.electric = np.zeros_like(ambient_c)  # W drawn by the inverters

    def step(self, car: CarParameters, now: Load, ambient_c: Floats, dt: float) -> None:
        """Take over the step's load and warm up or cool down."""
        self.rpm = now.speed / car.wheel_radius * car.gear_ratio * (30.0 / np.pi)
        force = now.motor / np.maximum(now.speed, 0.5)
        self.torque = force * car.wheel_radius / car.gear_ratio
        self.electric = now.electric
        loss = np.abs(now.electric - now.motor)
        self.motor_c += _warming(
            0.7 * loss, self.motor_c - ambient_c, _MOTOR_COOLING, _MOTOR_HEAT, dt
        )
        self.controller_c += _warming(
            0.3 * loss, self.controller_c - ambient_c, _CONTROLLER_COOLING, _CONTROLLER_HEAT, dt
        )


def _warming(heat: Floats, above: Floats, cooling: float, capacity: float, dt: float) -> Floats:
    """Change of temperature, K, of a body `above` its surroundings by so many K."""
    change: Floats = (heat - cooling * above) * (dt / capacity)
    return change
