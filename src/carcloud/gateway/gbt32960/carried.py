"""Vehicles that platforms bring over one link: who they are is asked once, beside the frames.

A platform waits for the reply to every frame (5.2.2), and the frames of many vehicles share its
link, so no reply waits for the registry: the frames of a vehicle are taken until the answer says
otherwise. Answers are asked for anew now and then, so that a suspended vehicle is kept out.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.admission import AdmissionDesk
from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND, now_us
from carcloud.services.compliance.api import PlatformAccounts
from carcloud.services.vehicles.api import Carried, Vehicles

CARRIED: Final = frozenset((Command.LOGIN, Command.REALTIME, Command.REISSUE, Command.LOGOUT))
"""6.3.1 table 3: commands in which a platform brings a vehicle's data."""

CarriedDesk = AdmissionDesk[Carried, str]
"""Answers why a vehicle's frames are refused; empty = they are welcome."""

_AGAIN_US: Final = 60 * SECOND  # after so long the answer is asked for anew
_NEVER: Final = 2**63
_REMEMBERED: Final = 200_000  # vehicles; those known longest are asked for anew
_SAYS: Final = {
    "invalid": "the unique id cannot be a vehicle's",
    "suspended": "the vehicle is suspended",
    "retired": "the vehicle is retired",
    "quota": "the tenant has as many vehicles as it may: see its limit `vehicles`",
    "tenant": "the vehicle is registered elsewhere",
}
_MOST_WAITING: Final = 50_000  # questions
_BUSY: Final = "too many vehicles wait to be looked up"
_NO_ACCOUNT: Final = "the platform has no account any more"
CARRIED_FAILED: Final = "the registry could not answer"
_Key = tuple[Tenant, str, str]


@dataclass(slots=True)
class _Known:
    """What the registry said of a vehicle, and when to ask again."""

    refusal: str = ""
    again_us: int = 0
    login: int = 0  # hash of the last login frame, and of the last logout
    logout: int = 0


class CarriedVehicles:
    """What one gateway knows of the vehicles on its platform links."""

    def __init__(self, desk: CarriedDesk, now: Callable[[], int] = now_us) -> None:
        self._desk = desk
        self._now = now
        self._known: OrderedDict[_Key, _Known] = OrderedDict()

    def refusal(
        self, tenant: Tenant, platform: str, frame: Frame, protocol: str
    ) -> tuple[Flag, FrameError] | None:
        """Why a frame from a platform is not taken; None when it is, or nothing is known yet."""
        key = (tenant, platform, frame.unique_id)
        known, now = self._known.get(key), self._now()
        if known is None:
            known = self._known[key] = _Known()
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if now >= known.again_us and self._desk.waiting >= _MOST_WAITING:
            if known.again_us == 0:  # nothing is known yet
                return Flag.VIN_UNKNOWN, FrameError("busy", 4, "5.2", _BUSY)
        elif now >= known.again_us:
            known.again_us = _NEVER  # until this question is answered
            wanted = Carried(tenant, platform, frame.unique_id, protocol)
            self._desk.ask(wanted, lambda said: self._answered(key, said))
        if not known.refusal:
            return None
        return Flag.VIN_UNKNOWN, FrameError("refused", 4, "5.2", known.refusal)

    def repeated(self, tenant: Tenant, platform: str, frame: Frame) -> bool:
        """Whether a login or logout was accepted before, byte for byte; call after `refusal`.

        Platforms send again what they got no reply for, and two platforms that forward to each
        other would do so for ever.
        """
        known = self._known.get((tenant, platform, frame.unique_id))
        if known is None or frame.command not in (Command.LOGIN, Command.LOGOUT):
            return False
        before = known.login if frame.command == Command.LOGIN else known.logout
        return before == hash(frame.raw)

    def accepted(self, tenant: Tenant, platform: str, frame: Frame) -> None:
        """A login or logout has been taken: the same bytes again are a repetition."""
        known = self._known.get((tenant, platform, frame.unique_id))
        if known is None:
            return
        if frame.command == Command.LOGIN:
            known.login = hash(frame.raw)
        elif frame.command == Command.LOGOUT:
            known.logout = hash(frame.raw)

    def _answered(self, key: _Key, refusal: str) -> None:
        known = self._known.get(key)
        if known is not None:
            known.refusal = refusal
            known.again_us = self._now() + _AGAIN_US


class CarriedClerk:
    """Asks the registry; blocks, so it works behind a desk."""

    def __init__(self, vehicles: Vehicles, platforms: PlatformAccounts) -> None:
        self._vehicles = vehicles
        self._platforms = platforms

    def answer(self, wanting: Sequence[Carried]) -> list[str]:
        """One answer for each, in order; see `CarriedDesk`."""
        accounts = self._platforms.tenants({one.platform for one in wanting})
        good = [one for one in wanting if accounts.get(one.platform) == one.tenant]
        found = iter(self._vehicles.carry_many(good))
        return [
            _said(next(found)) if accounts.get(one.platform) == one.tenant else _NO_ACCOUNT
            for one in wanting
        ]


def _said(refusal: str | None) -> str:
    return "" if refusal is None else _SAYS[refusal]
