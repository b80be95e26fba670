"""The commands that the agent carries out by itself, without a hook."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from carcloud.agent.orders import (
    OUT_OF_RANGE,
    TYPE_MISMATCH,
    UNAVAILABLE,
    BuiltIn,
    Refused,
)
from carcloud.agent.wishes import Wishes
from carcloud.codecs.campaign.fields import DocumentError

POSITION: Final = "Vehicle.CurrentLocation."
SPEED, MOVING = "Vehicle.Speed", "Vehicle.IsMoving"
PARKED_BELOW: Final = 0.5  # km/h; the cloud's bound too


def is_needed(path: str) -> bool:
    """Whether a signal is followed although nobody has it reported: commands need it."""
    return path in (SPEED, MOVING) or path.startswith(POSITION)


class Duties:
    """What the agent knows and can change of itself.

    `latest(path)` is the value of a signal; `paths()` are those the vehicle has; `changed()` is
    called when reports must follow another pace; `restart()` ends the agent, to be started again.
    """

    def __init__(
        self,
        wishes: Wishes,
        latest: Callable[[str], Any],
        paths: Callable[[], Iterable[str]],
        changed: Callable[[], None],
        restart: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:
        self._wishes = wishes
        self._latest = latest
        self._paths = paths
        self._changed = changed
        self._restart = restart
        self._clock = clock
        self._track_ms = 0
        self._track_until_us = 0

    def built_in(self) -> dict[str, BuiltIn]:
        """By the name of the command."""
        return {
            "locate": self.locate,
            "track": self.track,
            "read-parameters": self.read_parameters,
            "set-parameters": self.set_parameters,
            "restart": self.restart,
        }

    @property
    def tracking(self) -> bool:
        """Whether the position is reported more often for a while."""
        return self._clock() < self._track_until_us

    @property
    def interval_ms(self) -> int:
        """Between two reports now; 0 = none."""
        usual = self._wishes.interval_ms
        if not self.tracking:
            return usual
        return min(usual, self._track_ms) if usual else self._track_ms

    def moves(self) -> str | None:
        """What says that the vehicle moves; None where nothing does."""
        speed = self._latest(SPEED)
        # A speed backwards is a speed, and one that is no number does not say that it stands.
        if isinstance(speed, int | float) and not abs(speed) < PARKED_BELOW:
            return f"it drives {speed:.4g} km/h"
        return "it moves" if self._latest(MOVING) is True else None

    def _position(self) -> dict[str, Any]:
        found = {path: self._latest(path) for path in self._paths() if path.startswith(POSITION)}
        return {path: value for path, value in found.items() if value is not None}

    async def locate(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The position signals; fails where there are none."""
        found = self._position()
        if not found:
            raise Refused("failed", UNAVAILABLE, "no position is known")
        speed = self._latest(SPEED)
        return found if speed is None else found | {SPEED: speed}

    async def track(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Report more often for a while."""
        self._track_ms = arguments["interval_s"] * 1000
        self._track_until_us = self._clock() + arguments["duration_s"] * 1_000_000
        self._changed()
        return {}

    async def read_parameters(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The agent's settings that can be changed, or those of these names."""
        known = self._wishes.parameters
        names = arguments.get("names") or list(known)
        for name in names:
            if name not in known:
                raise Refused("refused", OUT_OF_RANGE, _unknown(name, known))
        return {name: known[name] for name in names}

    async def set_parameters(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change settings, all of them or none."""
        given, known = arguments["parameters"], self._wishes.parameters
        for name in given:
            if name not in known:
                raise Refused("refused", OUT_OF_RANGE, _unknown(name, known))
        try:
            self._wishes.change(given)
        except DocumentError as error:
            raise Refused("refused", TYPE_MISMATCH, str(error)) from error
        self._changed()
        return {name: self._wishes.parameters[name] for name in given}

    async def restart(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """End soon, to be started again; the answer goes out before."""
        self._restart()
        return {}


def _unknown(name: object, known: Iterable[str]) -> str:
    return f"there is no parameter {name!r:.60}; there are {', '.join(known)}"
