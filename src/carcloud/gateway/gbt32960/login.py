"""The way in: what a connection may send before it has logged in, and the login itself."""

import asyncio
from typing import TYPE_CHECKING

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.admission import OTHER_TERMINAL, Admission, Login
from carcloud.gateway.gbt32960.key_requests import ask_keys
from carcloud.gateway.gbt32960.link import KEYS
from carcloud.gateway.gbt32960.platform_link import PlatformLink
from carcloud.gateway.gbt32960.rules import PROTOCOL, answer
from carcloud.gateway.gbt32960.vehicle_link import VehicleLink
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.session import Session

_MOST_PLATFORMS_WAITING = 200
_ICCID = slice(32, 52)


def take_first(session: "Session", frame: Frame) -> None:
    """A frame of a connection that has not logged in: a login, an activation, or refused."""
    if frame.is_command and frame.command in (Command.LOGIN, Command.PLATFORM_LOGIN):
        session.log_in(frame)
    elif frame.is_command and frame.edition == 2025 and frame.command in KEYS and _keys(session):
        ask_keys(session, frame)
    else:
        error = FrameError("no-login", 2, "B.1", "not logged in")
        session.refuse(frame, Flag.ERROR, error, answered=frame.is_command)


def _keys(session: "Session") -> bool:
    return session.gateway.keys is not None


def log_in(session: "Session", frame: Frame) -> None:
    """Have a vehicle's or platform's login looked up; the session takes nothing else meanwhile."""
    gateway = session.gateway
    platform = frame.command == Command.PLATFORM_LOGIN
    if not session.names_a_moment(frame):
        return
    if platform and not _may_try(session, frame.unique_id):
        error = FrameError("login-rate", 4, "B.1", "too many logins, wait a quarter of an hour")
        gateway.figures.logins_refused += 1
        session.refuse(frame, Flag.VIN_UNKNOWN, error, answered=frame.edition == 2025)
        return
    login = Login(
        vehicle=frame.unique_id,
        iccid="" if platform else _iccid(frame),
        protocol=PROTOCOL,
        address=session.address,
        edition=frame.edition,
        certificate=session.certificate(),
        platform=frame.data if platform else None,
    )
    session.ask(
        gateway.platforms if platform else gateway.desk,
        login,
        lambda admission: _admitted(session, frame, login, admission),
        account=frame.unique_id if platform else "",
    )


def _iccid(frame: Frame) -> str:
    text = frame.raw[_ICCID].rstrip(b"\x00").decode("ascii", "replace")
    return text.replace("\x00", "\ufffd")


def _may_try(session: "Session", platform: str) -> bool:
    """Whether a platform's password is looked at: that costs much, and can be guessing."""
    gateway, now = session.gateway, asyncio.get_running_loop().time()
    if gateway.platforms.waiting >= _MOST_PLATFORMS_WAITING:
        return False
    return gateway.throttle.enter(platform, session.address, now)


def _admitted(session: "Session", frame: Frame, login: Login, admission: Admission) -> None:
    gateway = session.gateway
    if login.platform is not None and admission.tenant is not None:
        gateway.throttle.forgive(login.vehicle, session.address)
    if session.gone:
        return
    if admission.tenant is not None:
        limit = _limit_reached(session, login, admission.tenant)
        if limit is None:
            _enter(session, frame, login, admission)
        else:
            gateway.figures.logins_refused += 1
            session.close(f"the tenant's limit {limit}")
        return
    gateway.figures.logins_refused += 1
    # B.1: a bad login is ignored; 2025 has flags to say why (table 4).
    session.refuse(
        frame, *_refusal(admission), answered=frame.edition == 2025 or session.is_platform
    )


def _limit_reached(session: "Session", login: Login, tenant: Tenant) -> str | None:
    """The quota that one more connection of the tenant would break.

    Who is there already comes in place of its old connection.
    """
    roster = session.gateway.roster
    links = roster.vehicles if login.platform is None else roster.platforms
    if session.link is not None or login.vehicle in links:
        return None
    return session.gateway.quotas.refuses(tenant)


def _refusal(admission: Admission) -> tuple[Flag, FrameError]:
    if admission.reason == OTHER_TERMINAL:
        error = FrameError("vin-duplicate", 4, "table 4", "another terminal has this VIN")
        return Flag.VIN_DUPLICATE, error
    return Flag.VIN_UNKNOWN, FrameError("refused", 4, "B.1", admission.reason)


def _enter(session: "Session", frame: Frame, login: Login, admission: Admission) -> None:
    gateway, before, tenant = session.gateway, session.link, admission.tenant
    assert tenant is not None  # noqa: S101 - the caller made sure
    if before is not None and before.tenant != tenant and session.unconfirmed:
        session.forget_waiting()  # replies keep their order within one tenant only
        session.close("another tenant before its replies")
        return
    kind = PlatformLink if login.platform is not None else VehicleLink
    link = session.link = kind(session, login, tenant, admission)
    if before is not None:
        gateway.quotas.left(before.tenant)
    gateway.quotas.entered(tenant)
    if before is not None and before.identity != link.identity:
        gateway.roster.leave(before)
    gateway.figures.logins += 1
    gateway.sign_in(link)
    session.keep(frame, answer(frame, Flag.SUCCESS, gateway.rules, now_us()))
