"""A fleet of electric cars, stepped together."""

import numpy as np

from carcloud.simulator import alarms, car, faults
from carcloud.simulator import readings as r
from carcloud.simulator.battery import Battery
from carcloud.simulator.car import CELLS, CarParameters
from carcloud.simulator.chance import Cars, Chance, Floats
from carcloud.simulator.faults import Fault, FaultPlan
from carcloud.simulator.journey import Activity, Journey
from carcloud.simulator.powertrain import Load, Powertrain, load
from carcloud.simulator.readings import Readings

_STANDBY_W = 15.0  # drawn while parked
_LONGEST_STEP_S = 1.0
_REAR_SHARE = np.array([0.4, 0.6])  # of the torque, front and rear, with two motors


class Fleet:
    """Cars that live from `start` on; deterministic by seed, and car k by its number alone."""

    def __init__(self, cars: int, seed: int, start: int, plan: FaultPlan | None = None) -> None:
        """`start` is in UTC seconds since 1970. Without a plan no car has a fault."""
        chance = Chance(cars, seed, "fleet")
        self.seconds = float(start)  # UTC seconds since 1970 of the present state
        self._start = float(start)
        self.parameters: CarParameters = car.draw(cars, seed)
        self.journey = Journey(cars, seed)
        self.ambient_c = self.journey.road.ambient_c + chance.between(-4.0, 4.0)
        charging = self.journey.activity == Activity.CHARGING
        self.battery = Battery(
            np.where(charging, chance.between(0.12, 0.85), chance.between(0.30, 0.95)),
            self.ambient_c,
            chance.between,
        )
        self.powertrain = Powertrain(self.ambient_c)
        self.odometer_m = self.parameters.age * chance.between(60e6, 220e6)
        self.plan = plan or faults.plan(cars, seed, {})
        still = np.zeros(cars)
        self.load: Load = load(self.parameters, (still, still), still, self.battery.charge, 1.0)

    def __len__(self) -> int:
        return len(self.parameters)

    def step(self, seconds: float) -> None:
        """Let `seconds` (0 or more) pass, in steps of at most one second."""
        steps = int(np.ceil(seconds / _LONGEST_STEP_S - 1e-9))
        for _ in range(steps):
            self._step(seconds / steps)

    def _step(self, dt: float) -> None:
        battery, journey = self.battery, self.journey
        before = journey.speed
        slope = journey.step(self.parameters, battery.charge, battery.full, dt)
        now = load(self.parameters, (before, journey.speed), slope, battery.charge, dt)
        self.powertrain.step(self.parameters, now, self.ambient_c, dt)
        on = journey.activity <= Activity.WAITING
        power = now.electric + np.where(on, self.parameters.auxiliary, _STANDBY_W)
        plugged = journey.activity == Activity.CHARGING
        battery.step(self.parameters, power, plugged, self.ambient_c, dt)
        self.odometer_m += now.speed * dt
        self.load = now
        self.seconds += dt

    def observe(self, cars: Cars | None = None) -> Readings:
        """What the sensors of the named cars (default: all) read now."""
        at = np.arange(len(self)) if cars is None else cars
        cell_v, probe_c = self._cells(at), self._probes(at)
        insulation = self._insulation(at)
        levels = alarms.judge(self._measures(at, cell_v, probe_c, insulation))
        on = self.journey.activity[at] <= Activity.WAITING
        torque, current = self._motors(at, cell_v.sum(axis=1))
        latitude, longitude = self.journey.road.coordinates(at)
        return Readings(
            car=at,
            seconds=int(self.seconds + 1e-6),
            vehicle_state=np.where(on, r.STARTED, r.OFF).astype(np.uint8),
            charge_state=self._charge_state(at),
            speed_kmh=self.journey.speed[at] * 3.6,
            odometer_km=self.odometer_m[at] / 1000.0,
            voltage_v=cell_v.sum(axis=1),
            current_a=self.battery.current[at],
            soc_pct=self.battery.charge[at] * 100.0,
            dcdc_state=np.where(self._active(at), 1, 2).astype(np.uint8),
            gear=self._gear(at, on),
            insulation_kohm=insulation,
            accelerator_pct=np.where(
                self._pulls(at), np.minimum(self._pedal(at, self.load.motor), 100.0), 0.0
            ),
            brake_pct=np.where(on, self._brake(at), 0.0),
            motors=self.parameters.motors[at].astype(np.uint8),
            motor_state=self._motor_state(at, on),
            motor_rpm=self.powertrain.rpm[at],
            motor_torque_nm=torque,
            motor_c=self.powertrain.motor_c[at],
            controller_c=self.powertrain.controller_c[at],
            controller_a=current,
            latitude=latitude,
            longitude=longitude,
            cell_v=cell_v,
            probe_c=probe_c,
            alarm_levels=levels,
            storage_fault=self._fault_codes(at, levels),
        )

    def _elapsed(self) -> float:
        return self.seconds - self._start

    def _cells(self, at: Cars) -> Floats:
        volts = self.battery.cells(self.parameters, at)
        strength = self.plan.strength(Fault.WEAK_CELL, at, self._elapsed())
        weak = np.flatnonzero(strength > 0.0)
        cells = self.plan.part[at[weak]]
        sick = self.battery.weak_cell(self.parameters, at[weak], strength[weak])
        volts[weak, cells] += sick - volts[weak].mean(axis=1)
        return volts

    def _probes(self, at: Cars) -> Floats:
        degrees = self.battery.probes(self.parameters, self.ambient_c, at)
        strength = self.plan.strength(Fault.HOT_PROBE, at, self._elapsed())
        hot = np.flatnonzero(strength > 0.0)
        degrees[hot, self.plan.part[at[hot]]] += faults.PROBE_RISE_K * strength[hot]
        return degrees

    def _insulation(self, at: Cars) -> Floats:
        strength = self.plan.strength(Fault.INSULATION_FAULT, at, self._elapsed())
        drift = 1.0 + 0.02 * np.sin(self._elapsed() / 97.0 + at)
        kohm: Floats = self.battery.insulation_kohm[at] * drift * faults.INSULATION_LEFT**strength
        return kohm

    def _measures(
        self, at: Cars, cell_v: Floats, probe_c: Floats, insulation: Floats
    ) -> dict[str, Floats]:
        lowest, highest, hottest = cell_v.min(axis=1), cell_v.max(axis=1), probe_c.max(axis=1)
        return {
            "probe_difference_k": hottest - probe_c.min(axis=1),
            "hottest_c": hottest,
            "mean_cell_v": cell_v.sum(axis=1) / CELLS,
            "charge": self.battery.charge[at],
            "highest_cell_v": highest,
            "lowest_cell_v": lowest,
            "cell_difference_v": highest - lowest,
            "ohm_per_volt": insulation * 1000.0 / cell_v.sum(axis=1),
            "controller_c": self.powertrain.controller_c[at],
            "motor_c": self.powertrain.motor_c[at],
        }

    def _active(self, at: Cars) -> r.Flags:
        active: r.Flags = self.journey.activity[at] != Activity.PARKED
        return active

    def _charge_state(self, at: Cars) -> r.Bytes:
        charging = self.journey.activity[at] == Activity.CHARGING
        states = np.select(
            [charging, self.journey.charged[at]], [r.CHARGING_PARKED, r.CHARGED], r.NOT_CHARGING
        )
        return states.astype(np.uint8)

    def _gear(self, at: Cars, on: r.Flags) -> r.Bytes:
        pulls = self._pulls(at)
        slows = ~pulls & ((self.load.wheel[at] < 0.0) | (self.journey.speed[at] <= 0.0))
        force = np.where(pulls, r.DRIVING, 0) | np.where(slows, r.BRAKING, 0)
        return np.where(on, r.GEAR_DRIVE | force, r.GEAR_PARK).astype(np.uint8)

    def _pulls(self, at: Cars) -> r.Flags:
        pulls: r.Flags = (self.load.motor[at] > 0.0) & (self.journey.speed[at] > 0.0)
        return pulls

    def _pedal(self, at: Cars, power: Floats) -> Floats:
        share: Floats = 100.0 * np.sqrt(np.maximum(power / self.parameters.motor_power, 0.0))[at]
        return share

    def _brake(self, at: Cars) -> Floats:
        """Travel of the pedal, %: the driver holds a standing car with a fifth of it."""
        pressed = self._pedal(at, self.load.friction)
        held = np.where(self.journey.speed[at] <= 0.0, 20.0, 0.0)
        return np.clip(np.maximum(pressed, held), 0.0, 100.0)

    def _motor_state(self, at: Cars, on: r.Flags) -> r.Bytes:
        power = self.powertrain.electric[at]
        states = np.select(
            [~on, power > 0.0, power < 0.0], [r.MOTOR_OFF, r.CONSUMING, r.GENERATING], r.READY
        )
        return states.astype(np.uint8)

    def _motors(self, at: Cars, voltage: Floats) -> tuple[Floats, Floats]:
        two = (self.parameters.motors[at] > 1.0)[:, None]
        share = np.where(two, _REAR_SHARE, np.array([1.0, 0.0]))
        torque = share * self.powertrain.torque[at][:, None]
        current = share * (self.powertrain.electric[at] / voltage)[:, None]
        return torque, current

    def _fault_codes(self, at: Cars, levels: r.Bytes) -> r.Codes:
        """Vendor code kind << 16 | part, told once an alarm that the fault causes has risen."""
        kind = self.plan.kind[at].astype(np.uint32)
        risen = np.zeros((len(at), len(Fault)), bool)
        risen[:, Fault.WEAK_CELL] = (levels[:, [6, 10]] > 0).any(axis=1)
        risen[:, Fault.INSULATION_FAULT] = levels[:, 11] > 0
        risen[:, Fault.HOT_PROBE] = (levels[:, [0, 1]] > 0).any(axis=1)
        code = kind << np.uint32(16) | (self.plan.part[at] + 1).astype(np.uint32)
        told = risen[np.arange(len(at)), kind]
        return np.where(told, code, 0).astype(np.uint32)
