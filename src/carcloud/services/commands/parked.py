"""Whether a vehicle is known to stand, from its twin."""

from typing import TYPE_CHECKING

from carcloud.services.commands.errors import NotParked

if TYPE_CHECKING:
    from carcloud.services.telemetry.api import VehicleTwin

SPEED, MOVING = "Vehicle.Speed", "Vehicle.IsMoving"
PARKED_BELOW = 0.5  # km/h; a standing vehicle's position noise is below it
_AHEAD_S = 5.0  # s a vehicle's clock may be before ours
_SECOND = 1_000_000


def check_parked(twin: "VehicleTwin", now_us: int, fresh_s: float) -> None:
    """Raises `NotParked` unless a speed of the last `fresh_s` seconds says that the vehicle stands.

    That it does not move is no proof without its speed; that it moves counts for `fresh_s` seconds.
    """
    speed, moving = twin.signals.get(SPEED), twin.signals.get(MOVING)
    if speed is None:
        raise NotParked("the vehicle has not reported its speed")
    age = (now_us - speed.time_us) / _SECOND
    if age < -_AHEAD_S:
        raise NotParked("what is known of its speed is dated in the future")
    if age > fresh_s:
        raise NotParked(f"what is known of its speed is {age:.0f} s old, {fresh_s:.0f} s at most")
    # Backwards is negative, and what is no number is no proof.
    if not abs(float(speed.value or 0)) < PARKED_BELOW:  # type: ignore[arg-type]
        raise NotParked(f"it reported {speed.value:g} km/h {age:.0f} s ago")
    if moving is not None and moving.value is True:
        age = (now_us - moving.time_us) / _SECOND
        if age <= fresh_s:
            raise NotParked(f"it reported that it moves {age:.0f} s ago")
