"""The commands that vehicles get over MQTT, by the names and arguments that the cloud gives.

The same table as `services/commands/kinds.py`, whose libraries a vehicle does not have; a test
compares them. Which command does what here is in `orders.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carcloud.agent.settings import Argument

SET_SIGNAL: Final = "set-signal"
RUN: Final = "run"
FORWARD: Final = "forward"


@dataclass(frozen=True, slots=True)
class Row:
    """What a command takes. `parked`: refused where the vehicle is known to move."""

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    parked: bool = False


VOCABULARY: Final[Mapping[str, Row]] = {
    "locate": Row(),
    "track": Row(
        {"interval_s": Argument("integer", 1, 3600), "duration_s": Argument("integer", 1, 86_400)}
    ),
    "message": Row(
        {
            "text": Argument("string", 1, 500),
            "show": Argument("string", needed=False, choices=("display", "speak", "emergency")),
        }
    ),
    "read-parameters": Row({"names": Argument("list", None, 200, needed=False)}),
    "set-parameters": Row({"parameters": Argument("object")}),
    FORWARD: Row(
        {
            "campaign": Argument("string", 1, 100),
            "partition": Argument("string", 1, 100, needed=False),
            "until": Argument("string", 1, 40, needed=False),
        }
    ),
    "restart": Row(parked=True),
    "factory-reset": Row(parked=True),
    "lock": Row(),
    "unlock": Row(parked=True),
    SET_SIGNAL: Row({"path": Argument("string", 1, 200), "value": Argument("any")}, parked=True),
    RUN: Row({"hook": Argument("string", 1, 64), "arguments": Argument("object", needed=False)}),
}
