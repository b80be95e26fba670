"""Which transport layers a log is read with, and for which identifiers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.assembly import Transport
from carcloud.codecs.can.fast_packet import FastPacket, is_fast
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.isotp import IsoTp, is_diagnostic_id
from carcloud.codecs.can.j1939 import TransportProtocol
from carcloud.codecs.dbc.database import Database, Message
from carcloud.codecs.dbc.j1939 import pgn

LayerName = Literal["j1939", "isotp", "nmea2000"]
NAMES: tuple[LayerName, ...] = ("j1939", "isotp", "nmea2000")
FRAME_BYTES = 8  # of classic CAN; longer messages come by a transport layer, or are FD


@dataclass(frozen=True)
class Layer:
    """A transport layer at work.

    claims: the frames (n,) that are its own; no message is looked up for them directly
    j1939: its messages are found by parameter group
    """

    name: LayerName
    transport: Transport
    claims: Callable[[CanFrames], NDArray[np.bool_]]
    j1939: bool


def layers_for(
    databases: Iterable[Database], names: Iterable[LayerName] | None = None, *, length_byte: bool
) -> tuple[Layer, ...]:
    """The layers that the databases' messages need (`names` None), or those named.

    Without names ISO-TP and fast packets are taken for the messages of more than eight bytes, with
    a name for all messages that may come so. length_byte: see `IsoTp`.
    """
    messages = [message for database in databases for message in database.messages]
    wanted = NAMES if names is None else tuple(names)
    automatic = names is None
    found = []
    if "j1939" in wanted:
        layer = TransportProtocol()
        found.append(Layer("j1939", layer, layer.mine, True))
    if "nmea2000" in wanted:
        groups = {
            pgn(one.id) for one in messages if _is_fast(one) and (_long(one) or not automatic)
        }
        if groups:
            fast = FastPacket(frozenset(groups))
            found.append(Layer("nmea2000", fast, fast.mine, True))
    if "isotp" in wanted:
        ids = [
            (one.id, one.extended)
            for one in messages
            if is_diagnostic_id(one.id, one.extended) and (_long(one) or not automatic)
        ]
        if ids:
            isotp = IsoTp.of(ids, length_byte=length_byte)
            found.append(Layer("isotp", isotp, isotp.claims, False))
    return tuple(found)


def _long(message: Message) -> bool:
    return message.length > FRAME_BYTES and not message.frame_format.endswith("_FD")


def _is_fast(message: Message) -> bool:
    return message.extended and is_fast(pgn(message.id))
