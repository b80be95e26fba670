"""What a fleet's sensors read at one instant, in physical units: the simulation's only output."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator.chance import Cars, Floats

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Codes = NDArray[np.uint32]

STARTED, OFF = 1, 2  # vehicle state (GB/T 32960.3 type 0x01)
CHARGING_PARKED, NOT_CHARGING, CHARGED = 1, 3, 4  # charge state
CONSUMING, GENERATING, MOTOR_OFF, READY = 1, 2, 3, 4  # motor state
GEAR_DRIVE, GEAR_PARK, BRAKING, DRIVING = 14, 15, 0x10, 0x20  # gear byte


@dataclass(frozen=True, slots=True)
class Readings:
    """Arrays over the cars that were looked at; shape (n,) unless said otherwise."""

    car: Cars  # number of each car in its fleet
    seconds: int  # UTC seconds since 1970 of this instant
    vehicle_state: Bytes
    charge_state: Bytes
    speed_kmh: Floats
    odometer_km: Floats
    voltage_v: Floats  # of the pack: the sum of its cells
    current_a: Floats  # of the pack, positive = discharge
    soc_pct: Floats
    dcdc_state: Bytes  # 1 working, 2 off
    gear: Bytes
    insulation_kohm: Floats
    accelerator_pct: Floats
    brake_pct: Floats
    motors: Bytes  # fitted, 1 or 2
    motor_state: Bytes
    motor_rpm: Floats
    motor_torque_nm: Floats  # (n, 2), front and rear; rear 0 where not fitted
    motor_c: Floats
    controller_c: Floats
    controller_a: Floats  # (n, 2)
    latitude: Floats  # degrees WGS-84, south negative
    longitude: Floats  # degrees, west negative
    cell_v: Floats  # (n, CELLS)
    probe_c: Floats  # (n, PROBES)
    alarm_levels: Bytes  # (n, alarms.BITS)
    storage_fault: Codes  # vendor code of the battery fault, 0 = none

    def __len__(self) -> int:
        return len(self.car)
