"""Commands that go down among the messages that wait for their vehicles, as over MQTT.

A command is marked as sent and put there in one transaction: whoever is killed, it is not lost.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from carcloud.codecs.mqtt.topics import prefix
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.services.commands.progress import take
from carcloud.services.commands.types import Report, State, Waiting
from carcloud.services.vehicles.api import Draft, PutError, put_many_in, waiting_in, withdraw_in

_Queues = Mapping[str, Sequence[Waiting]]  # by vehicle, in order

TOPIC: Final = "commands"  # below the vehicle's prefix


def queue(db: Connection, waiting: Sequence[Waiting], now: int) -> list[Waiting]:
    """Mark those that nobody has sent yet as sent, and put them to the messages of their vehicles;
    returns these. One that cannot be put is refused, with why."""
    marks = [Report(one.id, one.vehicle, State.SENT) for one in waiting]
    mine = {command.id for command in take(db, marks, now)}
    queues: dict[Tenant, dict[str, list[Waiting]]] = defaultdict(lambda: defaultdict(list))
    for one in waiting:
        if one.id in mine:
            queues[one.tenant][one.vehicle].append(one)
    put: list[Waiting] = []
    refused: list[Report] = []
    for tenant in sorted(queues):  # all who lock vehicles of several tenants, in one order
        rest: _Queues = queues[tenant]
        while rest:
            drafts = {vehicle: [_draft(one) for one in each] for vehicle, each in rest.items()}
            failed = put_many_in(db, tenant, drafts, now=now).refused
            put += [one for name, each in rest.items() if name not in failed for one in each]
            rest = _shorter({name: rest[name] for name in failed}, failed, refused)
    take(db, refused, now)
    return put


def withdraw(db: Connection, tenant: Tenant, command: str, vehicle: str, actor: str) -> None:
    """Take a command out of the messages that wait for its vehicle."""
    topic = prefix(vehicle) + TOPIC
    for message in waiting_in(db, tenant, vehicle):
        if message.topic == topic and _is_of(command, message.payload):
            withdraw_in(db, tenant, vehicle, message.id, actor=actor)


def _is_of(command: str, payload: bytes) -> bool:
    return command.encode() in payload and msgspec.json.decode(payload)["id"] == command


def _shorter(
    queues: _Queues, failed: Mapping[str, PutError], refused: list[Report]
) -> dict[str, list[Waiting]]:
    """The first commands of each vehicle that it has room for; the others are refused."""
    shorter: dict[str, list[Waiting]] = {}
    for vehicle, error in failed.items():
        room = error.value - error.used if isinstance(error, OverLimit) else 0
        fitting: list[Waiting] = []
        for one in queues[vehicle][:-1]:  # never all again
            room -= _draft(one).size
            if room < 0:
                break
            fitting.append(one)
        left = queues[vehicle][len(fitting) :]
        refused += [Report(one.id, vehicle, State.REFUSED, str(error)) for one in left]
        if fitting:
            shorter[vehicle] = fitting
    return shorter


def _draft(one: Waiting) -> Draft:
    content = {
        "id": one.id,
        "name": one.name,
        "arguments": one.arguments,
        "expires_ms": one.expires // 1000,
    }
    topic = prefix(one.vehicle) + TOPIC
    return Draft(topic, msgspec.json.encode(content), expires=one.expires)
