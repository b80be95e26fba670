"""The way in: registration, which gives a code, and authentication, which shows it."""

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame
from carcloud.gateway.admission import EDITION_ON_RECORD, Admission, Login
from carcloud.gateway.jt808.link import Link
from carcloud.gateway.jt808.rules import (
    PROTOCOL,
    Down,
    Registered,
    Result,
    Up,
    authentication_code,
    registered_body,
)
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.jt808.session import Session

_SHORTEST_2013 = 37  # bytes of a registration; a shorter one is of 2011
_PARTS = {  # edition: (where the terminal id begins, its length, where the plate begins)
    2011: (17, 7, 25),
    2013: (29, 7, 37),
    2019: (45, 30, 76),
}
_RESULTS = {
    "unknown": Registered.NO_VEHICLE,
    "retired": Registered.NO_VEHICLE,
    "iccid": Registered.VEHICLE_REGISTERED,  # with another terminal
}


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration says that the gateway needs."""

    edition: int  # 2011, 2013 or 2019
    terminal_id: str


def read_registration(frame: Frame) -> Registration:
    """Raises `FrameError` for a body that is too short for any edition."""
    edition = frame.edition
    if edition != 2019 and len(frame.body) < _SHORTEST_2013:
        edition = 2011
    start, size, plate = _PARTS[edition]
    if len(frame.body) < plate:
        detail = f"a registration of {len(frame.body)} bytes, at least {plate}"
        raise FrameError("truncated", len(frame.body), "8.8", detail)
    text = frame.body[start : start + size].strip(b"\x00 ").decode("gbk", "replace")
    return Registration(edition, text.replace("\x00", "\ufffd"))


def read_code(frame: Frame) -> str:
    """The code of an authentication; 2019 puts its length before it."""
    body = frame.body
    if frame.edition == 2019 and body and len(body) > body[0]:
        body = body[1 : 1 + body[0]]
    return body.rstrip(b"\x00").decode("gbk", "replace")


def take_first(session: "Session", frame: Frame) -> None:
    """A message of a connection that has not authenticated: the way in, or refused."""
    if frame.packets > 1:
        error = FrameError("no-login", 1, "7.2.2", "packets before the authentication")
        session.refuse(frame, Result.FAILURE, error)
    elif frame.message == Up.REGISTER:
        register(session, frame)
    elif frame.message == Up.AUTHENTICATE:
        authenticate(session, frame)
    else:
        error = FrameError("no-login", 1, "7.2.2", "not authenticated")
        session.refuse(frame, Result.FAILURE, error)


def register(session: "Session", frame: Frame) -> None:
    """Ask the registry whether the terminal may register."""
    try:
        registration = read_registration(frame)
    except FrameError as error:
        session.refuse(frame, Result.WRONG, error)
        return
    login = _login(session, frame, registration.edition, registration.terminal_id)
    session.ask(
        session.gateway.desk,
        login,
        lambda admission: _registered(session, frame, admission),
    )


def _login(
    session: "Session", frame: Frame, edition: int, terminal_id: str = "", *, proven: bool = False
) -> Login:
    return Login(
        vehicle=frame.phone,
        iccid=terminal_id,
        protocol=PROTOCOL,
        address=session.address,
        edition=edition,
        certificate=session.certificate(),
        proven=proven,
    )


def _registered(session: "Session", frame: Frame, admission: Admission) -> None:
    gateway = session.gateway
    if session.gone:
        return
    if admission.tenant is None:
        gateway.figures.logins_refused += 1
        result = _RESULTS.get(admission.refusal, Registered.NO_TERMINAL)
        reply = session.frame(frame, Down.REGISTERED, registered_body(frame.serial, result))
        error = FrameError("refused", 1, "8.9", admission.reason)
        session.refuse(frame, Result.FAILURE, error, reply=reply)
        return
    gateway.figures.frames["registration"] += 1
    code = authentication_code(gateway.rules.secret, frame.phone)
    body = registered_body(frame.serial, Registered.SUCCESS, code)
    reply = session.frame(frame, Down.REGISTERED, body)
    gateway.outbox.add(admission.tenant, frame.phone, now_us(), frame.raw, session, reply)


def authenticate(session: "Session", frame: Frame) -> None:
    """Check the code, then ask the registry whether the vehicle may work."""
    gateway = session.gateway
    code = authentication_code(gateway.rules.secret, frame.phone)
    if not hmac.compare_digest(read_code(frame).encode(), code.encode()):
        gateway.figures.logins_refused += 1
        error = FrameError("wrong-code", 1, "8.10", "not the code of this terminal: register")
        session.refuse(frame, Result.FAILURE, error)
        return
    edition = frame.edition if frame.edition == 2019 else EDITION_ON_RECORD
    login = _login(session, frame, edition, proven=True)
    session.ask(gateway.desk, login, lambda admission: _admitted(session, frame, login, admission))


def _edition(frame: Frame, admission: Admission) -> int:
    """2011 and 2013 have the same header: the last registration on record tells them apart."""
    old = frame.edition != 2019 and admission.edition == 2011
    return 2011 if old else frame.edition


def _admitted(session: "Session", frame: Frame, login: Login, admission: Admission) -> None:
    gateway = session.gateway
    if session.gone:
        return
    if admission.tenant is None:
        gateway.figures.logins_refused += 1
        error = FrameError("refused", 1, "8.10", admission.reason)
        session.refuse(frame, Result.FAILURE, error)
        return
    known = session.link is not None or login.vehicle in gateway.roster.vehicles
    limit = None if known else gateway.quotas.refuses(admission.tenant)
    if limit is not None:
        gateway.figures.logins_refused += 1
        session.close(f"the tenant's limit {limit}")
        return
    before = session.link
    if before is not None and before.tenant != admission.tenant and session.unconfirmed:
        session.forget_waiting()  # replies keep their order within one tenant only
        session.close("another tenant before its replies")
        return
    vehicle, tenant, proof = login.vehicle, admission.tenant, admission.proof
    session.sign_in(Link(session, vehicle, tenant, _edition(frame, admission), proof))
    session.keep(frame, session.reply(frame, Result.SUCCESS))
