"""Activation 0x09 and key exchange 0x0B of a 2025 vehicle: asked of the key desk, then used.

An activation may come before the login, a key exchange only after it (see `keys`).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.gbt32960.keys import KeyAnswer, KeyRequest, activation_result, kept_form
from carcloud.gateway.gbt32960.rules import PROTOCOL, answer
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.session import Session

_MOST_WAITING = 1_000  # activations and key exchanges, of up to 64 KiB each


def ask_keys(session: "Session", frame: Frame) -> None:
    """Have a key request looked at; the session takes nothing else meanwhile."""
    desk = session.gateway.keys
    if desk is None or desk.waiting >= _MOST_WAITING:
        error = FrameError("busy", 2, "B.1", "too many key requests wait")
        session.refuse(frame, Flag.ERROR, error)
        return
    tenant = session.link.tenant if session.link is not None else None
    request = KeyRequest(frame, PROTOCOL, tenant, session.certificate())
    session.ask(desk, request, lambda keyed: _keyed(session, frame, keyed))


def _keyed(session: "Session", frame: Frame, keyed: KeyAnswer) -> None:
    if session.gone:
        return
    if keyed.error is not None:
        reply = activation_result(frame, keyed.info) if keyed.info else None
        session.refuse(frame, keyed.flag, keyed.error, reply=reply)
    else:
        _learn(session, frame, keyed)


def _learn(session: "Session", frame: Frame, keyed: KeyAnswer) -> None:
    """The keys are on record: use them from the next frame on, and say so when durable."""
    link, gateway = session.link, session.gateway
    if link is not None and keyed.public_key is not None:
        public_key, algorithm = keyed.public_key, keyed.key_algorithm
        link.admit(replace(link.admission, public_key=public_key, key_algorithm=algorithm))
    if link is not None and keyed.data_keys is not None:
        link.admit(replace(link.admission, data_keys=keyed.data_keys))
    activation = frame.command == Command.ACTIVATION
    gateway.figures.frames["activation" if activation else "key"] += 1
    if activation:
        reply = activation_result(frame, 0)
    else:
        reply = answer(frame, Flag.SUCCESS, gateway.rules, now_us())
    tenant = keyed.tenant or gateway.fallback_tenant
    gateway.outbox.add(tenant, frame.unique_id, now_us(), kept_form(frame), session, reply)
